"""Bits of masks: golden values, and every instruction set against the NumPy oracle."""

import hashlib
import json

import numpy as np
import pytest
from bitdrop import MASK_FORMAT, Mask, _core

from tests.helpers import oracle
from tests.helpers.support import run_python

FIRST_WORDS = [
    ((1, 2), 0, 0.5, "264ab7d0dd246b4b"),
    ((1, 2), 0, 0.1, "f6dfbf7ef7fbffb7"),
]
DIGESTS = [
    ((0, 0), 0, 0.5, 0, 10000, "4a2cbbdf5db25c05"),
    ((1, 2), 0, 0.1, 0, 10000, "ab48b45ab68669f1"),
    ((1, 2), 7, 0.25, 0, 4096, "b4fd5b69991ece7b"),
    ((2**64 - 1, 2**63), 2**64 - 1, 0.9, 4095, 12289, "3d1a2dab438754e6"),
    ((5, 6), 1, 0.001, 2**40 + 17, 2**40 + 9000, "2e056dba43eec90b"),
    ((3, 4), 9, 0.1, 0, 2**22, "053ff5f03f2d37a3"),
    ((3, 4), 9, 1 / 3, 0, 2**22, "da165a3157778744"),
    ((3, 4), 9, 0.999, 0, 2**22, "05adfcf7d7d7cd51"),
    ((3, 4), 9, 2.0**-20, 0, 2**22, "a4d3af91494139cd"),
]
PROBABILITIES = [
    *(k / 16 for k in range(17)),
    *(2.0**-k for k in (11, 12, 13, 14, 20, 32, 52, 60, 63, 64, 65, 66, 1074)),
    *(1 - 2.0**-k for k in (10, 12, 13, 30, 53)),
    *(0.1, 0.3, 1 / 3, 2 / 3, np.pi / 4, 0.9, 0.99, 0.999, 4095 / 4096, 8191 / 8192),
    *(1e-3, 1e-6, 1e-12, 1e-18),
]


def first_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


@pytest.mark.parametrize(("key", "stream", "p", "expected"), FIRST_WORDS)
def test_first_word_is_golden(isa: str, key: oracle.Key, stream: int, p: float, expected: str) -> None:
    assert _core.testing.bits((key, stream, p), 0, 64, isa=isa).tobytes().hex() == expected
    assert oracle.packed(key, stream, p, 0, 64).tobytes().hex() == expected


@pytest.mark.parametrize(("key", "stream", "p", "start", "stop", "expected"), DIGESTS)
def test_digest_is_golden(
    isa: str, key: oracle.Key, stream: int, p: float, start: int, stop: int, expected: str
) -> None:
    assert first_bytes(_core.testing.bits((key, stream, p), start, stop, isa=isa).tobytes()) == expected


@pytest.mark.parametrize(("key", "stream", "p", "start", "stop", "expected"), DIGESTS)
def test_digest_of_oracle_is_golden(
    key: oracle.Key, stream: int, p: float, start: int, stop: int, expected: str
) -> None:
    assert first_bytes(oracle.packed(key, stream, p, start, stop).tobytes()) == expected


GOLDEN_VALUES_OF_A_PROCESS = """
import hashlib, json, sys
from bitdrop import _core
first_words, digests = json.loads(sys.argv[1])
bits = _core.testing.bits
found = [bits((tuple(key), stream, p), 0, 64).tobytes().hex() for key, stream, p, _ in first_words]
for key, stream, p, start, stop, _ in digests:
    found.append(hashlib.sha256(bits((tuple(key), stream, p), start, stop).tobytes()).hexdigest()[:16])
print(json.dumps([_core.get_isa(), found]))
"""


def test_golden_values_hold_for_isa_from_environment(isa: str) -> None:
    process = run_python(
        "-c", GOLDEN_VALUES_OF_A_PROCESS, json.dumps([FIRST_WORDS, DIGESTS]), BITDROP_ISA=isa
    )
    assert process.stderr == ""
    forced, found = json.loads(process.stdout)
    assert forced == isa
    assert found == [golden[-1] for golden in (*FIRST_WORDS, *DIGESTS)]


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


def test_padding_bits_are_zero(isa: str) -> None:
    for size in range(1, 20):
        assert _core.testing.bits(((1, 2), 3, 0.0), 0, size, isa=isa)[-1] == 0xFF >> (-size % 8)


def test_masks_of_neighbouring_keys_and_streams_differ() -> None:
    # In a draft of the format, key (1, 2) on stream 1 had the mask of key (1, 3) on stream 0.
    masks = {
        Mask(4096, 0.5, key=(k0, k1), stream=stream).bits.tobytes()
        for k0 in range(8)
        for k1 in range(8)
        for stream in range(8)
    }
    assert len(masks) == 8**3


def test_format_number_is_one() -> None:
    assert MASK_FORMAT == 1
