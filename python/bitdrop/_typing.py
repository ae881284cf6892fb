"""Types that the other files share."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

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
# Names in strings: numpy.random is imported at the first draw, which halves the time of our import.
RNGLike = Union[
    int,
    np.integer,
    Sequence[int],
    "np.random.SeedSequence",
    "np.random.BitGenerator",
    "np.random.Generator",
]
