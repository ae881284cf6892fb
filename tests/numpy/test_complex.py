"""Complex arrays: both parts of a number share a draw, those of the real array of that shape."""

import copy
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.bad_values import GOOD
from tests.helpers.layer_kinds import KINDS
from tests.helpers.strategies import PROBABILITIES, SEEDS, SHAPES
from tests.helpers.support import Array, any_bits, assert_identical

COMPLEX: dict[Any, np.dtype[Any]] = {np.complex64: np.dtype(np.float32), np.complex128: np.dtype(np.float64)}
for_both = pytest.mark.parametrize("dtype", COMPLEX)
LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (bitdrop.Dropout, (7, 30)),
    (lambda **options: bitdrop.Dropout(noise_shape=(None, 1), **options), (7, 100)),
    *((kind, shape) for kind, (shape, _) in KINDS.items() if not issubclass(kind, bitdrop.AlphaDropout)),
    (lambda **options: bitdrop.DropBlock2d(block_size=3, **options), (2, 3, 9, 10)),
    (lambda **options: bitdrop.DropBlock3d(block_size=2, **options), (2, 3, 5, 4, 6)),
]


def parts(x: Array) -> Array:
    """Return a complex array as real numbers, with one more axis."""
    return np.stack([x.real, x.imag], -1)


def any_complex(dtype: Any, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return complex numbers of arbitrary bit patterns."""
    size = int(np.prod(shape, dtype=int))
    numbers: Array = any_bits(COMPLEX[dtype], 2 * size, seed).view(dtype)
    return numbers.reshape(shape)


def assert_same(actual: Array, expected: Array) -> None:
    assert actual.dtype == expected.dtype
    assert_identical(parts(actual), parts(expected))


@for_both
@pytest.mark.parametrize(("kind", "shape"), LAYERS)
def test_layers_treat_both_parts_as_the_real_array(kind: Any, shape: tuple[int, ...], dtype: Any) -> None:
    x = any_complex(dtype, shape)
    layer, real = kind(p=0.4, rng=0), kind(p=0.4, rng=0)
    y = layer(x)
    dx = layer.backward(y)
    start = real.state
    for part in ("real", "imag"):
        real.state = start
        assert_identical(getattr(y, part), real(np.ascontiguousarray(getattr(x, part))))
        assert_identical(getattr(dx, part), real.backward(np.ascontiguousarray(getattr(y, part))))
    assert layer.mask == real.mask
    assert np.array_equal(layer.mask.bits, real.mask.bits)
    assert_same(layer.mask.apply(x), y)
    for other in (kind(p=0.4, rng=0, recompute=True), kind(p=0.4, rng=0, inplace=True)):
        assert_same(other(x.copy()), y)
        assert_same(other.backward(y), dx)
    assert layer.eval()(x) is x


@settings(max_examples=200)
@given(st.data(), SHAPES, st.sampled_from([*COMPLEX]), PROBABILITIES, SEEDS)
def test_any_layout_gives_the_values_of_the_parts(
    data: st.DataObject, shape: Any, dtype: Any, p: float, seed: int
) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    x = any_complex(dtype, tuple(shape[axis] for axis in order)).transpose(np.argsort(order))
    step = data.draw(st.sampled_from([1, 2, -1]))
    whole = any_complex(dtype, (*shape[:-1], shape[-1] * abs(step)) if shape else shape)
    if shape and data.draw(st.booleans()):
        x = whole[..., ::step]
    noise = data.draw(st.sampled_from([None, tuple(data.draw(st.sampled_from([None, 1])) for _ in shape)]))
    options: Any = {"noise_shape": noise, "rng": seed}
    bitdrop.set_num_threads(data.draw(st.sampled_from([1, 3])))
    y, mask = bitdrop.dropout(x, p, **options)
    out = np.empty_like(whole)[..., ::step] if shape else np.empty_like(x)
    bitdrop.dropout(x, p, out=out, **options)
    bitdrop.set_num_threads(1)
    for part in ("real", "imag"):
        expected, same_mask = bitdrop.dropout(getattr(x, part).copy(), p, **options)
        assert_identical(getattr(y, part), expected)
        assert_identical(getattr(out, part), expected)
        assert_identical(getattr(mask.apply(x), part), expected)
        assert mask == same_mask


@for_both
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_every_instruction_set_and_number_of_threads_agrees(isa: str, noise_shape: Any, dtype: Any) -> None:
    x = any_complex(dtype, (700, 501))
    expected, mask = bitdrop.dropout(x, 0.3, rng=0, noise_shape=noise_shape)
    kept = np.asarray(mask)[..., np.newaxis]
    numbers = parts(x)
    with np.errstate(all="ignore"):
        scaled = numbers * numbers.dtype.type(mask.scale)
    assert_identical(parts(expected), np.where(kept, scaled, np.zeros((), numbers.dtype)))
    before, threshold = _core.get_isa(), _core.get_non_temporal_threshold()
    _core.set_isa(isa)
    try:
        for threads, smallest in ((1, threshold), (4, 0)):
            bitdrop.set_num_threads(threads)
            _core.set_non_temporal_threshold(smallest)
            assert_same(bitdrop.dropout(x, 0.3, rng=0, noise_shape=noise_shape)[0], expected)
            assert_same(mask.apply(x), expected)
            assert_same(mask.apply(x.T.copy().T), expected)
    finally:
        bitdrop.set_num_threads(1)
        _core.set_non_temporal_threshold(threshold)
        _core.set_isa(before)


@for_both
def test_dropped_numbers_are_positive_zeros(dtype: Any) -> None:
    x = np.full(300, complex(np.nan, -np.inf), dtype)
    y, mask = bitdrop.dropout(x, 0.5, rng=0)
    dropped = parts(y)[~np.asarray(mask)]
    assert_identical(dropped, np.zeros_like(dropped))
    assert_identical(parts(bitdrop.dropout(x, 1.0)[0]), np.zeros((300, 2), COMPLEX[dtype]))


@for_both
def test_shards_masks_and_inference_take_complex_numbers(dtype: Any) -> None:
    x = any_complex(dtype, (20, 40))
    whole, mask = bitdrop.dropout(x, 0.5, rng=0)
    part, _ = bitdrop.dropout(x[3:9, 5:], 0.5, rng=0, shard=bitdrop.Shard((20, 40), (3, 5)))
    assert_same(part, whole[3:9, 5:])
    assert_same(mask.part((3, 5), (6, 35)).apply(x[3:9, 5:]), part)
    own = bitdrop.Mask.from_array(np.asarray(mask), scale=2.0)
    assert_same(own.apply(x), whole)
    y, _ = bitdrop.dropout(x, 0.5, training=False, scaling="vanilla")
    with np.errstate(all="ignore"):
        assert_identical(parts(y), parts(x) * COMPLEX[dtype].type(0.5))
    for layer in (pickle.loads(pickle.dumps(bitdrop.Dropout(rng=0))), copy.copy(bitdrop.Dropout(rng=0))):
        assert_same(layer(x), whole)
    assert bitdrop.dropout([1j, 2.0], 0.0)[0].dtype == np.complex128


@for_both
def test_dask_takes_complex_numbers(dtype: Any) -> None:
    da = pytest.importorskip("dask.array")
    from bitdrop import dask  # noqa: PLC0415 - needs dask

    x = any_complex(dtype, (30, 40))
    y, mask = dask.dropout(da.from_array(x, chunks=(7, 9)), 0.5, rng=0)
    whole, _ = bitdrop.dropout(x, 0.5, rng=0)
    assert_same(y.compute(), whole)
    assert_same(mask.backward(da.from_array(x, chunks=11)).compute(), whole)
    with pytest.raises(TypeError, match=r"^x must be of .*complex"):
        dask.alpha_dropout(da.from_array(x), 0.5)


@for_both
@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("training", [True, False])
def test_kinds_for_real_numbers_refuse_complex_ones(dtype: Any, p: float, training: bool) -> None:
    x = np.ones((4, 5), dtype)
    name = np.dtype(dtype).name
    match = rf"^x must be of .*, but its dtype is {name}: drop x\.real and x\.imag with the same mask\.$"
    kinds = bitdrop.AlphaDropout, bitdrop.FeatureAlphaDropout, bitdrop.GaussianDropout, bitdrop.FusedDropout
    layers = [kind(p, rng=0) for kind in kinds]
    for layer in layers:
        with pytest.raises(TypeError, match=match):
            layer(x, training)
        assert layer.state["position"] == 0
    with pytest.raises(TypeError, match=match):
        bitdrop.Mask((4, 5), 0.5, key=(1, 2), shift=1.0).apply(x)


def test_same_mask_for_both_parts_is_what_the_error_advises() -> None:
    x = any_complex(np.complex64, (4, 5))
    layer = bitdrop.AlphaDropout(0.3, rng=0)
    y = layer(np.ascontiguousarray(x.real)) + 1j * layer.mask.apply(np.ascontiguousarray(x.imag))  # type: ignore[union-attr]
    assert y.shape == x.shape


def test_out_of_another_kind_is_an_error() -> None:
    x = GOOD.astype(np.complex64)
    with pytest.raises(TypeError, match=r"^out must be of x's dtype, complex64, but its dtype is float32"):
        bitdrop.dropout(x, out=np.empty_like(GOOD))
    with pytest.raises(TypeError, match=r"^out must be of x's dtype, float32, but its dtype is complex64"):
        bitdrop.dropout(GOOD, out=np.empty_like(x))
