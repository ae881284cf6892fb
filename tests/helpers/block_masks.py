"""Block dropout in NumPy, twice: from the definition, and by the recipe of torchvision."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.helpers import oracle
from tests.helpers.support import Array

Shape = tuple[int, ...]
Place = tuple[int, int, bool]
"""Axes of a block, its length along each, and whether all channels share the blocks."""
FEW = 1e-6  # torchvision's eps


def places(shape: Shape, place: Place) -> Shape:
    """Return the shape of the seeds: all places that a block can have."""
    ndim, size, shared = place
    first = shape[:-ndim]
    if shared:
        first = (*first[:-1], 1)
    return first + tuple(length - size + 1 for length in shape[-ndim:])


def gamma(p: float, shape: Shape, place: Place) -> float:
    """Return the probability of a seed, in the order of torchvision's operations."""
    ndim, size, _ = place
    numerator = p
    for length in shape[-ndim:]:
        numerator = numerator * length
    return min(numerator / (prod((size,) * ndim) * prod(places(shape, place)[-ndim:])), 1.0)


def seeds(shape: Shape, p: float, place: Place, key: oracle.Key, stream: int) -> Array:
    """Return whether there is a seed at each place, by the oracle of the mask format."""
    where = places(shape, place)
    return ~oracle.kept(key, stream, gamma(p, shape, place), 0, prod(where)).reshape(where)


def kept(shape: Shape, p: float, place: Place, key: oracle.Key, stream: int) -> Array:
    """Return the elements that block dropout keeps: those that no seed's block covers."""
    ndim, size, shared = place
    keep = np.ones(shape, np.bool_)
    for at in np.argwhere(seeds(shape, p, place, key, stream)):
        first = [*at[:-ndim]]
        if shared:
            first[-1] = slice(None)
        keep[(*first, *(slice(start, start + size) for start in at[-ndim:]))] = False
    return keep


def scale(keep: Array, eps: float = FEW) -> float:
    """Return the factor of the kept elements."""
    return float(keep.size / (eps + np.count_nonzero(keep))) if keep.any() else 0.0


def torchvision(x: Array, noise: Array, size: int, ndim: int, eps: float = FEW) -> Array:
    """Return what torchvision's function makes of seeds in float64: padding, maximum over windows."""
    pad: Any = [(0, 0)] * (noise.ndim - ndim) + [(size // 2, size // 2)] * ndim
    padded = np.pad(np.pad(noise.astype(np.float64), pad), pad)  # once by itself, once by the pooling
    axes = tuple(range(noise.ndim - ndim, noise.ndim))
    pooled = sliding_window_view(padded, (size,) * ndim, axes).max(axis=tuple(range(-ndim, 0)))
    keep = 1 - pooled
    result: Array = x * keep * (keep.size / (eps + keep.sum()))
    return result
