"""NumPy, tuned: its fastest generator, single precision, no allocation in a call."""

from collections.abc import Mapping

import numpy as np
from timing import Array

from competitors.interface import Competitor, Steps, inverted_scale


def _available() -> Mapping[str, str]:
    return {"version": np.__version__}


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    generator = np.random.Generator(np.random.SFC64(0))
    uniform = np.empty_like(x)
    keep = np.empty(x.shape, np.bool_)
    scale = np.float32(inverted_scale(p))

    def forward() -> Array:
        generator.random(out=uniform, dtype=np.float32)
        np.greater_equal(uniform, p, out=keep)
        return backward()

    def backward() -> Array:
        np.multiply(x, scale, out=out)
        return np.multiply(out, keep, out=out)

    return Steps(forward, backward, float(scale))


COMPETITOR = Competitor(
    "numpy-tuned",
    "NumPy, tuned",
    "SFC64, float32 random numbers, `out=` everywhere, a bool mask; one thread.",
    _available,
    _make,
)
