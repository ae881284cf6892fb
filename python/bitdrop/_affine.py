"""The value that decides what becomes of an element."""

from math import sqrt
from typing import NamedTuple


class Affine(NamedTuple):
    """Coefficients of a forward pass: kept elements become ``scale * x + shift``, others ``dropped``.

    Attributes
    ----------
    scale, shift : float
        Coefficients of kept elements.
    dropped : float
        Value of dropped elements.
    """

    scale: float
    shift: float = 0.0
    dropped: float = 0.0

    @property
    def linear(self) -> "Affine":
        """The linear part, which gradients and tangents take."""
        scale, shift, dropped = self
        return self if shift == dropped == 0.0 else Affine(scale)

    @classmethod
    def inverted(cls, p: float) -> "Affine":
        """Return the coefficients that keep the mean: 1 / (1 - p), and 0 at p = 1, where nothing is kept."""
        return cls(1.0 / (1.0 - p) if p < 1.0 else 0.0)

    @classmethod
    def vanilla(cls) -> "Affine":
        """Return the coefficients of training without scaling."""
        return cls(1.0)

    @classmethod
    def alpha(cls, p: float) -> "Affine":
        """Return the coefficients that keep mean 0 and variance 1 after SELU: see `bitdrop.AlphaDropout`."""
        if p in (0.0, 1.0):
            return cls(1.0 - p)
        # SELU's limit far below 0: -lambda * alpha, with lambda = 1.0507009873554805 and
        # alpha = 1.6732632423543772 (Klambauer et al., 2017). Compilers take a local for a constant.
        limit = -1.0507009873554805 * 1.6732632423543772
        scale = 1.0 / sqrt((1.0 - p) * (1.0 + p * (limit * limit)))
        # scale * s + shift, without the loss of digits near p = 1
        dropped = scale * (1.0 - p) * limit
        return cls(scale, -scale * p * limit, dropped)


IDENTITY = Affine(1.0)
"""Every kept element stays as it is."""
