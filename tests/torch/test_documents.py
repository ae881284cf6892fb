"""Document, example and benchmarks of `bitdrop.torch`."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/how-to/pytorch.md").read_text(encoding="utf-8"), re.DOTALL
)

needs_plots = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "rich", "sklearn", "threadpoolctl")),
    reason="needs pip install '.[examples]'",
)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_in_torch_document_run(number: int) -> None:
    process = run_python("-c", BLOCKS[number])
    assert process.returncode == 0, process.stderr


def test_torch_document_has_two_examples() -> None:
    assert len(BLOCKS) == 2


@needs_plots
@pytest.mark.parametrize("dropout", ["torch", "bitdrop"])
def test_digits_example_prints_gain_and_writes_plot(tmp_path: Path, dropout: str) -> None:
    plot = tmp_path / "plot.png"
    arguments = ("--epochs", "4", "--seeds", "2", "--dropout", dropout, "--output", str(plot))
    process = run_python(str(ROOT / "examples/torch_digits.py"), *arguments)
    assert process.returncode == 0, process.stderr
    assert "Dropout changes the accuracy on the test images by" in " ".join(process.stdout.split())
    assert plot.read_bytes().startswith(b"\x89PNG")


@needs_plots
def test_training_benchmark_prints_four_sides_and_writes_chart(tmp_path: Path) -> None:
    chart = tmp_path / "chart.png"
    arguments = ("--processes", "1", "--rounds", "1", "--threads", "1", "--output", str(chart))
    only = ("--only", "convolutional network", "multilayer perceptron")
    process = run_python(str(ROOT / "benchmarks/training.py"), *arguments, *only)
    assert process.returncode == 0, process.stderr
    rows = [line.split("|")[1:-1] for line in process.stdout.splitlines() if "MiB |" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[2] for row in cells] == ["no dropout", "torch's", "bitdrop's", "bitdrop's, fused"] * 2
    saved = [float(row[6].removesuffix(" MiB")) for row in cells]
    for none, torchs, bitdrops, fused in zip(*(saved[side::4] for side in range(4)), strict=True):
        assert none < bitdrops < torchs
        assert none < fused < torchs
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_tensor_benchmark_compares_every_call() -> None:
    pytest.importorskip("rich")
    process = run_python(str(ROOT / "benchmarks/tensors.py"), "--seconds", "0.01")
    assert process.returncode == 0, process.stderr
    rows = [line.split("|")[1:-1] for line in process.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 3 * 7
    for row in rows:
        torchs, bitdrops, faster = map(float, row[3:6])
        assert torchs > 0
        assert bitdrops > 0
        assert faster > 0
