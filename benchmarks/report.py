"""Tables of measurements, in Markdown that can be pasted unchanged."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from targets import HUGE, Result, size_name

# A file or a pipe has no width; 180 is wide enough for every cell.
console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)


def progress() -> Progress:
    """Return a progress display on stderr, so that stdout can be redirected to a file."""
    return Progress(
        TextColumn("{task.description:44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def mark(reached: bool, target: object = None) -> str:
    """Return the word for a figure that has a target, with the target if it is given."""
    word = "reached" if reached else "MISSED"
    return word if target is None else f"{word} ({target})"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, with the first column aligned left and the others right."""
    table = Table(box=box.MARKDOWN)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(f"\n{title}\n", soft_wrap=True, markup=False)
    console.print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print facts as a list."""
    for name, fact in facts.items():
        console.print(f"- {name}: {fact}", soft_wrap=True, markup=False)


def print_results(results: Sequence[Result], threads: int) -> None:
    """Print the results for the targets."""
    columns = ("step", "p", "elements", "ns per element", "copies", "quartiles", "to reach", "aim", "")
    print_table(
        f"Ratios to `np.copyto(out, x)` in the same run, float32, `out=`, threads: {threads}",
        columns,
        [_result_row(result) for result in results],
    )
    huge = [result for result in results if result.target.size == HUGE]
    if not huge:
        return
    if any(result.non_temporal is None for result in huge):
        console.print("\nThe non-temporal copy is left out: it is measured with one thread only.")
        return
    print_table(
        f"Compared with a copy by non-temporal stores, {size_name(HUGE)} elements",
        ("step", "p", "np.copyto, non-temporal copies", "step, non-temporal copies"),
        [
            (r.target.step, str(r.target.p), f"{1 / r.non_temporal.ratio:.2f}", f"{r.to_non_temporal:.2f}")
            for r in huge
            if r.non_temporal
        ],
    )


def _result_row(result: Result) -> tuple[str, ...]:
    target, timing = result.target, result.timing
    return (
        target.step,
        str(target.p),
        size_name(target.size),
        f"{timing.seconds / target.size * 1e9:.4f}",
        f"{timing.ratio:.2f}",
        f"{timing.low:.2f} to {timing.high:.2f}",
        f"{target.reach:.2f}",
        f"{target.aim:.2f}",
        result.mark,
    )
