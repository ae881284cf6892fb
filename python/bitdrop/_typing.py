"""Types that the other files share."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bitdrop._affine import Affine
    from bitdrop._bit_layout import BitLayout
    from bitdrop._plan import Plan

Array = NDArray[Any]
Shape = tuple[int, ...]
NoiseShape = Sequence[int | None]
Number = (
    float
    | Fraction
    | Decimal
    | np.floating[Any]
    | np.integer[Any]
    | np.ndarray[tuple[()], np.dtype[np.floating[Any] | np.integer[Any]]]
)
Scaling = Literal["inverted", "vanilla"]
Key = tuple[int, int]
RNGLike = (
    int | np.integer | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator
)
Memory = Array | tuple[int, Sequence[int], Sequence[int]]
"""An array, or (address, shape, strides in elements) of memory that is not NumPy's."""
Bits = bytes | NDArray[np.uint8]
"""Packed bits that a mask holds."""
MaskValues = tuple[Shape, "Plan", Union["BitLayout", None], "Affine", Bits | None]
"""Shape, plan, layout, affine and bits. They become a `Mask` when a user asks for it."""
