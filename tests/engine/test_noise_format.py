"""Noise format 1: golden values, the oracle, the document, the accuracy of the normal numbers."""

import importlib.util
import math
import re

import numpy as np
import pytest
from bitdrop import _core
from numpy.typing import NDArray
from scipy.special import ndtri

from tests.helpers import noise_oracle, oracle
from tests.helpers.golden import hash_of, number
from tests.helpers.paths import ROOT
from tests.helpers.support import assert_identical

P = 0.5  # the normal numbers do not depend on it
KEYS = [((0, 0), 0), ((2**64 - 1, 1), 2**64 - 1), ((0x0123456789ABCDEF, 2**63), 12345)]
FORMAT = (ROOT / "docs" / "reference" / "noise-format.md").read_text(encoding="utf-8")


def engine(
    key: oracle.Key, stream: int, start: int, stop: int, isa: str | None = None
) -> NDArray[np.float32]:
    return _core.testing.normals((key, stream, P), start, stop, isa)


def table_cells(pattern: str) -> list[tuple[str, ...]]:
    return [match.groups() for match in re.finditer(pattern, FORMAT, re.MULTILINE)]


def test_golden_values_of_the_document_are_those_of_engine_and_oracle(isa: str) -> None:
    rows = table_cells(r"^\| \d … \d \| (.*) \|$")
    first = [float.fromhex(text) for (row,) in rows for text in re.findall(r"-?0x[^`]+", row)]
    assert len(first) == 8
    for numbers in (engine((1, 2), 0, 0, 8, isa), noise_oracle.normals((1, 2), 0, 0, 8)):
        assert_identical(numbers, np.array(first, np.float32))
    lines = table_cells(r"^\| \((.*), (.*)\) \| (.*) \| (.*) \| (.*) \| `([0-9a-f]{16})` \|$")
    assert len(lines) == 6
    for *cells, expected in lines:
        k0, k1, stream, start, stop = (int(number(cell)) for cell in cells)
        assert hash_of(engine((k0, k1), stream, start, stop, isa)) == expected
        assert hash_of(noise_oracle.normals((k0, k1), stream, start, stop)) == expected


@pytest.mark.parametrize(("key", "stream"), KEYS)
@pytest.mark.parametrize("base", [0, 2**32, 2**40, 2**64 - 2**16], ids=["0", "2^32", "2^40", "near 2^64"])
def test_numbers_of_any_range_equal_oracle(isa: str, key: oracle.Key, stream: int, base: int) -> None:
    begin = base - 4096 if base else 0  # the ranges cross 2^32 and 2^40
    whole = noise_oracle.normals(key, stream, begin, begin + 12000)
    for start in (0, 1, 31, 32, 33, 1000, 1023, 1024, 1025, 4095, 4097):
        for length in (0, 1, 2, 31, 33, 1023, 1024, 1025, 5000):
            actual = engine(key, stream, begin + start, begin + start + length, isa)
            assert_identical(actual, whole[start : start + length], f"{start}, {length}")


# The numbers


def odd_bits(odd: NDArray[np.int64]) -> NDArray[np.uint32]:
    return odd.astype(np.int32).view(np.uint32)


def quantiles(odd: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the quantile function at (i + 2**31) / 2**32, from the nearer tail."""
    magnitude: NDArray[np.float64] = -ndtri((2**31 - np.abs(odd)) / 2**32)
    return np.sign(odd) * magnitude


ODD = {
    "tails": np.arange(2**31 - 2**23 + 1, 2**31, 2, dtype=np.int64),
    "centre": np.arange(1, 2**31, 2 * 1013, dtype=np.int64),
    "around zero": np.arange(1, 2**21, 2, dtype=np.int64),
    "around the split": np.arange(2**31 - 2**23 - 2**20 + 1, 2**31 - 2**23 + 2**20, 2, dtype=np.int64),
}


@pytest.mark.parametrize("region", ODD)
def test_numbers_are_quantiles_within_seven_units_in_last_place(region: str) -> None:
    odd = ODD[region]
    z, exact = _core.testing.normal_of(odd_bits(odd)).astype(np.float64), quantiles(odd)
    units = np.abs(z - exact) / np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert units.max() < 7
    assert np.abs(z / exact - 1).max() < 5e-7


@pytest.mark.parametrize("region", ODD)
def test_numbers_are_symmetric_and_those_of_oracle(region: str) -> None:
    odd = ODD[region]
    z = _core.testing.normal_of(odd_bits(odd))
    assert_identical(_core.testing.normal_of(odd_bits(-odd)), -z)
    assert_identical(noise_oracle.normal_of(odd_bits(odd)), z)
    assert_identical(noise_oracle.normal_of(odd_bits(-odd)), -z)


@pytest.mark.parametrize("step", [257, pytest.param(1, marks=pytest.mark.slow)])
def test_distribution_is_that_of_the_document(step: int) -> None:
    """By enumeration of every step-th of the 2^30 magnitudes; of all, the figures of the document."""
    count, error, chunk = 0, 0.0, step * 2**23
    powers, exact_powers, beyond = np.zeros(2), np.zeros(2), np.zeros(6, np.int64)
    for first in range(1, 2**31, chunk):
        odd = np.arange(first, min(first + chunk, 2**31), 2 * step)
        z, exact = _core.testing.normal_of(odd_bits(odd)).astype(np.float64), quantiles(odd)
        density = np.exp(-(exact**2) / 2) / math.sqrt(2 * math.pi)
        error = max(error, float(np.max(np.abs(z - exact) * density)) + 2.0**-32)
        powers += np.sum([z**2, z**4], axis=1)
        exact_powers += np.sum([exact**2, exact**4], axis=1)
        beyond += [np.count_nonzero(z > bound) for bound in range(1, 7)]
        count += odd.size
    assert error < 2e-7
    assert (np.abs(powers - exact_powers) < count * np.array([1e-7, 1e-6])).all()
    if step == 1:
        variance, fourth = 1 - powers[0] / count, 3 - powers[1] / count
        assert f"by more than {error:.1e}".replace("e-0", "e-") in FORMAT
        assert f"1 - {variance:.1e}, the fourth moment 3 - {fourth:.1e}".replace("e-0", "e-") in FORMAT
        for bound, share in enumerate(beyond / count, 1):
            assert f"| {bound} | {share:.8g} |".replace("e-0", "e-") in FORMAT


def test_lowest_bit_is_not_used() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 10000, dtype=np.uint32)
    assert_identical(_core.testing.normal_of(bits ^ np.uint32(1)), _core.testing.normal_of(bits))


def test_largest_and_smallest_numbers_are_those_of_document() -> None:
    z = _core.testing.normal_of(odd_bits(np.array([2**31 - 1, 1])))
    assert f"{z[0]:.6f}" in FORMAT
    assert f"{z[1]:.3g}" in FORMAT
    assert math.isclose(z[0], -ndtri(2.0**-32), rel_tol=5e-7)


# The document


def test_document_header_and_oracle_have_same_coefficients() -> None:
    header = (ROOT / "cpp" / "format" / "noise_format.h").read_text(encoding="utf-8")
    for name in "CPQAB":
        numbers = np.atleast_1d(getattr(noise_oracle, name))
        [[in_document]] = table_cells(rf"^    {name} = (.*)$")
        [in_header] = re.findall(rf"kNoise{name}(?:\[\])? = \{{?([^;}}]*)\}}?;", header)
        for text in (in_document, in_header):
            found = [float.fromhex(number.strip().rstrip("f")) for number in text.split(",")]
            assert found == numbers.tolist(), name
    domain = f"{noise_oracle.DOMAIN:016X}"
    assert domain in FORMAT
    assert domain in header
    assert noise_oracle.DOMAIN.to_bytes(8, "little") == b"gaussian"


@pytest.mark.slow
def test_fit_gives_coefficients_in_use() -> None:
    pytest.importorskip("mpmath")
    specification = importlib.util.spec_from_file_location("fit", ROOT / "tools" / "fit_noise_format.py")
    assert specification is not None
    assert specification.loader is not None
    fit = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(fit)
    for names, function in (("PQ", fit.central()), ("AB", fit.tails())):
        for name, coefficients in zip(names, (function.numerator, function.denominator), strict=True):
            assert [fit.float32(c) for c in coefficients] == getattr(noise_oracle, name).tolist(), name
    assert fit.float32(fit.CENTRE) == noise_oracle.C


# Independence of the mask


def test_noise_and_mask_have_different_subkeys() -> None:
    for key, stream in KEYS:
        assert set(noise_oracle.noise_subkeys(key, stream)).isdisjoint(oracle.subkeys(key, stream))
