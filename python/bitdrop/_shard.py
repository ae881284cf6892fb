"""The place of an array in a larger one, and the units of a noise shape."""

from dataclasses import dataclass

from bitdrop import _validate
from bitdrop._core import Units
from bitdrop._typing import NoiseShape, Shape

ELEMENTS = Units()
"""The units of dropout that shares no draws."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The place of an array in a larger one.

    With it, dropout gives the array exactly the values that it would have as a part of the whole. Workers
    that hold different parts agree with one process that holds all of it, however the whole is divided.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the whole array.
    start : tuple of ints
        Index in the whole of the part's first element.

    Raises
    ------
    TypeError, ValueError
        If shape or start is not a tuple of non-negative ints, or they have different lengths.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.ones((4, 6))
    >>> whole, _ = bitdrop.dropout(x, rng=0)
    >>> part, _ = bitdrop.dropout(x[2:, 1:4], rng=0, shard=bitdrop.Shard((4, 6), (2, 1)))
    >>> bool((part == whole[2:, 1:4]).all())
    True
    """

    shape: Shape
    start: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _validate.as_shape(self.shape))
        object.__setattr__(self, "start", _validate.as_shape(self.start, "start"))
        if len(self.shape) != len(self.start):
            raise ValueError(
                f"start must have an index for each axis of shape, {self.shape}, but got {self.start}."
            )


def units_of(noise_shape: NoiseShape | None) -> Units:
    """Return the units of a noise shape that has not been validated."""
    return ELEMENTS if noise_shape is None else Units(noise_shape=_validate.as_noise_entries(noise_shape))
