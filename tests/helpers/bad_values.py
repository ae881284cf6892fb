"""Tables of invalid arguments: a value or its maker, the exception type, a pattern of its message."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from tests.helpers.support import Array

Shape = tuple[int, ...]

SHAPE = (6, 8)
GOOD = np.arange(1, 49, dtype=np.float32).reshape(SHAPE)
HUGE = 10**400
BIG_HALF = np.dtype(np.float16).newbyteorder()
# Names of the machine's dtypes: its int and its byte order.
INT, TEXT_1, TEXT_4 = np.dtype(int).name, np.dtype("U1").str, np.dtype("U4").str


class Lazy:
    """Object that looks like a dask array."""

    __dask_graph__ = None

    def compute(self) -> Any:
        raise AssertionError("computed in silence")


class Labelled:
    """Object that looks like a data frame of pandas, or an array of xarray."""

    __dask_graph__ = None

    def to_numpy(self) -> Any:
        raise AssertionError("stripped in silence")


class Broken:
    """Object whose conversion to an array fails."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("Another library's error\non two lines")


class Sparse:
    """Object that looks like a sparse matrix of SciPy."""

    data = None

    def tocsr(self) -> Any:
        raise AssertionError("converted in silence")


def read_only(x: Any) -> Any:
    """Make the array read-only and return it."""
    x.flags.writeable = False
    return x


def sharing(shape: Shape, stride: int) -> Any:
    """Return a writable array of which all axes have this stride, so that elements share memory."""
    return as_strided(np.zeros(sum(shape) + 1, np.float32), shape, (stride,) * len(shape))


BAD_ARRAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "int64": (lambda: np.ones(SHAPE, np.int64), r"int64: pass \w+\.astype\('float32'\)"),
    "uint8": (lambda: np.ones(SHAPE, np.uint8), r"uint8: pass \w+\.astype\('float32'\)"),
    "bool": (lambda: np.ones(SHAPE, np.bool_), r"bool: pass \w+\.astype\('float32'\)"),
    "float8": (lambda: np.ones(SHAPE, ml_dtypes.float8_e5m2), r"float8_e5m2: pass \w+\.astype\('float32'\)"),
    "complex of other byte order": (
        lambda: np.ones(SHAPE, np.dtype(np.complex64).newbyteorder()),
        r"astype\('complex64'\).*byte order",
    ),
    "object": (lambda: np.ones(SHAPE, object), r"object: pass \w+\.astype\('float32'\)"),
    "string": (lambda: np.full(SHAPE, "1"), f"{TEXT_1}: convert its elements to numbers"),
    "datetime": (lambda: np.zeros(SHAPE, "M8[s]"), "datetime64.*: convert its elements to numbers"),
    "structured": (lambda: np.zeros(SHAPE, [("a", "f4")]), r"pass one of its fields, \w+\['a'\]"),
    "void of two bytes": (lambda: np.zeros(SHAPE, "V2"), "V2"),
    "other byte order": (lambda: GOOD.astype(GOOD.dtype.newbyteorder()), r"astype\('float32'\).*byte order"),
    "half of other byte order": (lambda: np.ones(SHAPE, BIG_HALF), r"astype\('float16'\).*byte order"),
    "matrix": (lambda: GOOD.view(np.matrix), "matrix"),
    "record array": (lambda: GOOD.view(np.recarray), "recarray"),
    "masked": (lambda: np.ma.masked_array(GOOD, GOOD > 3), r"masked array.*filled\("),
    "list of ints": (
        lambda: [1, 2],
        rf"list converts to {INT}: pass np\.asarray\(\w+, dtype='float32'\)",
    ),
    "list of bools": (lambda: [True], r"list converts to bool: pass np\.asarray\(\w+, dtype='float32'\)"),
    "list of strings": (lambda: ["a"], f"got list, which converts to {TEXT_1}"),
    "ragged list": (lambda: [[1.0], [1.0, 2.0]], r"list does not convert to one\.$"),
    "int": (lambda: 3, rf"int converts to {INT}: pass np\.asarray\(\w+, dtype='float32'\)"),
    "None": (lambda: None, "got NoneType, which converts to object"),
    "string alone": (lambda: "text", f"got str, which converts to {TEXT_4}"),
    "dict": (lambda: {"a": 1.0}, "got dict, which converts to object"),
    "generator": (lambda: (x for x in [1.0]), "got generator, which converts to object"),
    "lazy": (Lazy, r"lazy.*Lazy.*: pass \w+\.compute\(\)"),
    "labelled": (Labelled, r"labels.*Labelled.*to_numpy\(\)"),
    "sparse": (Sparse, r"sparse array.*Sparse.*: pass .*toarray\(\)"),
    "broken": (Broken, r"Broken does not convert to one\.$"),
}

if np.dtype(np.longdouble).itemsize > 8:  # on other systems it is float64
    BAD_ARRAYS["long double"] = (
        lambda: np.ones(SHAPE, np.longdouble),
        rf"{np.dtype(np.longdouble)}: pass \w+\.astype\('float64'\), which keeps fewer digits",
    )
    BAD_ARRAYS["long complex"] = (
        lambda: np.ones(SHAPE, np.clongdouble),
        rf"{np.dtype(np.clongdouble)}: pass \w+\.astype\('complex128'\), which keeps fewer digits",
    )

BAD_OUTS: dict[str, tuple[Callable[[Shape], Any], type[Exception], str]] = {
    "list": (lambda shape: np.zeros(shape).tolist(), TypeError, "list"),
    "number": (lambda shape: 0.0, TypeError, "float"),
    "masked": (lambda shape: np.ma.zeros(shape, np.float32), TypeError, "masked|MaskedArray"),
    "bytes": (lambda shape: bytearray(4 * prod(shape)), TypeError, "bytearray"),
    "subclass": (lambda shape: np.zeros(shape, np.float32).view(np.recarray), TypeError, "recarray"),
    "other dtype": (np.zeros, TypeError, "float32.*float64"),
    "complex": (lambda shape: np.zeros(shape, np.complex64), TypeError, "float32.*complex64"),
    "same size, other kind": (lambda shape: np.zeros(shape, np.int32), TypeError, "float32.*int32"),
    "other byte order": (lambda shape: np.zeros(shape, GOOD.dtype.newbyteorder()), TypeError, "dtype"),
    "other shape": (lambda shape: np.zeros((*shape[1:], shape[0] + 1), np.float32), ValueError, "shape"),
    "broadcastable shape": (lambda shape: np.zeros((1, *shape), np.float32), ValueError, r"\(1, \d"),
    "too small": (lambda shape: np.zeros((*shape[:-1], 1), np.float32), ValueError, r", 1\)"),
    "empty": (lambda shape: np.zeros(0, np.float32), ValueError, r"\(0,\)"),
    "read-only": (lambda shape: read_only(np.zeros(shape, np.float32)), ValueError, "read-only"),
    "broadcast": (lambda shape: sharing(shape, 0), ValueError, "share memory"),
    "overlapping rows": (lambda shape: sharing(shape, 4), ValueError, "share memory"),
}

BAD_PROBABILITIES: dict[str, tuple[Any, type[Exception]]] = {
    "None": (None, TypeError),
    "bool": (True, TypeError),
    "NumPy bool": (np.bool_(False), TypeError),
    "string": ("0.5", TypeError),
    "list": ([0.5], TypeError),
    "array": (np.array([0.5]), TypeError),
    "large array": (np.ones((50, 50)), TypeError),
    "0-d array of bool": (np.array(True), TypeError),
    "0-d array of complex": (np.array(0.5j), TypeError),
    "0-d array of objects": (np.array(0.5, object), TypeError),
    "0-d array of text": (np.array("0.5"), TypeError),
    "0-d array of pairs": (np.zeros((), [("a", "f4")]), TypeError),
    "masked": (np.ma.masked, TypeError),
    "duration": (np.timedelta64(0, "s"), TypeError),
    "complex": (0.5 + 0j, TypeError),
    "0-d NaN": (np.array(np.nan), ValueError),
    "0-d array above 1": (np.array(2), ValueError),
    "decimal NaN": (Decimal("nan"), ValueError),
    "decimal above 1": (Decimal("1.00000000000000000000000001"), ValueError),
    "NaN": (float("nan"), ValueError),
    "NumPy NaN": (np.float32("nan"), ValueError),
    "infinity": (float("inf"), ValueError),
    "negative": (-0.1, ValueError),
    "least negative": (-5e-324, ValueError),
    "above 1": (np.nextafter(1.0, 2.0), ValueError),
    "2": (2, ValueError),
    "huge": (HUGE, ValueError),
    "huge fraction": (Fraction(HUGE), ValueError),
}

BAD_RNGS: dict[str, tuple[Any, type[Exception]]] = {
    "negative": (-1, ValueError),
    "float": (0.5, TypeError),
    "bool": (True, TypeError),
    "NumPy bool": (np.bool_(False), TypeError),
    "string": ("seed", TypeError),
    "object": (object(), TypeError),
    "negative in a sequence": ([1, -2], ValueError),
    "legacy generator's class": (np.random.Generator, TypeError),
}

BAD_FLAGS = [0, 1, "yes", 1.0, [], np.array(True)]
BAD_SCALINGS = ["Inverted", "", None, 1, ["inverted"]]

BAD_WORDS: dict[str, tuple[Any, type[Exception]]] = {
    "float": (1.0, TypeError),
    "string": ("1", TypeError),
    "bool": (True, TypeError),
    "None": (None, TypeError),
    "list": ([1], TypeError),
    "negative": (-1, ValueError),
    "too large": (2**64, ValueError),
    "huge": (HUGE, ValueError),
}


BAD_KEYS = [None, 1, "ab", b"ab", (1,), (1, 2, 3), {1, 2}, np.array(1), np.ones(2), [[1], [2]]]

BAD_SHAPES: list[tuple[Any, type[Exception]]] = [
    *((shape, TypeError) for shape in (None, 1.5, "3", b"3", (2, 1.0), (2, None), ((2,),), {2: 3})),
    *((shape, ValueError) for shape in (-1, (3, -1), (2**63,), (2**32, 2**32), (2**64,), HUGE, (1,) * 65)),
]

BAD_SCALES: list[tuple[Any, type[Exception]]] = [
    *((scale, TypeError) for scale in ("1", [1.0], True, 1j, np.array([1.0]))),
    *((scale, ValueError) for scale in (float("nan"), float("inf"), -np.inf, HUGE)),
]

BAD_BLOCK_SIZES: list[tuple[Any, type[Exception]]] = [
    *((size, TypeError) for size in (None, 2.0, "2", True, (2, 2), np.array(2.0))),
    *((size, ValueError) for size in (0, -1, -HUGE)),
]

BAD_STATES: list[tuple[Any, type[Exception], str]] = [
    (None, TypeError, "state must be"),
    ([1, [1, 2], 0], TypeError, "state must be"),
    ({}, TypeError, "state must be"),
    ({"format": 1, "key": [1, 2]}, TypeError, "state must be"),
    ({"format": 1, "key": [1, 2], "position": 0, "p": 0.5}, TypeError, "state must be"),
    ({"format": 2, "key": [1, 2], "position": 0}, ValueError, "format 2"),
    ({"format": "1", "key": [1, 2], "position": 0}, ValueError, "format '1'"),
    ({"format": None, "key": [1, 2], "position": 0}, ValueError, "format None"),
]

OVERLAPS: dict[str, Callable[[Array, int], Array]] = {
    "shifted by one": lambda memory, n: memory[1 : n + 1],
    "reversed": lambda memory, n: memory[n - 1 :: -1],
    "other strides": lambda memory, n: memory[: 2 * n : 2],
    "one element": lambda memory, n: memory[n - 1 : 2 * n - 1],
    "by bytes": lambda memory, n: memory.view(np.uint8)[2 : 4 * n + 2].view(np.float32),
}
"""Views of n elements that overlap the first n elements of a memory of 2 n numbers of float32 in part."""
