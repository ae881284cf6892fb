"""Training steps, measured in several processes, with freed memory kept and with the allocator as it is.

The layout of memory that a process happens to get moves a ratio by several percent. glibc may return freed
memory to the system and fetch it again, thousands of page faults a step. A fresh page costs as much as
dropping thousands of elements. With high thresholds it keeps the memory, as jemalloc and tcmalloc do.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}
SECONDS, RATIO, PAGE_FAULTS = "seconds", "ratio", "page faults"
_WARM_UP = 3  # uncounted first rounds

Figures = dict[str, dict[str, float]]  # figures by side and name


class BothWays(NamedTuple):
    """Figures with freed memory kept, and with the allocator as it is."""

    kept: Figures
    default: Figures


def take_turns(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Figures:
    """Return medians for each side: seconds, ratio to the first side, and page faults of a call."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    faults: dict[str, list[int]] = {side: [] for side in sides}
    for number in range(-_WARM_UP, rounds):
        # Alternate the order, so that a drift of the machine favours no side.
        for side in list(sides)[:: 1 if number % 2 else -1]:
            faults_before, begun = _page_faults(), clock()
            sides[side]()
            seconds = clock() - begun
            if number >= 0:
                times[side].append(seconds)
                faults[side].append(_page_faults() - faults_before)
    first = next(iter(times.values()))
    return {
        side: {
            SECONDS: statistics.median(taken),
            RATIO: statistics.median(mine / other for mine, other in zip(taken, first, strict=True)),
            PAGE_FAULTS: statistics.median(faults[side]),
        }
        for side, taken in times.items()
    }


def take_turns_for(sides: Mapping[str, Callable[[], object]], seconds: float) -> Figures:
    """Return what `take_turns` does, of as many rounds as take about the given time, three at least."""
    # The first rounds may compile. Their medians tell how long the others take.
    first = take_turns(sides, 3)
    return take_turns(sides, max(3, round(seconds / sum(one[SECONDS] for one in first.values()))))


def _page_faults() -> int:
    """Return how often this process has been given a page of memory. 0: the system does not tell."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def both_ways(script: str, arguments: Sequence[str], count: int) -> BothWays:
    """Run a script `count` times each way. Return medians of the figures that it prints as JSON."""
    return BothWays(*(_medians(script, arguments, count, kept) for kept in (KEPT_MEMORY, {})))


def _medians(script: str, arguments: Sequence[str], count: int, environment: Mapping[str, str]) -> Figures:
    inherited = {name: value for name, value in os.environ.items() if name not in KEPT_MEMORY}
    inherited.update(environment)
    found: list[Figures] = []
    for _ in range(count):
        command = [sys.executable, script, *arguments]
        done = subprocess.run(command, env=inherited, check=True, stdout=subprocess.PIPE)
        found.append(json.loads(done.stdout))
    return {
        side: {name: statistics.median(one[side][name] for one in found) for name in figures}
        for side, figures in found[0].items()
    }


def ratios(figures: BothWays, side: str) -> str:
    """Return a table's cell: the ratio with freed memory kept, then by default, with its page faults."""
    kept, default = figures.kept[side], figures.default[side]
    return f"{kept[RATIO]:.2f} ({default[RATIO]:.2f}, {default[PAGE_FAULTS]:,.0f} faults)"
