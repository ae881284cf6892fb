"""Kernels against the oracle: lengths, alignments, strides, special values, threads, no byte too many."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bitdrop import _core
from numpy.typing import NDArray

from tests.helpers import oracle
from tests.helpers.float_modes import flushing_denormals
from tests.helpers.support import CODES, DTYPES, Array, any_bits, assert_identical, bits_of, normal

KEY, STREAM = (71, 72), 73
ALWAYS, NEVER = 0, 2**63
GUARD = 0xA5
LENGTHS = [*range(71), *(n + d for n in (128, 1024, 2048, 4096, 8192) for d in (-9, -1, 0, 1, 7))]

pytestmark = pytest.mark.usefixtures("settings_restored")


def drop(
    isa: str, x: Array, out: Array, p: float, scale: float, bits: NDArray[np.uint8] | None = None
) -> Array:
    _core.drop((CODES[x.dtype], (out, x)), (scale, 0.0, 0.0), (KEY, STREAM, p), None, bits, isa=isa)
    return out


def apply(isa: str, x: Array, out: Array, bits: NDArray[np.uint8], scale: float) -> Array:
    _core.apply((CODES[x.dtype], (out, x)), (scale, 0.0, 0.0), bits, isa=isa)
    return out


class Guarded:
    """Array at a byte offset from a cache line, with guard bytes before and after it."""

    def __init__(self, dtype: np.dtype[Any], size: int, offset: int) -> None:
        self.memory = np.full(size * dtype.itemsize + 64 * 4, GUARD, np.uint8)
        self.start = -self.memory.ctypes.data % 64 + 64 + offset
        self.end = self.start + size * dtype.itemsize
        self.array: Array = np.ndarray((size,), dtype, self.memory.data, self.start)

    def untouched_around(self) -> bool:
        return bool((self.memory[: self.start] == GUARD).all() and (self.memory[self.end :] == GUARD).all())


def placed(x: Array, offset: int) -> Guarded:
    guarded = Guarded(x.dtype, x.size, offset)
    guarded.array[...] = x
    return guarded


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER], ids=["non-temporal", "ordinary"])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_every_length_is_processed_to_last_element(
    isa: str, dtype: np.dtype[Any], p: float, threshold: int
) -> None:
    _core.set_non_temporal_threshold(threshold)
    x = normal(dtype, max(LENGTHS))
    keep = oracle.kept(KEY, STREAM, p, 0, x.size)
    expected = oracle.applied(x, keep, 1.7)
    for n in LENGTHS:
        packed = np.packbits(keep[:n], bitorder="little")
        y, bits = Guarded(dtype, n, 0), Guarded(np.dtype(np.uint8), packed.size, n % 64)
        drop(isa, x[:n], y.array, p, 1.7, bits.array)
        assert_identical(y.array, expected[:n], f"drop of {n}")
        assert np.array_equal(bits.array, packed), n
        assert y.untouched_around(), n
        assert bits.untouched_around(), n

        y = Guarded(dtype, n, 0)
        assert_identical(drop(isa, x[:n], y.array, p, 1.7), expected[:n], f"drop without bits of {n}")
        assert y.untouched_around(), n

        y = Guarded(dtype, n, 0)
        assert_identical(apply(isa, x[:n], y.array, bits.array, 1.7), expected[:n], f"apply to {n}")
        assert y.untouched_around(), n
        assert bits.untouched_around(), n


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER], ids=["non-temporal", "ordinary"])
def test_arrays_at_any_byte_offset_give_same_result(isa: str, dtype: np.dtype[Any], threshold: int) -> None:
    _core.set_non_temporal_threshold(threshold)
    p, scale = 0.3, 1 / 0.7
    numbers = normal(dtype, 2100, seed=1)
    keep = oracle.kept(KEY, STREAM, p, 0, numbers.size)
    expected = oracle.applied(numbers, keep, scale)
    packed = np.packbits(keep, bitorder="little")
    for offset in range(64):
        for n in (1, 5, 33, 1021, 1100, 2100):
            x = placed(numbers[:n], (5 * offset + n) % 64)
            y = Guarded(dtype, n, offset)
            bits = placed(packed[: (n + 7) // 8], offset)
            drop(isa, x.array, y.array, p, scale)
            assert_identical(y.array, expected[:n], f"drop at {offset} of {n}")
            assert y.untouched_around(), (offset, n)
            y.array[...] = 0
            apply(isa, x.array, y.array, bits.array, scale)
            assert_identical(y.array, expected[:n], f"apply at {offset} to {n}")
            assert y.untouched_around(), (offset, n)
            assert_identical(drop(isa, x.array, x.array, p, scale), expected[:n], f"in place at {offset}")
            assert x.untouched_around(), (offset, n)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1e-3, 1.0])
def test_results_equal_scalar_for_any_bit_pattern(isa: str, dtype: np.dtype[Any], p: float) -> None:
    x = any_bits(dtype, 70001)
    for scale in (1.0, 1 / 0.9, 2.0, 3e-5, 0.0):
        y = drop(isa, x, np.empty_like(x), p, scale)
        assert_identical(y, drop("scalar", x, np.empty_like(x), p, scale), f"scale {scale}")
        expected = oracle.applied(x, oracle.kept(KEY, STREAM, p, 0, x.size), scale)
        assert_identical(y, expected, f"scale {scale}")


HALF_SCALES = [1.0, 2.0, 1 / 0.9, 1 / 0.7, 1 / 3, 0.9, 3.0, 2.0**-14, 1e-8, 3e38, 65504.0, -1.5]


@pytest.mark.parametrize("half", DTYPES[:2], ids=lambda half: half.name)
@pytest.mark.parametrize("scale", HALF_SCALES)
def test_every_half_value_is_multiplied_in_float32_and_rounded_to_even(
    isa: str, half: np.dtype[Any], scale: float
) -> None:
    x = np.arange(65536, dtype=np.uint16).view(half)
    expected = oracle.applied(x, np.ones(x.size, bool), scale)
    assert_identical(drop(isa, x, np.empty_like(x), 0.0, scale), expected)
    all_kept = np.full(x.size // 8, 0xFF, np.uint8)
    assert_identical(apply(isa, x, np.empty_like(x), all_kept, scale), expected)


def special_values(dtype: np.dtype[Any]) -> Array:
    word = np.uint64 if dtype.itemsize == 8 else np.uint32 if dtype.itemsize == 4 else np.uint16
    patterns = np.array([1, 2, 3], word)  # denormals
    denormals: Array = patterns.view(dtype)
    infinity: Array = np.array([np.inf], dtype)
    largest: Array = (bits_of(infinity) - word(1)).view(dtype)
    numbers = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]
    return np.concatenate([np.array(numbers, dtype), largest, -largest, denormals, -denormals])


def test_kept_special_values_are_scaled(isa: str, dtype: np.dtype[Any]) -> None:
    x = special_values(dtype)
    y = drop(isa, x, np.empty_like(x), 0.0, 2.0)
    assert_identical(y, oracle.applied(x, np.ones(x.size, bool), 2.0))
    assert np.isnan(y[0])
    assert np.isposinf(y[1])
    assert np.isneginf(y[2])
    assert np.signbit(y[4])
    assert np.isposinf(y[7])  # the largest number, doubled
    assert (bits_of(y[9:12]) == [2, 4, 6]).all()  # denormals are not flushed


def test_dropped_special_values_become_positive_zero(isa: str, dtype: np.dtype[Any]) -> None:
    x = np.tile(special_values(dtype), 300)
    y = drop(isa, x, np.full_like(x, np.nan), 1.0, 0.0)
    assert not bits_of(y).any()
    keep = oracle.kept(KEY, STREAM, 0.5, 0, x.size)
    y = drop(isa, x, np.full_like(x, np.nan), 0.5, 2.0)
    assert not bits_of(y)[~keep].any()


def test_scale_is_rounded_once_to_type_of_arithmetic(isa: str) -> None:
    scale = 1 / 0.9
    single = np.array([3.0], np.float32)
    double = np.array([3.0])
    assert drop(isa, single, np.empty_like(single), 0.0, scale)[0] == np.float32(3) * np.float32(scale)
    assert drop(isa, double, np.empty_like(double), 0.0, scale)[0] == 3.0 * scale


@pytest.mark.parametrize("threshold", [ALWAYS, NEVER], ids=["non-temporal", "ordinary"])
def test_number_of_threads_does_not_change_result(isa: str, dtype: np.dtype[Any], threshold: int) -> None:
    _core.set_non_temporal_threshold(threshold)
    n = 8 * 2**17 + 12345  # enough elements for eight threads
    x = any_bits(dtype, n)
    keep = oracle.kept(KEY, STREAM, 0.1, 0, n)
    expected = oracle.applied(x, keep, 1 / 0.9)
    packed = np.packbits(keep, bitorder="little")
    y = np.empty_like(x)
    for threads in range(1, 9):
        _core.set_num_threads(threads)
        bits = np.full(packed.size, 0xFF, np.uint8)
        assert_identical(drop(isa, x, y, 0.1, 1 / 0.9, bits), expected, f"drop, {threads} threads")
        assert np.array_equal(bits, packed), threads
        y.fill(0)
        assert_identical(apply(isa, x, y, packed, 1 / 0.9), expected, f"apply, {threads} threads")


def test_number_of_threads_does_not_change_bits_of_range(isa: str) -> None:
    start, stop = 2**40 + 17, 2**40 + 17 + 4 * 8 * 2**17 + 99
    expected = oracle.packed(KEY, STREAM, 0.3, start, stop)
    for threads in (1, 2, 3, 8):
        _core.set_num_threads(threads)
        assert np.array_equal(_core.testing.bits((KEY, STREAM, 0.3), start, stop, isa=isa), expected), threads


def layouts(x: Array) -> Iterator[tuple[str, Array]]:
    yield "transposed", x.T
    yield "reversed", x[::-1, ::-1]
    yield "every other column", x[:, ::2]
    yield "every third row", x[::3]
    yield "long rows with a gap", x[:, :-5]
    yield "a column", x[:, 3]
    yield "broadcast", np.broadcast_to(x[:1], x.shape)
    yield "Fortran order", np.asfortranarray(x)
    yield "three axes", x[:96].reshape(4, 24, -1).transpose(2, 0, 1)


def test_index_runs_in_c_order_for_any_strides(isa: str, dtype: np.dtype[Any]) -> None:
    base = normal(dtype, (97, 133))
    for name, x in layouts(base):
        keep = oracle.kept(KEY, STREAM, 0.4, 0, x.size)
        expected = oracle.applied(x, keep.reshape(x.shape), 1 / 0.6)
        out = np.empty(x.shape, dtype)
        bits = np.empty((x.size + 7) // 8, np.uint8)
        assert_identical(drop(isa, x, out, 0.4, 1 / 0.6, bits), expected, name)
        assert np.array_equal(bits, np.packbits(keep, bitorder="little")), name
        assert_identical(apply(isa, x, np.empty(x.shape, dtype), bits, 1 / 0.6), expected, name)


def test_output_with_gaps_is_written_at_its_elements_only(isa: str, dtype: np.dtype[Any]) -> None:
    memory = normal(dtype, (90, 300), seed=3)
    before = memory.copy()
    out = memory[::3, 10:290:2]
    x = normal(dtype, out.shape, seed=4)
    keep = oracle.kept(KEY, STREAM, 0.5, 0, x.size).reshape(x.shape)
    drop(isa, x, out, 0.5, 2.0)
    expected = before
    expected[::3, 10:290:2] = oracle.applied(x, keep, 2.0)
    assert_identical(memory, expected)


def test_caller_flushing_denormals_gets_same_result_and_keeps_mode(isa: str, dtype: np.dtype[Any]) -> None:
    _core.set_num_threads(4)  # workers, which have their own mode, do a part
    x = np.concatenate([np.resize(special_values(dtype), 300001), any_bits(dtype, 300000)])
    keep = oracle.kept(KEY, STREAM, 0.2, 0, x.size)
    expected = oracle.applied(x, keep, 0.75)
    y = np.empty_like(x)
    tiny = np.array([2.0**-126], np.float32)
    with flushing_denormals() as flushes:
        if not flushes:
            pytest.skip("the floating-point mode cannot be set on this machine")
        drop(isa, x, y, 0.2, 0.75)
        still_flushes = (tiny * np.float32(0.5))[0] == 0
    assert still_flushes
    assert_identical(y, expected)
