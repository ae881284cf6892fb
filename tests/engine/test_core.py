"""Arguments of `bitdrop._core` other than arrays: memory descriptions, a thread count for one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitdrop import _core
from bitdrop._bit_layout import contiguous

from tests.helpers.support import Array, run_python

FLOAT32 = 2
KEY = (5, 6)


def described(x: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return address, shape and strides of an array. Strides are in elements."""
    return x.ctypes.data, x.shape, tuple(stride // x.itemsize for stride in x.strides)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "every other column": lambda x: x[:, ::2],
    "repeated": lambda x: np.broadcast_to(x[0], x.shape),
    "no axes": lambda x: x[3, 4, ...],
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_address_shape_and_strides_give_same_result_as_array(layout: str) -> None:
    x = LAYOUTS[layout](np.random.default_rng(1).standard_normal((70, 80), np.float32))
    n = (x.size + 7) // 8
    expected, bits = np.empty_like(x), np.empty(n, np.uint8)
    affine, plan = (1 / 0.7, 0.0, 0.0), (KEY, 0, 0.3)
    _core.drop((FLOAT32, (expected, x)), affine, plan, None, bits)
    y, made = np.full_like(x, -1), np.empty(n, np.uint8)
    _core.drop((FLOAT32, (described(y), described(x))), affine, plan, None, described(made))
    assert np.array_equal(made, bits)
    assert np.array_equal(y, expected)
    y.fill(-1)
    _core.apply((FLOAT32, (described(y), described(x))), affine, described(bits))
    assert np.array_equal(y, expected)
    made.fill(0)
    _core.fill(described(made), plan, contiguous(x.size))
    assert np.array_equal(made, bits)


X = np.zeros((4, 6), np.float32)
DOUBLED, PLAN = (2.0, 0.0, 0.0), (KEY, 0, 0.5)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (described(X)[:2], ValueError, r"expected \(address, shape, strides\)"),
        ((X.ctypes.data, (4, 6), (1,)), ValueError, "one stride for each axis"),
        ((X.ctypes.data, (1,) * 65, (1,) * 65), ValueError, "one stride for each axis"),
        ((X.ctypes.data, (6, 4), (4, 1)), ValueError, "different shapes"),
        (("somewhere", (4, 6), (6, 1)), TypeError, "int"),
        (None, TypeError, "expected an array"),
        (X.astype(np.float64), ValueError, "dtype of an array does not match"),
    ],
    ids=["two of three", "a stride is missing", "too many axes", "shape", "no address", "None", "dtype"],
)
def test_invalid_memory_description_is_refused(x: Any, error: type[Exception], message: str) -> None:
    out = np.full_like(X, -1)
    with pytest.raises(error, match=message):
        _core.drop((FLOAT32, (out, x)), DOUBLED, PLAN)
    assert (out == -1).all()


def test_bits_other_than_adjacent_bytes_are_refused() -> None:
    out, bits = np.full_like(X, -1), np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match="adjacent bytes"):
        _core.drop((FLOAT32, (out, X)), DOUBLED, PLAN, None, bits[:2])
    with pytest.raises(ValueError, match="adjacent bytes"):
        _core.drop((FLOAT32, (out, X)), DOUBLED, PLAN, None, np.zeros(6, np.uint8)[::2])
    assert (out == -1).all()


def test_read_only_bits_are_refused() -> None:
    out, bits = np.full_like(X, -1), np.zeros(3, np.uint8)
    bits.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _core.drop((FLOAT32, (out, X)), DOUBLED, PLAN, None, bits)
    assert (out == -1).all()


def test_read_only_out_is_refused() -> None:
    out = np.full_like(X, -1)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _core.drop((FLOAT32, (out, X)), DOUBLED, PLAN)


# Workers live as long as the process, so their count shows the threads that a call used.
COUNT_WORKERS = """
import os
import numpy as np
from bitdrop import _core

def workers():
    return len(os.listdir("/proc/self/task")) - before

x = np.ones(2**22, np.float32)
bits = np.empty(2**19, np.uint8)
before = len(os.listdir("/proc/self/task"))
_core.set_num_threads(4)
_core.testing.set_waking_factor(1)
operands, affine, plan = (2, (x, x)), (2.0, 0.0, 0.0), ((1, 2), 0, 0.5)
layout = (0, (2**22,), (1,), (1,))
for limit in (1, 2, 3):
    threads = (limit, 0)
    _core.drop(operands, affine, plan, None, bits, threads)
    assert workers() == limit - 1, ("drop", limit, workers())
    _core.apply(operands, affine, bits, None, threads)
    _core.fill(bits, plan, layout, threads)
    assert workers() == limit - 1, ("apply", limit, workers())
_core.drop(operands, affine, plan, None, bits)
assert workers() == 3, workers()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc of Linux")
def test_call_uses_its_thread_count_or_that_of_process() -> None:
    process = run_python("-c", COUNT_WORKERS, OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        ((1, (1, 4, 6), (1, 2, 0)), ValueError, "a block exceeds its map"),
        ((1, (1, 4, 6), (2, 2, 2)), ValueError, "a block exceeds its map"),
        ((1, (1, 4, 6), (1, 2)), ValueError, "expected three lengths of a block"),
        ((1, (1, 4, 6)), ValueError, "expected maps"),
        ([1, (1, 4, 6), (1, 2, 2)], TypeError, "expected maps"),
        ((2, (1, 4, 6), (1, 2, 2)), ValueError, "adjacent bytes"),
        ((2**32, (1, 2**32, 1), (1, 1, 1)), ValueError, "too many elements"),
        ((0, (2**32, 2**32, 1), (1, 1, 1)), ValueError, "too many elements"),
        ((-1, (1, 4, 6), (1, 2, 2)), OverflowError, "negative"),
    ],
    ids=[
        "empty block",
        "large block",
        "two lengths",
        "no block",
        "list",
        "few bits",
        "huge",
        "huge map",
        "negative",
    ],
)
def test_invalid_maps_are_refused(maps: Any, error: type[Exception], message: str) -> None:
    bits = np.full(3, 7, np.uint8)
    with pytest.raises(error, match=message):
        _core.fill_blocks(bits, PLAN, maps)
    assert (bits == 7).all()
