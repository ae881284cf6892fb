"""Rows of compare.py for fused passes: nanoseconds an element, and multiples of a copy."""

from collections.abc import Mapping, Sequence
from timeit import Timer
from typing import Any

import numpy as np
import report
from competitors import fused_forms
from competitors.interface import UnavailableError
from targets import size_name
from timing import alternate

_STEPS = ("forward", "both")


def measure(sizes: Sequence[int], p: float, threads: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Return the timings of each form by size, or the reason why it is left out."""
    results: dict[str, dict[str, Any]] = {}
    for form in fused_forms.FORMS:
        row: dict[str, Any] = {"label": form.label, "about": form.about}
        results[form.name] = row
        try:
            row["facts"] = dict(form.available())
            for size in sizes:
                row[str(size)] = _measure_one(form, size, p, threads, seconds)
        except UnavailableError as reason:
            row["left out"] = str(reason)
    return results


def _measure_one(
    form: fused_forms.Form, size: int, p: float, threads: int, seconds: float
) -> Mapping[str, tuple[float, float]]:
    given = fused_forms.operands(size)
    steps = form.make(given, p, threads)
    fused_forms.check(steps, given, p)
    steps.both()
    sides = {"copy": Timer(lambda: np.copyto(given.scratch, given.x))}
    sides |= {step: Timer(getattr(steps, step)) for step in _STEPS}
    timings = alternate([sides], "copy", seconds, settle=0.005 if threads > 1 else 0.0)
    return {step: (timings[step].seconds / size * 1e9, timings[step].ratio) for step in _STEPS}


def print_rows(
    results: Mapping[str, Mapping[str, Any]], sizes: Sequence[int], p: float, threads: int
) -> None:
    """Print a table for each step, and the forms that are left out."""
    for step, title in zip(_STEPS, ("forward", "forward + backward with bias gradient"), strict=True):
        rows = []
        for row in results.values():
            if "left out" in row:
                continue
            cells = (row[str(size)][step] for size in sizes)
            rows.append([row["label"], *(f"{cost:.2f} ({ratio:.1f}x)" for cost, ratio in cells)])
        report.print_table(
            f"Bias + ReLU + dropout + residual, {title}, p = {p}, threads: {threads}; ns an element (copies)",
            ("", *(size_name(size) for size in sizes)),
            rows,
        )
    for row in results.values():
        if "left out" in row:
            report.console.print(f"- {row['label']}: left out, {row['left out']}", markup=False)
