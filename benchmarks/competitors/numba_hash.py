"""numba, parallel: a hash of the element's index decides, so backward needs no stored mask.

The hash is MurmurHash3's 32-bit finaliser (A. Appleby, public domain). It is fast but has only 32 bits, so
masks of different seeds are shifted copies of each other.
"""

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from timing import Array

from competitors.interface import Competitor, Steps, UnavailableError, inverted_scale


def _available() -> Mapping[str, str]:
    try:
        return {"version": importlib.import_module("numba").__version__}
    except ImportError as error:
        raise UnavailableError(str(error)) from None


@cache
def _kernel() -> Any:
    numba = importlib.import_module("numba")

    def drop(x: Array, out: Array, threshold: np.uint32, scale: np.float32, seed: np.uint32) -> None:
        for i in numba.prange(x.size):
            h = np.uint32(np.uint32(i) + seed)
            h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
            h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
            h ^= h >> np.uint32(16)
            out[i] = x[i] * scale if h >= threshold else np.float32(0)

    return numba.njit(parallel=True)(drop)


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    importlib.import_module("numba").set_num_threads(threads)
    drop = _kernel()
    seeds = np.random.default_rng(0)
    threshold, scale = np.uint32(round(p * 2**32)), np.float32(inverted_scale(p))
    seed = np.uint32(0)

    def forward() -> Array:
        nonlocal seed
        seed = seeds.integers(2**32, dtype=np.uint32)
        return backward()

    def backward() -> Array:
        drop(x, out, threshold, scale, seed)
        return out

    return Steps(forward, backward, float(scale))


COMPETITOR = Competitor(
    "numba-hash",
    "numba, hash",
    "`njit(parallel=True)`, MurmurHash3's 32-bit finaliser of the index, nothing held; weak randomness.",
    _available,
    _make,
)
