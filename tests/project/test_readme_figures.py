"""The README's table of figures, against the outputs of the benchmarks in `benchmarks/results`."""

import datetime
import json
import re

import bitdrop
import pytest

from tests.helpers.paths import BENCHMARKS, ROOT

RESULTS = BENCHMARKS / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SENTENCES = " ".join(README.replace("**", "").split())  # without emphasis and line breaks
# A row of the README, the benchmark, and its numbers in turn: the table, the row and the column of each.
STEP = ("Training steps, p = 0.5", ["width 1024, SGD"])
SAMPLES = ("50 predictions", ["small CNN"])
FORWARD = "Forward, p = 0.5, threads"
TENSORS = ("New float32 tensors", ["1,048,576", "0.5", "forward"])
JAX = ("New float32 arrays, jitted", ["1,048,576", "0.5", "forward"])
FIGURES = {
    "training step": ("needed", [(*STEP, "torch's"), (*STEP, "thinned"), (*STEP, "bitdrop's")]),
    "50 Monte Carlo samples": (
        "needed",
        [(*SAMPLES, "torch's, pass by pass"), (*SAMPLES, "monte_carlo")],
    ),
    "NumPy": ("compare", [(FORWARD, ["NumPy, textbook"], "1 Mi"), (FORWARD, ["bitdrop, out="], "1 Mi")]),
    "PyTorch": ("tensors", [(*TENSORS, "torch, ns per element"), (*TENSORS, "bitdrop, ns")]),
    "JAX": ("jax_arrays", [(*JAX, "times faster"), (*JAX, "copies")]),
}
# A row of the accuracy benchmark, and the phrase after which the README gives seconds and last accuracy.
ACCURACY = "digits, 30 % of the labels wrong"
CURVES = {
    "no dropout": "no dropout: ",
    "usual dropout": "one mask per sample: ",
    "thinned, groups=1": "one mask per batch: ",
}


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the tables of a benchmark's output by title: rows of cells, that of the columns first."""
    found: dict[str, list[list[str]]] = {}
    title = ""
    for line in text.splitlines():
        if not line.startswith("|"):
            title = line.strip() or title
        elif not set(line) <= set("|-: "):
            found.setdefault(title, []).append([cell.strip() for cell in line[1:].rstrip("| ").split("|")])
    return found


def measured(text: str, title: str, row: list[str], column: str) -> float:
    """Return the last number of a cell: a ratio if it has one beside the time."""
    (table,) = [rows for name, rows in tables(text).items() if name.startswith(title)]
    (cells,) = [cells for cells in table if cells[: len(row)] == row]
    return float(re.findall(r"\d+(?:\.\d+)?", cells[table[0].index(column)])[-1])


def facts(text: str) -> dict[str, str]:
    return dict(re.findall(r"^- ([^:]+): (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("start", FIGURES)
def test_figures_of_the_readme_are_those_of_the_benchmarks(start: str) -> None:
    file, places = FIGURES[start]
    text = (RESULTS / f"{file}.txt").read_text(encoding="utf-8")
    (row,) = [line for line in README.splitlines() if line.startswith(f"| **{start}**")]
    values = [measured(text, *place) for place in places]
    if start == "JAX":
        values[0] *= values[1]  # the README has copies, the table how much faster bitdrop is
    shown = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?= (?:x|copies|ns|passes)\b)", row)
    assert [float(number) for number in shown] == [
        round(value, len(number.partition(".")[2])) for number, value in zip(shown, values, strict=True)
    ]


@pytest.mark.parametrize("setting", CURVES)
def test_accuracies_of_the_readme_are_those_of_the_benchmark(setting: str) -> None:
    results = json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))["results"][ACCURACY]
    curve = results[setting]
    assert f"{CURVES[setting]}{curve['seconds'][-1]:.1f} s, {curve['test'][-1]:.1f} % right" in SENTENCES
    early = [results[one]["at best validation"] for one in CURVES]
    assert f"stopped early, the three networks reach {min(early):.1f} to {max(early):.1f} %" in SENTENCES


def test_accuracies_of_the_main_example_are_those_of_its_last_run() -> None:
    text = (RESULTS / "overfit_digits.txt").read_text(encoding="utf-8")
    page = (ROOT / "docs/explanation/does-it-help.md").read_text(encoding="utf-8")
    for network in ("without dropout", "with dropout"):
        (cells,) = re.findall(rf"│ {network} +│ +(.*?) +│ +(.*?) +│ +(.*?) +│", text)
        assert f"| {network} | {' | '.join(cells)} |" in page
        assert f"{cells[1].partition(' ')[0]} %" in README


def test_price_of_a_small_call_is_that_of_the_benchmark() -> None:
    text = (RESULTS / "calls.txt").read_text(encoding="utf-8")
    calls = measured(text, "1,024 elements", ["Dropout.forward(x, out=out)"], "in np.multiply")
    assert f"takes {calls:.1f} calls of `numpy.multiply`" in SENTENCES


@pytest.mark.parametrize("file", sorted(path.stem for path in RESULTS.glob("*.txt")))
def test_results_are_of_a_recent_version_on_the_machine_and_day_that_the_readme_names(file: str) -> None:
    found = facts((RESULTS / f"{file}.txt").read_text(encoding="utf-8"))
    releases = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == bitdrop.__version__
    assert found["bitdrop"].partition(",")[0] in releases[:2]
    day = datetime.date.fromisoformat(found["date"])
    assert f"{day.day} {day:%B %Y}" in README
    assert "(family 25, model 1)" in found["processor"]  # Zen 3
    assert "Zen 3" in README
    assert re.match(rf"python (benchmarks|examples)/{file}\.py", found["command"])
