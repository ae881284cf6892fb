"""The how-to page of `bitdrop.jax`: its examples run."""

import re
from importlib.util import find_spec

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/how-to/jax.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_in_document_run(number: int) -> None:
    block = BLOCKS[number]
    for library in ("equinox", "flax"):
        if library in block and find_spec(library) is None:
            pytest.skip(f"needs {library}: pip install '.[jax-test]'")
    process = run_python("-c", block)
    assert process.returncode == 0, process.stderr


def test_document_has_six_examples() -> None:
    assert len(BLOCKS) == 6
