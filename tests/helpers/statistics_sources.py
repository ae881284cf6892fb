"""Sources of masks for the statistical tests: the engine, and copies of the oracle with a planted fault."""

from collections.abc import Callable

import numpy as np
from bitdrop import _core
from numpy.typing import NDArray

from tests.helpers import oracle
from tests.helpers.altered import altered_function

Kept = NDArray[np.bool_]
Source = Callable[[tuple[int, int], int, float, int, int], Kept]
"""Function of key, stream, p, start and stop that returns whether each element is kept."""


def engine(key: tuple[int, int], stream: int, p: float, start: int, stop: int) -> Kept:
    """Return the mask of the engine."""
    bits = _core.testing.bits((key, stream, p), start, stop)
    return np.unpackbits(bits, count=stop - start, bitorder="little").view(np.bool_)


def altered_oracle(old: str, new: str) -> Source:
    """Return the mask function of a copy of the oracle, with one piece of its source text replaced."""
    source: Source = altered_function(oracle, "kept", old, new)
    return source


_LANES = "np.arange(16 * blocks, dtype=np.uint64)"
_SEEDS = """    s0 = mix(np.uint64(k0) + np.uint64(G0) * lanes)
    s1 = mix(np.uint64(k1) + np.uint64(G1) * lanes)
"""
_LINEAR_SEEDS = """    block, lane = np.divmod(lanes - np.uint64(1), np.uint64(16))
    s0 = mix(np.uint64(k0) + np.uint64(G0) * block) ^ (np.uint64(1) << lane)
    s1 = mix(np.uint64(k1) + np.uint64(G1) * block)
"""
_ROW = "    for row in range(4):\n"
_DRAW = "r = x + y\n"

FAULTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "a shift of xorshift128+ is forgotten": ("(y >> np.uint64(5))", "y", ("autocorrelation",)),
    "the hash is left with half a word": ("z ^ (z >> np.uint64(31))", "z >> np.uint64(33)", ("avalanche",)),
    "blocks repeat after 256, as with 4,096 streams": (
        _LANES,
        f"{_LANES} % np.uint64(4096)",
        ("neighbours", "autocorrelation"),
    ),
    "every second block repeats the one before": (
        _LANES,
        f"({_LANES} & ~np.uint64(16))",
        ("neighbours", "autocorrelation"),
    ),
    "all rows of a block are the same": (
        _ROW,
        f"    seeds = s0, s1\n{_ROW}        s0, s1 = seeds\n",
        ("neighbours",),
    ),
    "lanes are seeded with seed ^ (1 << lane)": (_SEEDS, _LINEAR_SEEDS, ("neighbours",)),
    "eight lanes instead of sixteen": (_LANES, f"({_LANES} | np.uint64(8))", ("neighbours",)),
    "a threshold of 8 bits": ("round(Fraction(p) * _WORD)", "round(Fraction(p) * 256) << 56", ("rate",)),
    "no tie rule": ("keep[ties] = _tie_keeps", "_tie_keeps", ("rate",)),
    "the stream is added to the key before it is mixed": ("if r == 2:", "if r == 0:", ("neighbours",)),
    "the stream has 63 bits": ("(y + stream) % _WORD", "(y + stream) % 2**63", ("avalanche",)),
    "the key's first word is ignored": ("    x, y = key\n", "    x, y = 0, key[1]\n", ("avalanche",)),
    "32 random bits serve 64 elements": (
        _DRAW,
        "r = (x + y) >> np.uint64(32) | (x + y) >> np.uint64(32) << np.uint64(32)\n",
        ("words", "autocorrelation"),
    ),
    "one draw, shifted, serves all levels": (
        _DRAW,
        "r = x + y if (und == _ALL_ONES).all() else r << np.uint64(1) | r >> np.uint64(63)\n",
        ("words",),
    ),
    "two bits of each draw are stuck": (
        _DRAW,
        "r = (x + y | np.uint64(1)) & ~np.uint64(2)\n",
        ("position",),
    ),
}
"""Planted faults: text of the oracle, its replacement, and the measures that must reject the result."""
