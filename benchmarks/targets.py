"""The ratios to a copy that bitdrop promises, and their measurement through the public API.

`compare.py` prints them, `guard.py` fails if one is missed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from timeit import Timer

import bitdrop
from competitors.copying import copy, non_temporal_copy
from timing import Array, Step, Timing, alternate, buffers

CACHED, LARGE, HUGE = 2**18, 2**20, 2**26
# If np.copyto takes at most this many non-temporal copies, the C library uses such stores itself. Then a
# step, too, must take at most this many non-temporal copies.
_NON_TEMPORAL_ALREADY = 1.1


@dataclass(frozen=True)
class Target:
    """A ratio to reach, and a better one to aim at."""

    step: str
    p: float
    size: int
    reach: float
    aim: float


def _row(step: str, p: float, reach: Sequence[float], aim: tuple[float, float]) -> Iterator[Target]:
    for size, ratio in zip((CACHED, LARGE, HUGE), reach, strict=True):
        yield Target(step, p, size, ratio, aim[size == HUGE])


TARGETS = (
    *_row("forward", 0.5, (1.2, 1.15, 0.65), (1.0, 0.6)),
    *_row("forward", 0.1, (1.65, 1.6, 0.75), (1.3, 0.6)),
    *_row("forward", 0.9, (1.65, 1.6, 0.75), (1.3, 0.6)),
    *_row("backward", 0.5, (1.1, 1.05, 0.65), (0.95, 0.6)),
    *_row("forward, recompute", 0.1, (1.75, 1.7, 0.8), (1.4, 0.65)),
    *_row("backward, recompute", 0.1, (1.75, 1.7, 0.8), (1.4, 0.65)),
)


@dataclass(frozen=True)
class Result:
    """Timing of a target, of np.copyto, and of the non-temporal copy if it was measured."""

    target: Target
    timing: Timing
    copy: Timing
    non_temporal: Timing | None

    @property
    def to_non_temporal(self) -> float | None:
        """Ratio to the non-temporal copy."""
        return None if self.non_temporal is None else self.timing.ratio / self.non_temporal.ratio

    @property
    def reached(self) -> bool:
        """True if the target is reached. The non-temporal copy is the reference if np.copyto equals it."""
        ratio = self.to_non_temporal
        if self.non_temporal and ratio and 1 / self.non_temporal.ratio <= _NON_TEMPORAL_ALREADY:
            return ratio <= _NON_TEMPORAL_ALREADY
        return self.timing.ratio <= self.target.reach

    @property
    def mark(self) -> str:
        """The table's word for the result: MISSED, reached or beyond."""
        if not self.reached:
            return "MISSED"
        return "beyond" if self.timing.ratio <= self.target.aim else "reached"


def measure(
    targets: Sequence[Target], threads: int, seconds: float, progress: Callable[[str], None]
) -> list[Result]:
    """Measure each target in turns with the copies, for `seconds` each."""
    bitdrop.set_num_threads(threads)
    results = []
    for size in sorted({target.size for target in targets}):
        pairs = buffers(size)
        for target in (target for target in targets if target.size == size):
            progress(f"{target.step}, p={target.p}, {size_name(size)}")
            results.append(_measure_one(target, pairs, threads, seconds))
    return results


def _measure_one(
    target: Target, pairs: Sequence[tuple[Array, Array]], threads: int, seconds: float
) -> Result:
    places = [_sides(target, x, out, threads) for x, out in pairs]
    timings = alternate(places, "copy", seconds)
    return Result(target, timings["step"], timings["copy"], timings.get("non-temporal"))


def _sides(target: Target, x: Array, out: Array, threads: int) -> dict[str, Timer]:
    sides = {"copy": Timer(copy(x, out, threads)), "step": Timer(_step(target, x, out))}
    if threads == 1 and target.size == HUGE:  # of interest only if the data do not fit in the cache
        sides["non-temporal"] = Timer(non_temporal_copy(x, out))
    return sides


def _step(target: Target, x: Array, out: Array) -> Step:
    layer = bitdrop.Dropout(target.p, recompute="recompute" in target.step, rng=0)
    layer.forward(x, out=out)
    method = layer.backward if target.step.startswith("backward") else layer.forward
    return partial(method, x, out=out)


def measure_again(results: Sequence[Result], threads: int, seconds: float) -> list[Result]:
    """Return the results, with missed targets measured again, because other work may have disturbed them."""
    missed = [result.target for result in results if not result.reached]
    again = {result.target: result for result in measure(missed, threads, seconds, lambda _: None)}
    return [again.get(result.target, result) for result in results]


def size_name(n: int) -> str:
    """Return a number of elements with a binary prefix."""
    for unit, name in ((2**20, "Mi"), (2**10, "Ki")):
        if n >= unit and n % unit == 0:
            return f"{n // unit} {name}"
    return str(n)
