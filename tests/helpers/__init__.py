"""Code shared by the tests: oracle, strategies, tables, comparisons."""
