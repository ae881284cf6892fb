"""The layers that drop to zero."""

from typing import ClassVar, Literal

from bitdrop import _validate
from bitdrop._affine import Affine
from bitdrop._forward import Rule
from bitdrop._layer import Layer, names_itself
from bitdrop._typing import NoiseShape, Number, RNGLike, Scaling
from bitdrop._units import Units
from bitdrop.functional import SCALINGS, rule_of, units_of

_P = float("0.5")
"""The default of p. It is told by identity from a 0.5 of the caller, which must not come with keep_prob."""


class Dropout(Layer):
    """Dropout layer: drops units while training, passes gradients back where the signal passed.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1]. As in `bitdrop.dropout`, float16 limits it.
    keep_prob : float, optional
        Probability that a unit is kept, instead of p: p is 1 - keep_prob.
    scaling : {"inverted", "vanilla"}
        As in `bitdrop.dropout`.
    inplace : bool, default False
        Whether forward writes its result into x.
    recompute : bool, default False
        Whether to hold no bits between forward and backward, but to generate them again. It saves one bit a
        unit.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.dropout`: ``(None, 1, None)`` drops the same features at every time step.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Source of the layer's key, drawn once. With None, a forked child draws another key.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.

    Raises
    ------
    TypeError
        If p or keep_prob is not a number, if both are given, or if another argument is of the wrong type.
    ValueError
        If p or keep_prob is not in [0, 1], or scaling is no such convention.

    Notes
    -----
    Each successful forward pass in training takes the next stream number under the layer's key,
    also if p is 0. Several threads may call one layer: no number is used twice. `backward` uses the mask of
    the last forward pass. If a layer is called more than once before backward, keep `mask` of each call and
    call its `Mask.backward`. A copy of a layer has its key and next stream number, and so makes the same
    masks.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.Dropout(p=0.25, rng=0)
    >>> x = np.ones((2, 3))
    >>> layer(x)
    array([[0.        , 1.33333333, 1.33333333],
           [1.33333333, 1.33333333, 1.33333333]])
    >>> layer.backward(np.full((2, 3), 3.0))
    array([[0., 4., 4.],
           [4., 4., 4.]])
    """

    def __init__(
        self,
        p: Number = _P,
        *,
        keep_prob: Number | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        _validate.check_choice(scaling, "scaling", SCALINGS)
        self._scaling: Scaling = scaling
        self._units = units_of(noise_shape)
        if keep_prob is not None:
            if p is not _P:
                raise TypeError(
                    f"p and keep_prob exclude each other, but got p={p!r} and keep_prob={keep_prob!r}."
                )
            p = 1.0 - _validate.as_probability(keep_prob, "keep_prob")
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return rule_of(p, self._scaling)._replace(units=self._units)

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted" or "vanilla"."""
        return self._scaling

    def _arguments(self) -> str:
        return f"p={self.p!r}, scaling={self._scaling!r}, {self._switches()}"


class _UnitDropout(Layer):
    """Base of the layers whose units are a matter of their class."""

    _units: ClassVar[Units]

    def _rule_of(self, p: float) -> Rule:
        return Rule(p, Affine.inverted(p), units=self._units)


@names_itself
class Dropout1d(_UnitDropout):
    """Dropout layer for sequences: drops whole channels, as `torch.nn.Dropout1d`.

    Neighbours in a feature map are similar, so dropping single elements hides little. Dropping whole maps
    makes the channels independent of each other [1]_.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, L) or (C, L).

    References
    ----------
    .. [1] J. Tompson, R. Goroshin, A. Jain, Y. LeCun and C. Bregler, "Efficient object localization using
       convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> bitdrop.Dropout1d(p=0.5, rng=0)(np.ones((1, 3, 4)))
    array([[[0., 0., 0., 0.],
            [2., 2., 2., 2.],
            [2., 2., 2., 2.]]])
    """

    _units = Units(2, unbatched=(2,), ndims=(2, 3), needs="Dropout1d needs x of shape (N, C, L) or (C, L)")


@names_itself
class Dropout2d(_UnitDropout):
    """Dropout layer for images: drops whole channels, as `torch.nn.Dropout2d`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, H, W) or (C, H, W).

    Notes
    -----
    Three axes are one image, as PyTorch has announced for itself. Up to version 2.13, PyTorch warns and takes
    them for (N, C, L). Use `Dropout1d` for those.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.Dropout2d(p=0.5, rng=0)
    >>> y = layer(np.ones((2, 3, 8, 8), dtype=np.float32))
    >>> y[:, :, 0, 0]
    array([[0., 2., 2.],
           [2., 0., 2.]], dtype=float32)
    >>> bool((y == y[:, :, :1, :1]).all())
    True
    """

    _units = Units(
        2, unbatched=(3,), ndims=(3, 4), needs="Dropout2d needs x of shape (N, C, H, W) or (C, H, W)"
    )


@names_itself
class Dropout3d(_UnitDropout):
    """Dropout layer for volumes and films: drops whole channels, as `torch.nn.Dropout3d`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x is not of shape (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> bitdrop.Dropout3d(p=0.5, rng=0)(np.ones((3, 2, 2, 2)))[:, 0, 0, 0]
    array([0., 2., 2.])
    """

    _units = Units(
        2, unbatched=(4,), ndims=(4, 5), needs="Dropout3d needs x of shape (N, C, D, H, W) or (C, D, H, W)"
    )


_MODES = {"row": Units(1, needs="DropPath needs x of shape (N, ...)"), "batch": Units(0)}


class DropPath(Layer):
    """Stochastic depth: drops whole samples, as `timm.layers.DropPath`.

    Before the sum of a residual block, it skips the block for the dropped samples [1]_.

    Parameters
    ----------
    p : float, default 0.0
        Probability that a sample, an index of x's first axis, is dropped, in [0, 1].
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p) in training. Without it nothing is scaled, in
        training or at inference.
    mode : {"row", "batch"}
        "row": each sample has its own draw. "batch": all of x has one draw, as in
        `torchvision.ops.stochastic_depth`.
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x has no axes and mode is "row".
    ValueError
        If p is not in [0, 1], or mode is neither "row" nor "batch".

    References
    ----------
    .. [1] G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Weinberger, "Deep networks with stochastic depth",
       ECCV 2016.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> bitdrop.DropPath(p=0.5, rng=0)(np.ones((3, 2)))
    array([[0., 0.],
           [2., 2.],
           [2., 2.]])
    """

    def __init__(
        self,
        p: Number = 0.0,
        scale_by_keep: bool = True,
        mode: Literal["row", "batch"] = "row",
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        self._scale_by_keep = _validate.as_flag(scale_by_keep, "scale_by_keep")
        _validate.check_choice(mode, "mode", tuple(_MODES))
        self._mode = mode
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        affine = Affine.inverted(p) if self._scale_by_keep else Affine.vanilla()
        return Rule(p, affine, units=_MODES[self._mode])

    @property
    def scale_by_keep(self) -> bool:
        """True if kept samples are multiplied by 1 / (1 - p) in training."""
        return self._scale_by_keep

    @property
    def mode(self) -> Literal["row", "batch"]:
        """Owner of a draw: "row" for each sample, "batch" for all of x."""
        return self._mode

    def _arguments(self) -> str:
        return f"p={self.p!r}, scale_by_keep={self._scale_by_keep}, mode={self._mode!r}, {self._switches()}"
