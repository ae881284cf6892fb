"""Second implementation of mask format 1 and its application, in NumPy, written from the specification alone.

It processes all lanes of all blocks of a range at once, in the order of the formulas in
docs/reference/mask-format.md.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Kept = NDArray[np.bool_]
Key = tuple[int, int]

GAMMA = 0x9E3779B97F4A7C15
G0 = 0x9E3779B97F4A7C15
G1 = 0xD1342543DE82EF95
G2 = 0xDB4F0B9175AE2165

_WORD = 2**64
_ALL_ONES = np.uint64(_WORD - 1)


def mix(z: Words) -> Words:
    """Return SplitMix64's finaliser of each word."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mix(z: int) -> int:
    return int(mix(np.array([z % _WORD], np.uint64))[0])


def subkeys(key: Key, stream: int) -> tuple[int, int, int]:
    """Return K0, K1 and KT."""
    x, y = key
    for r in range(4):
        if r == 2:
            y = (y + stream) % _WORD
        x = (x + _mix(y + GAMMA * (2 * r + 1))) % _WORD
        y = (y + _mix(x + GAMMA * (2 * r + 2))) % _WORD
    rotated = (y << 32 | y >> 32) % _WORD
    return x, y, _mix(x ^ rotated)


def threshold(p: float) -> int:
    """Return T, by rational arithmetic; `round` takes a Fraction's ties to even."""
    return round(Fraction(p) * _WORD)


def _significant_bits(t: int) -> int:
    return 64 - ((t & -t).bit_length() - 1)


def level_bit(t: int, level: int) -> int:
    """Return T_j for j = `level`, counted from the most significant bit, which is 1."""
    return t >> (64 - level) & 1


def kept(key: Key, stream: int, p: float, start: int, stop: int) -> Kept:
    """Return whether each element of start ... stop - 1 is kept."""
    t = threshold(p)
    if t in (0, _WORD):
        return np.full(stop - start, t == 0)
    first_block = start >> 12
    blocks = (max(stop - 1, start) >> 12) - first_block + 1
    k0, k1, key_ties = subkeys(key, stream)
    keep, undecided = _rows(k0, k1, t, first_block, blocks)
    if _significant_bits(t) > 12:
        ties = np.flatnonzero(undecided)
        index = ties.astype(np.uint64) + np.uint64(first_block << 12)
        keep[ties] = _tie_keeps(t, mix(np.uint64(key_ties) + np.uint64(G2) * (index + np.uint64(1))))
    begin = start - (first_block << 12)
    return keep[begin : begin + stop - start]


def _rows(k0: int, k1: int, t: int, first_block: int, blocks: int) -> tuple[Kept, Kept]:
    """Return the keep bits before the tie rule, and the undecided bits, of whole blocks."""
    lanes = np.arange(16 * blocks, dtype=np.uint64) + np.uint64((16 * first_block + 1) % _WORD)
    s0 = mix(np.uint64(k0) + np.uint64(G0) * lanes)
    s1 = mix(np.uint64(k1) + np.uint64(G1) * lanes)
    keep = np.empty((blocks, 4, 16), np.uint64)
    undecided = np.empty_like(keep)
    for row in range(4):
        z = np.full(16 * blocks, _ALL_ONES)
        und = z.copy()
        for level in range(min(12, _significant_bits(t)), 0, -1):
            x, y = s0, s1
            r = x + y
            x = x ^ (x << np.uint64(23))
            s0, s1 = y, x ^ y ^ (x >> np.uint64(18)) ^ (y >> np.uint64(5))
            t_j = _ALL_ONES if level_bit(t, level) else np.uint64(0)
            z = (r & z) | (~r & ~t_j)
            und &= r
        keep[:, row] = z.reshape(blocks, 16)
        undecided[:, row] = und.reshape(blocks, 16)
    return _unpacked(keep), _unpacked(undecided)


def _unpacked(words: Words) -> Kept:
    return np.unpackbits(words.ravel().astype("<u8").view(np.uint8), bitorder="little").view(np.bool_)


def _tie_keeps(t: int, hashes: Words) -> Kept:
    ones = np.cumprod(_unpacked(hashes).reshape(-1, 64), axis=1).sum(axis=1)  # trailing 1 bits
    by_ones: Kept = np.array([ones + 13 > 64 or not level_bit(t, ones + 13) for ones in range(65)])
    keeps: Kept = by_ones[ones]
    return keeps


def packed(key: Key, stream: int, p: float, start: int, stop: int) -> NDArray[np.uint8]:
    """Return the packed bits of elements start ... stop - 1; element start is bit 0."""
    return np.packbits(kept(key, stream, p, start, stop), bitorder="little")


def applied(x: NDArray[Any], keep: Kept, scale: float) -> NDArray[Any]:
    """Return scale * x for kept elements and +0.0 for the others; half types are multiplied in float32."""
    arithmetic = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    with np.errstate(all="ignore"):
        scaled = (x.astype(arithmetic) * arithmetic.type(scale)).astype(x.dtype)
    return np.where(keep, scaled, np.zeros((), x.dtype))
