"""Tests of documents, examples and benchmarks."""
