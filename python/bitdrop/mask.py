"""The mask as a value: which elements are kept, and what becomes of them."""

from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitdrop import _core, _engine, _validate
from bitdrop._affine import Affine
from bitdrop._arrays import ALL_CODES, REAL_CODES, as_admitted
from bitdrop._bit_layout import BitLayout, Shard, bit_layout, contiguous
from bitdrop._buffers import empty_bits
from bitdrop._drawn import Drawn, layout_of
from bitdrop._plan import Plan
from bitdrop._typing import Array, Bits, Key, MaskValues, NoiseShape, Number, Shape


class Mask(Drawn):
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

    __slots__ = ("_affine", "_bits")

    _affine: Affine
    _bits: Bits | None  # a cache

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
        self._shape = _validate.as_shape(shape)
        probability = _validate.as_probability(p)
        self._plan = Plan(_validate.as_key(key), _validate.as_word(stream, "stream"), probability)
        self._affine = Affine(
            Affine.inverted(probability).scale if scale is None else _validate.as_finite(scale, "scale"),
            _validate.as_finite(shift, "shift"),
            _validate.as_finite(dropped, "dropped"),
        )
        self._layout = layout_of(self._shape, noise_shape, shard)
        self._bits = None

    @classmethod
    def _of(cls, values: MaskValues) -> Self:
        """Return a mask of validated values: shape, plan, layout, affine, and bits if they exist."""
        mask = object.__new__(cls)
        mask._shape, mask._plan, mask._layout, mask._affine, mask._bits = values
        return mask

    @classmethod
    def from_array(cls, kept: ArrayLike, *, scale: Number = 1.0) -> "Mask":
        """Return the mask that keeps the elements which an array says.

        Parameters
        ----------
        kept : array_like of bool
            True for elements that are kept. The mask holds a bit of each.
        scale : float, default 1.0
            Factor of the kept elements.

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
            If scale is not finite.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> mask = bitdrop.Mask.from_array([True, False, True], scale=2.0)
        >>> mask.apply(np.array([1.0, 2.0, 3.0]))
        array([2., 0., 6.])
        """
        from bitdrop._array_mask import ArrayMask  # noqa: PLC0415 - its base is this class

        return ArrayMask.of_array(kept, scale)

    @property
    def scale(self) -> float:
        """Factor of the kept elements."""
        return self._affine.scale

    @property
    def shift(self) -> float:
        """Number added to the kept elements by `apply`, after scaling."""
        return self._affine.shift

    @property
    def dropped(self) -> float:
        """Value of the dropped elements after `apply`."""
        return self._affine.dropped

    @property
    def size(self) -> int:
        """Number of bits. Without shared axes, the number of elements."""
        return prod(self._shape) if self._layout is None else self._layout.size

    @property
    def bits(self) -> NDArray[np.uint8]:
        """Packed bits, 1 where kept: read-only, 1-D, ``(size + 7) // 8`` bytes.

        Element ``i`` in C order is bit ``i % 8`` of byte ``i // 8``, as in
        ``numpy.packbits(kept, bitorder="little")``. Bits after the last element are 0. Bits that axes share
        are stored once. A part of a larger mask is packed anew.
        """
        bits = self._bits
        if bits is None:
            bits = empty_bits(self.size)
            _engine.fill(bits, self._plan, self._layout or contiguous(self.size))
        if not isinstance(bits, bytes):
            bits.flags.writeable = False
        return np.ndarray(len(bits), np.uint8, bits)  # of read-only memory, so it cannot be made writable

    @property
    def nbytes(self) -> int:
        """Bytes of bits held at the moment: 0 if they are generated when needed."""
        return 0 if self._bits is None else len(self._bits)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return a bool array of the mask's shape, True where kept: read-only unless `copy` is True."""
        if copy is False:
            raise ValueError("A mask keeps packed bits or none, so a bool array of it is always a copy.")
        kept = np.unpackbits(self.bits, count=self.size, bitorder="little").view(np.bool_)
        if self._layout is None:
            kept = kept.reshape(self._shape)
        else:
            kept = np.broadcast_to(kept.reshape(self._layout.lengths), self._shape)
        if copy or (dtype is not None and np.dtype(dtype) != np.bool_):
            kept = kept.astype(np.bool_ if dtype is None else dtype)
        kept.flags.writeable = copy is True
        return kept

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
        ndim = len(self._shape)
        along = _validate.as_axis(axis, ndim)
        lengths = self._shape if self._layout is None else self._layout.lengths
        others = [a for a, length in enumerate(lengths) if length != 1 and a != along]
        if others:
            shared = tuple(None if a == along else 1 for a in range(ndim))
            raise ValueError(
                f"kept_indices needs a mask that varies along axis {along} alone, but this one, of shape "
                f"{self._shape}, also varies along {others}: drop with noise_shape={shared}."
            )
        kept = np.unpackbits(self.bits, count=self.size, bitorder="little")
        # An axis that shares its bit is kept as a whole, or dropped.
        return np.flatnonzero(np.broadcast_to(kept, self._shape[along])).astype(np.int64, copy=False)

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
        return repeat(self._values(), x, out, False, "x")

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
        return repeat(self._values(), dy, out, True, "dy")

    def _values(self) -> MaskValues:
        return self._shape, self._plan, self._layout, self._affine, self._bits

    def part(self, start: int | Shape, shape: int | Shape) -> "Mask":
        """Return the mask of a part of the elements.

        Parameters
        ----------
        start : int or tuple of ints
            Index of the part's first element.
        shape : int or tuple of ints
            Shape of the part.

        Returns
        -------
        Mask
            A mask that does to an array of that shape what this mask does to the same part of a whole array.

        Raises
        ------
        TypeError
            If start or shape is not a tuple of ints.
        ValueError
            If the part does not lie within the mask.

        Examples
        --------
        The same units for a last batch that is smaller:

        >>> import numpy as np, bitdrop
        >>> mask = bitdrop.Mask((64, 6), 0.5, key=(1, 2), noise_shape=(1, None))
        >>> mask.part((0, 0), (2, 6)).apply(np.ones((2, 6)))
        array([[0., 2., 2., 0., 0., 2.],
               [0., 2., 2., 0., 0., 2.]])
        """
        first, lengths = _validate.as_part(start, shape, self._shape)
        return self if lengths == self._shape else self._part(first, lengths)

    def _part(self, start: Shape, shape: Shape) -> "Mask":
        return Mask._of((shape, self._plan, self._layout_of_part(start, shape), self._affine, None))

    def _layout_of_part(self, start: Shape, shape: Shape) -> BitLayout:
        whole = self.shard or Shard(self._shape, (0,) * len(self._shape))
        place = tuple(a + b for a, b in zip(whole.start, start, strict=True))
        return bit_layout(shape, self.noise_shape, Shard(whole.shape, place))

    def _part_of_bits(self, start: Shape, shape: Shape) -> "Mask":
        """Return a part as a mask of an array, for masks whose bits are no pure function of the index."""
        from bitdrop._array_mask import ArrayMask  # noqa: PLC0415 - its base is this class

        index = tuple(slice(a, a + length) for a, length in zip(start, shape, strict=True))
        return ArrayMask.of_bits(np.asarray(self)[index], self._affine)

    def __eq__(self, other: object) -> bool:
        """Compare the values."""
        return self._parameters() == other._parameters() if isinstance(other, Mask) else NotImplemented

    def __hash__(self) -> int:
        """Hash the values."""
        return hash(self._parameters())

    def _parameters(self) -> tuple[Any, ...]:
        return self._shape, self._plan, self._affine, self.noise_shape, self.shard

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters and the number of the mask format, not the bits."""
        (key, stream, p), (scale, shift, dropped) = self._plan, self._affine
        place = self.noise_shape, self.shard
        return _unpickled, (_core.MASK_FORMAT, self._shape, p, key, stream, scale, *place, shift, dropped)

    def __repr__(self) -> str:
        """Return the expression that makes the mask."""
        (key, stream, p), (scale, shift, dropped) = self._plan, self._affine
        rest = "" if shift == dropped == 0.0 else f", shift={shift!r}, dropped={dropped!r}"
        rest += self._places()
        return f"Mask({self._shape}, {p!r}, key={key}, stream={stream}, scale={scale!r}{rest})"


def repeat(mask: MaskValues, x: ArrayLike, out: Array | None, linear: bool, name: str) -> Array:
    """Repeat the forward pass of a mask of these values on an array, or the linear part of that pass."""
    accept_complex = linear or mask[3].shift == mask[3].dropped == 0.0
    y = _engine.repeat(ALL_CODES if accept_complex else REAL_CODES, x, out, mask, linear)
    if y is None:
        return repeat(mask, as_admitted(x, out, accept_complex, name, mask[0]), out, linear, name)
    return y


def _unpickled(mask_format: int, shape: Shape, p: float, key: Key, *rest: Any) -> Mask:
    """Return the mask of a pickle. Those of version 0.1 lack shift and dropped."""
    _validate.check_format(mask_format, "mask", "The pickled mask")
    names = ("stream", "scale", "noise_shape", "shard", "shift", "dropped")
    return Mask(shape, p, key=key, **dict(zip(names, rest, strict=False)))
