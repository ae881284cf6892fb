"""The value that decides which axes own a draw."""

from dataclasses import dataclass

from bitdrop._bit_layout import BitLayout, Shard, bit_layout, check_shard
from bitdrop._typing import Shape
from bitdrop._validate import NdimError, as_noise_shape


@dataclass(frozen=True, slots=True)
class Units:
    """The units that are dropped whole: elements, channels, samples, or those of a noise shape.

    Without arguments, each element is a unit.

    Attributes
    ----------
    leading : int, optional
        Number of first axes that own a draw; the others share it. None: all axes own one.
    unbatched : tuple of ints
        Numbers of axes of arrays that lack the sample axis: one leading axis fewer owns a draw.
    ndims : tuple of ints
        Accepted numbers of axes. Empty: at least `leading`.
    needs : str
        Start of the error message: "Dropout1d needs x of shape (N, C, L) or (C, L)".
    noise : tuple of ints and None, optional
        A noise shape, instead of `leading`.
    """

    leading: int | None = None
    unbatched: tuple[int, ...] = ()
    ndims: tuple[int, ...] = ()
    needs: str = ""
    noise: tuple[int | None, ...] | None = None

    def check(self, shape: Shape) -> None:
        """Check that arrays of this shape have an accepted number of axes."""
        ndim = len(shape)
        if ndim not in self.ndims if self.ndims else ndim < (self.leading or 0):
            raise NdimError(f"{self.needs}, but got {shape}.")

    def leading_of(self, ndim: int) -> int:
        """Return the number of first axes that own a draw, for arrays of `ndim` axes."""
        leading = ndim if self.leading is None else self.leading
        return leading - 1 if ndim in self.unbatched else leading

    def noise_shape(self, shape: Shape) -> Shape | None:
        """Return the shape of the draws for an array of this shape. None: each element owns one."""
        if self.noise is not None:
            return as_noise_shape(self.noise, shape)
        if self.leading is None:
            return None
        leading = self.leading_of(len(shape))
        return shape[:leading] + (1,) * (len(shape) - leading)

    def layout(self, shape: Shape, shard: Shard | None = None) -> BitLayout | None:
        """Return the bit layout of an array of this shape. None: element i has bit i."""
        if shard is None and self.leading is None and self.noise is None:
            return None
        self.check(shape)
        if shard is None:
            return bit_layout(shape, self.noise_shape(shape), None)
        check_shard(shard, shape)
        return bit_layout(shape, self.noise_shape(shard.shape), shard)


ELEMENTS = Units()
