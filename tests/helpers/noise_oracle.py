"""Noise format 1 once more, in NumPy: written from docs/reference/noise-format.md, without bitdrop.

It works on all lanes of all blocks of a range at once, in the order of the formulas.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.helpers.oracle import G0, G1, GAMMA, Key, mix, subkeys

Words = NDArray[np.uint64]
Floats = NDArray[np.float32]

DOMAIN = 0x6E61697373756167
BLOCK = 1024
DRAWS = 32

_WORD = 2**64


def _float32(*texts: str) -> Floats:
    return np.array([float.fromhex(text) for text in texts], np.float32)


C = _float32("0x1.40d932p+1")[0]
P = _float32("0x1.d6d318p-9", "0x1.166408p-2", "0x1.2fcc9ep+1", "0x1.803be6p-7")
Q = _float32("0x1.20fb04p-13", "0x1.0f71a2p-6", "0x1.255884p-2", "0x1.190732p+0", "0x1p+0")
A = _float32("0x1.2eb3c6p-6", "0x1.314f14p+0", "0x1.a67e76p+2", "-0x1.8f745cp+3", "0x1.a3523p+2")
B = _float32("0x1.fc4368p-11", "0x1.5c2c2p-4", "0x1.91288p-1", "-0x1.26c83cp-3", "-0x1.6e3322p-1", "0x1p+0")


def noise_subkeys(key: Key, stream: int) -> tuple[int, int]:
    """Return N0 and N1."""
    x, y, _ = subkeys(key, stream)
    y = (y + DOMAIN) % _WORD
    for r in (4, 5):
        x = (x + _mix(y + GAMMA * (2 * r + 1))) % _WORD
        y = (y + _mix(x + GAMMA * (2 * r + 2))) % _WORD
    return x, y


def _mix(z: int) -> int:
    return int(mix(np.array([z % _WORD], np.uint64))[0])


def random_bits(key: Key, stream: int, start: int, stop: int) -> NDArray[np.uint32]:
    """Return the 32 random bits of each element of start ... stop - 1."""
    first_block = start // BLOCK
    blocks = max(stop - 1, start) // BLOCK - first_block + 1
    n0, n1 = noise_subkeys(key, stream)
    counters = np.arange(16 * blocks, dtype=np.uint64) + np.uint64((16 * first_block + 1) % _WORD)
    s0 = mix(np.uint64(n0) + np.uint64(G0) * counters)
    s1 = mix(np.uint64(n1) + np.uint64(G1) * counters)
    halves = np.empty((blocks, DRAWS, 16, 2), np.uint32)
    for draw in range(DRAWS):
        x, y = s0, s1
        r = (x + y).reshape(blocks, 16)
        x = x ^ (x << np.uint64(23))
        s0, s1 = y, x ^ y ^ (x >> np.uint64(18)) ^ (y >> np.uint64(5))
        halves[:, draw, :, 0] = (r & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        halves[:, draw, :, 1] = (r >> np.uint64(32)).astype(np.uint32)
    begin = start - first_block * BLOCK
    bits: NDArray[np.uint32] = halves.ravel()[begin : begin + stop - start]
    return bits


def normal_of(bits: NDArray[np.uint32]) -> Floats:
    """Return the standard normal number of each 32 bits."""
    i = (bits | np.uint32(1)).view(np.int32)
    n = (2**31 - np.abs(i.astype(np.int64))).astype(np.int32)
    q = i.astype(np.float32) * np.float32(2**-32)
    t = n.astype(np.float32) * np.float32(2**-32)
    v = np.sqrt(t - t * t)
    u = np.sqrt(np.sqrt(v))
    centre = q * (C + q * q * _polynomial(P, v) / _polynomial(Q, v))
    tail = q * _polynomial(A, u) / _polynomial(B, u)
    z: Floats = np.where(t < np.float32(2**-9), tail, centre)
    return z


def _polynomial(coefficients: Floats, x: Floats) -> Floats:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def normals(key: Key, stream: int, start: int, stop: int) -> Floats:
    """Return z of elements start ... stop - 1."""
    return normal_of(random_bits(key, stream, start, stop))


def noisy(x: NDArray[Any], z: Floats, p: float) -> NDArray[Any]:
    """Return x * (1 + s * z), s = sqrt(p / (1 - p)); half types in float32."""
    arithmetic = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    sigma = arithmetic.type(np.sqrt(np.float64(p) / (1 - np.float64(p))))
    factor = arithmetic.type(1) + sigma * z.astype(arithmetic)
    with np.errstate(all="ignore"):
        y: NDArray[Any] = (x.astype(arithmetic) * factor).astype(x.dtype)
    return y
