"""Kernels at their edges: every length, alignment and half, no byte too many, the caller's mode."""

from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers import oracle
from tests.helpers.float_modes import flushing_denormals
from tests.helpers.support import UNSIGNED, Array, any_bits, assert_identical, normal

KEY, STREAM = (71, 72), 73
ALWAYS, NEVER = 0, 2**63
GUARD = 0xA5
LENGTHS = [*range(71), *(n + d for n in (128, 1024, 2048, 4096, 8192) for d in (-9, -1, 0, 1, 7))]
for_both_stores = pytest.mark.parametrize("threshold", [ALWAYS, NEVER], ids=["non-temporal", "ordinary"])

pytestmark = pytest.mark.usefixtures("settings_restored")


def drawn(x: Array, p: float, scale: float, out: Array | None = None) -> Array:
    """Generate bits and apply them at once."""
    return bitdrop.Mask(x.shape, p, key=KEY, stream=STREAM, scale=scale).apply(x, out=out)


def stored(x: Array, keep: Array, scale: float, out: Array | None = None) -> Array:
    """Apply stored bits."""
    return bitdrop.Mask.from_array(keep, scale=scale).apply(x, out=out)


class Guarded:
    """Array at a byte offset from a cache line, with guard bytes before and after it."""

    def __init__(self, x: Array, offset: int) -> None:
        self.memory = np.full(x.nbytes + 64 * 4, GUARD, np.uint8)
        self.start = -self.memory.ctypes.data % 64 + 64 + offset
        self.end = self.start + x.nbytes
        self.array: Array = np.ndarray((x.size,), x.dtype, self.memory.data, self.start)
        self.array[...] = x

    def untouched_around(self) -> bool:
        return bool((self.memory[: self.start] == GUARD).all() and (self.memory[self.end :] == GUARD).all())


@for_both_stores
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_every_length_is_processed_to_last_element(
    isa: str, dtype: np.dtype[Any], p: float, threshold: int
) -> None:
    _core.set_isa(isa)
    _core.set_non_temporal_threshold(threshold)
    x = normal(dtype, max(LENGTHS))
    keep = oracle.kept(KEY, STREAM, p, 0, x.size)
    scale = 1 / (1 - p) if p < 1 else 0.0
    expected, layer = oracle.applied(x, keep, scale), bitdrop.Dropout(p)
    for n in LENGTHS:
        layer.state = layer.state | {"key": list(KEY), "position": STREAM}
        for call in (
            partial(drawn, x[:n], p, scale),
            partial(stored, x[:n], keep[:n], scale),
            partial(layer, x[:n]),
        ):
            y = Guarded(np.zeros(n, dtype), n % 64)
            assert_identical(call(out=y.array), expected[:n], f"{n} elements")
            assert y.untouched_around(), n
        assert layer.mask is not None
        assert np.array_equal(layer.mask.bits, np.packbits(keep[:n], bitorder="little")), n


def test_output_with_gaps_is_written_at_its_elements_only(isa: str, dtype: np.dtype[Any]) -> None:
    _core.set_isa(isa)
    memory = normal(dtype, (90, 300), seed=3)
    expected, out = memory.copy(), memory[::3, 10:290:2]
    x = normal(dtype, out.shape, seed=4)
    keep = oracle.kept(KEY, STREAM, 0.5, 0, x.size).reshape(x.shape)
    drawn(x, 0.5, 2.0, out)
    expected[::3, 10:290:2] = oracle.applied(x, keep, 2.0)
    assert_identical(memory, expected)


def test_arrays_of_many_axes(isa: str, dtype: np.dtype[Any]) -> None:
    _core.set_isa(isa)
    for x in (normal(dtype, (2,) * 11).transpose(), np.broadcast_to(normal(dtype, 2), (1,) * 20 + (2,) * 11)):
        keep = oracle.kept(KEY, STREAM, 0.4, 0, x.size).reshape(x.shape)
        assert_identical(drawn(x, 0.4, 2.0), oracle.applied(x, keep, 2.0))


def test_caller_flushing_denormals_gets_same_result_and_keeps_mode(isa: str, dtype: np.dtype[Any]) -> None:
    _core.set_isa(isa)
    _core.set_num_threads(4)  # workers, which have their own mode, do a part
    denormals = np.arange(1, 300001, dtype=UNSIGNED[dtype.itemsize]).view(dtype)
    x = np.concatenate([denormals, any_bits(dtype, 300000)])
    keep = oracle.kept(KEY, STREAM, 0.2, 0, x.size)
    expected = oracle.applied(x, keep, 0.75)
    tiny = np.array([2.0**-126], np.float32)
    with flushing_denormals() as flushes:
        if not flushes:
            pytest.skip("the floating-point mode cannot be set on this machine")
        y = drawn(x, 0.2, 0.75)
        still_flushes = (tiny * np.float32(0.5))[0] == 0
    assert still_flushes
    assert_identical(y, expected)
