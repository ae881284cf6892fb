"""Dropout functions of JAX arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from bitdrop import _core, _validate
from bitdrop._core import Operation, Rule
from bitdrop._keywords import explains_keywords
from bitdrop._shard import Shard, units_of
from bitdrop._typing import NoiseShape, Number, Shape
from bitdrop.jax._call import Call
from bitdrop.jax._keys import key_words
from bitdrop.jax._primitive import run
from bitdrop.kinds.alpha import alpha_rule
from bitdrop.kinds.dropout import dropout_rule
from bitdrop.kinds.fused import Activation, check_activation, fused_rule
from bitdrop.kinds.path import MODES, path_rule
from bitdrop.records.noise import noise_rule
from bitdrop.records.zoneout import zoneout_rule

Noise = NoiseShape | None  # two short names, for signatures of one line
Part = Shard | tuple[Sequence[int], Any] | None  # of the two fields of a shard, the start may be traced


@explains_keywords
def dropout(
    x: Any, p: Number = 0.5, *, key: Any, training: bool = True, noise_shape: Noise = None, shard: Part = None
) -> jax.Array:
    """Set each element to zero with probability `p`, and scale the rest so that the mean stays.

    Parameters
    ----------
    x : jax.Array
        Of any shape, and of dtype float16, bfloat16, float32, float64, complex64 or complex128. Both parts of
        a complex number share a draw. A NumPy array is converted as by JAX's own functions.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1]. It is static: not a traced value.
    key : jax.Array
        Key of JAX, typed or raw, which may be traced. `mask_key` returns the key of the mask that it makes.
        It may be None at inference.
    training : bool, default True
        Whether to drop. Otherwise x itself is returned. Static.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.dropout`: ``(None, None, 1, 1)`` drops whole channels of images.
    shard : Shard, or tuple of shape and start, optional
        Place of x in a larger array, if it is a part, as in `bitdrop.dropout`. As a tuple, its start is an
        array of ints or a sequence that may hold traced values, which are not checked. An array that JAX
        itself has distributed needs none.

    Returns
    -------
    jax.Array
        Of x's shape and dtype: ``x / (1 - p)`` where kept. A dropped element is +0.0, whatever x held.

    Raises
    ------
    TypeError
        If x is no array of a supported dtype, key is no key, p is not a number or traced, or another argument
        is of the wrong type.
    ValueError
        If p is not in [0, 1], key is an array of keys, or noise_shape or shard does not fit x's shape.
    NotImplementedError
        If the computation is compiled for a device other than a CPU.

    Notes
    -----
    Equal keys give equal masks. So split keys, as for `jax.random`. The mask is
    ``bitdrop.Mask(x.shape, p, key=bitdrop.jax.mask_key(key))``, under every transform of JAX and for every
    number of devices. Gradients hold the key, and draw the mask again.

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
    rule = dropout_rule(_validate.as_probability(p), "inverted", units_of(noise_shape))
    return _run(rule, (x,), key, training, shard)


@explains_keywords
def alpha_dropout(
    x: Any, p: Number = 0.5, *, key: Any, training: bool = True, noise_shape: Noise = None, shard: Part = None
) -> jax.Array:
    """Apply dropout for self-normalising networks, which keeps mean and variance: see `bitdrop.AlphaDropout`.

    Parameters, results and errors are those of `dropout`, but x is real. ``noise_shape=(None, None, 1, 1)``
    drops whole channels of images, as `bitdrop.FeatureAlphaDropout`.

    Examples
    --------
    >>> import bitdrop.jax, jax
    >>> x = jax.random.normal(jax.random.key(0), 1_000_000)
    >>> y = bitdrop.jax.alpha_dropout(x, p=0.3, key=jax.random.key(1))
    >>> print(f"mean {abs(y.mean()):.2f}, standard deviation {y.std():.2f}")
    mean 0.00, standard deviation 1.00
    """
    rule = alpha_rule(_validate.as_probability(p), units_of(noise_shape))
    return _run(rule, (x,), key, training, shard)


@explains_keywords
def gaussian_dropout(
    x: Any, p: Number = 0.5, *, key: Any, training: bool = True, noise_shape: Noise = None, shard: Part = None
) -> jax.Array:
    """Multiply each element by Gaussian noise of mean 1, as `bitdrop.gaussian_dropout` does.

    Parameters, results and errors are those of `dropout`, but x is real, and p is less than 1. The factors
    are those of ``bitdrop.Noise(x.shape, p, key=bitdrop.jax.mask_key(key))``.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> y = bitdrop.jax.gaussian_dropout(jnp.ones(1_000_000), p=0.2, key=jax.random.key(0))
    >>> print(f"mean {y.mean():.2f}, standard deviation {y.std():.2f}")
    mean 1.00, standard deviation 0.50
    """
    rule = noise_rule(p, units_of(noise_shape))
    return _run(rule, (x,), key, training, shard)


@explains_keywords
def drop_path(
    x: Any,
    p: Number = 0.0,
    scale_by_keep: bool = True,
    mode: Literal["row", "batch"] = "row",
    *,
    key: Any,
    training: bool = True,
    shard: Part = None,
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
    scaled = _validate.as_flag(scale_by_keep, "scale_by_keep")
    _validate.check_choice(mode, "mode", tuple(MODES))
    rule = path_rule(_validate.as_probability(p), scaled, mode)
    return _run(rule, (x,), key, training, shard)


@explains_keywords
def zoneout(
    new: Any,
    previous: Any,
    p: Number = 0.1,
    *,
    key: Any,
    training: bool = True,
    noise_shape: Noise = None,
    shard: Part = None,
) -> jax.Array:
    """Keep each element's previous value with probability `p`, as `bitdrop.zoneout` does.

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
    rule = zoneout_rule(p, units_of(noise_shape))
    return _run(rule, (new, previous), key, training, shard)


@explains_keywords
def fused_dropout(
    x: Any,
    p: Number = 0.5,
    *,
    key: Any,
    bias: Any = None,
    activation: Activation | None = None,
    residual: Any = None,
    training: bool = True,
    noise_shape: Noise = None,
    shard: Part = None,
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
    float16 and bfloat16 are computed in float32 and rounded once. A NaN is active, as in
    `bitdrop.fused_dropout`. For the gradient of an activation, JAX holds which elements are active.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> x, bias = jnp.array([[-3.0, 1.0], [2.0, 4.0]]), jnp.ones(2)
    >>> key = jax.random.key(1)
    >>> bitdrop.jax.fused_dropout(x, 0.5, key=key, bias=bias, activation="relu", residual=x)
    Array([[-3.,  1.],
           [ 8., 14.]], dtype=float32)
    """
    check_activation(activation)
    active = activation is not None
    rule = fused_rule(_validate.as_probability(p), "inverted", active, units_of(noise_shape))
    return _run(rule, (x, bias, residual), key, training, shard)


def _run(rule: Rule, inputs: tuple[Any, ...], key: Any, training: bool, shard: Part) -> Any:
    """Do a pass over inputs that have not been validated."""
    arrays = _as_inputs(inputs, rule.training)
    if not _validate.as_flag(training, "training"):
        return _at_inference(rule.inference, arrays)
    words = key_words(key)
    known, start = _as_shard(shard)
    done = rule.pass_with_key(arrays[0].shape, (0, 0), shard=known)
    return run(Call.of_pass(done, tuple(arrays)), words, start, tuple(arrays.values()))


def _at_inference(operation: Operation, inputs: dict[int, Any]) -> Any:
    """Return the expectation, by plain operations of JAX, which XLA fuses."""
    if operation.name == "blend":
        return operation.factor * inputs[0] + operation.shift * inputs[1]
    y = inputs[0] + inputs[1] if 1 in inputs else inputs[0]
    active = jnp.maximum(y, 0) if operation.activates else y
    return inputs[2] + active if 2 in inputs else active


def _as_shard(shard: Part) -> tuple[Shard | None, Any]:
    """Return a shard whose start is known, and an array that is added to that start, or None."""
    if not isinstance(shard, tuple):
        return shard, None
    if len(shard) != 2:
        raise TypeError(f"shard must be a bitdrop.Shard or a tuple of shape and start, but got {shard!r}.")
    whole = _validate.as_shape(shard[0])
    start = shard[1] if hasattr(shard[1], "dtype") else jnp.stack([jnp.asarray(index) for index in shard[1]])
    if start.shape != (len(whole),) or not jnp.issubdtype(start.dtype, jnp.integer):
        raise ValueError(f"start must have an int for each of the {len(whole)} axes of the shard's shape.")
    return Shard(whole, (0,) * len(whole)), start if start.dtype == np.int64 else start.astype(jnp.int32)


def _as_inputs(inputs: tuple[Any, ...], operation: Operation) -> dict[int, Any]:
    """Return the arrays by the numbers of the operation's inputs. Those that are None are left out."""
    names = operation.input_names
    first = _as_array(inputs[0], names[0], operation.takes_complex)
    arrays = {0: first}
    for number, (name, value) in enumerate(zip(names[1:], inputs[1:], strict=True), 1):
        if value is None and operation.name.startswith("fused"):
            continue
        array = arrays[number] = _as_array(value, name, operation.takes_complex)
        if array.dtype != first.dtype:
            raise TypeError(f"{name} must be of {names[0]}'s dtype, {first.dtype}, but got {array.dtype}.")
        if name == "bias":
            arrays[number] = _as_bias(array, first.shape)
        elif array.shape != first.shape:
            raise ValueError(f"{name} must have {names[0]}'s shape, {first.shape}, but got {array.shape}.")
    return arrays


def _as_array(x: Any, name: str, accept_complex: bool) -> jax.Array:
    if not isinstance(x, (jax.Array, np.ndarray)):
        raise TypeError(f"{name} must be an array of JAX or NumPy, but got {_validate.type_name(x)}.")
    array = jnp.asarray(x)
    names = [name for name in _core.DTYPES if accept_complex or not name.startswith("complex")]
    if array.dtype.name in names:
        return array
    supported = f"{', '.join(names[:-1])} or {names[-1]}"
    raise TypeError(f"{name} must be of {supported}, but its dtype is {array.dtype}.")


def _as_bias(bias: Any, shape: Shape) -> Any:
    """Return a bias with as many axes as the array that it is added to."""
    aligned = (1,) * (len(shape) - bias.ndim) + bias.shape
    if len(aligned) == len(shape) and all(n in (1, of_x) for n, of_x in zip(aligned, shape, strict=True)):
        return bias.reshape(aligned)
    raise ValueError(f"bias must broadcast to x's shape, {shape}, but its shape is {bias.shape}.")
