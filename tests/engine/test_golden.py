"""Golden files: the package and the oracles against the files that the C++ tests check too."""

from typing import Any, NamedTuple

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers import noise_oracle, oracle
from tests.helpers.golden import golden_input, hash_of
from tests.helpers.paths import GOLDEN
from tests.helpers.support import DTYPES, Array


class Case(NamedTuple):
    """One line of a file. tests/cpp/golden.h describes the columns."""

    dtype: np.dtype[Any]
    key: tuple[int, int]
    stream: int
    p: float
    scale: float  # 1 for noise
    first: int
    elements: int
    draws: str
    output: str

    @classmethod
    def of(cls, line: str) -> "Case":
        dtype, key0, key1, stream, p, *scale, first, count, draws, output = line.split()
        return cls(
            next(known for known in DTYPES if known.name == dtype),
            (int(key0), int(key1)),
            int(stream),
            float.fromhex(p),
            float.fromhex(scale[0]) if scale else 1.0,
            int(first),
            int(count),
            draws,
            output,
        )

    @property
    def span(self) -> tuple[int, int]:
        return self.first, self.first + self.elements

    @property
    def input(self) -> Array:
        """Input: element i is the topmost bits of mix(i + 1), with infinities instead of NaNs."""
        return golden_input(self.dtype, self.first, self.elements)

    def record(self, noise: bool) -> Any:
        """Return the record of the elements, as a part of a larger array."""
        shard = bitdrop.Shard((self.span[1],), (self.first,)) if self.span[1] < 2**63 else None
        place: dict[str, Any] = {"key": self.key, "stream": self.stream, "shard": shard}
        if noise:
            return bitdrop.Noise(self.elements, self.p, **place)
        return bitdrop.Mask(self.elements, self.p, scale=self.scale, **place)


def cases_of(name: str) -> list[Case]:
    lines = (GOLDEN / name).read_text().splitlines()
    return [Case.of(line) for line in lines if not line.startswith("#")]


FILES = {"masks": cases_of("format1.txt"), "noise": cases_of("noise1.txt")}
for_both_files = pytest.mark.parametrize("file", FILES)


@for_both_files
def test_golden_file_has_every_dtype_long_arrays_and_far_offsets(file: str) -> None:
    cases = FILES[file]
    assert {case.dtype for case in cases} == set(DTYPES)
    assert all(any(case.first > 2**bits for case in cases) for bits in (32, 39, 63))
    assert any(case.elements > 2**20 for case in cases)


@for_both_files
def test_draws_and_outputs_of_every_isa_are_golden(file: str, isa: str, settings_restored: None) -> None:
    _core.set_isa(isa)
    draw: Any = _core.testing.bits if file == "masks" else _core.testing.normals
    for case in FILES[file]:
        draws = draw((case.key, case.stream, case.p), *case.span, isa)
        assert hash_of(draws) == case.draws, case
        if file == "masks":
            kept = np.unpackbits(draws, count=case.elements, bitorder="little").view(np.bool_)
            own = bitdrop.Mask.from_array(kept, scale=case.scale)
            assert hash_of(own.apply(case.input)) == case.output, case
        if case.span[1] < 2**63:
            x = case.input
            record = case.record(file == "noise")
            assert hash_of(record.apply(x)) == case.output, case
            record.apply(x, out=x)
            assert hash_of(x) == case.output, case


@for_both_files
def test_draws_and_outputs_of_oracle_are_golden(file: str) -> None:
    for case in FILES[file]:
        if file == "noise":
            draws: Any = noise_oracle.normals(case.key, case.stream, *case.span)
            y = noise_oracle.noisy(case.input, draws, case.p)
        else:
            keep = oracle.kept(case.key, case.stream, case.p, *case.span)
            draws, y = np.packbits(keep, bitorder="little"), oracle.applied(case.input, keep, case.scale)
        assert hash_of(draws) == case.draws, case
        assert hash_of(y) == case.output, case
