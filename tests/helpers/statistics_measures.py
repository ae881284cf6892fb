"""Measures of masks: counts that are exactly binomial if elements are dropped independently with p.

Counts are taken over disjoint elements or disjoint pairs of elements, so no approximation is needed.
A measure returns the p-values of all its counts. These may depend on each other.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from tests.helpers.planted_faults import Kept
from tests.helpers.planted_faults import Masks as Source

PValues = NDArray[np.float64]
Measure = Callable[[Source], PValues]

KEY = (0x243F6A8885A308D3, 0x13198A2E03707344)
BLOCK = 4096
LANE = 64
PS = (0.5, 0.1, 0.75)

RATES = (
    *(2.0**-20, 2.0**-13, 2.0**-12, 3 * 2.0**-14, 1e-3, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.4),
    *(0.45, 0.5, 0.55, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 0.999, 1 - 2.0**-12, 1 - 2.0**-20),
)
LAGS = sorted({*range(1, 65), 512, 1024, 4096, *(2**k for k in range(7, 21))})


def p_values(counts: ArrayLike, trials: ArrayLike, probability: ArrayLike) -> PValues:
    """Return the two-sided p-values of binomial counts, flattened. They are never below the exact ones."""
    counts = np.asarray(counts)
    low = binom.cdf(counts, trials, probability)
    high = binom.sf(counts - 1, trials, probability)
    found: PValues = np.minimum(1.0, 2.0 * np.minimum(low, high)).ravel()
    return found


def differences(a: Kept, b: Kept, p: float, axis: int | tuple[int, ...] | None = None) -> PValues:
    """Return the p-values of the number of differences between independent elements."""
    differ = a ^ b
    counts = np.count_nonzero(differ, axis=axis)
    return p_values(counts, differ.size // np.size(counts), 2 * p * (1 - p))


def rate(source: Source) -> PValues:
    """Count kept elements, for many p."""
    size = 2**24
    kept = [np.count_nonzero(source(KEY, number, p, 0, size)) for number, p in enumerate(RATES)]
    return p_values(kept, size, 1 - np.array(RATES))


def words(source: Source) -> PValues:
    """Count the words with 0, 1, ... 64 kept elements."""
    found = []
    for p in PS:
        kept = source(KEY, 1, p, 0, 2**24).reshape(-1, LANE)
        of_words = np.bincount(np.count_nonzero(kept, axis=1), minlength=LANE + 1)
        found.append(p_values(of_words, len(kept), binom.pmf(np.arange(LANE + 1), LANE, 1 - p)))
    return np.concatenate(found)


def position(source: Source) -> PValues:
    """Count kept elements at each position of a block, and of its rows, lanes and words."""
    found = []
    for p in PS:
        kept = source(KEY, 2, p, 0, BLOCK * 2**12).reshape(-1, BLOCK).sum(axis=0)
        for axes in ((), (1, 2), (0, 2), (0, 1), (0,)):
            of_place = kept.reshape(4, 16, LANE).sum(axis=axes)
            found.append(p_values(of_place, 2**12 * BLOCK // of_place.size, 1 - p))
    return np.concatenate(found)


def autocorrelation(source: Source) -> PValues:
    """Count differences between elements at a distance, in disjoint pairs, paired in two ways."""
    found = []
    for p in PS:
        kept = source(KEY, 4, p, 0, 2**24)
        for lag in LAGS:
            for begin in (0, lag):
                pairs = (kept.size - begin) // (2 * lag)
                halves = kept[begin : begin + 2 * lag * pairs].reshape(pairs, 2, lag)
                found.append(differences(halves[:, 0], halves[:, 1], p))
    return np.concatenate(found)


def neighbours(source: Source) -> PValues:
    """Count differences between neighbouring keys, streams, blocks, rows and lanes."""
    found = []
    for p in PS:
        places = [((k0, k1), stream) for k0 in (1, 2) for k1 in range(2, 7) for stream in range(6)]
        near = [source(key, stream, p, 0, 2 * BLOCK) for key, stream in places]
        found += [differences(a, b, p) for a, b in combinations(near, 2)]
        kept = source(KEY, 5, p, 0, BLOCK * 2**11).reshape(-1, 4, 16, LANE)
        for distance in (1, 2, 16, 256, 512):
            halves = kept[: len(kept) // (2 * distance) * 2 * distance].reshape(-1, 2, distance, BLOCK)
            found.append(differences(halves[:, 0], halves[:, 1], p))
            found.append(differences(halves[:, 0], halves[:, 1], p, axis=2))
        for axis, count in ((1, 4), (2, 16)):
            for a, b in combinations(range(count), 2):
                of_a, of_b = np.take(kept, [a], axis), np.take(kept, [b], axis)
                found.append(differences(of_a, of_b, p))
    return np.concatenate(found)


def avalanche(source: Source) -> PValues:
    """Count changes in the mask, and at each position, when one bit of key or stream changes."""
    found = []
    size = 2 * BLOCK
    for p in PS:
        changes = []
        for key, stream in (((0, 0), 0), ((1, 2), 3), (KEY, 2**64 - 1)):
            before = source(key, stream, p, 0, size)
            after = [source(*changed, p, 0, size) for changed in one_bit_changed(key, stream)]
            changes.append(before ^ np.stack(after))
            found.append(differences(before, np.stack(after), p, axis=1))
        if p == 0.5:  # otherwise changes of one element are not independent
            whole = np.concatenate(changes)
            found.append(p_values(np.count_nonzero(whole, axis=0), len(whole), 0.5))
    return np.concatenate(found)


def one_bit_changed(key: tuple[int, int], stream: int) -> Iterator[tuple[tuple[int, int], int]]:
    for bit in (1 << n for n in range(64)):
        yield (key[0] ^ bit, key[1]), stream
        yield (key[0], key[1] ^ bit), stream
        yield key, stream ^ bit


MEASURES: dict[str, Measure] = {
    measure.__name__: measure for measure in (rate, words, position, autocorrelation, neighbours, avalanche)
}
