"""The how-to page of `bitdrop.jax`, whose examples run, and the benchmark."""

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


def test_benchmark_compares_calls_and_training_steps() -> None:
    for library in ("rich", "equinox"):
        pytest.importorskip(library)
    process = run_python(
        str(ROOT / "benchmarks/jax_arrays.py"), "--seconds", "0.01", "--processes", "1", "--sizes", "1024"
    )
    assert process.returncode == 0, process.stderr
    rows = [line.split("|")[1:-1] for line in process.stdout.splitlines() if line.startswith("| ")]
    calls, steps = rows[1:4], rows[5:]
    assert all(float(cell) > 0 for row in calls for cell in row[3:9])
    assert [row[0].split(",")[0].strip() for row in steps] == ["MLP", "transformer block"]


def test_document_has_six_examples() -> None:
    assert len(BLOCKS) == 6
