"""Compare bitdrop with other ways to compute dropout: tables, JSON, and a plot of cost against size.

    pip install '.[bench,torch]'
    python benchmarks/compare.py

Run it on an idle machine. A competitor that is not installed is left out, with a line that gives the reason.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer
from typing import Any

import fused_rows
import machine
import plot
import report
import targets
from competitors import COMPETITORS
from competitors.bitdrop_layer import check_scalar
from competitors.copying import copy
from competitors.interface import Competitor, UnavailableError, check
from report import console
from targets import size_name
from timing import Array, Timing, alternate, buffers

STEPS = ("forward", "backward", "both")
_TITLES = {"forward": "forward", "backward": "backward", "both": "forward + backward"}
_SIZES = (2**10, 2**14, 2**18, 2**20, 2**22, 2**26)
_PROBABILITIES = (0.1, 0.5, 0.9)
# Time of a competitor as a multiple of bitdrop's, at least: forward, p = 0.5, one thread.
_SPEEDUPS = {
    ("torch", 2**18): 100,
    ("torch", 2**26): 60,
    ("numpy-textbook", 2**18): 30,
    ("numpy-textbook", 2**26): 20,
}


@dataclass(frozen=True)
class Cell:
    """Timing of one step of one competitor at one size and p, with the timing of the copy."""

    competitor: str
    p: float
    size: int
    step: str
    timing: Timing
    copy: Timing

    @property
    def nanoseconds(self) -> float:
        """Time per element."""
        return self.timing.seconds / self.size * 1e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write the files."""
    options = _parse(arguments)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    facts = machine.facts()
    console.print("Machine and versions\n")
    report.print_facts({**facts, "threads": options.threads})
    competitors = _available(options.competitors, facts)
    with report.progress() as progress:
        chosen = [target for target in targets.TARGETS if target.size in options.sizes]
        count = len(options.sizes) * len(options.p) * len(competitors)
        task = progress.add_task("", total=count + len(chosen))

        def show(description: str) -> None:
            progress.update(task, description=description, advance=1)

        cells = _measure(competitors, options, show)
        results = targets.measure(chosen, options.threads, options.seconds, show)
    _print_cells(cells, options)
    _print_speedups(cells, options.threads)
    if results:
        report.print_results(results, options.threads)
    fused = {}
    if not options.no_fused:
        sizes = [size for size in options.sizes if size >= 2**14]
        fused = fused_rows.measure(sizes, 0.5, options.threads, options.seconds)
        fused_rows.print_rows(fused, sizes, 0.5, options.threads)
    _write(options, facts, cells, results, fused)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help="numbers of elements")
    parser.add_argument("--p", type=float, nargs="+", default=_PROBABILITIES, help="dropping probabilities")
    parser.add_argument(
        "--threads", type=int, default=1, help="thread count of bitdrop, the copy and threaded competitors"
    )
    parser.add_argument(
        "--competitors", nargs="+", choices=COMPETITORS, default=list(COMPETITORS), metavar="NAME"
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path("build/benchmarks"), help="folder for JSON and plot"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each competitor, size and p")
    parser.add_argument("--no-fused", action="store_true", help="leave out the tables of fused passes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="p = 0.5, sizes up to 1 Mi and a tenth of the time: a first look, not a result",
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.p, options.seconds = [0.5], options.seconds / 10
        options.sizes = [size for size in options.sizes if size <= 2**20]
    return options


def _available(names: Sequence[str], facts: dict[str, Any]) -> list[Competitor]:
    """Return the competitors that can run, and add their versions to the facts."""
    console.print("\nCompetitors\n")
    available = []
    for competitor in (COMPETITORS[name] for name in dict.fromkeys(names)):
        try:
            facts[competitor.name] = dict(competitor.available())
        except UnavailableError as reason:
            console.print(f"- {competitor.label}: left out, {reason}", soft_wrap=True, markup=False)
            continue
        available.append(competitor)
        versions = ", ".join(f"{name} {value}" for name, value in facts[competitor.name].items())
        console.print(f"- {competitor.label} ({versions}): {competitor.about}", soft_wrap=True, markup=False)
    return available


def _measure(
    competitors: Sequence[Competitor], options: argparse.Namespace, show: Callable[[str], None]
) -> list[Cell]:
    cells: list[Cell] = []
    for size in options.sizes:
        pairs = buffers(size)
        for p in options.p:
            check_scalar(pairs[0][0], p)
            for competitor in competitors:
                show(f"{competitor.label}, p={p}, {size_name(size)}")
                cells += _measure_one(competitor, p, size, pairs, options)
    return cells


def _measure_one(
    competitor: Competitor,
    p: float,
    size: int,
    pairs: Sequence[tuple[Array, Array]],
    options: argparse.Namespace,
) -> list[Cell]:
    places: list[dict[str, Timer]] = []
    for x, out in pairs:
        steps = competitor.make(x, out, p, options.threads)
        if not places:  # one check is enough; it takes seconds at the largest size
            check(steps, x, p)
        else:
            steps.both()  # a warm-up; for the first pair the check was one
        sides = {step: Timer(getattr(steps, step)) for step in STEPS}
        places.append({"copy": Timer(copy(x, out, options.threads)), **sides})
    # Threads of other libraries spin for some milliseconds after their work and would disturb the next side.
    settle = 0.005 if options.threads > 1 else 0.0
    timings = alternate(places, "copy", options.seconds, settle=settle)
    return [Cell(competitor.name, p, size, step, timings[step], timings["copy"]) for step in STEPS]


def _print_cells(cells: Sequence[Cell], options: argparse.Namespace) -> None:
    for p in options.p:
        for step in STEPS:
            chosen = [cell for cell in cells if cell.p == p and cell.step == step]
            title = f"{_TITLES[step]}, p = {p}, threads: {options.threads}; nanoseconds per element (copies)"
            columns = ("", *(size_name(size) for size in options.sizes))
            report.print_table(title.capitalize(), columns, _rows(chosen, options.sizes))


def _rows(cells: Sequence[Cell], sizes: Sequence[int]) -> list[list[str]]:
    rows = {"np.copyto(out, x)": {size: f"{cost:.3f}" for size, cost in _copy_costs(cells).items()}}
    for cell in cells:
        row = rows.setdefault(COMPETITORS[cell.competitor].label, {})
        row[cell.size] = f"{cell.nanoseconds:.3f} ({_digits(cell.timing.ratio)}x)"
    return [[label, *(row.get(size, "") for size in sizes)] for label, row in rows.items()]


def _copy_costs(cells: Sequence[Cell]) -> dict[int, float]:
    """Return nanoseconds per element of the copy at each size: the median over all competitors' runs."""
    costs: dict[int, list[float]] = {}
    for cell in cells:
        costs.setdefault(cell.size, []).append(cell.copy.seconds / cell.size * 1e9)
    return {size: statistics.median(values) for size, values in costs.items()}


def _digits(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _print_speedups(cells: Sequence[Cell], threads: int) -> None:
    """Print the times of the others as multiples of bitdrop's, both measured in copies."""
    if threads != 1:
        return
    ratios = {(c.competitor, c.size): c.timing.ratio for c in cells if c.step == "forward" and c.p == 0.5}
    rows = []
    for (name, size), reach in _SPEEDUPS.items():
        if (name, size) in ratios and ("bitdrop", size) in ratios:
            times = ratios[name, size] / ratios["bitdrop", size]
            mark = "reached" if times >= reach else "MISSED"
            rows.append((COMPETITORS[name].label, size_name(size), f"{times:.0f}", str(reach), mark))
    if rows:
        columns = ("competitor", "elements", "times slower than bitdrop", "to reach", "")
        report.print_table("Forward, p = 0.5, one thread", columns, rows)


def _write(
    options: argparse.Namespace,
    facts: Mapping[str, Any],
    cells: Sequence[Cell],
    results: Sequence[targets.Result],
    fused: Mapping[str, Any],
) -> None:
    stem = options.output_dir / f"compare-{options.threads}"
    content = {
        "facts": facts,
        "threads": options.threads,
        "quick": options.quick,
        "cells": [asdict(cell) for cell in cells],
        "fused": fused,
        "targets": [{**asdict(result), "reached": result.reached} for result in results],
    }
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    p = min(options.p, key=lambda p: abs(p - 0.5))
    panels = {f"{_TITLES[step]}, p = {p}": _lines(cells, p, step) for step in ("forward", "both")}
    footnote = f"{facts['processor']}, threads: {options.threads}; below the dashed line = faster than a copy"
    plot.costs(stem.with_suffix(".png"), panels, footnote)
    console.print(f"\nWritten: {stem}.json, {stem}.png", soft_wrap=True, markup=False)


def _lines(cells: Sequence[Cell], p: float, step: str) -> dict[str, dict[int, float]]:
    chosen = [cell for cell in cells if cell.p == p and cell.step == step]
    lines = {plot.COPY: _copy_costs(chosen)}
    for cell in chosen:
        lines.setdefault(COMPETITORS[cell.competitor].label, {})[cell.size] = cell.nanoseconds
    return lines


if __name__ == "__main__":
    main()
