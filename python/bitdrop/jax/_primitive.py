"""The primitive of a pass, and its rules for JAX's transforms.

Its operands are the words of a key, the start of a shard if that is an array, and the inputs. Each has `batch_ndim`
leading axes of the batch's lengths, or 1 where it is the same for all. A derivative is a pass with the same key: nothing
else is held.
"""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.dispatch import prim_requires_devices_during_lowering
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from bitdrop.jax._lowering import lower_call, refuse_device
from bitdrop.jax._rules import Operation, Place, Rule

pass_p = Primitive("bitdrop_pass")


def run(key: Any, start: Any, inputs: tuple[Any, ...], rule: Rule, place: Place) -> Any:
    """Do a pass over inputs of one number of axes. start: an array with an index for each axis, or None."""
    operands = _vary_alike((key, *(() if start is None else (start,)), *inputs))
    return pass_p.bind(*operands, rule=rule, place=place)


def _vary_alike(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let all operands vary over the same axes of a mesh, for shard_map, which counts on it in gradients."""
    axes = [_varying_axes(jax.typeof(array)) for array in arrays]
    union = frozenset().union(*axes)
    if not union:
        return arrays
    cast = partial(jax.lax.pcast, to="varying") if hasattr(jax.lax, "pcast") else jax.lax.pvary
    return tuple(
        cast(array, tuple(union - own)) if union - own else array
        for array, own in zip(arrays, axes, strict=True)
    )


def _varying_axes(aval: Any) -> frozenset[str]:
    if hasattr(aval, "manual_axis_type"):  # JAX 0.10
        return frozenset(aval.manual_axis_type.varying)
    return getattr(aval, "vma", frozenset())


@lru_cache(maxsize=1024)
def _compiled(rule: Rule, place: Place) -> Any:
    return jax.jit(partial(pass_p.bind, rule=rule, place=place))


def _run_eagerly(*operands: Any, rule: Rule, place: Place) -> Any:
    return _compiled(rule, place)(*operands)


def _result_aval(*avals: Any, rule: Rule, place: Place) -> Any:
    """Return the first input's type, with the lengths and the sharding of the batch."""
    x = avals[-rule.operation.inputs]
    batch_ndim = place.batch_ndim
    batch = np.broadcast_shapes(*(aval.shape[:batch_ndim] for aval in avals))
    if batch == x.shape[:batch_ndim]:
        return x
    shape = (*batch, *x.shape[batch_ndim:])
    sharding = getattr(x, "sharding", None)
    if sharding is None or sharding.mesh.empty:
        return x.update(shape=shape, sharding=None)
    owners = (next((aval for aval in avals if aval.shape[axis] == n), x) for axis, n in enumerate(batch))
    spec = [owner.sharding.spec[axis] for axis, owner in enumerate(owners)]
    return x.update(
        shape=shape, sharding=NamedSharding(sharding.mesh, PartitionSpec(*spec, *sharding.spec[batch_ndim:]))
    )


def _jvp(primals: Any, tangents: Any, *, rule: Rule, place: Place) -> tuple[Any, Any]:
    y = pass_p.bind(*primals, rule=rule, place=place)
    inputs = rule.operation.inputs
    draws, moved = primals[:-inputs], tangents[-inputs:]
    if all(type(tangent) is ad.Zero for tangent in moved):
        return y, ad.Zero.from_primal_value(y)
    if rule.operation is Operation.SELECT:
        both = map(ad.instantiate_zeros, moved)
        return y, pass_p.bind(*draws, *both, rule=rule, place=place)
    if inputs == 1:
        return y, pass_p.bind(*draws, *moved, rule=rule.linear, place=place)
    return y, _fused_tangent(primals, moved, rule, place)


def _fused_tangent(primals: Any, moved: Any, rule: Rule, place: Place) -> Any:
    """Return the tangent of ``residual + dropout(activation(x + bias))``. A NaN is active."""
    *draws, x, bias, _ = primals
    of_x, of_bias, of_residual = (None if type(tangent) is ad.Zero else tangent for tangent in moved)
    tangent = None
    if of_x is not None or of_bias is not None:
        tangent = of_bias if of_x is None else of_x if of_bias is None else of_x + of_bias
        tangent = jnp.broadcast_to(tangent, np.broadcast_shapes(tangent.shape, x.shape))
        if rule.operation is Operation.FUSED_RELU:
            tangent = jnp.where(x + bias <= 0, 0, tangent)
        tangent = pass_p.bind(*draws, tangent, rule=rule.linear, place=place)
    if of_residual is None:
        return tangent
    if tangent is None:
        shape = jax.eval_shape(partial(pass_p.bind, rule=rule, place=place), *primals).shape
        return jnp.broadcast_to(of_residual, shape)
    return tangent + of_residual


def _transpose(cotangent: Any, *operands: Any, rule: Rule, place: Place) -> list[Any]:
    inputs = rule.operation.inputs
    draws, linear = operands[:-inputs], operands[-inputs:]
    found: list[Any] = [None] * len(operands)
    if type(cotangent) is ad.Zero:
        return found
    for i, operand in enumerate(linear, len(draws)):
        if not ad.is_undefined_primal(operand):
            continue
        if inputs == 1:
            gradient = pass_p.bind(*draws, cotangent, rule=rule, place=place)
        elif operand is linear[0]:
            gradient = pass_p.bind(*draws, cotangent, rule=rule.selected, place=place)
        else:
            gradient = pass_p.bind(*draws, jnp.zeros_like(cotangent), cotangent, rule=rule, place=place)
        found[i] = _summed_to(gradient, operand.aval.shape)
    return found


def _summed_to(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes along which an operand was repeated."""
    repeated = tuple(axis for axis, length in enumerate(shape) if length != gradient.shape[axis])
    return gradient.sum(repeated, keepdims=True) if repeated else gradient


def _batch(operands: Any, axes: Any, *, rule: Rule, place: Place) -> tuple[Any, int]:
    moved = (
        jnp.expand_dims(operand, 0) if axis is None else jnp.moveaxis(operand, axis, 0)
        for operand, axis in zip(operands, axes, strict=True)
    )
    return pass_p.bind(*moved, rule=rule, place=place.batched()), 0


pass_p.def_impl(_run_eagerly)
pass_p.def_abstract_eval(_result_aval)
ad.primitive_jvps[pass_p] = _jvp
ad.primitive_transposes[pass_p] = _transpose
batching.primitive_batchers[pass_p] = _batch
mlir.register_lowering(pass_p, mlir.lower_fun(lower_call, multiple_results=False), platform="cpu")
mlir.register_lowering(pass_p, refuse_device)
# JAX has no public name for this: a primitive whose lowering uses custom_partitioning needs to know the devices.
prim_requires_devices_during_lowering.add(pass_p)
