"""The mask of block dropout as a value."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _core, _engine, _validate
from bitdrop._affine import Affine
from bitdrop._arrays import as_array, as_output
from bitdrop._blocks import Blocks, BlockUnits
from bitdrop._buffers import empty_bits
from bitdrop._plan import Plan
from bitdrop._typing import Array, Key, MaskValues, Number, Shape
from bitdrop.mask import Mask

EPS = 1e-6
"""torchvision's default of eps."""


class BlockMask(Mask):
    """The kept elements of a forward pass of block dropout, and their scale.

    A mask is a value, as `Mask` is: its parameters say everything about it. `seeds` is the `Mask` of the
    places that a block can have: a dropped place drops the block that begins there. The scale follows from
    the number of elements that are left.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the arrays that the mask applies to.
    p : float
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int
        Length of a block along each of the last `block_ndim` axes.
    key : tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    stream : int, default 0
        Number of the call under that key, in [0, 2**64).
    block_ndim : int, default 2
        Number of the axes along which blocks extend: 2 or 3.
    eps : float, default 1e-6
        Number added to the number of kept elements before it divides.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range, or a block does not fit into the shape.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> mask = bitdrop.BlockMask((6, 8), 0.3, 3, key=(1, 1))
    >>> np.asarray(mask).astype(int)         # two blocks, which overlap
    array([[0, 0, 0, 1, 1, 1, 1, 1],
           [0, 0, 0, 1, 1, 1, 1, 1],
           [0, 0, 0, 0, 1, 1, 1, 1],
           [1, 0, 0, 0, 1, 1, 1, 1],
           [1, 0, 0, 0, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1, 1, 1]])
    >>> round(mask.scale, 3)                 # 48 elements, 32 of them kept
    1.5
    >>> np.argwhere(~np.asarray(mask.seeds)).tolist()
    [[0, 0], [2, 1]]
    """

    __slots__ = ("_blocks", "_p")

    _blocks: Blocks
    _p: float  # the plan has the probability of a seed
    _bits: NDArray[np.uint8] | None

    def __init__(
        self,
        shape: Shape,
        p: Number,
        block_size: int,
        *,
        key: Key,
        stream: int = 0,
        block_ndim: int = 2,
        eps: Number = EPS,
    ) -> None:
        lengths = _validate.as_shape(shape)
        probability = _validate.as_probability(p)
        blocks = as_blocks(block_ndim, block_size, eps)
        if len(lengths) < blocks.ndim:
            raise ValueError(f"shape must have at least {blocks.ndim} axes, but got {lengths}.")
        blocks.check(lengths)
        place = _validate.as_key(key), _validate.as_word(stream, "stream")
        self._set(lengths, probability, blocks, place)
        self._fill(empty_bits(self.size))

    @classmethod
    def _of_blocks(
        cls, shape: Shape, p: float, blocks: Blocks, place: tuple[Key, int], scale: float = 0.0
    ) -> "BlockMask":
        """Return a mask of validated values, the key and stream number among them. `_fill` sets the scale."""
        self = object.__new__(cls)
        self._set(shape, p, blocks, place)
        self._affine = Affine(scale)
        return self

    def _set(self, shape: Shape, p: float, blocks: Blocks, place: tuple[Key, int]) -> None:
        self._shape, self._p, self._blocks = shape, p, blocks
        self._plan = Plan(*place, blocks.gamma(p, shape))
        self._layout = self._bits = None

    def _fill(self, bits: NDArray[np.uint8]) -> None:
        """Generate the bits into memory for them, and set the scale."""
        kept = _engine.fill_blocks(bits, self._plan, self._blocks.maps(self._shape))
        self._affine = Affine(self._blocks.scale(self._p, self._shape, kept))

    @property
    def p(self) -> float:
        """Share of the elements that would be dropped if blocks did not overlap."""
        return self._p

    @property
    def gamma(self) -> float:
        """Probability of a seed: of dropping the block at each place that it can have."""
        return self._plan.p

    @property
    def block_size(self) -> int:
        """Length of a block along each of the last `block_ndim` axes."""
        return self._blocks.size

    @property
    def block_ndim(self) -> int:
        """Number of the axes along which blocks extend."""
        return self._blocks.ndim

    @property
    def eps(self) -> float:
        """Number added to the number of kept elements before it divides."""
        return self._blocks.eps

    @property
    def seeds(self) -> Mask:
        """Mask of the seeds: a dropped element of it drops the block that begins at its index."""
        axes, size = self.block_ndim, self.block_size
        places = tuple(length - size + 1 for length in self._shape[-axes:])
        return Mask(self._shape[:-axes] + places, self.gamma, key=self.key, stream=self.stream)

    @property
    def bits(self) -> NDArray[np.uint8]:
        """Packed bits, 1 where kept: read-only, 1-D, ``(size + 7) // 8`` bytes, as `Mask.bits`."""
        bits = self._packed()
        bits.flags.writeable = False
        return bits.view()  # of a read-only array, so that it cannot be made writable again

    def _packed(self) -> NDArray[np.uint8]:
        bits = self._bits
        if bits is None:
            bits = empty_bits(self.size)
            self._fill(bits)
        return bits

    def _values(self) -> MaskValues:
        bits = self._packed()
        return self._shape, self._plan, None, self._affine, bits

    def _part(self, start: Shape, shape: Shape) -> Mask:
        return self._part_of_bits(start, shape)

    def _parameters(self) -> tuple[Any, ...]:
        return self._shape, self._p, self._blocks, self._plan

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters, the scale and the number of the mask format, not the bits."""
        key, stream, _ = self._plan
        blocks = tuple(self._blocks)
        return _unpickled, (_core.MASK_FORMAT, self._shape, self._p, blocks, key, stream, self.scale)

    def __repr__(self) -> str:
        """Return the expression that makes the mask."""
        rest = "" if self.block_ndim == 2 else f", block_ndim={self.block_ndim}"
        rest += "" if self.eps == EPS else f", eps={self.eps!r}"
        arguments = f"{self._shape}, {self._p!r}, {self.block_size}, key={self.key}, stream={self.stream}"
        return f"BlockMask({arguments}{rest})"


def as_blocks(ndim: Any, size: Any, eps: Any) -> Blocks:
    """Return validated blocks."""
    axes = _validate.as_positive(ndim, "block_ndim")
    if axes not in (2, 3):
        raise ValueError(f"block_ndim must be 2 or 3, but got {axes}.")
    added = _validate.as_finite(eps, "eps")
    if added < 0.0:
        raise ValueError(f"eps must not be negative, but got {added}.")
    return Blocks(axes, _validate.as_positive(size, "block_size"), added)


def drop_blocks(
    x: ArrayLike,
    out: Array | None,
    p: float,
    units: BlockUnits,
    draw: Callable[[], tuple[Key, int]],
    store_bits: bool,
) -> tuple[Array, BlockMask]:
    """Drop blocks of x in training. `draw` is called once nothing can fail any more, as in `drop`."""
    values, dtype = as_array(x, "x", True)
    units.check(values.shape)
    y = as_output(out, values)
    bits = empty_bits(values.size)
    mask = BlockMask._of_blocks(values.shape, p, units.blocks, draw())
    mask._fill(bits)
    _engine.apply((dtype, (y, values)), mask._affine, bits)
    if store_bits:
        mask._bits = bits
    return y, mask


def _unpickled(
    mask_format: int, shape: Shape, p: float, blocks: tuple[int, int, float], *rest: Any
) -> BlockMask:
    _validate.check_format(mask_format, "mask", "The pickled mask")
    key, stream, scale = rest
    return BlockMask._of_blocks(shape, p, Blocks(*blocks), (key, stream), scale)
