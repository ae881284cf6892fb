"""Time alternatives beside each other: by turns in one run, medians, several positions of the buffers.

Each side is a `timeit.Timer`, which switches the garbage collector off while it times. What is compared are
ratios of neighbours in time, because absolute times of shared machines mean nothing a day later.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from timeit import Timer
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Step = Callable[[], Any]

# One sample lasts about this long: enough that clock and loop do not count, and less than the slices of time
# that a scheduler gives to other work, so that most samples are undisturbed.
SAMPLE_SECONDS = 1e-3
_PAGE = 4096
# Bytes from the start of a page to input and output. Two buffers at equal distances stall loads on stores (4K
# aliasing). The first pair is what NumPy's own large arrays have, the others are spread over the page.
OFFSETS = ((16, 16), (0, 64), (0, 1088), (0, 2112))


@dataclass(frozen=True)
class Timing:
    """One side of a comparison.

    `seconds` is the median of one call; `ratio` the median of its quotients with the reference in the same
    round, `low` and `high` the quartiles of these; `by_offset` the medians for each pair of buffers.
    """

    seconds: float
    ratio: float
    low: float
    high: float
    by_offset: tuple[float, ...]
    rounds: int


def buffers(n: int, dtype: DTypeLike = np.float32) -> list[tuple[Array, Array]]:
    """Return pairs of input, all in [1, 2), and output of n elements: the same memory at several offsets."""
    dtype = np.dtype(dtype)
    source, target = (_pages(n * dtype.itemsize + _PAGE).view(dtype) for _ in range(2))
    source[:] = np.random.default_rng(0).random(source.size, dtype=np.float32) * 0.99 + 1.0
    target[:] = 0  # touched: a first write pays for the page
    steps = [(i // dtype.itemsize, o // dtype.itemsize) for i, o in OFFSETS]
    return [(source[i : i + n], target[o : o + n]) for i, o in steps]


def _pages(nbytes: int) -> NDArray[np.uint8]:
    """Return whole pages that begin at a page."""
    whole = math.ceil(nbytes / _PAGE) * _PAGE
    memory = np.empty(whole + _PAGE, np.uint8)
    start = -memory.ctypes.data % _PAGE
    return memory[start : start + whole]


def alternate(
    places: Sequence[Mapping[str, Timer]], reference: str, seconds: float, *, settle: float = 0.0
) -> dict[str, Timing]:
    """Time all sides by turns, for about `seconds`, but once at each place at least.

    Parameters
    ----------
    places : sequence of mappings
        The sides by name, for each pair of buffers. The rounds go through the places in turn.
    reference : str
        The side that the others are divided by.
    seconds : float
        Time to spend.
    settle : float
        Pause before each sample, in seconds: thread pools go on spinning for a while after their work.

    Returns
    -------
    dict
        The timing of each side.
    """
    names = list(places[0])
    calls = {name: _calls(places[0][name]) for name in names}  # also the one fixed warm-up
    samples: list[dict[str, float]] = []
    gc.collect()
    end = time.perf_counter() + seconds
    while len(samples) < len(places) or time.perf_counter() < end:
        number = len(samples)
        sides, sample = places[number % len(places)], {}
        # Forwards and backwards, so that a drift of the machine favours nobody.
        for name in names if number // len(places) % 2 == 0 else reversed(names):
            if settle:
                time.sleep(settle)
            sample[name] = sides[name].timeit(calls[name]) / calls[name]
        samples.append(sample)
    return {name: _summary(samples, name, reference, len(places)) for name in names}


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
