"""Measures of noise: each returns the p-values of its sums and counts, which may depend on each other.

If the numbers are independent and normal, counts over disjoint elements are exactly binomial, and sums of
squares exactly chi-squared. Sums of other functions are normal up to a correction that is far below the
thresholds of the tests.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import chi2, norm

from tests.helpers.oracle import packed
from tests.helpers.planted_faults import Floats
from tests.helpers.planted_faults import Noise as Source
from tests.helpers.statistics_measures import KEY, LAGS, PValues, one_bit_changed, p_values

Measure = Callable[[Source], PValues]

BLOCK = 1024
CHUNK = 2**20
VARIANCE_OF_POWER = {1: 1, 2: 2, 3: 15, 4: 96}
MEAN_OF_POWER = {1: 0, 2: 1, 3: 0, 4: 3}


def of_sums(sums: ArrayLike, variances: ArrayLike) -> PValues:
    """Return two-sided p-values of sums that are normal with mean 0."""
    deviations = np.abs(np.asarray(sums, np.float64)) / np.sqrt(variances)
    found: PValues = 2 * norm.sf(deviations).ravel()
    return found


def chunks(source: Source, stream: int, size: int) -> Iterator[NDArray[np.float64]]:
    """Yield the numbers of a stream in parts, as float64."""
    for start in range(0, size, CHUNK):
        yield source(KEY, stream, start, start + CHUNK).astype(np.float64)


def moments(source: Source, size: int = 2**24) -> PValues:
    """Sum the first four powers."""
    sums = dict.fromkeys(VARIANCE_OF_POWER, 0.0)
    for z in chunks(source, 0, size):
        power = np.ones_like(z)
        for k, mean in MEAN_OF_POWER.items():
            power *= z
            sums[k] += float(np.sum(power - mean))
    return of_sums(list(sums.values()), size * np.array(list(VARIANCE_OF_POWER.values())))


def cells(source: Source, size: int = 2**23) -> PValues:
    """Count the numbers in 1, 2, 16 ... 4096 cells of equal probability."""
    counts = np.zeros(4096, np.int64)
    for z in chunks(source, 1, size):
        counts += np.bincount((ndtr(z) * 4096).astype(np.int64), minlength=4096)
    found = [p_values(counts.reshape(n, -1).sum(axis=1), size, 1 / n) for n in (2, 16, 256, 4096)]
    return np.concatenate(found)


def tails(source: Source, size: int = 2**26) -> PValues:
    """Count the numbers beyond 1, 1.5, ... 5 deviations on each side."""
    bounds = np.arange(1, 5.25, 0.5)
    above, below = (np.zeros(len(bounds), np.int64) for _ in range(2))
    for start in range(0, size, CHUNK):
        z = source(KEY, 3, start, start + CHUNK)
        above += [np.count_nonzero(z > bound) for bound in bounds.astype(np.float32)]
        below += [np.count_nonzero(z < -bound) for bound in bounds.astype(np.float32)]
    return np.concatenate([p_values(counts, size, norm.sf(bounds)) for counts in (above, below)])


def position(source: Source) -> PValues:
    """Sum numbers and squares at each position of a block, and of its draws, lanes and halves."""
    blocks = 2**12
    z = source(KEY, 4, 0, BLOCK * blocks).astype(np.float64).reshape(blocks, 32, 16, 2)
    found = []
    for axes in ((), (1, 2), (0, 2), (0, 1), (0,)):
        for power in (1, 2):
            sums = (z**power).sum(axis=0).sum(axis=axes)
            count = z.size // sums.size
            found.append(of_sums(sums, count) if power == 1 else of_squares(sums, count))
    return np.concatenate(found)


def of_squares(sums: ArrayLike, count: int) -> PValues:
    """Return two-sided p-values of sums of `count` squares."""
    values = np.asarray(sums)
    found: PValues = np.minimum(1, 2 * np.minimum(chi2.cdf(values, count), chi2.sf(values, count))).ravel()
    return found


def products(a: Floats, b: Floats, axis: int | tuple[int, ...] | None = None) -> PValues:
    """Return p-values of the sums of products of independent numbers, and of their squares less 1."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    linear, square = np.sum(a * b, axis=axis), np.sum((a * a - 1) * (b * b - 1), axis=axis)
    count = a.size // np.size(linear)
    return np.concatenate([of_sums(linear, count), of_sums(square, 4 * count)])


def correlations(source: Source) -> PValues:
    """Multiply elements at a distance, in disjoint pairs, paired in two ways, and compare their signs."""
    z = source(KEY, 5, 0, 2**21)
    found = []
    for lag in (lag for lag in LAGS if lag <= 2**18):
        for begin in (0, lag):
            pairs = (z.size - begin) // (2 * lag)
            halves = z[begin : begin + 2 * lag * pairs].reshape(pairs, 2, lag)
            a, b = halves[:, 0], halves[:, 1]
            found += [products(a, b), p_values(np.count_nonzero((a < 0) ^ (b < 0)), a.size, 0.5)]
    return np.concatenate(found)


def neighbours(source: Source) -> PValues:
    """Multiply keys, streams, blocks, draws and lanes that lie near each other."""
    places = [((k0, k1), stream) for k0 in (1, 2) for k1 in range(2, 7) for stream in range(6)]
    near = [source(key, stream, 0, 4 * BLOCK) for key, stream in places]
    found = [products(a, b) for a, b in combinations(near, 2)]
    z = source(KEY, 6, 0, BLOCK * 2**11).reshape(-1, 32, 16, 2)
    for distance in (1, 2, 16, 256, 512):
        halves = z[: len(z) // (2 * distance) * 2 * distance].reshape(-1, 2, distance, BLOCK)
        found.append(products(halves[:, 0], halves[:, 1]))
        found.append(products(halves[:, 0], halves[:, 1], axis=2))
    for axis, count in ((1, 32), (2, 16), (3, 2)):
        found += [products(z.take([a], axis), z.take([b], axis)) for a, b in combinations(range(count), 2)]
    return np.concatenate(found)


def avalanche(source: Source) -> PValues:
    """Multiply noises of which one bit of key or stream differs."""
    size = 4 * BLOCK
    found = []
    for key, stream in (((0, 0), 0), ((1, 2), 3), (KEY, 2**64 - 1)):
        before = source(key, stream, 0, size)
        found += [products(before, source(*place, 0, size)) for place in one_bit_changed(key, stream)]
    return np.concatenate(found)


def mask_of_same_key(source: Source) -> PValues:
    """Compare signs with mask bits at p = 0.5: of the same element, and of all pairs of places of a block.

    Blocks of equal number have equal seeds if their subkeys are equal, and a mask's block has 4096 elements.
    """
    blocks = 2**12
    z = source(KEY, 7, 0, BLOCK * blocks)
    bits = np.unpackbits(packed(KEY, 7, 0.5, 0, 4 * BLOCK * blocks), bitorder="little").view(np.bool_)
    same = np.count_nonzero((z < 0) ^ bits[: z.size])
    signs = np.sign(z.reshape(blocks, BLOCK))
    first_rows = np.where(bits.reshape(blocks, 4, BLOCK)[:, 0], np.float32(1), np.float32(-1))
    differ = (blocks - signs.T @ first_rows) / 2  # exact: small integers
    return np.concatenate([p_values(same, z.size, 0.5), p_values(differ.astype(np.int64), blocks, 0.5)])


MEASURES: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (
        *(moments, cells, tails, position),
        *(correlations, neighbours, avalanche, mask_of_same_key),
    )
}
