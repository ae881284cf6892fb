"""`shard`: parts of an array get the values of the whole array, for every way to cut it."""

import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import oracle
from tests.helpers.cuts import cuts, kept, noise_shapes
from tests.helpers.strategies import PROBABILITIES, SEEDS, views
from tests.helpers.support import DTYPES, Array, any_bits, assert_identical, normal

FLOAT32 = np.dtype(np.float32)
SHAPES_OF_3_AXES = st.one_of(
    st.tuples(*[st.integers(0, 30)] * 3),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(60, 3000)),
    st.tuples(st.integers(1, 3), st.integers(50, 120), st.integers(1, 90)),
)


def shard_of(part: tuple[slice, ...], shape: tuple[int, ...]) -> bitdrop.Shard:
    return bitdrop.Shard(shape, tuple(span.start for span in part))


def part_of(x: Array, part: tuple[slice, ...]) -> Array:
    index: Any = (*part, ...)  # the ellipsis gives an array even without axes
    values: Array = x[index]
    return values


@settings(max_examples=400)
@given(st.data(), SHAPES_OF_3_AXES, st.sampled_from(DTYPES), PROBABILITIES, SEEDS)
def test_shards_get_values_of_whole_array(
    data: st.DataObject, shape: tuple[int, ...], dtype: np.dtype[Any], p: float, seed: int
) -> None:
    x = data.draw(views(shape, dtype))
    noise_shape = data.draw(noise_shapes(shape))
    whole, mask = bitdrop.dropout(x, p, rng=seed, noise_shape=noise_shape)
    assert_identical(whole, oracle.applied(x, kept(mask, noise_shape), mask.scale))
    for part in data.draw(cuts(shape)):
        shard = shard_of(part, shape)
        values = part_of(x, part)
        y, own = bitdrop.dropout(values, p, rng=seed, noise_shape=noise_shape, shard=shard)
        assert_identical(y, part_of(whole, part), repr(own))
        assert np.array_equal(np.asarray(own), np.asarray(mask)[part])
        dy = data.draw(views(values.shape, dtype))
        assert_identical(own.backward(dy), part_of(mask.backward(over(dy, part, x)), part))


def over(values: Array, part: tuple[slice, ...], x: Array) -> Array:
    """Return an array of zeros like x, with the values in this part."""
    whole: Array = np.zeros(x.shape, x.dtype)
    whole[part] = values
    return whole


@settings(max_examples=100)
@given(st.data(), SHAPES_OF_3_AXES, PROBABILITIES, SEEDS)
def test_layers_on_shards_agree_with_layer_on_whole_array(
    data: st.DataObject, shape: tuple[int, ...], p: float, seed: int
) -> None:
    x = normal(FLOAT32, shape, seed)
    kinds: list[Any] = [bitdrop.Dropout, bitdrop.AlphaDropout, bitdrop.DropPath, bitdrop.FeatureAlphaDropout]
    kind = data.draw(st.sampled_from([*kinds, bitdrop.Dropout1d]))
    layer = kind(p, rng=seed, recompute=data.draw(st.booleans()))
    for _ in range(2):  # the masks of the second call too
        start = layer.state
        whole = layer(x)
        gradient = layer.backward(x)
        for part in data.draw(cuts(shape)):
            worker = kind(p)
            worker.state = start
            assert_identical(worker(x[part], shard=shard_of(part, shape)), whole[part])
            assert_identical(worker.backward(x[part]), gradient[part])


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize("p", [0.5, 0.1, 1 / 3])
def test_every_isa_starts_at_any_index(isa: str, dtype: np.dtype[Any], p: float) -> None:
    _core.set_isa(isa)
    x = any_bits(dtype, 3 * 5000).reshape(3, 5000)
    whole = bitdrop.dropout(x, p, rng=3)[0]
    for start in [(0, 0), (1, 0), (0, 1), (2, 63), (1, 64), (0, 1023), (1, 1024), (2, 4095), (1, 4097)]:
        part = tuple(slice(index, None) for index in start)
        y, mask = bitdrop.dropout(x[part], p, rng=3, shard=bitdrop.Shard(x.shape, start))
        assert_identical(y, whole[part], str(start))
        packed = np.packbits(np.asarray(mask).ravel(), bitorder="little")
        assert np.array_equal(mask.bits, packed)  # packed from bit 0


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_number_of_threads_does_not_change_shard(threads: int) -> None:
    bitdrop.set_num_threads(threads)
    shape, start = (900, 1700), (17, 33)
    x = normal(FLOAT32, (880, 1600))
    mask = bitdrop.Mask(x.shape, 0.3, key=(4, 5), shard=bitdrop.Shard(shape, start))
    keep = oracle.kept((4, 5), 0, 0.3, 0, 900 * 1700).reshape(shape)[17:897, 33:1633]
    assert_identical(mask.apply(x), oracle.applied(x, keep, mask.scale))


def test_shard_of_array_larger_than_memory_equals_oracle() -> None:
    shape, start = (2**20, 2**20, 2**21), (2**20 - 1, 2**19, 2**21 - 5000)
    mask = bitdrop.Mask((1, 3, 5000), 0.3, key=(6, 7), shard=bitdrop.Shard(shape, start))
    for row in range(3):
        first = ((2**20 - 1) * 2**20 + 2**19 + row) * 2**21 + 2**21 - 5000
        assert np.array_equal(np.asarray(mask)[0, row], oracle.kept((6, 7), 0, 0.3, first, first + 5000))


def test_shard_without_axes_is_whole_array() -> None:
    x = np.float32(3)
    y, mask = bitdrop.dropout(x, 0.5, rng=0, shard=bitdrop.Shard((), ()))
    assert_identical(y, bitdrop.dropout(x, 0.5, rng=0)[0])
    assert np.asarray(mask).shape == ()


def test_masks_of_shards_are_equal_if_shards_are() -> None:
    shard = bitdrop.Shard((8, 9, 4), (3, 2, 0))
    mask = bitdrop.Mask((2, 7, 4), 0.5, key=(1, 2), shard=shard, noise_shape=(None, 1, 4))
    assert mask == pickle.loads(pickle.dumps(mask)) == eval(repr(mask), vars(bitdrop))
    assert hash(mask) == hash(pickle.loads(pickle.dumps(mask)))
    assert (mask.shard, mask.noise_shape) == (shard, (8, 1, 4))
    others: list[Any] = [None, bitdrop.Shard((8, 9, 4), (3, 1, 0)), bitdrop.Shard((9, 9, 4), (3, 2, 0))]
    for other in others:
        assert mask != bitdrop.Mask((2, 7, 4), 0.5, key=(1, 2), shard=other, noise_shape=(None, 1, 4))


def test_inference_with_shard_returns_x_itself() -> None:
    layer = bitdrop.Dropout(0.5, rng=0).eval()
    x = np.ones((2, 3))
    assert layer(x, shard=bitdrop.Shard((4, 3), (2, 0))) is x


BAD_PLACES: list[tuple[Any, Any, type[Exception], str]] = [
    (None, (0, 0), TypeError, "shape must be a tuple of ints"),
    ((4, 6), None, TypeError, "start must be a tuple of ints"),
    ((4, 6.0), (0, 0), TypeError, "shape must be a tuple of ints"),
    ((4, 6), (0, 0.0), TypeError, "start must be a tuple of ints"),
    ((4, -6), (0, 0), ValueError, "shape must not have negative"),
    ((4, 6), (0, -1), ValueError, "start must not have negative"),
    ((4, 6), (0,), ValueError, "an index for each axis"),
    ((4,), (0, 0), ValueError, "an index for each axis"),
    ((2**40, 2**40), (0, 0), ValueError, "one that an array can have"),
]


@pytest.mark.parametrize(("shape", "start", "error", "message"), BAD_PLACES, ids=repr)
def test_invalid_shape_or_start_is_refused(
    shape: Any, start: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        bitdrop.Shard(shape, start)


WRONG_SHARDS: list[tuple[Any, type[Exception], str]] = [
    (((4, 6), (0, 0)), TypeError, "shard must be a bitdrop.Shard"),
    ((4, 6), TypeError, "shard must be a bitdrop.Shard"),
    (bitdrop.Shard((4,), (0,)), ValueError, "as many axes as x"),
    (bitdrop.Shard((4, 6, 1), (0, 0, 0)), ValueError, "as many axes as x"),
    (bitdrop.Shard((4, 6), (3, 0)), ValueError, r"does not lie within \(4, 6\)"),
    (bitdrop.Shard((4, 6), (0, 4)), ValueError, r"does not lie within \(4, 6\)"),
    (bitdrop.Shard((1, 6), (0, 0)), ValueError, r"does not lie within \(1, 6\)"),
]


@pytest.mark.parametrize(("shard", "error", "message"), WRONG_SHARDS, ids=repr)
def test_shard_that_does_not_fit_x_is_refused(shard: Any, error: type[Exception], message: str) -> None:
    x, layer, rng = np.ones((2, 3)), bitdrop.Dropout(rng=0), np.random.default_rng(0)
    before = rng.bit_generator.state
    for call in (
        lambda: bitdrop.dropout(x, rng=rng, shard=shard),
        lambda: bitdrop.Mask((2, 3), 0.5, key=(1, 2), shard=shard),
        lambda: layer(x, shard=shard),
    ):
        with pytest.raises(error, match=message):
            call()
    assert rng.bit_generator.state == before
    assert layer.state["position"] == 0


def test_noise_shape_of_shard_refers_to_whole_array() -> None:
    shard = bitdrop.Shard((8, 6), (4, 0))
    x = np.ones((4, 6))
    for fits in ((8, 1), (None, 1), (1, 6)):
        bitdrop.dropout(x, noise_shape=fits, shard=shard)
    with pytest.raises(ValueError, match="noise_shape must be 1, None or x's length"):
        bitdrop.dropout(x, noise_shape=(4, 1), shard=shard)
