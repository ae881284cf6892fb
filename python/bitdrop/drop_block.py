"""Layers that drop whole blocks of feature maps."""

from typing import ClassVar

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._affine import IDENTITY
from bitdrop._arrays import as_inplace_target
from bitdrop._bit_layout import Shard
from bitdrop._blocks import BlockUnits
from bitdrop._forward import Rule, keep_all
from bitdrop._layer import Layer
from bitdrop._typing import Array, Number, RNGLike
from bitdrop.block_mask import EPS, as_blocks, drop_blocks


class _DropBlock(Layer):
    """Base of the layers that drop blocks."""

    _block_ndim: ClassVar[int]
    _shape: ClassVar[str]  # of x, without samples

    def __init__(
        self,
        p: Number = 0.1,
        block_size: int = 7,
        *,
        eps: Number = EPS,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        channels = self._block_ndim + 1
        needs = f"{type(self).__name__} needs x of shape (N, {self._shape}) or ({self._shape})"
        blocks = as_blocks(self._block_ndim, block_size, eps)
        self._units = BlockUnits(ndims=(channels, channels + 1), needs=needs, blocks=blocks)
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return Rule(p, IDENTITY, units=self._units)  # the scale depends on the bits

    @property
    def block_size(self) -> int:
        """Length of a block along each spatial axis."""
        return self._units.blocks.size

    @property
    def eps(self) -> float:
        """Number added to the number of kept elements before it divides."""
        return self._units.blocks.eps

    def forward(
        self,
        x: ArrayLike,
        training: bool | None = None,
        *,
        out: Array | None = None,
        shard: Shard | None = None,
    ) -> Array:
        """Drop blocks of x while training; at inference return x.

        Parameters
        ----------
        x : array_like
            Of the layer's number of axes, and of a dtype that `bitdrop.dropout` supports.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.
        shard : None
            Not supported: the scale depends on all that the whole array keeps.

        Returns
        -------
        ndarray
            ``out``, or a new array, or x itself.

        Raises
        ------
        TypeError, ValueError
            As `Dropout.forward`, or if a block does not fit into a map. The layer's state is then as it was.
        """
        training = self.training if training is None else _validate.as_flag(training, "training")
        if shard is not None:
            raise TypeError(
                f"shard must be None for {type(self).__name__}, whose scale depends on all that the whole "
                f"array keeps, but got {shard!r}."
            )
        if self._inplace:
            out = as_inplace_target(x, out)
        if training:
            take, store = self._counter.take, not self._recompute
            y, self._mask = drop_blocks(x, out, self.p, self._units, take, store)
        else:
            y, self._mask = keep_all(x, out, self._rule)
        return y

    def _arguments(self) -> str:
        eps = "" if self.eps == EPS else f"eps={self.eps!r}, "
        return f"p={self.p!r}, block_size={self.block_size}, {eps}{self._switches()}"


class DropBlock2d(_DropBlock):
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
    _shape = "C, H, W"


class DropBlock3d(_DropBlock):
    """DropBlock layer for volumes and films: drops cubes of feature maps, as `torchvision.ops.DropBlock3d`.

    Parameters
    ----------
    p : float, default 0.1
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int, default 7
        Depth, height and width of a block.
    eps, inplace, recompute, rng
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
    _shape = "C, D, H, W"
