"""Examples and benchmarks of what need not be computed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

needs_plots = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "rich", "sklearn")),
    reason="needs pip install '.[examples]'",
)


@needs_plots
def test_uncertainty_example_prints_both_tables_and_writes_its_plot(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    arguments = ("--epochs", "4", "--seeds", "2", "--samples", "8", "--output", str(plot))
    process = run_python(str(ROOT / "examples/torch_uncertainty.py"), *arguments)
    assert process.returncode == 0, process.stderr
    assert all(name in process.stdout for name in ("mean of 8 masks", "mutual information"))
    assert plot.read_bytes().startswith(b"\x89PNG")


@needs_plots
def test_accuracy_benchmark_writes_results_and_plots_them_again(tmp_path: Path) -> None:
    output = tmp_path / "accuracy.json"
    arguments = (str(ROOT / "benchmarks/accuracy.py"), "--output", str(output))
    for more in (("--data", "tumours", "--seeds", "1", "--steps", "3"), ("--read",)):
        process = run_python(*arguments, *more)
        assert process.returncode == 0, process.stderr
        assert process.stdout.count("thinned, groups=") == 4
        assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@needs_plots
def test_benchmark_of_what_is_needed_compares_all_sides() -> None:
    options = ("--processes", "1", "--rounds", "1", "--only", "width 256, SGD", "p = 0.5", "perceptron")
    process = run_python(str(ROOT / "benchmarks/needed.py"), *options)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("1.00") >= 3
    assert all(side in process.stdout for side in ("thinned", "ResidualPath", "monte_carlo"))
