"""Golden file: the package and the oracle against the file that the C++ tests check too."""

from typing import Any, NamedTuple

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers import oracle
from tests.helpers.golden import golden_input, hash_of
from tests.helpers.paths import GOLDEN
from tests.helpers.support import CODES, DTYPES, Array

GOLDEN_FILE = GOLDEN / "format1.txt"


class Case(NamedTuple):
    """One line of the file. tests/cpp/golden.h describes the columns."""

    dtype: np.dtype[Any]
    key: tuple[int, int]
    stream: int
    p: float
    scale: float
    first: int
    elements: int
    bits: str
    output: str

    @classmethod
    def of(cls, line: str) -> "Case":
        dtype, key0, key1, stream, p, scale, first, count, bits, output = line.split()
        return cls(
            next(known for known in DTYPES if known.name == dtype),
            (int(key0), int(key1)),
            int(stream),
            float.fromhex(p),
            float.fromhex(scale),
            int(first),
            int(count),
            bits,
            output,
        )

    @property
    def input(self) -> Array:
        """Input: element i is the topmost bits of mix(i + 1), with infinities instead of NaNs."""
        return golden_input(self.dtype, self.first, self.elements)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [Case.of(line) for line in GOLDEN_FILE.read_text().splitlines() if not line.startswith("#")]


def test_golden_file_has_every_dtype_long_array_and_far_offsets(cases: list[Case]) -> None:
    assert {case.dtype for case in cases} == set(DTYPES)
    assert all(any(case.first > 2**bits for case in cases) for bits in (32, 39, 63))
    assert any(case.elements > 2**20 for case in cases)


def test_bits_of_every_isa_are_golden(isa: str, cases: list[Case]) -> None:
    for case in cases:
        bits = _core.testing.bits(
            (case.key, case.stream, case.p), case.first, case.first + case.elements, isa=isa
        )
        assert hash_of(bits) == case.bits, case


def test_outputs_of_every_isa_are_golden(isa: str, cases: list[Case]) -> None:
    for case in cases:
        bits = _core.testing.bits(
            (case.key, case.stream, case.p), case.first, case.first + case.elements, isa=isa
        )
        x = case.input
        out = np.empty_like(x)
        affine, code = (case.scale, 0.0, 0.0), CODES[case.dtype]
        _core.apply((code, (out, x)), affine, bits, isa=isa)
        assert hash_of(out) == case.output, case
        if case.first == 0:
            _core.drop((code, (x, x)), affine, (case.key, case.stream, case.p), isa=isa)
            assert hash_of(x) == case.output, case


@pytest.mark.parametrize("threads", range(1, 9))
def test_mask_is_golden_for_any_number_of_threads(
    threads: int, cases: list[Case], settings_restored: None
) -> None:
    bitdrop.set_num_threads(threads)
    for case in (case for case in cases if case.first == 0 and case.elements > 2**20):
        mask = bitdrop.Mask((case.elements,), case.p, key=case.key, stream=case.stream, scale=case.scale)
        assert hash_of(mask.bits) == case.bits, case
        assert hash_of(mask.apply(case.input)) == case.output, case


def test_bits_and_outputs_of_oracle_are_golden(cases: list[Case]) -> None:
    for case in cases:
        keep = oracle.kept(case.key, case.stream, case.p, case.first, case.first + case.elements)
        assert hash_of(np.packbits(keep, bitorder="little")) == case.bits, case
        assert hash_of(oracle.applied(case.input, keep, case.scale)) == case.output, case
