"""The door to the engine: the only file that takes drop, apply, fill and noise from `bitdrop._core`.

Every front-end passes memory and the four values through here. Arguments have been validated.

`drop` generates bits and applies them, `apply` applies stored bits, `apply_and_sum` also sums the result,
`fill` generates bits into memory, and `fill_blocks` those of maps that lose whole blocks. Kept elements
become ``scale * x + shift``, others ``dropped``. `noise` multiplies by Gaussian noise of mean 1. See
``_core.pyi`` for the signatures.
"""

from enum import IntEnum
from typing import NamedTuple

from bitdrop._core import apply, apply_and_sum, drop, fill, fill_blocks, forward, noise, repeat
from bitdrop._typing import Memory

__all__ = [
    "COMPLEX_DTYPES",
    "DTYPES",
    "Operands",
    "Operation",
    "Threads",
    "apply",
    "apply_and_sum",
    "drop",
    "fill",
    "fill_blocks",
    "forward",
    "noise",
    "repeat",
]

DTYPES = {"float16": 0, "bfloat16": 1, "float32": 2, "float64": 3}
"""Codes of the supported dtypes in the engine, by name."""

COMPLEX_DTYPES = {"complex64": 4, "complex128": 5}
"""Codes of complex dtypes. Both parts of a number share a draw. Not for activations, shifts and noise."""


class Operation(IntEnum):
    """Codes of the operations that a fourth item of an affine names. See `Operation` in kernel_table.h.

    Without that item, the coefficients decide: ``scale * x``, or ``scale * x + shift`` and `dropped`.
    """

    RELU = 2
    FUSED = 3
    FUSED_RELU = 4
    ZONEOUT = 5
    BLEND = 6


Operands = tuple[int, tuple[Memory | None, ...]]
"""Memory of a call: the code of the dtype, and arrays of one shape, the output first, then the inputs.

Inputs after the first are broadcast, or None if they are not there."""


class Threads(NamedTuple):
    """Threads of a call.

    Attributes
    ----------
    limit : int
        The maximum number. 0: the setting of the process.
    team : int
        Address of a function such as GOMP_parallel, which runs the work on threads of its own. 0: bitdrop's
        own workers.
    """

    limit: int = 0
    team: int = 0
