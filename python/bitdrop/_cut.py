"""Where bits are if they do not simply follow the array: shared along axes, or part of a larger mask."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from bitdrop import _checks
from bitdrop._checks import NoiseShape, Shape


@dataclass(frozen=True, slots=True)
class Shard:
    """The place of an array in a larger one.

    With it, dropout gives the array exactly those values that it would have as a part of the whole: workers
    that hold different parts agree with one process that holds all of it, for every way to cut it.

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
        object.__setattr__(self, "shape", _checks.shape(self.shape))
        object.__setattr__(self, "start", _checks.shape(self.start, "start"))
        if len(self.shape) != len(self.start):
            raise ValueError(
                f"start must have an index for each axis of shape, {self.shape}, but got {self.start}."
            )


@dataclass(frozen=True, slots=True)
class Cut:
    """How the elements of an array find their bits.

    Attributes
    ----------
    noise_shape : tuple of ints, or None
        The whole mask's shape, 1 along axes that share their bits. None if no axis does.
    shard : Shard or None
        Place in the whole, or None if the array is the whole.
    first : int
        Index in the whole mask of the part's first bit.
    lengths, steps : tuples of ints
        The part's own axes, 1 where bits are shared, and their steps through the whole mask.
    bit_steps : tuple of ints
        Steps of the array's axes through the packed bits of the part, 0 where bits are shared.
    """

    noise_shape: Shape | None
    shard: Shard | None
    first: int
    lengths: Shape
    steps: Shape
    bit_steps: Shape

    @property
    def size(self) -> int:
        """Number of bits of the part."""
        return prod(self.lengths)


def cut(shape: Shape, noise_shape: NoiseShape | None, shard: Shard | None) -> Cut | None:
    """Return where the bits of an array of this shape are, or None if they simply follow the array."""
    if noise_shape is None and shard is None:
        return None
    if shard is not None:
        _checks.shard(shard, shape)
    whole = shape if shard is None else shard.shape
    noise = _checks.noise_shape(noise_shape, whole)
    start = (0,) * len(shape) if shard is None else shard.start
    shared = [mask_length != length for mask_length, length in zip(noise, whole, strict=True)]
    steps = _c_order_steps(noise)
    lengths = tuple(1 if is_shared else length for is_shared, length in zip(shared, shape, strict=True))
    first = sum(
        index * step for is_shared, index, step in zip(shared, start, steps, strict=True) if not is_shared
    )
    bit_steps = _unless(shared, _c_order_steps(lengths))
    return Cut(noise if any(shared) else None, shard, first, lengths, steps, bit_steps)


def _c_order_steps(shape: Sequence[int]) -> Shape:
    steps = []
    step = 1
    for length in reversed(shape):
        steps.append(step)
        step *= length
    return tuple(reversed(steps))


def _unless(shared: Iterable[bool], steps: Shape) -> Shape:
    return tuple(0 if is_shared else step for is_shared, step in zip(shared, steps, strict=True))
