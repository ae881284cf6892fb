"""Fused passes: bias, ReLU, dropout and residual in one pass over memory."""

from __future__ import annotations

from typing import Any, Literal, Never

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._core import Operation, Rule, Units
from bitdrop._keywords import collects_unknown, raise_unknown
from bitdrop._layer import Layer
from bitdrop._run import run
from bitdrop._shard import Shard, units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop.records import FusedMask
from bitdrop.records.mask import inverted_scale

Activation = Literal["relu"]
ACTIVATIONS = ("relu",)


def check_activation(activation: Any) -> None:
    """Check that an activation is None or one that fused passes have."""
    if activation is not None and (not isinstance(activation, str) or activation not in ACTIVATIONS):
        raise ValueError(f"activation must be None or 'relu', but got {activation!r}.")


def fused_rule(p: float, scaling: Scaling, active: bool, units: Units, store: bool = True) -> Rule:
    """Return the rule of a fused pass, for validated arguments."""
    factors = (inverted_scale(p), 1.0) if scaling == "inverted" else (1.0, 1.0 - p)
    training, inference = (Operation.fused(factor, active) for factor in factors)
    return Rule(p, training, inference, units, store=store)


@collects_unknown
def fused_dropout(
    x: ArrayLike,
    p: Number = 0.5,
    *,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    residual: ArrayLike | None = None,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    out: Array | None = None,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
    **unknown: Never,
) -> tuple[Array, FusedMask]:
    """Return ``residual + dropout(activation(x + bias))``, in one pass.

    Parameters
    ----------
    x : array_like
        Of any shape and strides, and of dtype float16, bfloat16 (``ml_dtypes``), float32 or float64.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    bias : array_like, optional
        Added to x, of x's dtype and of a shape that broadcasts to x's: (C,) for rows of C features, (C, 1, 1)
        for images.
    activation : {"relu"}, optional
        ``"relu"`` is ``max(x + bias, 0)``. None: no activation.
    residual : array_like, optional
        Added to the result, of x's shape and dtype. It may be float32 beside x and bias of float16 or
        bfloat16, as mixed-precision training keeps it: then the result is float32, nothing is rounded on the
        way, and the gradient with respect to x, from dy of float32, is rounded once to x's dtype.
    training : bool, default True
        Whether to drop. At inference nothing is dropped, and the rest is still one pass.
    scaling, rng
        As in `bitdrop.dropout`.
    out : ndarray, optional
        Where to write the result: an array of x's shape and the result's dtype with any strides, x itself,
        or residual itself.
    noise_shape, shard
        As in `bitdrop.dropout`.

    Returns
    -------
    y : ndarray
        ``out``, or a new array. At inference x itself, if nothing is to be done and out is None.
    mask : FusedMask
        The elements that are kept and active. ``mask.backward(dy)`` is the gradient with respect to x, and
        ``bias_gradient=`` takes that with respect to bias. The gradient with respect to residual is dy.

    Raises
    ------
    TypeError
        As `bitdrop.dropout`, or if bias or residual is not of x's dtype.
    ValueError
        As `bitdrop.dropout`, or if bias does not broadcast to x's shape, residual is of another shape,
        activation is unknown, or out overlaps bias or a part of residual.

    Notes
    -----
    float32 and float64 are computed as by NumPy in steps, bit for bit: add, maximum, multiply by the scale,
    select, add. float16 and bfloat16 are computed in float32 and rounded once. The random bits are those of
    ``bitdrop.dropout(x, p, rng=rng)``. A NaN is active: it stays a NaN if it is kept, and its gradient
    passes.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.array([[-3.0, 1.0, 2.0], [4.0, -5.0, 6.0]])
    >>> y, mask = bitdrop.fused_dropout(x, 0.5, bias=np.ones(3), activation="relu", residual=x, rng=1)
    >>> y
    array([[-3.,  1.,  8.],
           [14., -5.,  6.]])
    >>> gradient = np.empty(3)
    >>> mask.backward(np.ones((2, 3)), bias_gradient=gradient)
    array([[0., 0., 2.],
           [2., 0., 0.]])
    >>> gradient
    array([2., 0., 2.])
    """
    if unknown:
        raise_unknown(fused_dropout, unknown)
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
    check_activation(activation)
    rule = fused_rule(probability, scaling, activation is not None, units_of(noise_shape))
    y, done = run(rule, (x, bias, residual), out, training, rng, shard)
    return y, FusedMask._of(done)


class FusedDropout(Layer):
    """Layer that adds a bias, applies ReLU, drops, and adds a residual, in one pass.

    Parameters
    ----------
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    activation : {"relu"}, optional
        As in `bitdrop.fused_dropout`.
    scaling : {"inverted", "vanilla"}
        As in `bitdrop.dropout`.
    inplace, noise_shape, rng
        As in `Dropout`.
    recompute : bool, default False
        As in `Dropout`, without an activation. With one, True is a ValueError: which elements are active
        depends on x, so it is held.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or out of range.

    Notes
    -----
    A layer of the same rng drops the elements that `Dropout` drops. `mask` is a `bitdrop.FusedMask`.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.FusedDropout(p=0.25, activation="relu", rng=0)
    >>> x, bias = np.array([[-1.0, 2.0], [3.0, -4.0]]), np.array([0.0, 1.0])
    >>> layer(x, bias=bias)
    array([[0., 4.],
           [4., 0.]])
    >>> gradient = np.empty(2)
    >>> dx = layer.backward(np.ones((2, 2)), bias_gradient=gradient)
    >>> gradient
    array([1.33333333, 1.33333333])
    """

    _record = FusedMask
    _further_inputs = ("bias", "residual")

    def __init__(
        self,
        p: Number = 0.5,
        *,
        activation: Activation | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
        check_activation(activation)
        if _validate.as_flag(recompute, "recompute") and activation is not None:
            raise ValueError(
                "recompute must be False with an activation: which elements are active depends on x, so "
                "it is held."
            )
        self._scaling: Scaling = scaling
        self._activation = activation
        super().__init__(p, inplace=inplace, recompute=recompute, noise_shape=noise_shape, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        active = self._activation is not None
        return fused_rule(p, self._scaling, active, self._units, not self._recompute)

    @property
    def activation(self) -> Activation | None:
        """The activation between bias and dropout, or None."""
        return self._activation

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted" or "vanilla"."""
        return self._scaling

    def _arguments(self) -> dict[str, Any]:
        return {"p": self.p, "activation": self._activation, "scaling": self._scaling} | self._switches()
