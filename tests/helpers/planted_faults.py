"""Masks and noise for the statistical tests: the engine's, and those of oracles with planted faults."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bitdrop import _core
from numpy.typing import NDArray

Kept = NDArray[np.bool_]
Floats = NDArray[np.float32]
Key = tuple[int, int]
Masks = Callable[[Key, int, float, int, int], Kept]
"""Function of key, stream, p, start and stop that returns whether each element is kept."""
Noise = Callable[[Key, int, int, int], Floats]
"""Function of key, stream, start and stop that returns the normal numbers of the elements."""
Faults = dict[str, tuple[str, str, tuple[str, ...]]]
"""Text of an oracle, its replacement, and the measures that must reject the result."""


def masks_of_engine(key: Key, stream: int, p: float, start: int, stop: int) -> Kept:
    """Return the mask of the engine."""
    bits = _core.testing.bits((key, stream, p), start, stop)
    return np.unpackbits(bits, count=stop - start, bitorder="little").view(np.bool_)


def noise_of_engine(key: Key, stream: int, start: int, stop: int) -> Floats:
    """Return the engine's numbers."""
    return _core.testing.normals((key, stream, 0.5), start, stop)


def altered_function(module: types.ModuleType, name: str, old: str, new: str) -> Any:
    """Return a function of a copy of a module, with one piece of its source text replaced."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{old!r} must be in {path.name} once, but is there {text.count(old)} times.")
    copied = types.ModuleType(f"altered_{path.stem}")
    exec(compile(text.replace(old, new), f"altered {path}", "exec"), vars(copied))
    return getattr(copied, name)


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

MASK_FAULTS: Faults = {
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

_COUNTERS = "np.arange(16 * blocks, dtype=np.uint64)"
_SUBKEYS = "x, y, _ = subkeys(key, stream)"
_UPPER = "(r >> np.uint64(32)).astype(np.uint32)"
_CHOICE = "np.where(t < np.float32(2**-9), tail, centre)"

NOISE_FAULTS: Faults = {
    "numbers are larger by a thousandth": (_CHOICE, f"{_CHOICE} + np.float32(1e-3)", ("moments",)),
    "numbers are scaled by 1.001": (_CHOICE, f"{_CHOICE} * np.float32(1.001)", ("moments",)),
    "numbers are skewed": (
        _CHOICE,
        f"{_CHOICE} * (1 + (t < 0.1) * (q > 0) * np.float32(0.005))",
        ("moments",),
    ),
    "a coefficient is six per cent too large": ('"0x1.1664', '"0x1.2664', ("cells", "moments")),
    "the central function is used in the tails": (_CHOICE, "centre", ("tails",)),
    "tails end at four deviations": (_CHOICE, f"np.clip({_CHOICE}, -4, 4)", ("tails",)),
    "six random bits make a number": (
        "    i = (bits | np.uint32(1))",
        "    i = (bits & np.uint32(0xFC000000) | np.uint32(0x2000000))",
        ("cells", "tails"),
    ),
    "the cells are uneven": (_CHOICE, "np.where(np.abs(q) < 0.01, q * np.float32(2.4), tail)", ("cells",)),
    "a lane is scaled": (
        "halves[:, draw, :, 1] = ",
        "halves[:, draw, 5, 0] &= np.uint32(0xBFFFFFFF)\n        halves[:, draw, :, 1] = ",
        ("position",),
    ),
    "both halves of a draw are the same": (
        _UPPER,
        "(r & np.uint64(0xFFFFFFFF)).astype(np.uint32)",
        ("correlations", "neighbours"),
    ),
    "a shift of xorshift128+ is forgotten": (
        "x = x ^ (x << np.uint64(23))",
        "x = x",
        ("neighbours", "correlations", "position"),
    ),
    "signs alternate along a lane": (
        "halves[:, draw, :, 1] = ",
        "halves[:, draw, 3, 0] = halves[:, draw, 3, 0] & np.uint32(2**31 - 1) | np.uint32(draw % 2 << 31)\n"
        "        halves[:, draw, :, 1] = ",
        ("position", "correlations"),
    ),
    "every second block repeats the one before": (
        _COUNTERS,
        f"({_COUNTERS} & ~np.uint64(16))",
        ("neighbours", "correlations"),
    ),
    "eight lanes instead of sixteen": (
        _COUNTERS,
        f"({_COUNTERS} | np.uint64(8))",
        ("neighbours", "correlations"),
    ),
    "the stream is added to the key": (
        _SUBKEYS,
        "x, y, _ = subkeys((key[0], (key[1] + stream) % 2**64), 0)",
        ("neighbours",),
    ),
    "the stream has 63 bits": (_SUBKEYS, "x, y, _ = subkeys(key, stream % 2**63)", ("avalanche",)),
    "the key's first word is ignored": (_SUBKEYS, "x, y, _ = subkeys((0, key[1]), stream)", ("avalanche",)),
    "the noise has the mask's subkeys": (
        _SUBKEYS,
        f"{_SUBKEYS}\n    return x, y",
        ("mask_of_same_key",),
    ),
}
