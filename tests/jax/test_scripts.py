"""The benchmark of `bitdrop.jax`."""

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python


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
