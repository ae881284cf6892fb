"""Properties of all functions of `bitdrop.jax`: values, gradients, transforms."""

from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import jax
import jax.numpy as jnp
import numpy as np
from bitdrop import Shard
from jax.test_util import check_grads

from tests.helpers.jax_kinds import KINDS, SHAPE, Kind, for_all_kinds, keys, on_jax, shards, weighted_sum

KEY = jax.random.key(11)
CELLS = [pytest.param(kind, dtype, id=f"{kind}-{dtype}") for kind in KINDS for dtype in kind.dtypes]


def assert_same(actual: Any, expected: Any) -> None:
    """Check that arrays are equal bit for bit."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("kind", "dtype"), CELLS)
def test_values_are_those_of_numpy_layer(kind: Kind, dtype: str) -> None:
    arrays = kind.inputs(dtype)
    expected, _ = kind.numpy(arrays, KEY)
    assert_same(kind(on_jax(arrays), KEY), expected)
    assert_same(jax.jit(kind)(on_jax(arrays), KEY), expected)


@pytest.mark.parametrize(("kind", "dtype"), CELLS)
def test_gradients_are_those_of_numpy_layer(kind: Kind, dtype: str) -> None:
    arrays = kind.inputs(dtype)
    _, layer = kind.numpy(arrays, KEY)
    dy = kind.inputs(dtype)[0][::-1].copy()
    expected = kind.gradients(layer, dy)
    _, pull = jax.vjp(lambda *inputs: kind(inputs, KEY), *on_jax(arrays))
    for name, actual in kind.named(pull(jnp.asarray(dy))).items():
        wanted = expected[name]
        if name == "bias":  # a sum, in another order
            tolerance = 0.02 if np.dtype(wanted.dtype).itemsize == 2 else 1e-5
            np.testing.assert_allclose(
                np.asarray(actual, float), np.asarray(wanted, float), rtol=tolerance, atol=tolerance
            )
        else:
            assert_same(actual, wanted)


@pytest.mark.parametrize("noise_shape", [(4, 1, 5), (None, 6, 1), (1, 1, 5)], ids=str)
@for_all_kinds
def test_noise_shape_repeats_draws(kind: Kind, noise_shape: Any) -> None:
    arrays = kind.inputs()
    if "noise_shape" in kind.own.lacks:
        with pytest.raises(TypeError, match="noise_shape"):
            kind(on_jax(arrays), KEY, noise_shape=noise_shape)
        return
    y = np.asarray(kind(on_jax(arrays), KEY, noise_shape=noise_shape))
    shared = [entry == 1 for entry in noise_shape]
    for index in np.ndindex(*(n if repeats else 1 for n, repeats in zip(SHAPE, shared, strict=True))):
        layer = tuple(
            slice(i, i + 1) if repeats else slice(None) for i, repeats in zip(index, shared, strict=True)
        )
        assert_same(y[layer], kind(on_jax(kind.part(arrays, layer)), KEY))


@pytest.mark.parametrize("place", shards(SHAPE), ids=lambda place: str(place[0].start))
@for_all_kinds
def test_shard_is_part_of_whole(kind: Kind, place: Any) -> None:
    shard, part = place
    arrays = kind.inputs()
    expected = np.asarray(kind(on_jax(arrays), KEY))[part]
    inputs = on_jax(kind.part(arrays, part))
    assert_same(kind(inputs, KEY, shard=shard), expected)

    @jax.jit
    def traced(inputs: Any, key: Any, row: Any) -> Any:
        return kind(inputs, key, shard=(SHAPE, (row, *shard.start[1:])))

    assert_same(traced(inputs, KEY, shard.start[0]), expected)
    together = jax.vmap(lambda start: kind(inputs, KEY, shard=(SHAPE, start)))
    assert_same(together(jnp.array([shard.start, (0, 0, 0)]))[0], expected)


def test_shard_may_start_beyond_32_bits() -> None:
    kind, x = KINDS[0], jnp.ones((2, 100))
    start = 2**40 + 3
    y = kind((x,), KEY, shard=Shard((4, 2**41), (1, start)))
    expected, _ = kind.numpy((np.ones((2, 100)),), KEY, shard=Shard((4, 2**41), (1, start)))
    assert_same(y, expected)
    assert_same(kind((x,), KEY, shard=((4, 2**41), np.array([1, start]))), expected)


@for_all_kinds
def test_gradients_agree_with_finite_differences(kind: Kind) -> None:
    arrays = on_jax(kind.inputs("float64", (2, 3, 5)))
    for key in keys(3):
        check_grads(lambda *inputs, key=key: kind(inputs, key) ** 2, arrays, order=2, modes=("fwd", "rev"))


def batches(kind: Kind) -> list[Any]:
    """Return pairs of axes for inputs and for the key that vmap may go over."""
    first = (0,) + (None,) * (kind.count - 1)
    last = (None,) * (kind.count - 1) + (0,)
    return [
        ((0,) * kind.count, None),
        ((None,) * kind.count, 0),
        ((1,) * kind.count, 0),
        (first, None),
        (last, 0),
    ]


@for_all_kinds
def test_vmap_is_a_loop_and_one_call(kind: Kind) -> None:
    count = 3
    for of_inputs, of_key in batches(kind):
        arrays = tuple(
            array
            if axis is None
            else np.stack([array * (i + 1) for i in range(count)], axis).astype(array.dtype)
            for array, axis in zip(kind.inputs(), of_inputs, strict=True)
        )
        key = KEY if of_key is None else keys(count)
        batched = jax.vmap(kind, (of_inputs, of_key))
        singles = [
            kind(
                tuple(
                    jnp.asarray(array if axis is None else np.take(array, i, axis))
                    for array, axis in zip(arrays, of_inputs, strict=True)
                ),
                key if of_key is None else key[i],
            )
            for i in range(count)
        ]
        assert_same(batched(on_jax(arrays), key), jnp.stack(singles))
        compiled = jax.jit(batched).lower(on_jax(arrays), key).compile().as_text()
        assert compiled.count('custom_call_target="bitdrop_pass"') == 1


@for_all_kinds
def test_nested_vmap_and_gradient_of_batch_are_loops(kind: Kind) -> None:
    arrays = on_jax(kind.inputs())
    grid = jnp.stack([keys(2, 1), keys(2, 2), keys(2, 3)])
    scales = jnp.array([1.0, 2.0], arrays[0].dtype)

    def one(scale: Any, key: Any, inputs: Any = arrays) -> Any:
        return kind((inputs[0] * scale, *inputs[1:]), key)

    nested = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
    y = jax.vmap(nested, (None, 0))(scales, grid)
    for i, j, k in np.ndindex(3, 2, 2):
        assert_same(y[i, j, k], one(scales[j], grid[i, k]))

    def loss(inputs: Any) -> Any:
        return jax.vmap(lambda key: weighted_sum(kind(inputs, key)))(grid[0]).sum()

    summed = jax.grad(loss)(arrays)
    for number in range(kind.count):
        singles = [
            jax.grad(lambda inputs, key=key: weighted_sum(kind(inputs, key)))(arrays) for key in grid[0]
        ]
        np.testing.assert_allclose(
            summed[number], singles[0][number] + singles[1][number], rtol=1e-5, atol=1e-6
        )


@for_all_kinds
def test_scan_and_checkpoint_give_same_values_and_gradients(kind: Kind) -> None:
    arrays = on_jax(kind.inputs())
    several = keys(3)

    def step(x: Any, key: Any) -> Any:
        return kind((x, *arrays[1:]), key)

    def looped(x: Any) -> Any:
        for i in range(len(several)):
            x = step(x, several[i])
        return weighted_sum(x)

    def scanned(x: Any, step: Any = step) -> Any:
        return weighted_sum(jax.lax.scan(lambda x, key: (step(x, key), None), x, several)[0])

    expected = jax.value_and_grad(looped)(arrays[0])
    forms = scanned, lambda x: scanned(x, jax.checkpoint(step)), jax.checkpoint(looped)
    for form in forms:
        for actual, wanted in zip(jax.jit(jax.value_and_grad(form))(arrays[0]), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


@for_all_kinds
def test_inference_draws_nothing(kind: Kind) -> None:
    arrays = kind.inputs()
    expected, _ = kind.numpy(arrays, KEY, training=False)
    y = kind(on_jax(arrays), None, training=False)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    if kind.count == 1:
        x = jnp.asarray(arrays[0])
        assert kind((x,), None, training=False) is x


@for_all_kinds
def test_empty_and_scalar_arrays(kind: Kind) -> None:
    for shape in [(0, 3), (3, 0), (), (1,)]:
        if shape == () and (kind.own.shared or "bias" in kind.own.further):
            continue
        arrays = kind.inputs(shape=shape)
        assert_same(kind(on_jax(arrays), KEY), kind.numpy(arrays, KEY)[0])


@for_all_kinds
def test_infinities_nans_and_zeros_are_those_of_numpy_layer(kind: Kind) -> None:
    arrays = kind.inputs()
    for array, odd in zip(arrays, (np.nan, np.inf, -0.0), strict=False):
        array.reshape(-1)[::3] = odd
        array.reshape(-1)[1::3] = -np.inf
    expected, layer = kind.numpy(arrays, KEY)
    dy = kind.inputs()[0]
    y, pull = jax.vjp(lambda *inputs: kind(inputs, KEY), *on_jax(arrays))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))
    np.testing.assert_array_equal(pull(jnp.asarray(dy))[0], kind.gradients(layer, dy)[kind.own.inputs[0]])
