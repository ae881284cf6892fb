"""Dropout functions of JAX arrays."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitdrop import _validate
from bitdrop._affine import Affine
from bitdrop._bit_layout import Shard, bit_layout, check_shard
from bitdrop._engine import COMPLEX_DTYPES, DTYPES
from bitdrop._fusion import Activation, broadcasts, check_activation
from bitdrop._typing import NoiseShape, Number, Shape
from bitdrop._units import ELEMENTS, Units
from bitdrop.functional import units_of
from bitdrop.jax import _primitive
from bitdrop.jax._keys import key_words
from bitdrop.jax._rules import Operation, Place, Rule
from bitdrop.layers import PATH_UNITS

ShardLike = Shard | tuple[Sequence[int], Any]
"""A shard, or its two fields, of which the start may be traced."""


class _Draws(NamedTuple):
    """Where the draws of a pass come from, and which elements share them."""

    key: Any
    units: Units
    shard: ShardLike | None


def dropout(
    x: Any,
    p: Number = 0.5,
    *,
    key: Any,
    training: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Set each element to zero with probability `p`, and scale the rest so that the mean stays.

    Parameters
    ----------
    x : jax.Array
        Of any shape, and of dtype float16, bfloat16, float32, float64, complex64 or complex128. Both parts of a
        complex number share a draw. A NumPy array is converted as by JAX's own functions.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1]. It is static: not a traced value.
    key : jax.Array
        Key of JAX, typed or raw, which may be traced. `mask_key` returns the key of the mask that it makes. It may
        be None at inference.
    training : bool, default True
        Whether to drop. Otherwise x itself is returned. Static.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.dropout`: ``(None, None, 1, 1)`` drops whole channels of images.
    shard : Shard, or tuple of shape and start, optional
        Place of x in a larger array, if it is a part, as in `bitdrop.dropout`. As a tuple, its start is an array of
        ints or a sequence that may hold traced values, which are not checked. An array that JAX itself has
        distributed needs none.

    Returns
    -------
    jax.Array
        Of x's shape and dtype: ``x / (1 - p)`` where kept. A dropped element is +0.0, whatever x held.

    Raises
    ------
    TypeError
        If x is no array of a supported dtype, key is no key, p is not a number or traced, or another argument is
        of the wrong type.
    ValueError
        If p is not in [0, 1], key is an array of keys, or noise_shape or shard does not fit x's shape.
    NotImplementedError
        If the computation is compiled for a device other than a CPU.

    Notes
    -----
    Equal keys give equal masks. So split keys, as for `jax.random`. The mask is
    ``bitdrop.Mask(x.shape, p, key=bitdrop.jax.mask_key(key))``, under every transform of JAX and for every number of
    devices. Gradients hold the key, and draw the mask again.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> x = jnp.arange(8.0)
    >>> bitdrop.jax.dropout(x, p=0.5, key=jax.random.key(3))
    Array([ 0.,  0.,  4.,  6.,  8.,  0.,  0., 14.], dtype=float32)
    >>> loss = lambda x, key: bitdrop.jax.dropout(x, p=0.5, key=key).sum()
    >>> jax.jit(jax.grad(loss))(x, jax.random.key(3))
    Array([0., 0., 2., 2., 2., 0., 0., 2.], dtype=float32)
    """
    p = _validate.as_probability(p)
    rule = Rule.of_affine(p, Affine.inverted(p))
    return _drop(
        _as_array(x, "x", accept_complex=True), rule, training, _Draws(key, units_of(noise_shape), shard)
    )


def alpha_dropout(
    x: Any,
    p: Number = 0.5,
    *,
    key: Any,
    training: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Apply dropout for self-normalising networks, which keeps mean and variance: see `bitdrop.AlphaDropout`.

    Parameters, results and errors are those of `dropout`, but x is real. ``noise_shape=(None, None, 1, 1)`` drops
    whole channels of images, as `bitdrop.FeatureAlphaDropout`.

    Examples
    --------
    >>> import bitdrop.jax, jax
    >>> x = jax.random.normal(jax.random.key(0), 1_000_000)
    >>> y = bitdrop.jax.alpha_dropout(x, p=0.3, key=jax.random.key(1))
    >>> print(f"mean {abs(y.mean()):.2f}, standard deviation {y.std():.2f}")
    mean 0.00, standard deviation 1.00
    """
    p = _validate.as_probability(p)
    rule = Rule.of_affine(p, Affine.alpha(p))
    return _drop(_as_array(x, "x"), rule, training, _Draws(key, units_of(noise_shape), shard))


def gaussian_dropout(
    x: Any,
    p: Number = 0.5,
    *,
    key: Any,
    training: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Multiply each element by Gaussian noise of mean 1 and variance p / (1 - p): see `bitdrop.gaussian_dropout`.

    Parameters, results and errors are those of `dropout`, but x is real, and p is less than 1. The factors are those
    of ``bitdrop.Noise(x.shape, p, key=bitdrop.jax.mask_key(key))``.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> y = bitdrop.jax.gaussian_dropout(jnp.ones(1_000_000), p=0.2, key=jax.random.key(0))
    >>> print(f"mean {y.mean():.2f}, standard deviation {y.std():.2f}")
    mean 1.00, standard deviation 0.50
    """
    rule = Rule(_validate.as_noise_rate(p), Operation.NOISE)
    return _drop(_as_array(x, "x"), rule, training, _Draws(key, units_of(noise_shape), shard))


def drop_path(
    x: Any,
    p: Number = 0.0,
    scale_by_keep: bool = True,
    mode: Literal["row", "batch"] = "row",
    *,
    key: Any,
    training: bool = True,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Drop whole samples, for stochastic depth: see `bitdrop.DropPath`.

    Parameters
    ----------
    x, key, training, shard
        As in `dropout`.
    p : float, default 0.0
        Probability that a sample, an index of x's first axis, is dropped, in [0, 1]. Static.
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p).
    mode : {"row", "batch"}
        "row": each sample has its own draw. "batch": all of x has one draw.

    Returns
    -------
    jax.Array
        Of x's shape and dtype.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `dropout`, or if mode is neither "row" nor "batch", or x has no axes and mode is "row".

    Notes
    -----
    Under `jax.vmap` over samples, each of which has its own key, use ``mode="batch"``.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> bitdrop.jax.drop_path(jnp.ones((3, 2)), p=0.5, key=jax.random.key(2))
    Array([[2., 2.],
           [2., 2.],
           [0., 0.]], dtype=float32)
    """
    p = _validate.as_probability(p)
    _validate.check_choice(mode, "mode", tuple(PATH_UNITS))
    scaled = _validate.as_flag(scale_by_keep, "scale_by_keep")
    rule = Rule.of_affine(p, Affine.inverted(p) if scaled else Affine.vanilla())
    return _drop(_as_array(x, "x", accept_complex=True), rule, training, _Draws(key, PATH_UNITS[mode], shard))


def zoneout(
    new: Any,
    previous: Any,
    p: Number = 0.1,
    *,
    key: Any,
    training: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Keep each element's previous value with probability `p`: zoneout of recurrent states, see `bitdrop.zoneout`.

    Parameters
    ----------
    new, previous : jax.Array
        The state after a step and before it: of one shape and one dtype that `dropout` supports.
    p : float, default 0.1
        Probability that an element keeps its previous value, in [0, 1]. Static.
    key, training, noise_shape, shard
        As in `dropout`. At inference the result is the expectation, ``(1 - p) * new + p * previous``.

    Returns
    -------
    jax.Array
        The new state.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `dropout`, or if new and previous differ in shape or dtype.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> previous, new = jnp.zeros(6), jnp.arange(1.0, 7.0)
    >>> bitdrop.jax.zoneout(new, previous, p=0.5, key=jax.random.key(3))
    Array([0., 0., 3., 4., 5., 0.], dtype=float32)
    """
    p = _validate.as_probability(p)
    states = _as_array(new, "new", accept_complex=True), _as_array(previous, "previous", accept_complex=True)
    _check_like(states[1], "previous", states[0], "new")
    draws = _Draws(key, units_of(noise_shape), shard)
    if not _validate.as_flag(training, "training"):
        return (1.0 - p) * states[0] + p * states[1]
    return _run(states, Rule(p, Operation.SELECT), draws)


def fused_dropout(
    x: Any,
    p: Number = 0.5,
    *,
    key: Any,
    bias: Any = None,
    activation: Activation | None = None,
    residual: Any = None,
    training: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: ShardLike | None = None,
) -> jax.Array:
    """Return ``residual + dropout(activation(x + bias))``, in one pass: see `bitdrop.fused_dropout`.

    Parameters
    ----------
    x : jax.Array
        Of any shape, and of dtype float16, bfloat16, float32 or float64.
    p, key, training, noise_shape, shard
        As in `dropout`. At inference nothing is dropped, and XLA computes the rest.
    bias : jax.Array, optional
        Added to x, of x's dtype and of a shape that broadcasts to x's.
    activation : {"relu"}, optional
        Applied after the bias. None: no activation.
    residual : jax.Array, optional
        Added to the result, of x's shape and dtype.

    Returns
    -------
    jax.Array
        Of x's shape and dtype. Gradients flow to x, bias and residual.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `dropout`, or if bias or residual does not fit x, or the activation is unknown.

    Notes
    -----
    float16 and bfloat16 are computed in float32 and rounded once. A NaN is active, as in `bitdrop.fused_dropout`. For
    the gradient of an activation, JAX holds which elements are active.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> x, bias = jnp.array([[-3.0, 1.0], [2.0, 4.0]]), jnp.ones(2)
    >>> key = jax.random.key(1)
    >>> bitdrop.jax.fused_dropout(x, 0.5, key=key, bias=bias, activation="relu", residual=x)
    Array([[-3.,  1.],
           [ 8., 14.]], dtype=float32)
    """
    p = _validate.as_probability(p)
    check_activation(activation)
    x = _as_array(x, "x")
    inputs = x, _as_bias(bias, x), _as_residual(residual, x)
    draws = _Draws(key, units_of(noise_shape), shard)
    if not _validate.as_flag(training, "training"):
        biased = inputs[0] if bias is None else inputs[0] + inputs[1]
        active = biased if activation is None else jnp.maximum(biased, 0)
        return active if residual is None else inputs[2] + active
    operation = Operation.FUSED if activation is None else Operation.FUSED_RELU
    return _run(inputs, Rule(p, operation, Affine.inverted(p)), draws)


def _drop(x: Any, rule: Rule, training: bool, draws: _Draws) -> Any:
    """Do a pass with one input. At inference it is the result."""
    return _run((x,), rule, draws) if _validate.as_flag(training, "training") else x


def _run(inputs: tuple[Any, ...], rule: Rule, draws: _Draws) -> Any:
    place, start = _place_of(inputs[0].shape, draws.units, draws.shard)
    return _primitive.run(key_words(draws.key), start, inputs, rule, place)


def _place_of(shape: Shape, units: Units, shard: ShardLike | None) -> tuple[Place, Any]:
    """Return the place of an array's draws, and its start in the whole if that may be traced."""
    start = None
    if isinstance(shard, tuple):
        if len(shard) != 2:
            raise TypeError(
                f"shard must be a bitdrop.Shard or a tuple of shape and start, but got {shard!r}."
            )
        of_whole = Shard(shard[0], (0,) * len(shard[0]))
        start = _as_start(shard[1], len(of_whole.shape))
        shard = of_whole
    if shard is not None:
        check_shard(shard, shape)
    units.check(shape)
    whole = shape if shard is None else shard.shape
    noise_shape = units.noise_shape(whole) or whole
    layout = bit_layout(shape, noise_shape, shard)
    strides = tuple(
        stride if drawn == length else 0
        for drawn, length, stride in zip(noise_shape, whole, layout.strides, strict=True)
    )
    return Place(layout.first, strides), start


def _as_start(start: Any, ndim: int) -> Any:
    """Return the start of a shard as an array of an index for each axis."""
    indices = start if hasattr(start, "dtype") else jnp.stack([jnp.asarray(index) for index in start])
    if indices.shape != (ndim,) or not jnp.issubdtype(indices.dtype, jnp.integer):
        raise ValueError(f"start must have an int for each of the {ndim} axes of the shard's shape.")
    return indices if indices.dtype == np.int64 else indices.astype(jnp.int32)


def _as_array(x: Any, name: str, accept_complex: bool = False) -> jax.Array:
    if not isinstance(x, (jax.Array, np.ndarray)):
        raise TypeError(f"{name} must be an array of JAX or NumPy, but got {_validate.type_name(x)}.")
    array = jnp.asarray(x)
    if array.dtype.name in DTYPES or (accept_complex and array.dtype.name in COMPLEX_DTYPES):
        return array
    names = ", ".join((*DTYPES, *(COMPLEX_DTYPES if accept_complex else ())))
    raise TypeError(f"{name} must be of dtype {names}, but got {array.dtype.name}.")


def _check_like(array: Any, name: str, other: Any, other_name: str) -> None:
    if array.dtype != other.dtype:
        raise TypeError(f"{name} must be of {other_name}'s dtype, {other.dtype}, but got {array.dtype}.")
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must be of {other_name}'s shape, {other.shape}, but its shape is {array.shape}."
        )


def _as_bias(bias: Any, x: Any) -> Any:
    """Return a bias with as many axes as x. None: an element that changes no number."""
    if bias is None:
        return _no_input(x)
    array = _as_array(bias, "bias")
    if array.dtype != x.dtype:
        raise TypeError(f"bias must be of x's dtype, {x.dtype}, but got {array.dtype}.")
    if not broadcasts(array.shape, x.shape):
        raise ValueError(f"bias must broadcast to x's shape, {x.shape}, but its shape is {array.shape}.")
    return array.reshape((1,) * (x.ndim - array.ndim) + array.shape)


def _as_residual(residual: Any, x: Any) -> Any:
    if residual is None:
        return _no_input(x)
    array = _as_array(residual, "residual")
    _check_like(array, "residual", x, "x")
    return array


def _no_input(x: Any) -> Any:
    return jnp.full((1,) * x.ndim, -0.0, x.dtype)
