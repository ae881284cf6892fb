"""Dropout of elements and of whole channels, as a function and as layers."""

from __future__ import annotations

from functools import lru_cache
from typing import Never

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._core import Operation, Rule, Units
from bitdrop._keywords import collects_unknown, raise_unknown
from bitdrop._layer import Layer
from bitdrop._run import run
from bitdrop._shard import ELEMENTS, Shard, units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop.records.mask import Mask, inverted_scale


def dropout_rule(p: float, scaling: Scaling, units: Units = ELEMENTS, store: bool = True) -> Rule:
    """Return the rule of dropout with a scaling convention, for validated arguments."""
    if scaling == "inverted":
        return Rule(p, Operation.scale(inverted_scale(p)), units=units, store=store)
    return Rule(p, Operation.scale(1.0), Operation.scale(1.0 - p), units, store=store)


_rule_of_elements = lru_cache(dropout_rule)


@collects_unknown
def dropout(
    x: ArrayLike,
    p: Number = 0.5,
    *,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    out: Array | None = None,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
    **unknown: Never,
) -> tuple[Array, Mask]:
    """Set each element to zero with probability `p`, and scale the rest so that the mean stays.

    Parameters
    ----------
    x : array_like
        Of any shape and strides, and of dtype float16, bfloat16 (``ml_dtypes``), float32, float64, complex64
        or complex128. Both parts of a complex number share a draw.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1]: a real number of any type, or a 0-d array of one.
        In float16 the scale 1 / (1 - p) exceeds the largest number if p is above 0.99998: kept elements of
        magnitude 1 become infinite.
    training : bool, default True
        Whether to drop. At inference nothing is dropped, and x itself is returned if nothing is scaled.
    scaling : {"inverted", "vanilla"}
        "inverted": kept elements are multiplied by 1 / (1 - p) in training, as PyTorch, Keras and JAX do.
        "vanilla": nothing is scaled in training, and everything is multiplied by 1 - p at inference, as in
        the original paper [1]_.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Source of the mask's key, by Scientific Python's SPEC 7. A Generator is advanced in training, also if
        p is 0. None uses entropy of the system.
    out : ndarray, optional
        Where to write the result: an array of x's shape and dtype with any strides, or x itself.
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a draw, or x's length (or None, which
        means the same). ``(None, None, 1, 1)`` drops whole channels of images.
    shard : Shard, optional
        Place of x in a larger array, if it is a part. The result is that part of the whole array's result.
        noise_shape then refers to the whole array.

    Returns
    -------
    y : ndarray
        ``out``, or a new array, or x itself. A dropped element is +0.0, whatever x held.
    mask : Mask
        The dropped elements. ``mask.backward(dy)`` is the gradient with respect to x.

    Raises
    ------
    TypeError
        If p is not a number; if x is of another dtype, of non-native byte order, masked or lazy; if out is
        not of x's dtype.
    ValueError
        If p is not in [0, 1]; if out is of another shape, read-only, overlaps itself, or overlaps x in part;
        if noise_shape or shard does not fit x's shape.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way
       to prevent neural networks from overfitting", Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.arange(8, dtype=np.float32)
    >>> y, mask = bitdrop.dropout(x, p=0.5, rng=1)
    >>> y
    array([ 0.,  0.,  4.,  6.,  0.,  0., 12.,  0.], dtype=float32)
    >>> mask.backward(np.ones(8, dtype=np.float32))
    array([0., 0., 2., 2., 0., 0., 2., 0.], dtype=float32)
    """
    if unknown:
        raise_unknown(dropout, unknown)
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
    if noise_shape is None:
        rule = _rule_of_elements(probability, scaling)
    else:
        rule = dropout_rule(probability, scaling, units_of(noise_shape))
    y, done = run(rule, (x,), out, training, rng, shard)
    return y, Mask._of(done)


class _NotGiven(float):
    """A default that is told from the same number of the caller."""


_HALF = _NotGiven(0.5)


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
        Source of the layer's key, drawn once. With None, a forked child, a copy and an unpickled layer draw
        another key.

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
    call its `Mask.backward`.

    A copy or an unpickled layer that got a seed has its key and next stream number, and so makes the same
    masks. Without a seed it draws a key of its own, so that no two layers make the same masks by accident.
    The pickle of a layer holds its last mask either way.

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
        p: Number = _HALF,
        *,
        keep_prob: Number | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
        self._scaling: Scaling = scaling
        if keep_prob is not None:
            if not isinstance(p, _NotGiven):
                raise TypeError(
                    f"p and keep_prob exclude each other, but got p={p!r} and keep_prob={keep_prob!r}."
                )
            p = 1.0 - _validate.as_probability(keep_prob, "keep_prob")
        super().__init__(p, inplace=inplace, recompute=recompute, noise_shape=noise_shape, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return dropout_rule(p, self._scaling, self._units, not self._recompute)

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted" or "vanilla"."""
        return self._scaling

    def _arguments(self) -> dict[str, object]:
        return {"p": self.p, "scaling": self._scaling} | self._switches()


class ChannelDropout(Layer):
    """Base of the layers that drop whole channels or samples."""

    def _rule_of(self, p: float) -> Rule:
        return dropout_rule(p, "inverted", self._units, not self._recompute)


class Dropout1d(ChannelDropout):
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

    _fixed_units = Units(
        2, unbatched=[2], ndims=[2, 3], needs="Dropout1d needs x of shape (N, C, L) or (C, L)"
    )


class Dropout2d(ChannelDropout):
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

    _fixed_units = Units(
        2, unbatched=[3], ndims=[3, 4], needs="Dropout2d needs x of shape (N, C, H, W) or (C, H, W)"
    )


class Dropout3d(ChannelDropout):
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

    _fixed_units = Units(
        2,
        unbatched=[4],
        ndims=[4, 5],
        needs="Dropout3d needs x of shape (N, C, D, H, W) or (C, D, H, W)",
    )
