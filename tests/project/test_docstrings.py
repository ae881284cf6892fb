"""Docstrings of public names."""

import doctest
import inspect
from typing import Any

import bitdrop
import pytest


@pytest.mark.parametrize("name", [name for name in bitdrop.__all__ if callable(getattr(bitdrop, name))])
def test_public_name_has_docstring_in_numpy_style(name: str) -> None:
    public = getattr(bitdrop, name)
    lines = (public.__doc__ or "").splitlines()
    assert lines
    assert lines[0].endswith(".")
    if not (isinstance(public, type) and issubclass(public, Exception)):
        takes_something = list(inspect.signature(public).parameters)
        assert ("Parameters" in public.__doc__) == bool(takes_something)


@pytest.mark.parametrize("public", [bitdrop, bitdrop.dropout, bitdrop.Dropout, bitdrop.Mask])
def test_docstring_of_main_name_has_example(public: Any) -> None:
    assert any(test.examples for test in doctest.DocTestFinder(recurse=False).find(public, "it"))
