"""Memory of other libraries in `bitdrop._core`, and a thread count for one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitdrop import _core

from tests.helpers.support import Array, assert_identical, run_python

RULE = _core.Rule(0.3, _core.Operation.scale(1 / 0.7))
KEY = (5, 6)

ANYWHERE: Any = "somewhere"


def described(x: Array) -> Any:
    """Return a description of an array's memory. Strides are in elements."""
    strides = tuple(stride // x.itemsize for stride in x.strides)
    return _core.Memory(x.dtype.name, x.ctypes.data, x.shape, strides)


def run(x: Any, out: Any, bits: Any = None) -> Any:
    """Do a pass in training with a key."""
    return RULE.run((x,), out, lambda: KEY, True, None, bits)[1]


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
    expected, y = np.empty_like(x), np.full_like(x, -1)
    done = run(x, expected)
    bits = np.empty((x.size + 7) // 8, np.uint8)
    other = run(described(x), described(y), described(bits))
    assert_identical(y, expected)
    assert np.array_equal(bits, np.frombuffer(done.bits, np.uint8) if x.size else bits)
    y.fill(-1)
    other.gradient(described(x), described(y), None, bits)
    assert_identical(y, expected)
    y.fill(-1)
    done.repeat((described(x),), described(y))
    assert_identical(y, expected)


X = np.zeros((4, 6), np.float32)
AT = X.ctypes.data


@pytest.mark.parametrize(
    "make",
    [
        lambda: _core.Memory("float32", AT, (4, 6), (1,)),
        lambda: _core.Memory("float32", AT, (1,) * 65, (1,) * 65),
        lambda: _core.Memory("int32", AT, (4, 6), (6, 1)),
        lambda: _core.Memory("float32", ANYWHERE, (4, 6), (6, 1)),
        lambda: described(X.T),
        lambda: described(X.astype(np.float64)),
        lambda: described(X[:, :5]),
    ],
    ids=["stride missing", "too many axes", "dtype", "no address", "other shape", "other dtype", "smaller"],
)
def test_memory_that_does_not_fit_is_refused(make: Callable[[], Any]) -> None:
    out = np.full_like(X, -1)
    with pytest.raises((TypeError, ValueError)):
        run(make(), out)
    with pytest.raises((TypeError, ValueError)):
        run(described(X), None)  # an output is required
    assert (out == -1).all()


@pytest.mark.parametrize("bad", ["few", "strided", "read-only"])
def test_bits_other_than_adjacent_writable_bytes_are_refused(bad: str) -> None:
    out, bits = np.full_like(X, -1), np.zeros(6, np.uint8)
    bits.flags.writeable = bad != "read-only"
    with pytest.raises((TypeError, ValueError)):
        run(X, out, bits={"few": bits[:2], "strided": bits[::2], "read-only": bits[:3]}[bad])
    assert (out == -1).all()


# Workers live as long as the process, so their count shows the threads that a call used.
COUNT_WORKERS = """
import os
import numpy as np
from bitdrop import _core

def workers():
    return len(os.listdir("/proc/self/task")) - before

x = np.ones(2**22, np.float32)
rule = _core.Rule(0.5, _core.Operation.scale(2.0))
before = len(os.listdir("/proc/self/task"))
_core.set_num_threads(4)
_core.testing.set_waking_factor(1)
for limit in (1, 2, 3):
    threads = _core.Threads(limit)
    _, done = rule.run((x,), x, lambda: (1, 2), True, None, None, threads)
    assert workers() == limit - 1, ("run", limit, workers())
    done.repeat((x,), x, threads)
    done.gradient(x, x, None, None, threads)
    assert workers() == limit - 1, ("gradient", limit, workers())
done.gradient(x, x)
assert workers() == 3, workers()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc of Linux")
def test_call_uses_its_thread_count_or_that_of_process() -> None:
    process = run_python("-c", COUNT_WORKERS, OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr


def test_error_before_the_draw_leaves_the_key_alone() -> None:
    drawn: list[int] = []
    for x, out in ((X, np.empty((3, 3), np.float32)), (X.astype(int), None)):
        with pytest.raises((TypeError, ValueError)):
            RULE.run((x,), out, lambda: drawn.append(1) or KEY, True)
    assert not drawn
