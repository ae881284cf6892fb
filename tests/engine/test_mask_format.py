"""Bits of masks: the golden values of the document, and every instruction set against the NumPy oracle."""

import re

import numpy as np
import pytest
from bitdrop import _core
from numpy.typing import NDArray

from tests.helpers import oracle
from tests.helpers.golden import hash_of, number
from tests.helpers.paths import ROOT

FORMAT = (ROOT / "docs" / "reference" / "mask-format.md").read_text(encoding="utf-8")
PROBABILITIES = [
    *(k / 16 for k in range(17)),
    *(2.0**-k for k in (11, 12, 13, 14, 20, 32, 52, 60, 63, 64, 65, 66, 1074)),
    *(1 - 2.0**-k for k in (10, 12, 13, 30, 53)),
    *(0.1, 0.3, 1 / 3, 2 / 3, np.pi / 4, 0.9, 0.99, 0.999, 4095 / 4096, 8191 / 8192),
    *(1e-3, 1e-6, 1e-12, 1e-18),
]


def golden(line: str) -> tuple[oracle.Key, int, float, int, int]:
    """Return key, stream, p, start and stop of a line: the first bytes are those of elements 0 … 63."""
    key, stream, p, *span = line.split(" | ")
    k0, k1 = key.strip("(").rstrip(")").split(", ")
    start, stop = (0, 64) if len(span) == 1 else (int(number(cell)) for cell in span)
    return (int(number(k0)), int(number(k1))), int(number(stream)), number(p), start, stop


def shown(bits: NDArray[np.uint8], line: str) -> str:
    """Return bits as the document has them: the first bytes themselves, or a hash."""
    return bits.tobytes().hex() if line.endswith("0 … 63") else hash_of(bits)


LINES = re.findall(r"^\| (\(.*\) \| .*) \| `([0-9a-f]{16})` \|$", FORMAT, re.MULTILINE)


def test_document_has_golden_values() -> None:
    assert len(LINES) == 11


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_golden_values_of_the_document_are_those_of_engine_and_oracle(line: str, expected: str) -> None:
    key, stream, p, start, stop = golden(line)
    assert shown(oracle.packed(key, stream, p, start, stop), line) == expected
    for isa in _core.isas():
        assert shown(_core.testing.bits((key, stream, p), start, stop, isa=isa), line) == expected, isa


@pytest.mark.parametrize("p", PROBABILITIES)
def test_bits_equal_oracle_for_every_p(isa: str, p: float) -> None:
    for key, stream in [((0, 0), 0), ((2**64 - 1, 1), 2**64 - 1), ((0x0123456789ABCDEF, 2**63), 12345)]:
        actual = _core.testing.bits((key, stream, p), 100, 40000, isa=isa)
        assert np.array_equal(actual, oracle.packed(key, stream, p, 100, 40000)), (key, stream)


@pytest.mark.parametrize("base", [0, 2**32, 2**40, 2**64 - 2**16], ids=["0", "2^32", "2^40", "near 2^64"])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 - 2.0**-53, 1.0])
def test_bits_of_any_range_are_part_of_whole(isa: str, p: float, base: int) -> None:
    key, stream = (11, 22), 33
    begin = base - 4096 if base else 0  # the ranges cross 2^32 and 2^40
    whole = oracle.kept(key, stream, p, begin, begin + 20000)
    edges = [0, 1, 7, 8, 63, 64, 65, 1000, 1023, 1024, 1025, 2047, 3071, 4095, 4096, 4097, 8191, 9001]
    for start in edges:
        for length in (0, 1, 2, 9, 63, 64, 65, 127, 1023, 1024, 1025, 4095, 4096, 4097, 10007):
            actual = _core.testing.bits((key, stream, p), begin + start, begin + start + length, isa=isa)
            expected = np.packbits(whole[start : start + length], bitorder="little")
            assert np.array_equal(actual, expected), (start, length)


def test_ties_are_resolved_by_index_of_element(isa: str) -> None:
    p = 2.0**-13 - 2.0**-64  # the bits of T begin after the twelve levels: only ties are dropped
    start, stop = 2**33 + 5, 2**33 + 2**21
    actual = _core.testing.bits(((8, 9), 10, p), start, stop, isa=isa)
    assert np.array_equal(actual, oracle.packed((8, 9), 10, p, start, stop))
    assert 150 < (stop - start) - int(np.unpackbits(actual).sum()) < 400  # about 256 are dropped
