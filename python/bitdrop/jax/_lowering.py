"""From a pass to the call of the engine by XLA, on one device or on several."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from bitdrop import _core
from bitdrop.jax._rules import Place, Rule

_TARGET = "bitdrop_pass"

jax.ffi.register_ffi_target(_TARGET, _core.xla_handler(), platform="cpu")


def lower_call(*operands: Any, rule: Rule, place: Place) -> Any:
    """Return the result of a pass. XLA's partitioner divides it among devices."""
    shapes = tuple(operand.shape for operand in operands)
    return _divisible_call(rule, place, shapes)(*operands)


def refuse_device(context: Any, *operands: Any, rule: Rule, place: Place) -> Any:
    """Raise the error for devices that the engine does not run on."""
    platforms = " and ".join(name for name in context.module_context.platforms if name != "cpu")
    raise NotImplementedError(
        f"bitdrop.jax runs on CPUs alone, but this computation is compiled for {platforms}: "
        "use jax.random.bernoulli there, whose masks are others."
    )


def _call(operands: tuple[Any, ...], rule: Rule, place: Place) -> Any:
    x = operands[-rule.operation.inputs]
    batch = np.broadcast_shapes(*(operand.shape[: place.batch_ndim] for operand in operands))
    result = jax.ShapeDtypeStruct((*batch, *x.shape[place.batch_ndim :]), x.dtype)
    scale, shift, dropped = map(np.float64, rule.affine)
    return jax.ffi.ffi_call(_TARGET, result)(
        *operands,
        p=np.float64(rule.p),
        operation=np.int64(rule.operation),
        scale=scale,
        shift=shift,
        dropped=dropped,
        batch_ndim=np.int64(place.batch_ndim),
        first=np.int64(place.first),
        strides=np.array(place.strides, np.int64),
    )


@lru_cache(maxsize=1024)
def _divisible_call(rule: Rule, place: Place, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """Return the call with its rules of partition: a shard of the result has its part of the draws."""
    inputs = rule.operation.inputs
    result = (
        *np.broadcast_shapes(*(shape[: place.batch_ndim] for shape in shapes)),
        *shapes[-inputs][place.batch_ndim :],
    )
    has_start = len(shapes) > 1 + inputs

    def call(*operands: Any) -> Any:
        return _call(operands, rule, place)

    def of_operand(shape: tuple[int, ...], number: int, spec: Any) -> PartitionSpec:
        """Return an operand's sharding: the result's, along the axes that follow it."""
        follow = len(shape) if number >= len(shapes) - inputs else place.batch_ndim
        entries = (
            spec[axis] if axis < follow and length == result[axis] else None
            for axis, length in enumerate(shape)
        )
        return PartitionSpec(*entries)

    def partition(mesh: Any, arguments: Any, y: Any) -> Any:
        spec = tuple(y.sharding.spec) + (None,) * (len(result) - len(y.sharding.spec))
        shardings = tuple(
            NamedSharding(mesh, of_operand(shape, number, spec)) for number, shape in enumerate(shapes)
        )
        axes = spec[place.batch_ndim :]

        def call_on_shard(*operands: Any) -> Any:
            if all(names is None for names in axes):
                return _call(operands, rule, place)
            key, *rest = operands
            lengths = operands[-inputs].shape[place.batch_ndim :]
            start = _shard_start(mesh, axes, lengths)[(None,) * place.batch_ndim]
            if has_start:
                start = start + rest.pop(0)
            return _call((key, start, *rest), rule, place)

        return mesh, call_on_shard, NamedSharding(mesh, PartitionSpec(*spec)), shardings

    def infer(mesh: Any, arguments: Any, y: Any) -> Any:
        x = arguments[-inputs].sharding
        return NamedSharding(mesh, PartitionSpec(*x.spec))

    divisible = custom_partitioning(call)
    divisible.def_partition(
        partition,
        infer_sharding_from_operands=infer,
        sharding_rule=_sharding_rule(shapes, result, of_operand),
    )
    return divisible


def _shard_start(mesh: Any, axes: Any, lengths: tuple[int, ...]) -> Any:
    """Return the index in the whole of a shard's first element, along each axis."""
    starts = []
    for names, length in zip(axes, lengths, strict=True):
        index = jnp.int32(0)
        for name in () if names is None else (names,) if isinstance(names, str) else names:
            index = index * mesh.shape[name] + jax.lax.axis_index(name)
        starts.append(index * length)
    return jnp.stack(starts)


def _sharding_rule(shapes: Any, result: Any, of_operand: Any) -> str:
    """Return the rule of Shardy: "i j, w -> i j", the letters of axes that are divided alike."""
    letters = tuple(f"r{axis}" for axis in range(len(result)))

    def names(shape: Any, number: int) -> str:
        entries = of_operand(shape, number, letters)
        return " ".join(entry or f"o{number}x{axis}" for axis, entry in enumerate(entries))

    operands = ", ".join(names(shape, number) for number, shape in enumerate(shapes))
    return f"{operands} -> {' '.join(letters)}"
