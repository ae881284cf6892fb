"""The layers: what each draws, and by what numbers its elements change."""

from typing import ClassVar

from numpy.typing import ArrayLike

from bitdrop import _checks
from bitdrop._checks import NoiseShape, Number
from bitdrop._layer import Layer, shared_after
from bitdrop._rng import RNGLike
from bitdrop.functional import SCALINGS, Scaling, inference_scale, training_scale
from bitdrop.mask import keep_scale

_DEFAULT_P = _checks.DefaultP(0.5)


class Dropout(Layer):
    """Dropout layer: drops units while training, passes gradients back where the signal passed.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1].
    keep_prob : float, optional
        Probability that a unit is kept, instead of p: p is 1 - keep_prob.
    scaling : {"inverted", "vanilla"}
        As in `bitdrop.dropout`.
    inplace : bool, default False
        Whether forward writes its result into x.
    recompute : bool, default False
        Whether to hold no bits between forward and backward, but make them again. It saves one bit a unit.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.dropout`: ``(None, 1, None)`` drops the same features at every time step.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Where the layer's key is drawn from, once. With None, it is drawn again in a forked child.

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
    Each successful forward pass in training takes the next stream number under the layer's key, also where p
    is 0. Several threads may call one layer: no number is used twice. `backward` goes through the mask of the
    last forward pass; where a layer is used more than once before backward, keep `mask` of each call and call
    its `Mask.backward`. A copy of a layer has its key and position, and so makes the same masks.

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
        p: Number = _DEFAULT_P,
        *,
        keep_prob: Number | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        _checks.choice(scaling, "scaling", SCALINGS)
        self._scaling: Scaling = scaling
        self._noise_shape = None if noise_shape is None else _checks.noise_entries(noise_shape)
        probability = _checks.drop_probability(p, keep_prob)
        super().__init__(probability, inplace=inplace, recompute=recompute, rng=rng)

    def _set_numbers(self, p: float) -> None:
        self._scale = training_scale(p, self._scaling)
        self._inference_scale = inference_scale(p, self._scaling)

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape | None:
        return self._noise_shape

    def _arguments(self) -> str:
        shape = "" if self._noise_shape is None else f", noise_shape={self._noise_shape}"
        return f"p={self._p!r}, scaling={self._scaling!r}, {self._switches()}{shape}"


class _ChannelDropout(Layer):
    """Base of the layers that drop whole channels."""

    _sample_axes: ClassVar[tuple[str, ...]]  # of one sample: its channels first

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape:
        shape = _checks.array(x)[0].shape
        axes = len(self._sample_axes)
        if len(shape) not in (axes, axes + 1):
            name, sample = type(self).__name__, ", ".join(self._sample_axes)
            raise RuntimeError(f"{name} needs x of shape (N, {sample}) or ({sample}), but got {shape}.")
        return shared_after(len(shape) - axes + 1, shape)


class Dropout1d(_ChannelDropout):
    """Dropout layer for sequences: drops whole channels, as `torch.nn.Dropout1d`.

    Neighbours in a feature map are much alike, so dropping single elements hides little; whole maps make
    the channels independent of each other [1]_.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    RuntimeError
        By `forward`, if x is not of shape (N, C, L) or (C, L), as in PyTorch.

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

    _sample_axes = ("C", "L")


class Dropout2d(_ChannelDropout):
    """Dropout layer for images: drops whole channels, as `torch.nn.Dropout2d`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    RuntimeError
        By `forward`, if x is not of shape (N, C, H, W) or (C, H, W).

    Notes
    -----
    Three axes are one image, as PyTorch has announced; up to version 2.13 it warns, and takes them for
    (N, C, L). That is `Dropout1d`.

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

    _sample_axes = ("C", "H", "W")


class Dropout3d(_ChannelDropout):
    """Dropout layer for volumes and films: drops whole channels, as `torch.nn.Dropout3d`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    RuntimeError
        By `forward`, if x is not of shape (N, C, D, H, W) or (C, D, H, W).

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> bitdrop.Dropout3d(p=0.5, rng=0)(np.ones((3, 2, 2, 2)))[:, 0, 0, 0]
    array([0., 2., 2.])
    """

    _sample_axes = ("C", "D", "H", "W")


class DropPath(Layer):
    """Stochastic depth [1]_: drops whole samples, as `timm.layers.DropPath`.

    Put before the sum of a residual block, it skips the block for the samples that it drops.

    Parameters
    ----------
    p : float, default 0.0
        Probability that a sample, an index of x's first axis, is dropped, in [0, 1].
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p) in training. Without it nothing is scaled, in
        training or at inference.
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    RuntimeError
        By `forward`, if x has no axes.

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
        *,
        scale_by_keep: bool = True,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        self._scale_by_keep = _checks.flag(scale_by_keep, "scale_by_keep")
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _set_numbers(self, p: float) -> None:
        self._scale = keep_scale(p) if self._scale_by_keep else 1.0

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape:
        shape = _checks.array(x)[0].shape
        if not shape:
            raise RuntimeError("DropPath needs x of shape (N, ...), but it has no axes.")
        return shared_after(1, shape)

    def _arguments(self) -> str:
        return f"p={self._p!r}, scale_by_keep={self._scale_by_keep}, {self._switches()}"
