"""The value that decides which bit belongs to which element."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from bitdrop import _validate
from bitdrop._typing import Shape


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


class BitLayout(NamedTuple):
    """Strides from the elements of an array to their bits.

    The bits that an array needs are a box within the bits of the whole mask. They are packed anew, in C order
    of the box. `bitdrop._core` reads the first four fields, by position.

    Attributes
    ----------
    first : int
        Index of the box's first bit in the whole mask.
    lengths, strides : tuples of ints
        Shape of the box, 1 along axes that share their bits, and its strides through the whole mask.
    bit_strides : tuple of ints
        Strides of the array's axes through the packed bits of the box, 0 along axes that share them.
    noise_shape : tuple of ints, or None
        Shape of the whole mask's bits. None: no axis shares them.
    shard : Shard or None
        Place of the array in a larger one, or None if it is the whole.
    """

    first: int
    lengths: Shape
    strides: Shape
    bit_strides: Shape
    noise_shape: Shape | None = None
    shard: Shard | None = None

    @property
    def size(self) -> int:
        """Number of bits in the box."""
        return prod(self.lengths)

    def in_whole(self) -> "BitLayout":
        """Return the layout of the draws at their places in the whole, for draws that are not stored."""
        strides = zip(self.lengths, self.strides, strict=True)
        return self._replace(
            lengths=(),
            strides=(),
            bit_strides=tuple(0 if length == 1 else stride for length, stride in strides),
        )

    def transposed(self, order: Sequence[int]) -> "BitLayout":
        """Return the layout of the array with its axes in another order, for the same packed bits."""
        return self._replace(bit_strides=tuple(self.bit_strides[axis] for axis in order))


def contiguous(size: int) -> BitLayout:
    """Return the layout of `size` elements of which element i has bit i."""
    return BitLayout(0, (size,), (1,), (1,))


def bit_layout(shape: Shape, noise_shape: Shape | None, shard: Shard | None) -> BitLayout:
    """Return the bit layout of an array of this shape.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the array.
    noise_shape : tuple of ints, optional
        Shape of the draws for the whole array: along each axis its length, or 1. None: each element has one.
    shard : Shard, optional
        Place of the array in the whole, if it is a part.
    """
    whole, start = (shape, (0,) * len(shape)) if shard is None else (shard.shape, shard.start)
    noise = whole if noise_shape is None else noise_shape
    shared = [drawn != length for drawn, length in zip(noise, whole, strict=True)]
    strides = c_order_strides(noise)
    lengths = tuple(1 if is_shared else length for is_shared, length in zip(shared, shape, strict=True))
    first = sum(index * stride for index, stride in zip(start, _unless(shared, strides), strict=True))
    bit_strides = _unless(shared, c_order_strides(lengths))
    return BitLayout(first, lengths, strides, bit_strides, noise if any(shared) else None, shard)


def check_shard(shard: Any, part: Shape) -> None:
    """Check that an array of shape `part` lies within the whole."""
    if not isinstance(shard, Shard):
        raise TypeError(f"shard must be a bitdrop.Shard or None, but got {shard!r}.")
    if len(shard.shape) != len(part):
        raise ValueError(
            f"shard must have as many axes as x, whose shape is {part}, but its shape is {shard.shape}."
        )
    for start, length, whole in zip(shard.start, part, shard.shape, strict=True):
        if start + length > whole:
            raise ValueError(
                f"x of shape {part} does not lie within {shard.shape} if it starts at {shard.start}."
            )


def c_order_strides(shape: Sequence[int]) -> Shape:
    """Return the strides, in elements, of a contiguous array in C order."""
    strides = []
    stride = 1
    for length in reversed(shape):
        strides.append(stride)
        stride *= length
    return tuple(reversed(strides))


def _unless(shared: Iterable[bool], strides: Shape) -> Shape:
    return tuple(0 if is_shared else stride for is_shared, stride in zip(shared, strides, strict=True))
