"""libxsmm's generated dropout kernel, called through its C interface (https://github.com/libxsmm/libxsmm).

The kernel is newer than release 1.17. Debian 12 has release 1.17, and only as a static library. Build a newer
libxsmm with ``make STATIC=0`` and name the file in the environment variable LIBXSMM_LIBRARY, or install it on
the system's library path. The structures below are those of ``include/libxsmm_typedefs.h``, with 32-bit
integers for sizes.
"""

import ctypes
import ctypes.util
import math
import os
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from timing import Array

from competitors.interface import Competitor, Steps, UnavailableError, inverted_scale

_F32 = 1  # LIBXSMM_DATATYPE_F32
_BITMASK = 1  # LIBXSMM_MELTW_FLAG_UNARY_BITMASK_2BYTEMULT: one bit per element
_DROPOUT, _DROPOUT_INV = 25, 26  # LIBXSMM_MELTW_TYPE_UNARY_...
_MAX_ROWS = 2**16


class _Shape(ctypes.Structure):
    """libxsmm_meltw_unary_shape: sizes, leading dimensions, types."""

    _fields_ = tuple((name, ctypes.c_int) for name in ("m", "n", "ldi", "ldo", "in0", "out", "comp"))


class _Argument(ctypes.Structure):
    """libxsmm_matrix_arg and libxsmm_matrix_op_arg."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("primary", "secondary", "tertiary", "quaternary"))


class _Parameters(ctypes.Structure):
    """libxsmm_meltw_unary_param."""

    _fields_ = tuple((name, _Argument) for name in ("op", "input", "output"))


_KERNEL = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Parameters))


@cache
def _library() -> ctypes.CDLL:
    path = os.environ.get("LIBXSMM_LIBRARY") or ctypes.util.find_library("xsmm")
    if path is None:
        raise UnavailableError("no shared library of libxsmm was found; LIBXSMM_LIBRARY can name one")
    try:
        library = ctypes.CDLL(path)
        dispatch = library.libxsmm_dispatch_meltw_unary_v2
        create_state = library.libxsmm_rng_create_extstate
    except (OSError, AttributeError) as error:
        raise UnavailableError(f"{path} has no dropout kernel: {error}") from None
    dispatch.argtypes, dispatch.restype = [ctypes.c_int, _Shape, ctypes.c_uint], ctypes.c_void_p
    create_state.argtypes, create_state.restype = [ctypes.c_uint], ctypes.c_void_p
    return library


def _available() -> Mapping[str, str]:
    return {"library": os.path.basename(_library()._name)}


def _kernel(operation: int, n: int) -> Callable[[_Parameters], None]:
    rows = math.gcd(n, _MAX_ROWS)  # libxsmm works on columns; the bits of a column must be a multiple of 16
    shape = _Shape(rows, n // rows, rows, rows, _F32, _F32, _F32)
    address = _library().libxsmm_dispatch_meltw_unary_v2(operation, shape, _BITMASK)
    if not address or rows % 16:
        raise UnavailableError(f"libxsmm has no dropout kernel for {n} elements on this machine")
    kernel: Callable[[_Parameters], None] = _KERNEL(address)
    return kernel


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    drop, apply = _kernel(_DROPOUT, x.size), _kernel(_DROPOUT_INV, x.size)
    bits = np.zeros(x.size // 8, np.uint8)
    probability = ctypes.c_float(p)
    state = _library().libxsmm_rng_create_extstate(1)
    op = _Argument(ctypes.addressof(probability), state)
    source, target = x.ctypes.data, out.ctypes.data
    forward_parameters = _Parameters(op, _Argument(source), _Argument(target, bits.ctypes.data))
    backward_parameters = _Parameters(op, _Argument(source, bits.ctypes.data), _Argument(target))
    held = (probability, bits)  # keeps these alive: the parameters hold only addresses

    def forward() -> Array:
        drop(forward_parameters)
        return out

    def backward() -> Array:
        assert held
        apply(backward_parameters)
        return out

    return Steps(forward, backward, inverted_scale(p))


COMPETITOR = Competitor(
    "libxsmm",
    "libxsmm",
    "machine code from run time, xoshiro128+ in 16 lanes, 23 bits of p, one bit per element; one thread.",
    _available,
    _make,
)
