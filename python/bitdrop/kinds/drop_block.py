"""Layers that drop whole blocks of feature maps."""

from __future__ import annotations

from typing import ClassVar

from bitdrop._core import Blocks, Rule, Units
from bitdrop._layer import Layer
from bitdrop._typing import Number, RNGLike
from bitdrop.records import BlockMask
from bitdrop.records.blocks import EPS, as_blocks, block_rule


class DropBlock(Layer):
    """Base of the layers that drop blocks."""

    _record = BlockMask
    _block_ndim: ClassVar[int]

    def __init__(
        self,
        p: Number = 0.1,
        block_size: int = 7,
        *,
        eps: Number = EPS,
        shared_channels: bool = False,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        blocks = as_blocks(self._block_ndim, block_size, eps, shared_channels)
        self._block_size, self._eps, self._shared_channels = blocks.size, blocks.eps, blocks.shared_channels
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        blocks = Blocks(self._block_ndim, self._block_size, self._eps, self._shared_channels)
        return block_rule(p, blocks, self._units, not self._recompute)

    @property
    def block_size(self) -> int:
        """Length of a block along each spatial axis."""
        return self._block_size

    @property
    def eps(self) -> float:
        """Number added to the number of kept elements before it divides."""
        return self._eps

    @property
    def shared_channels(self) -> bool:
        """True if all channels of a sample lose the same blocks."""
        return self._shared_channels

    def _arguments(self) -> dict[str, object]:
        chosen: dict[str, object] = {"p": self.p, "block_size": self.block_size}
        if self.eps != EPS:
            chosen["eps"] = self.eps
        if self.shared_channels:
            chosen["shared_channels"] = True
        return chosen | self._switches()


class DropBlock1d(DropBlock):
    """DropBlock layer for sequences: drops intervals of feature maps.

    Parameters
    ----------
    p : float, default 0.1
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int, default 7
        Length of a block.
    eps, shared_channels, inplace, recompute, rng
        As in `DropBlock2d`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, L) or (C, L).
    TypeError, ValueError
        As `DropBlock2d`.

    Notes
    -----
    As `DropBlock2d`, with one axis: gamma is p times the elements of a map, divided by the elements of a
    block and by the number of places that it can have.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.DropBlock1d(p=0.2, block_size=3, rng=0)
    >>> y = layer(np.ones((8, 16, 64)))
    >>> print(f"mean {y.mean():.3f}, dropped {np.mean(y == 0):.3f}")
    mean 1.000, dropped 0.184
    """

    _block_ndim = 1
    _fixed_units = Units(ndims=[2, 3], needs="DropBlock1d needs x of shape (N, C, L) or (C, L)")


class DropBlock2d(DropBlock):
    """DropBlock layer for images: drops square blocks of feature maps, as `torchvision.ops.DropBlock2d`.

    Neighbours in a feature map are similar, so dropping single elements hides little. A dropped block hides a
    part of what a channel sees, and the network must look at the rest [1]_.

    Parameters
    ----------
    p : float, default 0.1
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int, default 7
        Height and width of a block.
    eps : float, default 1e-6
        Number added to the number of kept elements before it divides.
    shared_channels : bool, default False
        Whether all channels of a sample lose the same blocks.
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, H, W) or (C, H, W).
    TypeError, ValueError
        If an argument is of the wrong type or out of range; by `forward`, if a block does not fit into a map.

    Notes
    -----
    Each place that a block can have in a map is a seed with probability ::

        gamma = p * H * W / (block_size**2 * (H - block_size + 1) * (W - block_size + 1))

    independently of the others, by mask format 1. An element is dropped if the block of a seed covers it, and
    becomes +0.0. The others are multiplied by ``x.size / (kept + eps)``, with the number of elements that are
    kept in all of x, so that the mean stays. With p = 0, x stays bit for bit as it is. The gradient has the
    same blocks and scale.

    Blocks overlap, the more the larger p is. So the share of dropped elements is less than p. `mask` is a
    `bitdrop.BlockMask`, and `mask.scale` is the factor.

    torchvision shrinks a block that is larger than the maps, and refuses blocks of even size. Here the first
    is an error, and every size that fits is served.

    References
    ----------
    .. [1] G. Ghiasi, T.-Y. Lin and Q. V. Le, "DropBlock: a regularization method for convolutional networks",
       NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.DropBlock2d(p=0.2, block_size=2, rng=2)
    >>> layer(np.ones((1, 1, 4, 6))).round(2)        # two blocks, which overlap
    array([[[[1.71, 1.71, 0.  , 0.  , 1.71, 1.71],
             [1.71, 1.71, 0.  , 0.  , 0.  , 0.  ],
             [1.71, 1.71, 1.71, 1.71, 0.  , 0.  ],
             [1.71, 1.71, 1.71, 1.71, 0.  , 0.  ]]]])
    """

    _block_ndim = 2
    _fixed_units = Units(ndims=[3, 4], needs="DropBlock2d needs x of shape (N, C, H, W) or (C, H, W)")


class DropBlock3d(DropBlock):
    """DropBlock layer for volumes and films: drops cubes of feature maps, as `torchvision.ops.DropBlock3d`.

    Parameters
    ----------
    p : float, default 0.1
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int, default 7
        Depth, height and width of a block.
    eps, shared_channels, inplace, recompute, rng
        As in `DropBlock2d`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, D, H, W) or (C, D, H, W).
    TypeError, ValueError
        As `DropBlock2d`.

    Notes
    -----
    As `DropBlock2d`, with a third axis: gamma is p times the elements of a map, divided by the elements of a
    block and by the number of places that it can have.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> y = bitdrop.DropBlock3d(p=0.1, block_size=2, rng=0)(np.ones((8, 16, 6, 6, 6)))
    >>> print(f"mean {y.mean():.3f}, dropped {np.mean(y == 0):.3f}")
    mean 1.000, dropped 0.098
    """

    _block_ndim = 3
    _fixed_units = Units(ndims=[4, 5], needs="DropBlock3d needs x of shape (N, C, D, H, W) or (C, D, H, W)")
