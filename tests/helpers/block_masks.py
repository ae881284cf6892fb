"""Block dropout in NumPy, twice: from the definition, and by the recipe of torchvision."""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.helpers import oracle
from tests.helpers.support import Array

Shape = tuple[int, ...]
FEW = 1e-6  # torchvision's eps


def places(shape: Shape, size: int, ndim: int) -> Shape:
    """Return the shape of the seeds: all places that a block can have."""
    return shape[:-ndim] + tuple(length - size + 1 for length in shape[-ndim:])


def gamma(p: float, shape: Shape, size: int, ndim: int) -> float:
    """Return the probability of a seed, in the order of torchvision's operations."""
    lengths = shape[-ndim:]
    numerator = p
    for length in lengths:
        numerator = numerator * length
    return numerator / (math.prod((size,) * ndim) * math.prod(places(shape, size, ndim)[-ndim:]))


def seeds(mask: Any) -> Array:
    """Return whether there is a seed at each place, by the oracle of the mask format."""
    shape = places(mask.shape, mask.block_size, mask.block_ndim)
    chance = gamma(mask.p, mask.shape, mask.block_size, mask.block_ndim)
    return ~oracle.kept(mask.key, mask.stream, chance, 0, int(np.prod(shape))).reshape(shape)


def kept(mask: Any) -> Array:
    """Return the elements that a `bitdrop.BlockMask` keeps: those that no seed's block covers."""
    keep = np.ones(mask.shape, np.bool_)
    ndim, size = mask.block_ndim, mask.block_size
    for at in np.argwhere(seeds(mask)):
        keep[(*at[:-ndim], *(slice(start, start + size) for start in at[-ndim:]))] = False
    return keep


def scale(keep: Array, eps: float = FEW) -> float:
    """Return the factor of the kept elements."""
    return float(keep.size / (eps + np.count_nonzero(keep))) if keep.any() else 0.0


def torchvision(x: Array, noise: Array, size: int, ndim: int, eps: float = FEW) -> Array:
    """Return what torchvision's function makes of seeds in float64: padding, maximum over windows."""
    pad = [(0, 0)] * (noise.ndim - ndim) + [(size // 2, size // 2)] * ndim
    padded = np.pad(np.pad(noise.astype(np.float64), pad), pad)  # once by itself, once by the pooling
    axes = tuple(range(noise.ndim - ndim, noise.ndim))
    pooled = sliding_window_view(padded, (size,) * ndim, axes).max(axis=tuple(range(-ndim, 0)))
    keep = 1 - pooled
    result: Array = x * keep * (keep.size / (eps + keep.sum()))
    return result
