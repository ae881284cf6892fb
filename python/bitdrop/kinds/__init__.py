"""The kinds of dropout: a rule, its names and its documentation each."""
