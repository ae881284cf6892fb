"""The mask of block dropout as a value."""

from __future__ import annotations

from typing import Any

from bitdrop import _validate
from bitdrop._core import Blocks, Operation, Rule, Units
from bitdrop._typing import Key, Number, Shape
from bitdrop.records.mask import Mask

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
        Number of the axes along which blocks extend: 1, 2 or 3.
    eps : float, default 1e-6
        Number added to the number of kept elements before it divides.
    shared_channels : bool, default False
        Whether all channels of a sample lose the same blocks. Channels are the axis before the last
        `block_ndim` axes.

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

    __slots__ = ()

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
        shared_channels: bool = False,
    ) -> None:
        lengths = _validate.as_shape(shape)
        probability = _validate.as_probability(p)
        blocks = as_blocks(block_ndim, block_size, eps, shared_channels)
        least = blocks.ndim + blocks.shared_channels
        if len(lengths) < least:
            raise ValueError(f"shape must have at least {least} axes, but got {lengths}.")
        place = _validate.as_key(key), _validate.as_word(stream, "stream")
        self._pass = block_rule(probability, blocks, Units()).pass_with_key(lengths, *place)

    @property
    def gamma(self) -> float:
        """Probability of a seed: of dropping the block at each place that it can have."""
        return self._pass.probability

    @property
    def block_size(self) -> int:
        """Length of a block along each of the last `block_ndim` axes."""
        return self._pass.blocks.size

    @property
    def block_ndim(self) -> int:
        """Number of the axes along which blocks extend."""
        return self._pass.blocks.ndim

    @property
    def eps(self) -> float:
        """Number added to the number of kept elements before it divides."""
        return self._pass.blocks.eps

    @property
    def shared_channels(self) -> bool:
        """True if all channels of a sample lose the same blocks."""
        return self._pass.blocks.shared_channels

    @property
    def seeds(self) -> Mask:
        """Mask of the seeds: a dropped element of it drops the block that begins at its index."""
        axes, size = self.block_ndim, self.block_size
        drawn = self._drawn_shape()
        places = tuple(length - size + 1 for length in drawn[-axes:])
        return Mask(drawn[:-axes] + places, self.gamma, key=self.key, stream=self.stream)

    def _leading(self) -> tuple[Any, ...]:
        return self.p, self.block_size

    def _options(self) -> dict[str, Any]:
        options = {"block_ndim": self.block_ndim, "eps": self.eps, "shared_channels": self.shared_channels}
        usual = {"block_ndim": 2, "eps": EPS, "shared_channels": False}
        return {name: value for name, value in options.items() if value != usual[name]}


def block_rule(p: float, blocks: Blocks, units: Units, store: bool = True) -> Rule:
    """Return the rule of block dropout. The scale follows from the bits."""
    return Rule(p, Operation.scale(), units=units, blocks=blocks, store=store)


def as_blocks(ndim: Any, size: Any, eps: Any, shared_channels: Any) -> Blocks:
    """Return validated blocks."""
    axes = _validate.as_positive(ndim, "block_ndim")
    if axes not in (1, 2, 3):
        raise ValueError(f"block_ndim must be 1, 2 or 3, but got {axes}.")
    added = _validate.as_finite(eps, "eps")
    if added < 0.0:
        raise ValueError(f"eps must not be negative, but got {added}.")
    length = min(_validate.as_positive(size, "block_size"), 2**62)  # beyond any map
    return Blocks(axes, length, added, _validate.as_flag(shared_channels, "shared_channels"))
