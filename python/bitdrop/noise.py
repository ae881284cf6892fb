"""Multiplicative Gaussian noise as a value."""

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bitdrop import _core, _engine, _validate
from bitdrop._affine import IDENTITY
from bitdrop._arrays import as_array, as_output
from bitdrop._bit_layout import BitLayout, Shard
from bitdrop._drawn import Drawn, layout_of
from bitdrop._plan import KEEP_ALL, Plan
from bitdrop._typing import Array, Key, NoiseShape, Number, Shape


class Noise(Drawn):
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
        self._shape = _validate.as_shape(shape)
        probability = _validate.as_noise_rate(p)
        self._plan = Plan(_validate.as_key(key), _validate.as_word(stream, "stream"), probability)
        self._layout = layout_of(self._shape, noise_shape, shard)

    @classmethod
    def _of(cls, shape: Shape, plan: Plan, layout: BitLayout | None) -> "Noise":
        """Return a noise of validated values."""
        self = object.__new__(cls)
        self._shape = shape
        self._plan = plan
        self._layout = layout
        return self

    @property
    def std(self) -> float:
        """Standard deviation of the factors: ``sqrt(p / (1 - p))``."""
        return sqrt(self.p / (1.0 - self.p))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the factors: float32, or of another supported dtype."""
        if copy is False:
            raise ValueError("A noise holds no factors, so an array of them is always a new one.")
        return self.apply(np.ones(self._shape, np.float32 if dtype is None else dtype))

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
        return self._applied(x, out, "x")

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
        return self._applied(dy, out, "dy")

    def _applied(self, x: ArrayLike, out: Array | None, name: str) -> Array:
        values, dtype = as_array(x, name)
        _validate.check_same_shape(values.shape, self._shape, name, "noise")
        y = as_output(out, values, name)
        multiply((dtype, (y, values)), self._plan, self._layout)
        return y

    def __eq__(self, other: object) -> bool:
        """Compare the values."""
        return self._parameters() == other._parameters() if isinstance(other, Noise) else NotImplemented

    def __hash__(self) -> int:
        """Hash the values."""
        return hash((Noise, *self._parameters()))

    def _parameters(self) -> tuple[Shape, Plan, Shape | None, Shard | None]:
        return self._shape, self._plan, self.noise_shape, self.shard

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters and the number of the noise format."""
        key, stream, p = self._plan
        return _unpickled, (_core.NOISE_FORMAT, self._shape, p, key, stream, self.noise_shape, self.shard)

    def __repr__(self) -> str:
        """Return the expression that makes the noise."""
        key, stream, p = self._plan
        return f"Noise({self._shape}, {p!r}, key={key}, stream={stream}{self._places()})"


def multiply(operands: _engine.Operands, plan: Plan, layout: BitLayout | None) -> None:
    """Multiply by the factors of a plan, which are all 1 if p is 0."""
    if plan.p == 0.0:
        _engine.drop(operands, IDENTITY, KEEP_ALL)
    else:
        _engine.noise(operands, plan, None if layout is None else layout.in_whole())


def _unpickled(noise_format: int, shape: Shape, p: float, key: Key, *rest: Any) -> Noise:
    _validate.check_format(noise_format, "noise", "The pickled noise")
    stream, noise_shape, shard = rest
    return Noise(shape, p, key=key, stream=stream, noise_shape=noise_shape, shard=shard)
