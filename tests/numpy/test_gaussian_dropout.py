"""Gaussian dropout: the function, the layer and the noise, against the oracle."""

import copy
import json
import math
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import noise_oracle
from tests.helpers.bad_values import BAD_KEYS, BAD_SHAPES, BAD_WORDS
from tests.helpers.cuts import cuts, lengths_of, noise_shapes
from tests.helpers.float_modes import rounding_upward
from tests.helpers.strategies import SEEDS, SHAPES, WORDS, arrays, views
from tests.helpers.support import DTYPES, Array, any_bits, assert_identical, normal

RATES = st.one_of(st.sampled_from([0.0, 0.5, 0.1, 2.0**-60, 1 - 2.0**-53]), st.floats(0, 1, exclude_max=True))
X = normal(np.dtype(np.float32), (6, 8))


def expected(x: Array, noise: bitdrop.Noise, noise_shape: tuple[int | None, ...] | None = None) -> Array:
    """Return the result by the oracle. The index of an element's number runs over the noise shape."""
    lengths = lengths_of(noise_shape, noise.shape)
    z = noise_oracle.normals(noise.key, noise.stream, 0, math.prod(lengths))
    return noise_oracle.noisy(x, np.broadcast_to(z.reshape(lengths), x.shape), noise.p)


# Values


@settings(max_examples=300)
@given(arrays(), RATES, SEEDS)
def test_result_is_that_of_oracle_for_any_layout(x: Array, p: float, seed: int) -> None:
    y, noise = bitdrop.gaussian_dropout(x, p, rng=seed)
    assert_identical(y, expected(x, noise))
    assert_identical(noise.apply(x), y)
    assert_identical(noise.backward(x), y)


@settings(max_examples=150)
@given(st.data(), SHAPES, st.sampled_from(DTYPES), RATES)
def test_out_of_any_layout_and_in_place(
    data: st.DataObject, shape: Any, dtype: np.dtype[Any], p: float
) -> None:
    x, out = data.draw(views(shape, dtype)), data.draw(views(shape, dtype, writable=True))
    y, noise = bitdrop.gaussian_dropout(x, p, rng=1, out=out)
    assert y is out
    assert_identical(out, expected(x, noise))
    inside = data.draw(views(shape, dtype, writable=True))
    before = inside.copy()
    bitdrop.gaussian_dropout(inside, p, rng=1, out=inside)
    assert_identical(inside, expected(before, noise))


@settings(max_examples=200)
@given(st.data(), st.tuples(*[st.integers(0, 30)] * 3), st.sampled_from(DTYPES), RATES, SEEDS)
def test_shards_get_values_of_whole_array(
    data: st.DataObject, shape: tuple[int, ...], dtype: np.dtype[Any], p: float, seed: int
) -> None:
    x = data.draw(views(shape, dtype))
    noise_shape = data.draw(noise_shapes(shape))
    whole, noise = bitdrop.gaussian_dropout(x, p, rng=seed, noise_shape=noise_shape)
    assert_identical(whole, expected(x, noise, noise_shape))
    for part in data.draw(cuts(shape)):
        index: Any = (*part, ...)
        shard = bitdrop.Shard(shape, tuple(span.start for span in part))
        y, own = bitdrop.gaussian_dropout(x[index], p, rng=seed, noise_shape=noise_shape, shard=shard)
        assert_identical(y, whole[index], repr(own))
        assert_identical(own.backward(x[index]), whole[index])


def test_far_shard_has_numbers_of_far_elements() -> None:
    far = bitdrop.Shard((2**40, 2**20), (2**39, 2**19))
    noise = bitdrop.Noise((3, 5), 0.5, key=(1, 2), shard=far)
    first = [(2**39 + row) * 2**20 + 2**19 for row in range(3)]
    z = np.stack([noise_oracle.normals((1, 2), 0, begin, begin + 5) for begin in first])
    assert_identical(np.asarray(noise), np.float32(1) + z)


def test_factors_have_mean_1_and_variance_of_dropout() -> None:
    for p in (0.1, 0.5, 0.9):
        y, noise = bitdrop.gaussian_dropout(np.ones(10**6), p, rng=0)
        assert noise.std == math.sqrt(p / (1 - p))
        assert abs(y.mean() - 1) < 5 * noise.std / 1000
        assert abs(y.var() / noise.std**2 - 1) < 0.008


def test_numbers_are_those_of_every_dtype_and_rate(dtype: np.dtype[Any]) -> None:
    z = noise_oracle.normals((1, 2), 3, 0, 1000).astype(np.float64)
    for p in (0.01, 0.5, 0.99):
        noise = bitdrop.Noise(1000, p, key=(1, 2), stream=3)
        factors = np.asarray(noise, dtype=dtype).astype(np.float64)
        precision = float(np.finfo(dtype).eps) if dtype.kind == "f" else 2.0**-7
        assert np.abs(factors - (1 + noise.std * z)).max() <= precision * (1 + 6 * noise.std)


def test_nan_and_infinities_are_multiplied(dtype: np.dtype[Any]) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    noise = bitdrop.Noise(5, 0.9, key=(1, 5))
    factors = np.asarray(noise).astype(np.float64)
    y = noise.apply(x).astype(np.float64)
    assert np.isnan(y[0])
    assert y[1] == math.copysign(np.inf, factors[1])
    assert y[2] == -math.copysign(np.inf, factors[2])
    assert [math.copysign(1, v) for v in y[3:]] == [
        math.copysign(1, factors[3]),
        -math.copysign(1, factors[4]),
    ]


def test_rate_of_zero_changes_nothing_but_uses_generator(dtype: np.dtype[Any]) -> None:
    x = any_bits(dtype, 3000)
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    y, noise = bitdrop.gaussian_dropout(x, 0, rng=rng)
    assert_identical(y, x)
    assert y is not x
    assert noise.key == bitdrop.dropout(np.ones(1), rng=other)[1].key
    assert rng.bit_generator.state == other.bit_generator.state


def test_inference_returns_x_itself_and_identity_noise() -> None:
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    y, noise = bitdrop.gaussian_dropout(X, 0.5, training=False, rng=rng)
    assert y is X
    assert noise == bitdrop.Noise(X.shape, 0, key=(0, 0))
    assert_identical(noise.backward(X), X)
    assert rng.bit_generator.state == before
    out = np.empty_like(X)
    assert bitdrop.gaussian_dropout(X, training=False, out=out)[0] is out
    assert_identical(out, X)


def test_rounding_mode_of_caller_changes_nothing(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, 5000)
    rates = [0.1, 0.3, 0.45, 0.7, 0.9, 0.999]
    noises = [bitdrop.Noise(5000, p, key=(1, 2)) for p in rates]
    before = [noise.apply(x) for noise in noises]
    with rounding_upward() as upward:
        after = [noise.apply(x) for noise in noises]
    if not upward:
        pytest.skip("no known way to change the rounding mode")
    for y, other in zip(before, after, strict=True):
        assert_identical(other, y)


def test_noise_and_mask_of_same_key_are_independent() -> None:
    ones = np.ones(2**20, np.float32)
    noisy, noise = bitdrop.gaussian_dropout(ones, 0.5, rng=7)
    dropped, mask = bitdrop.dropout(ones, 0.5, rng=7)
    assert noise.key == mask.key
    assert abs(np.corrcoef(noisy, dropped)[0, 1]) < 5 / 2**10


# The noise as a value


@settings(max_examples=100)
@given(st.data(), st.tuples(st.integers(0, 9), st.integers(0, 9)), RATES, st.tuples(WORDS, WORDS), WORDS)
def test_noise_is_a_value(
    data: st.DataObject, shape: tuple[int, int], p: float, key: tuple[int, int], stream: int
) -> None:
    noise_shape = data.draw(noise_shapes(shape))
    shard = data.draw(st.sampled_from([None, bitdrop.Shard(shape, (0, 0))]))
    noise = bitdrop.Noise(shape, p, key=key, stream=stream, noise_shape=noise_shape, shard=shard)
    names = {"Noise": bitdrop.Noise, "Shard": bitdrop.Shard}
    for same in (pickle.loads(pickle.dumps(noise)), copy.deepcopy(noise), eval(repr(noise), names)):
        assert same == noise
        assert hash(same) == hash(noise)
        assert_identical(np.asarray(same), np.asarray(noise))
    assert noise != bitdrop.Noise(shape, p, key=key, stream=stream ^ 1, noise_shape=noise_shape, shard=shard)
    assert noise != bitdrop.Mask(shape, p, key=key, stream=stream)


def test_noise_is_immutable_and_small() -> None:
    noise = bitdrop.Noise((1000, 1000), 0.5, key=(1, 2))
    with pytest.raises(AttributeError):
        noise.p = 0.1  # type: ignore[misc]
    assert len(pickle.dumps(noise)) < 300
    with pytest.raises(ValueError, match="always a new one"):
        noise.__array__(copy=False)


def test_pickle_of_another_format_is_refused() -> None:
    function, (number, *rest) = bitdrop.Noise(4, 0.5, key=(1, 2)).__reduce__()
    assert number == bitdrop.NOISE_FORMAT == _core.NOISE_FORMAT
    with pytest.raises(ValueError, match="noise format 99, but this version of bitdrop makes format 1"):
        function(99, *rest)


# The layer


def test_layer_multiplies_with_successive_streams() -> None:
    layer = bitdrop.GaussianDropout(0.3, rng=5)
    for number in range(3):
        y = layer(X)
        noise = layer.noise
        assert noise == bitdrop.Noise(X.shape, 0.3, key=tuple(layer.state["key"]), stream=number)
        assert_identical(y, expected(X, noise))
        assert_identical(layer.backward(X), y)
    assert layer.mask is None
    assert layer.recompute


def test_layer_at_inference_leaves_x_and_stream() -> None:
    layer = bitdrop.GaussianDropout(rng=5).eval()
    assert layer(X) is X
    assert_identical(layer.backward(X), X)
    assert layer.state["position"] == 0
    assert layer(X, True) is not X
    assert layer.state["position"] == 1


def test_layer_state_and_pickle_resume() -> None:
    layer = bitdrop.GaussianDropout(0.4, noise_shape=(None, 1), rng=5)
    layer(X)
    state = json.loads(json.dumps(layer.state))
    resumed = bitdrop.GaussianDropout(0.4, noise_shape=(None, 1))
    resumed.state = state
    other = pickle.loads(pickle.dumps(layer))
    y = layer(X)
    assert_identical(resumed(X), y)
    assert_identical(other(X), y)
    factors = np.asarray(layer.noise)
    assert_identical(factors, np.broadcast_to(factors[:, :1], X.shape).copy())
    with pytest.raises(ValueError, match="The state is of noise format 2"):
        resumed.state = state | {"format": 2}


def test_inplace_layer_writes_into_x() -> None:
    x = X.copy()
    layer = bitdrop.GaussianDropout(0.3, inplace=True, rng=5)
    assert layer(x) is x
    assert layer.noise is not None
    assert_identical(x, expected(X, layer.noise))
    with pytest.raises(TypeError, match="inplace=True"):
        layer.forward(x, out=x)


def test_layer_repr_is_constructor_call() -> None:
    assert repr(bitdrop.GaussianDropout(0.1)) == "GaussianDropout(p=0.1, inplace=False)"
    shared = bitdrop.GaussianDropout(0.1, noise_shape=(None, 1))
    assert repr(shared) == "GaussianDropout(p=0.1, inplace=False, noise_shape=(None, 1))"


def test_backward_before_forward_is_refused() -> None:
    with pytest.raises(RuntimeError, match="backward needs the noise of a forward pass"):
        bitdrop.GaussianDropout().backward(X)


def test_gradient_is_that_of_finite_differences() -> None:
    layer = bitdrop.GaussianDropout(0.5, rng=1)
    x, step = normal(np.dtype(np.float64), 20), 2.0**-20
    layer(x)
    noise = layer.noise
    assert noise is not None
    slopes = (noise.apply(x + step) - noise.apply(x - step)) / (2 * step)
    np.testing.assert_allclose(layer.backward(np.ones(20)), slopes, rtol=1e-8)


# Bad input

BAD_RATES: list[tuple[Any, type[Exception], str]] = [
    (
        1,
        ValueError,
        r"p must be less than 1 for Gaussian dropout, whose variance is p / \(1 - p\), but got 1",
    ),
    (1.0, ValueError, "less than 1"),
    (-0.1, ValueError, r"p must be in \[0, 1\]"),
    (math.nan, ValueError, r"p must be in \[0, 1\]"),
    ("0.5", TypeError, "p must be a number"),
    (None, TypeError, "p must be a number"),
    (True, TypeError, "p must be a number"),
]


@pytest.mark.parametrize(("p", "error", "message"), BAD_RATES)
def test_bad_rate_is_refused_before_anything_is_written(p: Any, error: type[Exception], message: str) -> None:
    rng = np.random.default_rng(0)
    before, out = rng.bit_generator.state, np.zeros_like(X)
    layer = bitdrop.GaussianDropout(0.3)

    def set_rate() -> None:
        layer.p = p

    for call in (
        lambda: bitdrop.gaussian_dropout(X, p, rng=rng, out=out),
        lambda: bitdrop.GaussianDropout(p, rng=rng),
        lambda: bitdrop.Noise(3, p, key=(1, 2)),
        set_rate,
    ):
        with pytest.raises(error, match=message):
            call()
    assert rng.bit_generator.state == before
    assert not out.any()
    assert layer.p == 0.3


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        (X.astype(np.int32), None, TypeError, "x must be of float16"),
        (X, X.astype(np.float64), TypeError, "out must be of x's dtype"),
        (X, np.empty((8, 6), np.float32), ValueError, "out must have x's shape"),
    ],
)
def test_bad_arrays_leave_layer_as_it_was(x: Any, out: Any, error: type[Exception], message: str) -> None:
    layer = bitdrop.GaussianDropout(rng=1)
    layer(X)
    noise = layer.noise
    with pytest.raises(error, match=message):
        layer.forward(x, out=out)
    assert layer.noise is noise
    assert layer.state["position"] == 1


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_bad_key_of_noise_is_refused(key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="key"):
        bitdrop.Noise(3, 0.5, key=key)


@pytest.mark.parametrize("bad", BAD_WORDS)
def test_bad_stream_of_noise_is_refused(bad: str) -> None:
    stream, error = BAD_WORDS[bad]
    with pytest.raises(error, match="stream must be"):
        bitdrop.Noise(3, 0.5, key=(1, 2), stream=stream)


@pytest.mark.parametrize(("shape", "error"), BAD_SHAPES, ids=lambda value: repr(value)[:20])
def test_bad_shape_of_noise_is_refused(shape: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="shape must"):
        bitdrop.Noise(shape, 0.5, key=(1, 2))


def test_array_of_another_shape_is_refused() -> None:
    noise = bitdrop.Noise((6, 8), 0.5, key=(1, 2))
    with pytest.raises(
        ValueError, match=r"dy must have the shape of the noise, \(6, 8\), but its shape is \(48,\)"
    ):
        noise.backward(X.ravel())
