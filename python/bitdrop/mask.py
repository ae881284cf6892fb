"""The mask as a value: which elements are kept, and by what factor."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitdrop import _checks, _core
from bitdrop._buffers import empty_like
from bitdrop._checks import Array, NoiseShape, Number, Shape
from bitdrop._cut import Cut, Shard, cut


def keep_scale(p: float) -> float:
    """Return 1 / (1 - p), the factor that keeps the mean, and 0 at p = 1, where nothing is kept."""
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


class Mask:
    """Which elements of an array are kept by dropout, and by what factor they are multiplied.

    A mask is a value: its parameters say everything about it. It is immutable, hashable and equal to
    every mask of the same parameters, in any process on any machine. Its bits are computed whenever they are
    needed; those that `bitdrop.dropout` has made already are kept with the mask that it returns.

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
        Factor of the kept elements. None means 1 / (1 - p), and 0 where p is 1.
    noise_shape : sequence of ints and None, optional
        Shape of what is drawn: along each axis 1, where all elements share a bit, or shape's length (or None,
        which means the same).
    shard : Shard, optional
        The place of the arrays in a larger one, of which the mask is a part. Then noise_shape speaks of the
        larger one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.

    Notes
    -----
    Element ``i`` in C order is kept or dropped as mask format 1 says (``docs/mask-format.md``): xorshift128+
    [1]_ seeded by SplitMix64 [2]_, and Bernoulli(p) made exactly from its bits.

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

    __slots__ = ("_bits", "_cut", "_key", "_p", "_scale", "_shape", "_stream")

    _shape: Shape
    _p: float
    _key: tuple[int, int]
    _stream: int
    _scale: float
    _cut: Cut | None
    _bits: NDArray[np.uint8] | None

    def __init__(
        self,
        shape: int | Shape,
        p: Number,
        *,
        key: tuple[int, int],
        stream: int = 0,
        scale: Number | None = None,
        noise_shape: NoiseShape | None = None,
        shard: Shard | None = None,
    ) -> None:
        self._shape = _checks.shape(shape)
        self._p = _checks.probability(p)
        self._key = _checks.key(key)
        self._stream = _checks.word(stream, "stream")
        self._scale = keep_scale(self._p) if scale is None else _checks.scale(scale)
        self._cut = cut(self._shape, noise_shape, shard)
        self._bits = None

    @classmethod
    def _of(  # noqa: PLR0917
        cls,
        shape: Shape,
        p: float,
        key: tuple[int, int],
        stream: int,
        scale: float,
        cut: Cut | None,
        bits: NDArray[np.uint8] | None,
    ) -> "Mask":
        """Make a mask of parameters that were checked, with its bits if they were made already."""
        self = object.__new__(cls)
        self._shape = shape
        self._p = p
        self._key = key
        self._stream = stream
        self._scale = scale
        self._cut = cut
        self._bits = bits
        return self

    @property
    def shape(self) -> Shape:
        """Shape of the arrays that the mask applies to."""
        return self._shape

    @property
    def p(self) -> float:
        """Probability with which each element was dropped."""
        return self._p

    @property
    def key(self) -> tuple[int, int]:
        """The two words of the key."""
        return self._key

    @property
    def stream(self) -> int:
        """Number of the call under the key."""
        return self._stream

    @property
    def scale(self) -> float:
        """Factor of the kept elements."""
        return self._scale

    @property
    def noise_shape(self) -> Shape | None:
        """Shape of what is drawn, 1 along axes that share bits; None where every element has its own."""
        return None if self._cut is None else self._cut.noise_shape

    @property
    def shard(self) -> Shard | None:
        """Place of the arrays in a larger one, if they are a part."""
        return None if self._cut is None else self._cut.shard

    @property
    def size(self) -> int:
        """Number of bits: of elements, where axes do not share them."""
        return prod(self._shape) if self._cut is None else self._cut.size

    @property
    def bits(self) -> NDArray[np.uint8]:
        """Packed bits, 1 where kept: read-only, 1-D, ``(size + 7) // 8`` bytes.

        Element ``i`` in C order is bit ``i % 8`` of byte ``i // 8``, as
        ``numpy.packbits(kept, bitorder="little")`` has it. Bits after the last element are 0. Bits that
        axes share are there once; a part of a larger mask is packed anew.
        """
        bits = self._made_bits()
        bits.flags.writeable = False
        return bits.view()  # of a read-only array, so that it cannot be made writable again

    def _made_bits(self, threads: int = 0) -> NDArray[np.uint8]:
        return make_bits(self, _core.empty_bits(self.size), threads) if self._bits is None else self._bits

    @property
    def nbytes(self) -> int:
        """Bytes of bits held at the moment: 0 where they are made when needed."""
        return 0 if self._bits is None else self._bits.nbytes

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return a bool array of the mask's shape, True where kept: read-only unless `copy` is True."""
        if copy is False:
            raise ValueError("A mask keeps packed bits or none, so a bool array of it is always a copy.")
        kept = np.unpackbits(self.bits, count=self.size, bitorder="little").view(np.bool_)
        if self._cut is None:
            kept = kept.reshape(self._shape)
        else:
            kept = np.broadcast_to(kept.reshape(self._cut.lengths), self._shape)
        if copy or (dtype is not None and np.dtype(dtype) != np.bool_):
            kept = kept.astype(np.bool_ if dtype is None else dtype)
        kept.flags.writeable = copy is True
        return kept

    def apply(self, x: ArrayLike, *, out: Array | None = None) -> Array:
        """Drop the mask's elements from an array, and scale the others.

        Parameters
        ----------
        x : array_like
            Of the mask's shape, and of dtype float16, bfloat16, float32 or float64.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * x`` where kept, +0.0 where dropped.

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
        return self._applied(x, out, "x")

    def backward(self, dy: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradient with respect to dropout's input.

        Dropout multiplies each element by ``scale`` or by 0, so its gradient is the same operation: it passes
        where the signal passed.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to dropout's output, of the mask's shape, and of dtype float16, bfloat16,
            float32 or float64.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself.

        Returns
        -------
        ndarray
            ``out``, or a new array.

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
        return self._applied(dy, out, "dy")

    def _applied(self, x: ArrayLike, out: Array | None, name: str, threads: int = 0) -> Array:
        values, dtype = _checks.array(x, name)
        _checks.same_shape(values, self._shape, name)
        if out is None:
            out = empty_like(values)
        else:
            _checks.output(out, values, name)
        if self._bits is None and self._cut is None:
            k0, k1 = self._key
            _core.drop(
                values, out, None, dtype, k0, k1, self._stream, self._p, self._scale, 0.0, 0.0, threads
            )
        else:
            steps = None if self._cut is None else self._cut.bit_steps
            # By position: a keyword costs pybind11 more than the smallest masks do.
            _core.apply(values, out, self._made_bits(threads), dtype, self._scale, 0.0, 0.0, steps, threads)
        return out

    def __eq__(self, other: object) -> bool:
        """Compare the parameters."""
        return self._parameters() == other._parameters() if isinstance(other, Mask) else NotImplemented

    def __hash__(self) -> int:
        """Hash the parameters."""
        return hash(self._parameters())

    def _parameters(self) -> tuple[Shape, float, tuple[int, int], int, float, Shape | None, Shard | None]:
        return self._shape, self._p, self._key, self._stream, self._scale, self.noise_shape, self.shard

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters and the number of the mask format, not the bits."""
        return _unpickled, (_core.MASK_FORMAT, *self._parameters())

    def __repr__(self) -> str:
        """Return the expression that makes the mask."""
        shape, p, key, stream, scale, noise_shape, shard = self._parameters()
        where = "" if noise_shape is None else f", noise_shape={noise_shape}"
        where += "" if shard is None else f", shard={shard}"
        return f"Mask({shape}, {p!r}, key={key}, stream={stream}, scale={scale!r}{where})"


def make_bits(mask: Mask, bits: NDArray[np.uint8], threads: int = 0) -> NDArray[np.uint8]:
    """Write the bits of a mask into memory for them, and return it. No threads: as many as is set."""
    (k0, k1), cut_ = mask._key, mask._cut
    place = (0, (mask.size,), (1,)) if cut_ is None else (cut_.first, cut_.lengths, cut_.steps)
    _core.make_part(bits, k0, k1, mask._stream, mask._p, *place, threads)
    return bits


def _unpickled(mask_format: int, shape: Shape, p: float, key: tuple[int, int], *rest: Any) -> Mask:
    _checks.mask_format(mask_format, "The pickled mask")
    stream, scale, noise_shape, shard = rest
    return Mask(shape, p, key=key, stream=stream, scale=scale, noise_shape=noise_shape, shard=shard)
