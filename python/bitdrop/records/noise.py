"""Multiplicative Gaussian noise as a value."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bitdrop import _validate
from bitdrop._core import Operation, Rule
from bitdrop._shard import Shard
from bitdrop._typing import Array, Key, NoiseShape, Number, Shape
from bitdrop.records.record import Record, pass_of_arguments


class Noise(Record):
    """The noise of a pass of Gaussian dropout: each element's factor, of mean 1 and variance p / (1 - p).

    A noise is a value: its parameters say everything about it. It is immutable, hashable and equal to every
    noise of the same parameters, in any process on any machine. It holds no factors: they are generated
    whenever they are needed.

    Parameters
    ----------
    shape : int or tuple of ints
        Shape of the arrays that the noise applies to.
    p : float
        Rate of the dropout, in [0, 1): the variance of the factors is p / (1 - p).
    key : tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    stream : int, default 0
        Number of the call under that key, in [0, 2**64).
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a factor, or shape's length (or None,
        which means the same).
    shard : Shard, optional
        The place of the arrays in a larger one. noise_shape then refers to the larger one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.

    Notes
    -----
    The factor of element ``i`` in C order is ``1 + std * z[i]``, rounded after each operation: in float64 for
    float64 arrays, else in float32. Noise format 1 (``docs/reference/noise-format.md``) makes ``z``, a
    standard normal float32 that is the same in every dtype. A mask and a noise of the same key are
    independent.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> noise = bitdrop.Noise(4, 0.2, key=(1, 2))
    >>> noise.std
    0.5
    >>> noise.apply(np.array([1.0, 1.0, 2.0, 0.0])).round(3)
    array([2.154, 1.381, 3.169, 0.   ])
    >>> noise == bitdrop.Noise(4, 0.2, key=(1, 2))
    True
    """

    __slots__ = ()

    _format = "noise"

    def __init__(
        self,
        shape: int | Shape,
        p: Number,
        *,
        key: Key,
        stream: int = 0,
        noise_shape: NoiseShape | None = None,
        shard: Shard | None = None,
    ) -> None:
        self._pass = pass_of_arguments(noise_rule, shape, p, (key, stream), noise_shape, shard)

    @property
    def std(self) -> float:
        """Standard deviation of the factors: ``sqrt(p / (1 - p))``."""
        return sqrt(self.p / (1.0 - self.p))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the factors: float32, or of another supported dtype."""
        if copy is False:
            raise ValueError("A noise holds no factors, so an array of them is always a new one.")
        return self.apply(np.ones(self.shape, np.float32 if dtype is None else dtype))

    def apply(self, x: ArrayLike, *, out: Array | None = None) -> Array:
        """Repeat the forward pass on an array: multiply each element by its factor.

        Parameters
        ----------
        x : array_like
            Of the noise's shape, and of dtype float16, bfloat16, float32 or float64.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``x * (1 + std * z)``. NaN stays NaN, and infinities stay infinite.

        Raises
        ------
        TypeError
            If x is of another dtype, masked or lazy, or out is not of x's dtype.
        ValueError
            If x is not of the noise's shape, or out is of another shape, read-only or overlaps x in part.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> x = np.ones((2, 3))
        >>> y, noise = bitdrop.gaussian_dropout(x, p=0.1, rng=0)
        >>> bool((noise.apply(x) == y).all())
        True
        """
        return self._pass.repeat((x,), out)

    def backward(self, dy: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradient with respect to the input of the forward pass.

        The forward pass multiplies each element by a factor that does not depend on it, so the gradient is
        multiplied by the same factor.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the output, of the noise's shape, and of dtype float16, bfloat16, float32
            or float64.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``dy * (1 + std * z)``.

        Raises
        ------
        TypeError, ValueError
            As `apply`.
        """
        dx: Array = self._pass.gradient(dy, out)
        return dx


def noise_rule(p: Number, units: Any) -> Rule:
    """Return the rule of Gaussian dropout, for a p that has not been validated."""
    return Rule(_validate.as_noise_rate(p), Operation.noise(), units=units)
