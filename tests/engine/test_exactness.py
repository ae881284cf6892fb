"""Exactness of p: every outcome of the coin flips goes through every kernel and is counted."""

from fractions import Fraction

import numpy as np
import pytest
from bitdrop import _core
from numpy.typing import NDArray

from tests.helpers import oracle

LANES = 16
PROBABILITIES = [
    *(0.1, 0.3, 0.5, 0.25, 1 / 3, 0.9, 0.999, 1e-3, 1 - 2.0**-53, 1 - 2.0**-12, 5 / 4096, 3 / 8192),
    *(2.0**-11, 2.0**-12, 2.0**-13, 2.0**-60, 2.0**-64, 1.5 * 2.0**-64, 1e-18),
]
Kept = NDArray[np.bool_]


def sliced(isa: str, p: float, levels: int) -> tuple[Kept, Kept]:
    """Slice all 2^levels columns; draw d of column c is bit d of c."""
    columns = np.arange(max(2**levels, 64 * LANES), dtype=np.uint64) % np.uint64(2**levels)
    keep, undecided = [], []
    for some in columns.reshape(-1, LANES * 64):
        flips = [(some >> np.uint64(draw)) & np.uint64(1) for draw in range(levels)]
        words = [np.packbits(flip.astype(bool), bitorder="little").view("<u8") for flip in flips]
        kept, und = _core.testing.slice(isa, p, np.array(words, dtype=np.uint64))
        keep.append(unpacked(kept))
        undecided.append(unpacked(und))
    return np.concatenate(keep)[: 2**levels], np.concatenate(undecided)[: 2**levels]


def unpacked(words: NDArray[np.uint64]) -> Kept:
    return np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little").view(np.bool_)


def hash_ending_in(ones: int, above: int = 0) -> int:
    """Return a hash with this number of trailing 1 bits, then a 0, then the bits of `above`."""
    return ((above << (ones + 1)) | ((1 << ones) - 1)) % 2**64


def tie_drop_probability(threshold: int) -> Fraction:
    """Sum the drops of the tie rule: a hash ends in exactly n ones with probability 2^-(n + 1)."""
    return sum(
        (
            Fraction(1, 2 ** (n + 1))
            for n in range(64)
            if not _core.testing.tie_keeps(threshold, hash_ending_in(n))
        ),
        Fraction(0),
    )


@pytest.mark.parametrize("p", PROBABILITIES)
def test_element_is_dropped_with_probability_t_over_2_to_64(isa: str, p: float) -> None:
    threshold, levels, has_ties = _core.testing.threshold(p)
    keep, undecided = sliced(isa, p, levels)
    dropped = Fraction(int(np.sum(~keep & ~undecided)), 2**levels)
    if has_ties:
        assert int(undecided.sum()) == 1  # the column of ones
        dropped += Fraction(1, 2**levels) * tie_drop_probability(threshold)
    else:
        assert not undecided.any()
    assert dropped == Fraction(threshold, 2**64)
    if p >= 2.0**-11:
        assert dropped == Fraction(p)
    assert abs(dropped - Fraction(p)) <= Fraction(1, 2**65)


@pytest.mark.parametrize("threshold", [1, 2**52 - 1, 0x5555555555555555, oracle.threshold(0.3)])
def test_ties_are_dropped_with_remaining_probability(threshold: int) -> None:
    assert tie_drop_probability(threshold) == Fraction(threshold % 2**52, 2**52)


def many_probabilities() -> list[float]:
    rng = np.random.default_rng(0)
    uniform = rng.random(2000)
    small = np.ldexp(rng.random(2000), -rng.integers(0, 80, 2000))
    halves = (np.arange(64) + 0.5) * 2.0**-64  # exactly between two thresholds
    powers = 2.0 ** -np.arange(1, 1075)
    edges = [0.0, 5e-324, 2.0**-1022, 1 - 2.0**-53, 1 - 2.0**-52, 2.0**-60, 2.0**-65, 2.0**-66]
    edges += [np.nextafter(2.0**-65, 0), np.nextafter(2.0**-65, 1), 2.0**-11, np.nextafter(2.0**-11, 0)]
    return [float(p) for p in np.concatenate([uniform, small, halves, powers, edges])]


def test_threshold_is_p_rounded_to_nearest_ties_to_even() -> None:
    wrong = [p for p in many_probabilities() if _core.testing.threshold(p)[0] != round(Fraction(p) * 2**64)]
    assert not wrong


def test_levels_are_significant_bits_of_threshold_up_to_twelve() -> None:
    for p in many_probabilities():
        threshold, levels, has_ties = _core.testing.threshold(p)
        significant = len(f"{threshold:064b}".rstrip("0"))
        assert levels == min(12, significant), p
        assert has_ties == (significant > 12), p


def test_nothing_is_drawn_if_p_rounds_to_0_or_1() -> None:
    for p in (0.0, 2.0**-1074, 2.0**-66, 2.0**-65, 1.0):
        assert _core.testing.threshold(p)[1:] == (0, False)
    assert _core.testing.threshold(np.nextafter(2.0**-65, 1)) == (1, 12, True)
