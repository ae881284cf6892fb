"""numba, serial: Marsaglia's xorshift32 (2003) inside the loop, and a mask of one byte per element."""

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
def _kernels() -> tuple[Any, Any]:
    njit = importlib.import_module("numba").njit

    def drop(
        x: Array, out: Array, keep: Array, threshold: np.uint32, scale: np.float32, state: Array
    ) -> None:
        s = state[0]
        for i in range(x.size):
            s ^= np.uint32(s << np.uint32(13))
            s ^= s >> np.uint32(17)
            s ^= np.uint32(s << np.uint32(5))
            keep[i] = s >= threshold
            out[i] = x[i] * scale if keep[i] else np.float32(0)
        state[0] = s

    def apply(x: Array, out: Array, keep: Array, scale: np.float32) -> None:
        for i in range(x.size):
            out[i] = x[i] * scale if keep[i] else np.float32(0)

    return njit(drop), njit(apply)


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    drop, apply = _kernels()
    keep = np.empty(x.shape, np.bool_)
    threshold, scale = np.uint32(round(p * 2**32)), np.float32(inverted_scale(p))
    state = np.array([2463534242], np.uint32)  # the seed of Marsaglia's paper

    def forward() -> Array:
        drop(x, out, keep, threshold, scale, state)
        return out

    def backward() -> Array:
        apply(x, out, keep, scale)
        return out

    return Steps(forward, backward, float(scale))


COMPETITOR = Competitor(
    "numba-xorshift",
    "numba, xorshift32",
    "`njit`, one xorshift32 generator, a bool mask; one thread, a single sequential stream.",
    _available,
    _make,
)
