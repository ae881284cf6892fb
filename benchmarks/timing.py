"""Comparison of timings: sides take turns in one run; medians; several placements of the buffers.

Each side is a `timeit.Timer`, which switches the garbage collector off while it times. The results are ratios
of timings that follow each other, because absolute times on a shared machine mean nothing a day later.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from timeit import Timer
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Step = Callable[[], Any]

# Approximate length of one sample. It is long enough to make the overhead of clock and loop negligible. It is
# shorter than the time slices that a scheduler gives to other work, so most samples are undisturbed.
SAMPLE_SECONDS = 1e-3
_PAGE = 4096
# Bytes from the start of a page to input and output. Two buffers at equal distances stall loads on stores (4K
# aliasing). The first pair is that of NumPy's own large arrays; the others are spread over the page.
OFFSETS = ((16, 16), (0, 64), (0, 1088), (0, 2112))


@dataclass(frozen=True)
class Timing:
    """One side of a comparison.

    Attributes
    ----------
    seconds : float
        Median time of one call.
    ratio : float
        Median of the quotients with the reference in the same round.
    low, high : float
        Quartiles of these quotients.
    by_offset : tuple of float
        Median quotient for each pair of buffers.
    rounds : int
        Number of rounds.
    """

    seconds: float
    ratio: float
    low: float
    high: float
    by_offset: tuple[float, ...]
    rounds: int


def buffers(n: int, dtype: DTypeLike = np.float32) -> list[tuple[Array, Array]]:
    """Return pairs of input in [1, 2) and output, of n elements: the same memory at several offsets."""
    dtype = np.dtype(dtype)
    source, target = (_pages(n * dtype.itemsize + _PAGE).view(dtype) for _ in range(2))
    source[:] = np.random.default_rng(0).random(source.size, dtype=np.float32) * 0.99 + 1.0
    target[:] = 0  # touch the pages, so that no timed write pays for them
    starts = [(i // dtype.itemsize, o // dtype.itemsize) for i, o in OFFSETS]
    return [(source[i : i + n], target[o : o + n]) for i, o in starts]


def _pages(nbytes: int) -> NDArray[np.uint8]:
    """Return page-aligned memory of at least this many bytes."""
    whole = math.ceil(nbytes / _PAGE) * _PAGE
    memory = np.empty(whole + _PAGE, np.uint8)
    start = -memory.ctypes.data % _PAGE
    return memory[start : start + whole]


def alternate(
    places: Sequence[Mapping[str, Timer]], reference: str, seconds: float, *, settle: float = 0.0
) -> dict[str, Timing]:
    """Time all sides in turns, for about `seconds`, and at least once at each place.

    Parameters
    ----------
    places : sequence of mappings
        The sides by name, for each pair of buffers. The rounds cycle through the places.
    reference : str
        Name of the side that divides the others.
    seconds : float
        Total time to spend.
    settle : float
        Pause before each sample, in seconds, because thread pools spin for a while after their work.

    Returns
    -------
    dict
        The timing of each side.
    """
    names = list(places[0])
    calls = {name: _calls(places[0][name]) for name in names}  # this also warms up every side
    samples: list[dict[str, float]] = []
    gc.collect()
    end = time.perf_counter() + seconds
    while len(samples) < len(places) or time.perf_counter() < end:
        number = len(samples)
        sides, sample = places[number % len(places)], {}
        # Alternate the order, so that a drift of the machine favours no side.
        for name in names if number // len(places) % 2 == 0 else reversed(names):
            if settle:
                time.sleep(settle)
            sample[name] = sides[name].timeit(calls[name]) / calls[name]
        samples.append(sample)
    return {name: _summary(samples, name, reference, len(places)) for name in names}


def alternate_cold(sides: Mapping[str, Sequence[Step]], other_work: Step, seconds: float) -> dict[str, float]:
    """Time all sides in turns for about `seconds`, each step right after other work, as in a training step.

    Parameters
    ----------
    sides : mapping of str to sequence of callables
        The steps of each side, to be called one after the other. Their times are added.
    other_work : callable
        Runs before each step, untimed. It should take the caches for some milliseconds: see `matrix_product`.
    seconds : float
        Total time to spend. Every side is timed once at least.

    Returns
    -------
    dict
        The median time of each side's steps, in seconds.
    """

    def once(steps: Sequence[Step]) -> float:
        total = 0.0
        for step in steps:
            other_work()
            begun = time.perf_counter()
            step()
            total += time.perf_counter() - begun
        return total

    samples: dict[str, list[float]] = {name: [] for name in sides}
    for steps in sides.values():
        once(steps)
    end = time.perf_counter() + seconds
    number = 0
    while not number or time.perf_counter() < end:
        # Alternate the order, so that a drift of the machine favours no side.
        for name in list(sides)[:: 1 if number % 2 else -1]:
            samples[name].append(once(sides[name]))
        number += 1
    return {name: statistics.median(times) for name, times in samples.items()}


def matrix_product() -> Step:
    """Return other work for `alternate_cold`: a matrix product that takes some milliseconds."""
    a, b = np.random.default_rng(0).random((2, 700, 700), dtype=np.float32)
    return partial(np.matmul, a, b, out=np.empty_like(a))


def _calls(timer: Timer) -> int:
    timer.timeit(1)
    return max(1, math.ceil(SAMPLE_SECONDS / max(min(timer.repeat(2, 1)), 1e-9)))


def _summary(samples: Sequence[Mapping[str, float]], name: str, reference: str, places: int) -> Timing:
    ratios = [sample[name] / sample[reference] for sample in samples]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Timing(
        seconds=statistics.median(sample[name] for sample in samples),
        ratio=float(middle),
        low=float(low),
        high=float(high),
        by_offset=tuple(statistics.median(ratios[place::places]) for place in range(places)),
        rounds=len(samples),
    )
