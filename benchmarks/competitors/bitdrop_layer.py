"""bitdrop through its public layer: into a given array, into new arrays, and without held bits."""

from collections.abc import Callable, Mapping

import bitdrop
import numpy as np
from bitdrop import _core
from timing import Array

from competitors.interface import Competitor, Steps, WrongAnswerError, inverted_scale


def _available() -> Mapping[str, str]:
    return {"version": bitdrop.__version__, "instruction set": _core.get_isa()}


def _maker(*, allocate: bool, recompute: bool) -> Callable[[Array, Array, float, int], Steps]:
    def make(x: Array, out: Array, p: float, threads: int) -> Steps:
        bitdrop.set_num_threads(threads)
        layer = bitdrop.Dropout(p, recompute=recompute, rng=0)
        if allocate:
            return Steps(lambda: layer(x), lambda: layer.backward(x), inverted_scale(p))
        return Steps(lambda: layer.forward(x, out=out), lambda: layer.backward(x, out=out), inverted_scale(p))

    return make


def check_scalar(x: Array, p: float) -> None:
    """Raise `WrongAnswerError` unless the kernels in use agree with the scalar kernels in every bit."""
    y, mask = bitdrop.dropout(x, p, rng=1)
    used = _core.get_isa()
    _core.set_isa("scalar")
    again = bitdrop.Mask(x.shape, p, key=mask.key, stream=mask.stream)
    expected, bits = again.apply(x), again.bits
    _core.set_isa(used)
    if not (np.array_equal(mask.bits, bits) and np.array_equal(y.view(np.uint32), expected.view(np.uint32))):
        raise WrongAnswerError("the result differs from that of the scalar kernel")


_ABOUT = "This package, through `bitdrop.Dropout`: "
COMPETITORS = (
    Competitor(
        "bitdrop",
        "bitdrop, out=",
        _ABOUT + "forward and backward into a given array, one bit per element held between them.",
        _available,
        _maker(allocate=False, recompute=False),
    ),
    Competitor(
        "bitdrop-alloc",
        "bitdrop, new array",
        _ABOUT + "`y = layer(x)` and `dx = layer.backward(dy)`, each result a new array.",
        _available,
        _maker(allocate=True, recompute=False),
    ),
    Competitor(
        "bitdrop-recompute",
        "bitdrop, recompute",
        _ABOUT + "into a given array; with `recompute=True` backward generates the bits again.",
        _available,
        _maker(allocate=False, recompute=True),
    ),
)
