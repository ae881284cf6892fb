"""The mask as a value: which elements are kept, and what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _validate
from bitdrop._core import Draws, Operation, Pass, Rule
from bitdrop._shard import Shard
from bitdrop._typing import Array, Key, NoiseShape, Number, Shape
from bitdrop.records.record import BitRecord, Record, given_pass, pass_of_arguments


class Mask(BitRecord):
    """The kept elements of a forward pass, and what becomes of them.

    A mask is a value: its parameters say everything about it. It is immutable, hashable and equal to
    every mask of the same parameters, in any process on any machine. Its bits are generated whenever they are
    needed. A mask that a forward pass returns holds the bits of that pass.

    Parameters
    ----------
    shape : int or tuple of ints
        Shape of the arrays that the mask applies to.
    p : float
        Probability that an element is dropped, in [0, 1].
    key : tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    stream : int, default 0
        Number of the call under that key, in [0, 2**64).
    scale : float, optional
        Factor of the kept elements. None means 1 / (1 - p), and 0 if p is 1.
    shift : float, default 0.0
        Number added to the kept elements after scaling. `AlphaDropout` uses it.
    dropped : float, default 0.0
        Value of the dropped elements. `AlphaDropout` uses it.
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a bit, or shape's length (or None, which
        means the same).
    shard : Shard, optional
        The place of the arrays in a larger one. noise_shape then refers to the larger one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.

    Notes
    -----
    Mask format 1 (``docs/reference/mask-format.md``) decides whether element ``i`` in C order is kept:
    xorshift128+ [1]_ seeded by SplitMix64 [2]_, and exact Bernoulli(p) from its bits.

    References
    ----------
    .. [1] S. Vigna, "Further scramblings of Marsaglia's xorshift generators", Journal of Computational and
       Applied Mathematics 315, 2017.
    .. [2] G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> mask = bitdrop.Mask((2, 4), 0.5, key=(1, 2))
    >>> np.asarray(mask)
    array([[False,  True,  True, False],
           [False,  True, False, False]])
    >>> mask.apply(np.ones((2, 4)))
    array([[0., 2., 2., 0.],
           [0., 2., 0., 0.]])
    >>> mask == bitdrop.Mask((2, 4), 0.5, key=(1, 2))
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
        scale: Number | None = None,
        shift: Number = 0.0,
        dropped: Number = 0.0,
        noise_shape: NoiseShape | None = None,
        shard: Shard | None = None,
    ) -> None:
        def rule(p: Number, units: Any) -> Rule:
            probability = _validate.as_probability(p)
            operation = Operation.affine(
                inverted_scale(probability) if scale is None else _validate.as_finite(scale, "scale"),
                _validate.as_finite(shift, "shift"),
                _validate.as_finite(dropped, "dropped"),
            )
            return Rule(probability, operation, units=units)

        self._pass = pass_of_arguments(rule, shape, p, (key, stream), noise_shape, shard)

    @classmethod
    def from_array(cls, kept: ArrayLike, *, scale: Number = 1.0, shape: int | Shape | None = None) -> Mask:
        """Return the mask that keeps the elements which an array says.

        Parameters
        ----------
        kept : array_like of bool
            True for elements that are kept. The mask holds a bit of each.
        scale : float, default 1.0
            Factor of the kept elements.
        shape : int or tuple of ints, optional
            Shape of the mask, to which kept is broadcast: elements along added axes share a bit. None means
            kept's own.

        Returns
        -------
        Mask
            A mask with `shape`, `scale`, `bits`, `apply` and `backward` as any other. It has no `p`, `key`
            and `stream`, is pickled with its bits, and is equal to masks of the same bits and scale.

        Raises
        ------
        TypeError
            If kept is not of bool, or scale is not a number.
        ValueError
            If scale is not finite, or kept does not broadcast to shape.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> mask = bitdrop.Mask.from_array([True, False, True], scale=2.0)
        >>> mask.apply(np.array([1.0, 2.0, 3.0]))
        array([2., 0., 6.])
        """
        return Mask._of(given_pass(kept, shape, Operation.scale(_validate.as_finite(scale, "scale"))))

    @property
    def scale(self) -> float:
        """Factor of the kept elements."""
        return self._pass.operation.factor

    @property
    def shift(self) -> float:
        """Number added to the kept elements by `apply`, after scaling."""
        return self._pass.operation.shift

    @property
    def dropped(self) -> float:
        """Value of the dropped elements after `apply`."""
        return self._pass.operation.dropped

    def kept_indices(self, axis: int = -1) -> NDArray[np.int64]:
        """Return the indices that are kept along an axis, for a mask that all other axes share.

        A product needs only the kept columns of its left matrix and the kept rows of its right one. See
        ``examples/thinned_network.py``.

        Parameters
        ----------
        axis : int, default -1
            The axis along which the mask varies.

        Returns
        -------
        ndarray of int64
            The kept indices, ascending.

        Raises
        ------
        TypeError
            If axis is not an int.
        ValueError
            If the mask has no such axis, or varies along another one.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> layer = bitdrop.Dropout(p=0.5, noise_shape=(1, None), rng=0)
        >>> layer(np.ones((2, 6)))
        array([[0., 2., 2., 2., 0., 2.],
               [0., 2., 2., 2., 0., 2.]])
        >>> layer.mask.kept_indices()
        array([1, 2, 3, 5])
        """
        ndim = len(self.shape)
        along = _validate.as_axis(axis, ndim)
        lengths = self._drawn_shape()
        others = [a for a, length in enumerate(lengths) if length != 1 and a != along]
        if others:
            shared = tuple(None if a == along else 1 for a in range(ndim))
            raise ValueError(
                f"kept_indices needs a mask that varies along axis {along} alone, but this one, of shape "
                f"{self.shape}, also varies along {others}: drop with noise_shape={shared}."
            )
        kept = np.unpackbits(self.bits, count=self.size, bitorder="little")
        # An axis that shares its bit is kept as a whole, or dropped.
        return np.flatnonzero(np.broadcast_to(kept, self.shape[along])).astype(np.int64, copy=False)

    def apply(self, x: ArrayLike, *, out: Array | None = None) -> Array:
        """Repeat the forward pass on an array: drop the mask's elements, and scale the others.

        Parameters
        ----------
        x : array_like
            Of the mask's shape, and of a dtype that `bitdrop.dropout` supports.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * x + shift`` where kept, ``dropped`` elsewhere. For a mask of
            dropout that is ``scale * x``, and +0.0.

        Raises
        ------
        TypeError
            If x is of another dtype, masked or lazy, or out is not of x's dtype.
        ValueError
            If x is not of the mask's shape, or out is of another shape, read-only or overlaps x in part.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> bitdrop.Mask(4, 0.5, key=(1, 2)).apply(np.arange(4.0))
        array([0., 2., 4., 0.])
        """
        return self._pass.repeat((x,), out)

    def backward(self, dy: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradient with respect to the input of the forward pass.

        The forward pass multiplies an element by ``scale`` or drops it, so the gradient is its linear part:
        it passes where the signal passed.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the output, of the mask's shape, and of a supported dtype.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * dy`` where kept, +0.0 elsewhere.

        Raises
        ------
        TypeError, ValueError
            As `apply`.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> y, mask = bitdrop.dropout(np.ones(4), p=0.25, rng=0)
        >>> bool((mask.backward(np.ones(4)) == y).all())
        True
        """
        dx: Array = self._pass.gradient(dy, out)
        return dx

    def _of_part(self, done: Pass) -> Record:
        """Return the mask of a part: one of an array if its bits are no function of the index."""
        return Mask._of(done) if done.draws is Draws.GIVEN else self._of(done)

    def _options(self) -> dict[str, Any]:
        ends = {} if self.shift == self.dropped == 0.0 else {"shift": self.shift, "dropped": self.dropped}
        return {"scale": self.scale} | ends | self._places()

    def _given_options(self) -> dict[str, Any]:
        return {"scale": self.scale}


def inverted_scale(p: float) -> float:
    """Return the factor that keeps the mean: 1 / (1 - p), and 0 at p = 1, where nothing is kept."""
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0
