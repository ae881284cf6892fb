"""Masks of the user's own: the bits are the value."""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _core, _validate
from bitdrop._affine import Affine
from bitdrop._arrays import as_bool_array
from bitdrop._plan import KEEP_ALL
from bitdrop._typing import Number, Shape
from bitdrop.mask import Mask


class ArrayMask(Mask):
    """The mask that `Mask.from_array` returns: it holds its bits, and no plan could generate them."""

    __slots__ = ()

    _bits: NDArray[np.uint8]

    @classmethod
    def of_array(cls, kept: ArrayLike, scale: Number) -> "ArrayMask":
        """Return the mask of an array and a scale that have not been validated."""
        array = as_bool_array(kept, "kept")
        return cls.of_bits(array, Affine(_validate.as_finite(scale, "scale")))

    @classmethod
    def of_bits(cls, kept: NDArray[np.bool_], affine: Affine) -> "ArrayMask":
        """Return the mask of a bool array and coefficients."""
        bits = np.packbits(kept.ravel(), bitorder="little")
        return cls._of((kept.shape, KEEP_ALL, None, affine, bits))

    def _raise_no_plan(self, name: str) -> NoReturn:
        raise AttributeError(f"A mask of an array was not drawn at random, so it has no {name}.")

    @property
    def p(self) -> float:
        """Not available: an AttributeError."""
        self._raise_no_plan("p")

    @property
    def key(self) -> tuple[int, int]:
        """Not available: an AttributeError."""
        self._raise_no_plan("key")

    @property
    def stream(self) -> int:
        """Not available: an AttributeError."""
        self._raise_no_plan("stream")

    def _part(self, start: Shape, shape: Shape) -> Mask:
        return self._part_of_bits(start, shape)

    def _parameters(self) -> tuple[Any, ...]:
        return self._shape, self._affine, self._bits.tobytes()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the bits."""
        return _unpickled, (_core.MASK_FORMAT, self._shape, self._bits.tobytes(), self.scale)

    def __repr__(self) -> str:
        """Return the expression that makes the mask. NumPy abridges large arrays."""
        return f"Mask.from_array({np.asarray(self)!r}, scale={self.scale!r})"


def _unpickled(mask_format: int, shape: Shape, data: bytes, scale: float) -> Mask:
    _validate.check_format(mask_format, "mask", "The pickled mask")
    size = np.prod(shape, dtype=np.int64)
    kept = np.unpackbits(np.frombuffer(data, np.uint8), count=size, bitorder="little").view(np.bool_)
    return Mask.from_array(kept.reshape(shape), scale=scale)
