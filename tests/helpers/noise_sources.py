"""Noise for the statistical tests: the engine's, and that of copies of the oracle with a planted fault."""

from collections.abc import Callable

import numpy as np
from bitdrop import _core
from numpy.typing import NDArray

from tests.helpers import noise_oracle
from tests.helpers.altered import altered_function

Floats = NDArray[np.float32]
Source = Callable[[tuple[int, int], int, int, int], Floats]
"""Key, stream, start and stop give the normal numbers of the elements."""


def engine(key: tuple[int, int], stream: int, start: int, stop: int) -> Floats:
    """Return the engine's numbers."""
    return _core.testing.normals((key, stream, 0.5), start, stop)


def altered_oracle(old: str, new: str) -> Source:
    """Return the numbers of a copy of the oracle with a piece of its source text replaced."""
    source: Source = altered_function(noise_oracle, "normals", old, new)
    return source


_COUNTERS = "np.arange(16 * blocks, dtype=np.uint64)"
_SUBKEYS = "x, y, _ = subkeys(key, stream)"
_UPPER = "(r >> np.uint64(32)).astype(np.uint32)"
_CHOICE = "np.where(t < np.float32(2**-9), tail, centre)"

FAULTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
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
"""Planted faults: text of the oracle, its replacement, and the measures that must reject the result."""
