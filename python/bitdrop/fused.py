"""Fused passes: bias, ReLU, dropout and residual in one pass over memory."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from bitdrop import _core, _engine, _validate
from bitdrop._affine import IDENTITY
from bitdrop._arrays import as_array, as_array_of_dtype, as_inplace_target, as_output, as_second_array
from bitdrop._buffers import empty_bits
from bitdrop._forward import Rule, unchanged
from bitdrop._fusion import Activation, Inputs, broadcasts, check_activation, fused_affine
from bitdrop._layer import Layer
from bitdrop._plan import KEEP_ALL, Plan, new_plan
from bitdrop._random import draw_key
from bitdrop._typing import Array, Key, Number, RNGLike, Scaling
from bitdrop.functional import SCALINGS, rule_of
from bitdrop.fused_mask import FusedMask


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
        Added to the result, of x's shape and dtype.
    training : bool, default True
        Whether to drop. At inference nothing is dropped, and the rest is still one pass.
    scaling, rng
        As in `bitdrop.dropout`.
    out : ndarray, optional
        Where to write the result: an array of x's shape and dtype with any strides, x itself, or residual
        itself.

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
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", SCALINGS)
    check_activation(activation)
    rule = rule_of(probability, scaling)
    training = _validate.as_flag(training, "training")
    draw = (lambda: (draw_key(rng), 0)) if training else None
    return _run(x, out, rule, Inputs(bias, residual, activation), draw)


def _run(
    x: ArrayLike,
    out: Array | None,
    rule: Rule,
    inputs: Inputs,
    draw: Callable[[], tuple[Key, int]] | None,
) -> tuple[Array, FusedMask]:
    """Do a pass. `draw` is called once nothing can fail any more. None: inference."""
    values, dtype = as_array(x)
    bias, residual, activation = inputs
    bias_shape = None
    if bias is not None:
        bias = _as_bias(bias, values)
        bias_shape = bias.shape
    if residual is not None:
        residual = as_second_array(residual, "residual", values, "x")
    y = None
    if out is not None:
        y = as_output(out, values)
        _check_overlap(y, bias, residual)
    more = bias is not None or residual is not None
    affine = rule.affine if draw else rule.at_inference
    if not (draw or more or activation) and affine == IDENTITY:
        return unchanged(values, y), FusedMask._of_pass(values.shape, KEEP_ALL, affine, None, None)
    if y is None:
        y = as_output(None, values)
    bits = empty_bits(values.size) if draw or activation else None
    plan: Plan = new_plan((*draw(), rule.p)) if draw else KEEP_ALL
    arrays = (y, values, bias, residual) if more else (y, values)
    _engine.drop((dtype, arrays), fused_affine(affine, activation is not None, more), plan, None, bits)
    return y, FusedMask._of_pass(values.shape, plan, affine, bits, bias_shape)


def _as_bias(bias: ArrayLike, x: Array) -> Array:
    array = as_array_of_dtype(bias, "bias", x, "x")
    shape, whole = array.shape, x.shape
    if shape == whole[len(whole) - len(shape) :] or broadcasts(shape, whole):
        return array
    raise ValueError(f"bias must broadcast to x's shape, {whole}, but its shape is {shape}.")


def _check_overlap(out: Array, bias: Array | None, residual: Array | None) -> None:
    if bias is not None and np.shares_memory(out, bias):
        raise ValueError("out overlaps bias: pass an array apart from it.")
    if residual is not None and _core.fit(residual, out) == _core.Fit.OVERLAPS:
        raise ValueError("out overlaps residual in part: pass residual itself, or an array apart from it.")


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
    inplace : bool, default False
        Whether forward writes its result into x.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Source of the layer's key, drawn once.

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

    _mask: FusedMask | None

    def __init__(
        self,
        p: Number = 0.5,
        *,
        activation: Activation | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        _validate.check_choice(scaling, "scaling", SCALINGS)
        check_activation(activation)
        self._scaling: Scaling = scaling
        self._activation = activation
        super().__init__(p, inplace=inplace, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return rule_of(p, self._scaling)

    @property
    def activation(self) -> Activation | None:
        """The activation between bias and dropout, or None."""
        return self._activation

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted" or "vanilla"."""
        return self._scaling

    def forward(  # type: ignore[override]
        self,
        x: ArrayLike,
        training: bool | None = None,
        *,
        bias: ArrayLike | None = None,
        residual: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return ``residual + dropout(activation(x + bias))``; at inference, nothing is dropped.

        Parameters
        ----------
        x : array_like
            Of any shape, and of dtype float16, bfloat16, float32 or float64.
        training : bool, optional
            The mode for this call. None means the layer's own.
        bias, residual : array_like, optional
            As in `bitdrop.fused_dropout`.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, x itself, or residual itself.

        Returns
        -------
        ndarray
            ``out``, or a new array, or x itself.

        Raises
        ------
        TypeError, ValueError
            As `bitdrop.fused_dropout`. If the layer writes in place, also if out is given, or x is not an
            array that may be written to. The layer's state is then as it was.
        """
        training = self.training if training is None else _validate.as_flag(training, "training")
        if self._inplace:
            out = as_inplace_target(x, out)
        inputs = Inputs(bias, residual, self._activation)
        y, self._mask = _run(x, out, self._rule, inputs, self._counter.take if training else None)
        return y

    def backward(
        self, dy: ArrayLike, *, out: Array | None = None, bias_gradient: Array | None = None
    ) -> Array:
        """Return the gradient with respect to x, and write that with respect to the bias.

        Parameters, results and errors are those of `FusedMask.backward`. Without a forward pass before, it is
        a RuntimeError.
        """
        mask = self._mask
        if mask is None:
            _validate.raise_no_forward()
        return mask.backward(dy, out=out, bias_gradient=bias_gradient)

    def _arguments(self) -> str:
        first = f"p={self.p!r}, activation={self._activation!r}, scaling={self._scaling!r}"
        return f"{first}, inplace={self._inplace}"
