"""`noise_shape`: sharing of draws along axes of length 1, for every layout, dtype and instruction set."""

import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tests.helpers import oracle
from tests.helpers.cuts import NoiseShape, kept, lengths_of, noise_shapes
from tests.helpers.strategies import PROBABILITIES, SEEDS, views
from tests.helpers.support import DTYPES, Array, assert_identical, normal

IMAGES = (5, 7, 11, 13)
SHARED: list[NoiseShape] = [
    (None, None, 1, 1),  # whole channels
    (1, None, None, None),  # the same units of every sample
    (None, 1, None, None),
    (1, 7, 1, 13),
    (5, 1, 1, 1),
    (1, 1, 1, 1),
    (None, None, None, None),
]
SHAPES = st.one_of(
    array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9),
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(60, 900)),  # long runs of adjacent elements
    st.tuples(st.integers(1, 3), st.integers(4000, 9000)),  # more than a block of bits
)


def expected(x: Array, mask: bitdrop.Mask, noise_shape: NoiseShape | None) -> Array:
    return oracle.applied(x, kept(mask, noise_shape), mask.scale)


@settings(max_examples=300)
@given(st.data(), PROBABILITIES, SEEDS)
def test_shared_masks_equal_oracle(data: st.DataObject, p: float, seed: int) -> None:
    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(DTYPES))
    x, out = data.draw(views(shape, dtype)), data.draw(views(shape, dtype, writable=True))
    noise_shape = data.draw(noise_shapes(shape))
    before = x.copy()
    y, mask = bitdrop.dropout(x, p, rng=seed, noise_shape=noise_shape)
    reference = expected(x, mask, noise_shape)
    assert_identical(y, reference)
    assert_identical(x, before)
    assert_identical(mask.backward(x), reference)
    bitdrop.dropout(x, p, rng=seed, noise_shape=noise_shape, out=out)
    assert_identical(out, reference)
    assert np.array_equal(np.asarray(mask), kept(mask, noise_shape))


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize("threshold", [0, 2**63], ids=["non-temporal", "ordinary"])
@pytest.mark.parametrize("noise_shape", SHARED, ids=str)
def test_every_isa_shares_same_bits(
    isa: str, dtype: np.dtype[Any], noise_shape: NoiseShape, threshold: int
) -> None:
    _core.set_isa(isa)
    _core.set_non_temporal_threshold(threshold)
    for shape in (IMAGES, (2, 3, 40, 50)):
        noise = tuple(1 if entry == 1 else None for entry in noise_shape)
        x = normal(dtype, shape)
        y, mask = bitdrop.dropout(x, 0.3, rng=1, noise_shape=noise)
        assert_identical(y, expected(x, mask, noise))
        assert_identical(bitdrop.dropout(x, 0.3, rng=1, noise_shape=noise, out=x)[0], y)  # in place


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("noise_shape", [(None, None, 1), (1, None, None), (None, 1, None)], ids=str)
def test_number_of_threads_does_not_change_shared_masks(threads: int, noise_shape: NoiseShape) -> None:
    bitdrop.set_num_threads(threads)
    x = normal(np.dtype(np.float32), (30, 40, 700))
    y, mask = bitdrop.dropout(x, 0.4, rng=2, noise_shape=noise_shape)
    assert_identical(y, expected(x, mask, noise_shape))


@pytest.mark.parametrize("noise_shape", SHARED, ids=str)
def test_mask_holds_each_shared_bit_once(noise_shape: NoiseShape) -> None:
    _, mask = bitdrop.dropout(np.ones(IMAGES), 0.5, rng=0, noise_shape=noise_shape)
    drawn = int(np.prod(lengths_of(noise_shape, IMAGES)))
    packed = oracle.packed(mask.key, 0, 0.5, 0, drawn)
    assert mask.size == drawn
    assert mask.nbytes == (drawn + 7) // 8
    assert np.array_equal(mask.bits, packed)


def test_bool_array_of_shared_mask_is_a_broadcast_view() -> None:
    mask = bitdrop.Mask(IMAGES, 0.5, key=(1, 2), noise_shape=(None, None, 1, 1))
    array = np.asarray(mask)
    assert array.shape == IMAGES
    assert array.strides[2:] == (0, 0)
    assert not array.flags.writeable


@pytest.mark.parametrize("noise_shape", SHARED, ids=str)
def test_shared_masks_are_equal_if_noise_shapes_are(noise_shape: NoiseShape) -> None:
    mask = bitdrop.Mask(IMAGES, 0.5, key=(1, 2), stream=3, noise_shape=noise_shape)
    same = bitdrop.Mask(IMAGES, 0.5, key=(1, 2), stream=3, noise_shape=lengths_of(noise_shape, IMAGES))
    assert mask == same == pickle.loads(pickle.dumps(mask))
    assert hash(mask) == hash(same)
    assert eval(repr(mask), {"Mask": bitdrop.Mask}) == mask
    is_plain = lengths_of(noise_shape, IMAGES) == IMAGES
    assert (mask == bitdrop.Mask(IMAGES, 0.5, key=(1, 2), stream=3)) is is_plain
    assert mask.noise_shape == (None if is_plain else lengths_of(noise_shape, IMAGES))


def test_layer_shares_mask_for_any_length_of_free_axes() -> None:
    layer = bitdrop.Dropout(0.5, noise_shape=(None, 1, None), recompute=True, rng=0)
    for steps in (3, 8):
        x = normal(np.dtype(np.float32), (4, steps, 6))
        y = layer(x)
        assert layer.mask is not None
        assert_identical(y, expected(x, layer.mask, (None, 1, None)))
        assert_identical(layer.backward(x), y)
        assert layer.mask.nbytes == 0
    assert "noise_shape=(None, 1, None)" in repr(layer)
    other = pickle.loads(pickle.dumps(layer))
    assert_identical(other(x), layer(x))


def test_dropped_nan_becomes_zero(dtype: np.dtype[Any]) -> None:
    x = np.full((8, 70), np.nan).astype(dtype)
    y, mask = bitdrop.dropout(x, 0.5, rng=0, noise_shape=(None, 1))
    keep = np.asarray(mask)
    assert_identical(y[~keep], np.zeros_like(y[~keep]))  # +0.0
    assert np.isnan(y[keep].astype(np.float32)).all()


BAD_NOISE_SHAPES: list[tuple[Any, type[Exception], str]] = [
    (5, TypeError, "noise_shape must be None or a tuple"),
    ("1, 1", TypeError, "noise_shape must be None or a tuple"),
    ({1, 2}, TypeError, "noise_shape must be None or a tuple"),
    ((1, 1.5, 1, 1), TypeError, "noise_shape must be a tuple of ints"),
    ((1, "1", 1, 1), TypeError, "noise_shape must be a tuple of ints"),
    ((1, -1, 1, 1), ValueError, "negative"),
]
WRONG_NOISE_SHAPES: list[tuple[Any, str]] = [
    ((), "an entry for each axis of"),
    ((5, 7, 1), "an entry for each axis of"),
    ((5, 7, 11, 13, 1), "an entry for each axis of"),
    ((5, 7, 11, 12), "1, None or x's length"),
    ((0, 7, 11, 13), "1, None or x's length"),
    ((2, 7, 11, 13), "1, None or x's length"),
]


@pytest.mark.parametrize(("noise_shape", "error", "message"), BAD_NOISE_SHAPES, ids=repr)
def test_invalid_noise_shape_is_refused_everywhere(
    noise_shape: Any, error: type[Exception], message: str
) -> None:
    x, rng = np.ones(IMAGES), np.random.default_rng(0)
    before = rng.bit_generator.state
    for call in (
        lambda: bitdrop.dropout(x, rng=rng, noise_shape=noise_shape),
        lambda: bitdrop.Mask(IMAGES, 0.5, key=(1, 2), noise_shape=noise_shape),
        lambda: bitdrop.Dropout(rng=rng, noise_shape=noise_shape),
    ):
        with pytest.raises(error, match=message):
            call()
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(("noise_shape", "message"), WRONG_NOISE_SHAPES, ids=repr)
def test_noise_shape_that_does_not_fit_x_is_refused(noise_shape: Any, message: str) -> None:
    x, layer = np.ones(IMAGES), bitdrop.Dropout(rng=0, noise_shape=noise_shape)
    for call in (
        lambda: bitdrop.dropout(x, noise_shape=noise_shape),
        lambda: bitdrop.Mask(IMAGES, 0.5, key=(1, 2), noise_shape=noise_shape),
        lambda: layer(x),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert layer.state["position"] == 0
