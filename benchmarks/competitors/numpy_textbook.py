"""NumPy, in the form that introductions to neural networks use."""

from collections.abc import Mapping

import numpy as np
from timing import Array

from competitors.interface import Competitor, Steps


class _Dropout:
    """Layer of most textbooks: no scaling in training, which saves a pass over the array."""

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, x: Array) -> Array:
        self.mask = np.random.rand(*x.shape) > self.p  # noqa: NPY002 - the textbooks use the global generator
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


def _available() -> Mapping[str, str]:
    return {"version": np.__version__}


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    layer = _Dropout(p)
    return Steps(lambda: layer.forward(x), lambda: layer.backward(x), 1.0)


COMPETITOR = Competitor(
    "numpy-textbook",
    "NumPy, textbook",
    "`mask = np.random.rand(*x.shape) > p; y = x * mask`, unscaled, as in most introductions; one thread.",
    _available,
    _make,
)
