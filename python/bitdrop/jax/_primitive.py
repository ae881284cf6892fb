"""The primitive of a pass, and its rules for JAX's transforms.

Its operands are the words of a key, the start of a shard if that is an array, and the inputs. Each has the
leading axes of the batch, of length 1 if it is the same for all. A gradient is a pass with the same key:
nothing else is held.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.dispatch import prim_requires_devices_during_lowering
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from bitdrop.jax._call import Call
from bitdrop.jax._lowering import lower_call, refuse_device

pass_p = Primitive("bitdrop_pass")


def run(call: Call, key: Any, start: Any, inputs: tuple[Any, ...]) -> Any:
    """Do a pass over inputs of one number of axes. start: an array with an index for each axis, or None."""
    operands = _vary_alike((key, *(() if start is None else (start,)), *inputs))
    return pass_p.bind(*operands, call=call)


def _vary_alike(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let all operands vary over the same axes of a mesh: within shard_map, gradients depend on that."""
    axes = [_varying_axes(array) for array in arrays]
    union = frozenset[str]().union(*axes)
    if not union:
        return arrays
    vary = partial(jax.lax.pcast, to="varying") if hasattr(jax.lax, "pcast") else jax.lax.pvary
    lacking = [tuple(union - own) for own in axes]
    return tuple(vary(x, names) if names else x for x, names in zip(arrays, lacking, strict=True))


def _varying_axes(array: Any) -> frozenset[str]:
    aval = jax.typeof(array)
    return frozenset(
        aval.vma if hasattr(aval, "vma") else aval.manual_axis_type.varying
    )  # JAX 0.10: the other


@lru_cache(maxsize=1024)
def _jitted(call: Call) -> Any:
    return jax.jit(partial(pass_p.bind, call=call))


def _result_aval(*avals: Any, call: Call) -> Any:
    """Return the first input's type, with the lengths and the sharding of the batch."""
    x = avals[-len(call.inputs)]
    batch = np.broadcast_shapes(*(aval.shape[: call.batch_ndim] for aval in avals))
    if batch == x.shape[: call.batch_ndim]:
        return x
    shape = (*batch, *x.shape[call.batch_ndim :])
    owners = (next((aval for aval in avals if aval.shape[axis] == n), x) for axis, n in enumerate(batch))
    of_batch = [owner.sharding.spec[axis] for axis, owner in enumerate(owners)]
    spec = PartitionSpec(*of_batch, *x.sharding.spec[call.batch_ndim :])
    return x.update(shape=shape, sharding=NamedSharding(x.sharding.mesh, spec))


def _jvp(primals: Any, tangents: Any, *, call: Call) -> tuple[Any, Any]:
    y = pass_p.bind(*primals, call=call)
    count = len(call.inputs)
    draws, inputs = primals[:-count], dict(zip(call.inputs, primals[-count:], strict=True))
    given = zip(call.inputs, tangents[-count:], strict=True)
    moved = {number: tangent for number, tangent in given if type(tangent) is not ad.Zero}
    if call.gradient is not None:  # linear
        parts = [pass_p.bind(*draws, moved[0], call=call)] if moved else []
    elif call.operation.name.startswith("fused"):
        parts = _fused_tangents(call, draws, inputs, moved)
    else:
        parts = [pass_p.bind(*draws, tangent, call=call.gradient_of(i)) for i, tangent in moved.items()]
    if not parts:
        return y, ad.Zero.from_primal_value(y)
    return y, jnp.broadcast_to(sum(parts[1:], start=parts[0]), y.shape)


def _fused_tangents(call: Call, draws: Any, inputs: dict[int, Any], moved: dict[int, Any]) -> list[Any]:
    """Return the parts of the tangent of ``residual + dropout(activation(x + bias))``. A NaN is active."""
    x, bias = inputs[0], inputs.get(1)
    parts = [moved[2]] if 2 in moved else []
    biased = [moved[number] for number in (0, 1) if number in moved]
    if biased:
        tangent = sum(biased[1:], start=biased[0])
        tangent = jnp.broadcast_to(tangent, np.broadcast_shapes(tangent.shape, x.shape))
        if call.operation.activates:
            tangent = jnp.where((x if bias is None else x + bias) <= 0, 0, tangent)
        parts.append(pass_p.bind(*draws, tangent, call=call.gradient_of(0)))
    return parts


def _transpose(cotangent: Any, *operands: Any, call: Call) -> list[Any]:
    """Return the cotangent of a gradient's input: a gradient is a symmetric map."""
    *draws, x = operands
    found: list[Any] = [None] * len(draws)
    if type(cotangent) is ad.Zero:
        return [*found, None]
    gradient = pass_p.bind(*draws, cotangent, call=call)
    repeated = tuple(axis for axis, n in enumerate(x.aval.shape) if n != gradient.shape[axis])
    return [*found, gradient.sum(repeated, keepdims=True) if repeated else gradient]


def _batch(operands: Any, axes: Any, *, call: Call) -> tuple[Any, int]:
    pairs = zip(operands, axes, strict=True)
    moved = (jnp.expand_dims(x, 0) if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in pairs)
    return pass_p.bind(*moved, call=call.batched()), 0


pass_p.def_impl(lambda *operands, call: _jitted(call)(*operands))
pass_p.def_abstract_eval(_result_aval)
ad.primitive_jvps[pass_p] = _jvp
ad.primitive_transposes[pass_p] = _transpose
batching.primitive_batchers[pass_p] = _batch
mlir.register_lowering(pass_p, mlir.lower_fun(lower_call, multiple_results=False), platform="cpu")
mlir.register_lowering(pass_p, refuse_device)
# JAX has no public name for it: the lowering uses custom_partitioning, which must know the devices.
prim_requires_devices_during_lowering.add(pass_p)
