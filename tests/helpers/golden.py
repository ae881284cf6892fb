"""Golden values: inputs and hashes, as tests/cpp/golden.h has them, and numbers in documents."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.helpers import oracle
from tests.helpers.support import UNSIGNED, Array

EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000}
MANTISSA = {"float16": 0x3FF, "bfloat16": 0x7F, "float32": 0x7FFFFF, "float64": 0xFFFFFFFFFFFFF}


def golden_input(dtype: np.dtype[Any], first: int, elements: int) -> Array:
    """Return an input: element i is the topmost bits of mix(i + 1), with infinities instead of NaNs."""
    indices = np.arange(elements, dtype=np.uint64) + np.uint64(first + 1)
    words = oracle.mix(indices) >> np.uint64(64 - 8 * dtype.itemsize)
    exponent, mantissa = (np.uint64(table[dtype.name]) for table in (EXPONENT, MANTISSA))
    words = np.where(words & exponent == exponent, words & ~mantissa, words)
    return words.astype(UNSIGNED[dtype.itemsize]).view(dtype)


def number(text: str) -> float:
    """Return the number in a cell of a document, such as 2^40+17, 1/3 or 0.5."""
    return float(text) if "." in text else eval(text.replace("^", "**"))


def hash_of(x: NDArray[Any]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of little-endian elements."""
    words = x.view(UNSIGNED[x.itemsize]) if x.itemsize > 1 else x
    return hashlib.sha256(words.astype(words.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]
