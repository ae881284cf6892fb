"""Examples and benchmarks of `bitdrop.torch`."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

GAIN = "Dropout changes the accuracy on the test images by"
# The script, its arguments, and what it prints. It writes a picture.
SCRIPTS = {
    f"torch_digits, {side}": (
        f"examples/torch_digits.py --epochs 4 --seeds 2 --dropout {side}",
        [GAIN],
    )
    for side in ("torch", "bitdrop")
} | {
    "torch_uncertainty": (
        "examples/torch_uncertainty.py --epochs 4 --seeds 2 --samples 8",
        ["mean of 8 masks", "mutual information"],
    ),
}
needs_plots = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "rich", "sklearn", "threadpoolctl")),
    reason="needs pip install '.[examples]'",
)


def run(script: str, *arguments: str) -> str:
    """Run a script of the repository and return what it prints."""
    process = run_python(str(ROOT / script), *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


@needs_plots
@pytest.mark.parametrize("name", SCRIPTS)
def test_example_prints_its_findings_and_writes_its_plot(name: str, tmp_path: Path) -> None:
    plot, (command, findings) = tmp_path / "plot.png", SCRIPTS[name]
    printed = " ".join(run(*command.split(), "--output", str(plot)).split())
    assert all(finding in printed for finding in findings)
    assert plot.read_bytes().startswith(b"\x89PNG")


@needs_plots
def test_training_benchmark_prints_four_sides_and_writes_chart(tmp_path: Path) -> None:
    chart = tmp_path / "chart.png"
    options = ("--processes", "1", "--rounds", "1", "--threads", "1", "--output", str(chart))
    only = ("--only", "convolutional network", "multilayer perceptron")
    printed = run("benchmarks/training.py", *options, *only)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if "MiB |" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[2] for row in cells] == ["no dropout", "torch's", "bitdrop's", "bitdrop's, fused"] * 2
    saved = [float(row[7].removesuffix(" MiB")) for row in cells]
    for none, torchs, bitdrops, fused in zip(*(saved[side::4] for side in range(4)), strict=True):
        assert none < bitdrops < torchs
        assert none < fused < torchs
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_tensor_benchmark_compares_every_call() -> None:
    pytest.importorskip("rich")
    printed = run("benchmarks/tensors.py", "--seconds", "0.01")
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| ")]
    warm, cold = rows[1 : 1 + 3 * 7], rows[2 + 3 * 7 :]  # each after its header
    assert len(cold) == 3
    assert all(float(cell) > 0 for row in warm for cell in row[3:6])
    assert all(float(cell) > 0 for row in cold for cell in row[1:])


@needs_plots
def test_accuracy_benchmark_writes_results_and_plots_them_again(tmp_path: Path) -> None:
    output = tmp_path / "accuracy.json"
    for more in (("--data", "tumours", "--seeds", "1", "--steps", "3"), ("--read",)):
        printed = run("benchmarks/accuracy.py", "--output", str(output), *more)
        assert printed.count("thinned, groups=") == 4
        assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@needs_plots
def test_benchmark_of_what_is_needed_compares_all_sides() -> None:
    options = ("--processes", "1", "--rounds", "1", "--only", "width 256, SGD", "p = 0.5", "perceptron")
    printed = run("benchmarks/needed.py", *options)
    assert printed.count("1.00") >= 6  # three comparisons, with freed memory kept and by default
    assert all(side in printed for side in ("thinned", "ResidualPath", "monte_carlo"))


def test_benchmark_of_compiled_networks_compares_all_sides() -> None:
    pytest.importorskip("rich")
    options = ("--processes", "1", "--seconds", "0.1", "--only", "ReLU, dropout of 1,024")
    (row,) = [line for line in run("benchmarks/compiled.py", *options).splitlines() if "| ReLU" in line]
    none, torchs, bitdrops, fused = row.split("|")[2:6]
    assert "1.00 (1.00)" in torchs
    assert all(re.search(r"\d+, \d\.\d\d \(\d\.\d\d\)", cell) for cell in (none, bitdrops, fused))
