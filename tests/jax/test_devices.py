"""Arrays on several devices, and devices that the engine does not run on."""

from functools import partial
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from tests.helpers.jax_kinds import Kind, for_all_kinds, keys, on_jax, weighted_sum

KEY = jax.random.key(11)
SHAPE = (4, 8, 6)
SPECS = [P("a"), P("a", "b"), P(None, ("a", "b")), P(None, "b", "a"), P()]


def place(arrays: Any, mesh: Any, spec: Any) -> tuple[Any, ...]:
    """Distribute inputs: a bias is divided along the last axis alone."""
    entries = tuple(spec) + (None,) * (len(SHAPE) - len(spec))
    return tuple(
        jax.device_put(array, NamedSharding(mesh, P(*entries[len(SHAPE) - array.ndim :]))) for array in arrays
    )


@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
@for_all_kinds
def test_distributed_array_has_values_of_whole(kind: Kind, spec: Any, axis_type: str) -> None:
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(getattr(AxisType, axis_type),) * 2)
    arrays = on_jax(kind.inputs(shape=SHAPE))
    expected = kind(arrays, KEY)
    compiled = jax.jit(kind).lower(place(arrays, mesh, spec), KEY).compile()
    y = compiled(place(arrays, mesh, spec), KEY)
    assert np.asarray(y).tobytes() == np.asarray(expected).tobytes()
    assert y.sharding.is_equivalent_to(NamedSharding(mesh, spec), len(SHAPE))
    assert "all-gather" not in compiled.as_text()


@pytest.mark.parametrize("spec", SPECS[:3], ids=str)
@for_all_kinds
def test_distributed_gradients_are_those_of_whole(kind: Kind, spec: Any) -> None:
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    arrays = on_jax(kind.inputs(shape=SHAPE))
    gradients = jax.grad(lambda inputs: weighted_sum(kind(inputs, KEY)))
    for actual, expected in zip(
        jax.jit(gradients)(place(arrays, mesh, spec)), gradients(arrays), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@for_all_kinds
def test_distributed_batch_is_batch_of_whole(kind: Kind) -> None:
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    arrays = on_jax(tuple(np.stack([x, x + 1, x - 1, x * 2]) for x in kind.inputs(shape=SHAPE)))
    batched = jax.vmap(kind)
    expected = np.asarray(batched(arrays, keys(4)))
    for spec in (P("a"), P(("a", "b")), P("b", None, "a")):
        divided = tuple(
            jax.device_put(x, NamedSharding(mesh, P(*spec[: x.ndim - 1] if x.ndim < 4 else spec)))
            for x in arrays
        )
        assert np.asarray(jax.jit(batched)(divided, keys(4))).tobytes() == expected.tobytes()


@for_all_kinds
def test_shard_map_takes_traced_start(kind: Kind) -> None:
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))
    arrays = on_jax(kind.inputs(shape=SHAPE))
    of_arrays = tuple(P(None, "a") if x.ndim > 1 else P() for x in arrays)

    @partial(jax.shard_map, mesh=mesh, in_specs=(of_arrays, P()), out_specs=P(None, "a"))
    def on_shards(inputs: Any, key: Any) -> Any:
        start = (0, jax.lax.axis_index("a") * inputs[0].shape[1], 0)
        return kind(inputs, key, shard=(SHAPE, start))

    words = jax.random.key_data(KEY)
    expected = kind(arrays, KEY)
    assert np.asarray(jax.jit(on_shards)(arrays, words)).tobytes() == np.asarray(expected).tobytes()
    gradients = jax.grad(lambda inputs, key: weighted_sum(on_shards(inputs, key)))
    wanted = jax.grad(lambda inputs: weighted_sum(kind(inputs, KEY)))(arrays)
    for actual, of_whole in zip(jax.jit(gradients)(arrays, words), wanted, strict=True):
        np.testing.assert_allclose(actual, of_whole, rtol=1e-5, atol=1e-6)


@for_all_kinds
def test_other_devices_are_refused(kind: Kind) -> None:
    arrays = on_jax(kind.inputs())
    traced = jax.jit(kind).trace(arrays, KEY)
    for platforms in ("cuda",), ("cuda", "cpu"):
        with pytest.raises(
            NotImplementedError, match=r"runs on CPUs alone.* compiled for cuda: use jax.random.bern"
        ):
            traced.lower(lowering_platforms=platforms)
    assert traced.lower(lowering_platforms=("cpu",))
    assert jnp.isfinite(kind(arrays, KEY)).all()
