"""From a pass to XLA's call of the engine, on one device or on several."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from bitdrop import _core
from bitdrop._typing import Shape
from bitdrop.jax._call import Call

_TARGET = "bitdrop_pass"

jax.ffi.register_ffi_target(_TARGET, _core.xla_handler(), platform="cpu")


def lower_call(*operands: Any, call: Call) -> Any:
    """Return the result of a pass. XLA's partitioners divide it among devices."""
    return _divisible(call, tuple(operand.shape for operand in operands))(*operands)


def refuse_device(context: Any, *operands: Any, call: Call) -> Any:
    """Raise the error for devices that the engine does not run on."""
    platforms = " and ".join(name for name in context.module_context.platforms if name != "cpu")
    raise NotImplementedError(
        f"bitdrop.jax runs on CPUs alone, but this computation is compiled for {platforms}: "
        "use jax.random.bernoulli there, whose masks are others."
    )


def _result_shape(call: Call, shapes: tuple[Shape, ...]) -> Shape:
    batch = np.broadcast_shapes(*(shape[: call.batch_ndim] for shape in shapes))
    return (*batch, *shapes[-len(call.inputs)][call.batch_ndim :])


def _run(call: Call, operands: tuple[Any, ...]) -> Any:
    shape = _result_shape(call, tuple(operand.shape for operand in operands))
    operation = call.operation
    coefficients = call.p, operation.factor, operation.shift, operation.dropped
    return jax.ffi.ffi_call(_TARGET, jax.ShapeDtypeStruct(shape, operands[-1].dtype))(
        *operands,
        operation=operation.name,
        coefficients=np.array(coefficients, np.float64),
        axes=np.array(call.noise_shape + call.shard_shape + call.shard_start, np.int64),
        inputs=np.array(call.inputs, np.int64),
        gradient=np.array([] if call.gradient is None else [call.gradient], np.int64),
    )


class _Division:
    """Division of a call among devices: each makes its part of the result, by its part of the draws.

    The axes of the operands follow those of the result that have their length; the others are whole
    everywhere.
    """

    def __init__(self, call: Call, shapes: tuple[Shape, ...]) -> None:
        self._call, self._shapes = call, shapes
        self._result = _result_shape(call, shapes)

    def _followed(self, number: int, entries: Any) -> list[Any]:
        """Return the result's entry for each axis of an operand that follows one, else None."""
        shape = self._shapes[number]
        is_input = number >= len(self._shapes) - len(self._call.inputs)
        following = len(shape) if is_input else self._call.batch_ndim
        return [
            entries[axis] if axis < following and length == self._result[axis] else None
            for axis, length in enumerate(shape)
        ]

    def shardy_rule(self) -> str:
        """Return the rule of the partitioner Shardy, such as "r0 o0x1, r0 r1 -> r0 r1"."""
        axes = [f"r{axis}" for axis in range(len(self._result))]
        operands = [
            " ".join(name or f"o{number}x{axis}" for axis, name in enumerate(self._followed(number, axes)))
            for number in range(len(self._shapes))
        ]
        return f"{', '.join(operands)} -> {' '.join(axes)}"

    def infer(self, mesh: Any, operands: Any, result: Any) -> Any:
        """Return the result's sharding for the partitioner GSPMD: that of the first input."""
        return NamedSharding(mesh, operands[-len(self._call.inputs)].sharding.spec)

    def partition(self, mesh: Any, operands: Any, result: Any) -> Any:
        """Return the computation of a shard, with the shardings of the result and the operands."""
        spec = (*result.sharding.spec, *[None] * (len(self._result) - len(result.sharding.spec)))
        specs = [PartitionSpec(*self._followed(number, spec)) for number in range(len(self._shapes))]
        axes = spec[self._call.batch_ndim :]

        def run_shard(*shards: Any) -> Any:
            if all(names is None for names in axes):
                return _run(self._call, shards)
            count = len(self._call.inputs)
            key, *start = shards[:-count]
            offset = _shard_offset(mesh, axes, shards[-count].shape[self._call.batch_ndim :])
            offset = offset.reshape((1,) * self._call.batch_ndim + offset.shape)
            return _run(self._call, (key, sum(start, start=offset), *shards[-count:]))

        return (
            mesh,
            run_shard,
            NamedSharding(mesh, PartitionSpec(*spec)),
            tuple(NamedSharding(mesh, of_operand) for of_operand in specs),
        )


@lru_cache(maxsize=1024)
def _divisible(call: Call, shapes: tuple[Shape, ...]) -> Any:
    """Return the function of operands that XLA's partitioners can divide."""
    division = _Division(call, shapes)
    divisible = custom_partitioning(lambda *operands: _run(call, operands))
    divisible.def_partition(division.partition, division.infer, sharding_rule=division.shardy_rule())
    return divisible


def _shard_offset(mesh: Any, axes: Any, lengths: Shape) -> Any:
    """Return the index in the divided array of a shard's first element."""
    offsets = []
    for names, length in zip(axes, lengths, strict=True):
        index = jnp.int32(0)
        for name in () if names is None else (names,) if isinstance(names, str) else names:
            index = index * mesh.shape[name] + jax.lax.axis_index(name)
        offsets.append(index * length)
    return jnp.stack(offsets)
