"""Dtypes, sample values, comparison of bits, child processes."""

import os
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.paths import ROOT

Array = NDArray[Any]

DTYPES: list[np.dtype[Any]] = [
    np.dtype(np.float16),
    np.dtype(ml_dtypes.bfloat16),
    np.dtype(np.float32),
    np.dtype(np.float64),
]
COMPLEX: list[np.dtype[Any]] = [np.dtype(np.complex64), np.dtype(np.complex128)]
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}
"""Dtype codes of `bitdrop._core`."""

# The shadow memory and quarantine of AddressSanitizer look like leaks and exceed the memory limits of tests.
without_asan = pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer")

UNSIGNED: dict[int, Any] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def bits_of(x: Array) -> Array:
    """Return the bit patterns of floating-point numbers, two for a complex one."""
    return np.ascontiguousarray(real_parts(x)).view(UNSIGNED[real_dtype(x.dtype).itemsize])


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the parts of complex numbers; a real one itself."""
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


def real_parts(x: Array) -> Array:
    """Return complex numbers as pairs of real ones, along one more axis; real ones themselves."""
    return np.stack([x.real, x.imag], -1) if x.dtype.kind == "c" else x


def assert_identical(actual: Array, expected: Array, message: str = "") -> None:
    """Check that two arrays are equal bit for bit, except for payloads of NaNs."""
    assert actual.dtype == expected.dtype, message
    assert actual.shape == expected.shape, message
    actual, expected = real_parts(actual), real_parts(expected)
    if np.array_equal(bits_of(actual), bits_of(expected)):
        return
    with np.errstate(invalid="ignore"):  # signalling NaNs
        same = (bits_of(actual) == bits_of(expected)) | (np.isnan(actual) & np.isnan(expected))
    wrong = np.flatnonzero(~same.ravel())
    assert wrong.size == 0, (
        f"{message}: {wrong.size} of {same.size} differ, first at {wrong[0]}: "
        f"{actual.ravel()[wrong[0]]!r}, but expected {expected.ravel()[wrong[0]]!r}"
    )


def any_bits(dtype: np.dtype[Any], size: int, seed: int = 0) -> Array:
    """Return numbers of arbitrary bit patterns, including denormals, infinities and NaNs."""
    word = UNSIGNED[real_dtype(dtype).itemsize]
    size *= 2 if dtype.kind == "c" else 1
    patterns = np.random.default_rng(seed).integers(0, np.iinfo(word).max, size, dtype=word, endpoint=True)
    return patterns.view(dtype)


def normal(dtype: np.dtype[Any], shape: int | tuple[int, ...], seed: int = 0) -> Array:
    """Return normally distributed numbers, none of them 0."""
    if dtype.kind == "c":
        return (normal(np.dtype("f8"), shape, seed) + 1j * normal(np.dtype("f8"), shape, seed + 1)).astype(
            dtype
        )
    x = np.random.default_rng(seed).standard_normal(shape)
    return np.where(np.abs(x) < 0.01, 1.0, x).astype(dtype)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a child process, with a changed environment."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("BITDROP_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,  # in tests/, its folders would hide the libraries of the same names
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
