"""Layers that drop channels or samples, or keep moments: values, options, errors."""

import copy
import json
import pickle
from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import oracle
from tests.helpers.cuts import NoiseShape, kept
from tests.helpers.layer_kinds import (
    FLOAT64,
    KINDS,
    check_options_do_not_change_values,
    coefficients,
    for_all_cases,
    for_all_kinds,
    input_for,
    mask_of,
)
from tests.helpers.strategies import PROBABILITIES, SEEDS, views
from tests.helpers.support import DTYPES, Array, assert_identical, normal


def affine(x: Array, keep: Array, a: float, b: float, dropped: float) -> Array:
    """Return a * x + b for kept elements and `dropped` for the others, in float64."""
    return np.where(keep, a * x.astype(np.float64) + b, dropped)


@for_all_cases
def test_layer_drops_units_of_its_kind(
    kind: Any, shape: tuple[int, ...], noise_shape: NoiseShape, dtype: np.dtype[Any]
) -> None:
    layer = kind(0.4, rng=0)
    x, dy = normal(dtype, shape), normal(dtype, shape, seed=1)
    y = layer(x)
    keep = kept(bitdrop.Mask(shape, 0.4, key=tuple(layer.state["key"])), noise_shape)
    a, b, dropped = coefficients(kind, 0.4)
    epsilon = 2.0**-8 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        y.astype(FLOAT64), affine(x, keep, a, b, dropped), rtol=epsilon, atol=4 * epsilon
    )
    assert np.unique(y[~keep]).size == 1
    assert_identical(layer.backward(dy), oracle.applied(dy, keep, mask_of(layer).scale))
    assert mask_of(layer).scale == pytest.approx(a, rel=1e-15)
    assert 0 < keep.sum() < keep.size


@pytest.mark.usefixtures("settings_restored")
@for_all_cases
def test_every_isa_gives_same_result(
    kind: Any, shape: tuple[int, ...], noise_shape: NoiseShape, isa: str, dtype: np.dtype[Any]
) -> None:
    large = (*shape[:-1], 211)
    x = normal(dtype, large)
    for p in (0.0, 0.3, 1.0):
        _core.set_isa("scalar")
        expected = kind(p, rng=0)(x)
        _core.set_isa(isa)
        assert_identical(kind(p, rng=0)(x), expected)
        assert_identical(kind(p, rng=0)(x.copy(), out=np.empty_like(x)), expected)


@settings(max_examples=150)
@given(st.data(), st.sampled_from([*KINDS]), st.sampled_from(DTYPES), PROBABILITIES, SEEDS)
def test_layout_of_x_and_out_does_not_change_result(
    data: st.DataObject, kind: Any, dtype: np.dtype[Any], p: float, seed: int
) -> None:
    shape = tuple(data.draw(st.integers(0, 2 * length)) for length in KINDS[kind][0])
    x, out = data.draw(views(shape, dtype)), data.draw(views(shape, dtype, writable=True))
    plain = np.ascontiguousarray(x)
    with np.errstate(all="ignore"):
        expected = kind(p, rng=seed)(plain)
        layer = kind(p, rng=seed)
        assert_identical(layer(x, out=out), expected)
        assert_identical(layer.backward(x), mask_of(layer).backward(plain))


@for_all_kinds
def test_inference_returns_x_itself(kind: Any) -> None:
    layer, x = kind(0.5, rng=0).eval(), input_for(kind)
    assert layer(x) is x
    assert_identical(layer.backward(x), x)
    assert layer.state["position"] == 0
    assert layer.train()(x) is not x


@for_all_kinds
def test_p_0_keeps_every_bit_of_x(kind: Any, dtype: np.dtype[Any]) -> None:
    x = input_for(kind, dtype)
    x[0] = -0.0
    x[1] = np.inf
    layer = kind(0.0, rng=0)
    y = layer(x)
    assert y is not x
    assert_identical(y, x)
    assert_identical(layer.backward(x), x)
    assert layer.state["position"] == 1


@for_all_kinds
def test_p_1_gives_positive_zeros(kind: Any, dtype: np.dtype[Any]) -> None:
    x = input_for(kind, dtype)
    x[0] = np.nan
    layer = kind(1.0, rng=0)
    assert_identical(layer(x), np.zeros_like(x))  # +0.0
    assert_identical(layer.backward(x), np.zeros_like(x))


@for_all_kinds
def test_out_inplace_and_recompute_do_not_change_values(kind: Any, dtype: np.dtype[Any]) -> None:
    check_options_do_not_change_values(partial(kind, 0.4, rng=0), input_for(kind, dtype))


@for_all_kinds
@pytest.mark.parametrize("duplicate", [lambda layer: pickle.loads(pickle.dumps(layer)), copy.deepcopy])
def test_copied_layer_continues_identically(kind: Any, duplicate: Any) -> None:
    layer, x = kind(0.3, recompute=True, rng=0), input_for(kind)
    layer(x)
    other = duplicate(layer)
    assert repr(other) == repr(layer)
    assert_identical(other.backward(x), layer.backward(x))
    for _ in range(2):
        assert_identical(other(x), layer(x))
    restored = kind(0.3)
    restored.state = json.loads(json.dumps(layer.state))
    assert_identical(restored(x), layer(x))


@for_all_kinds
def test_each_training_forward_draws_new_mask(kind: Any) -> None:
    layer, x = kind(0.5, rng=0), input_for(kind)
    first, second = layer(x), layer(x)
    assert (first != second).any()
    assert mask_of(layer).stream == 1
    assert_identical(kind(0.5, rng=0)(x), first)


@for_all_kinds
def test_changed_p_applies_to_next_forward(kind: Any) -> None:
    layer, changed, x = kind(0.3, rng=0), kind(0.8, rng=0), input_for(kind)
    changed.p = 0.3
    assert_identical(changed(x), layer(x))
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]"):
        layer.p = 1.5
    with pytest.raises(TypeError, match="p must be a number"):
        kind("0.5")


@for_all_kinds
def test_evaluated_repr_gives_equal_layer(kind: Any) -> None:
    layer = kind(0.25, inplace=True, recompute=True, rng=0)
    again = eval(repr(layer), vars(bitdrop))
    assert type(again) is kind
    assert repr(again) == repr(layer)
    assert again.p == 0.25


@for_all_kinds
def test_unknown_keyword_names_the_class_that_was_called(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\) got an unexpected keyword.*'prob'"):
        kind(prob=0.5)


def test_drop_path_takes_the_arguments_of_timm_by_position() -> None:
    layer = bitdrop.DropPath(0.4, False, "batch", rng=0)
    assert (layer.p, layer.scale_by_keep, layer.mode) == (0.4, False, "batch")
    assert (bitdrop.DropPath(0.1).scale_by_keep, bitdrop.DropPath(0.1).mode) == (True, "row")
    assert bitdrop.DropPath(0.1, True).mode == "row"
    with pytest.raises(TypeError):
        bitdrop.DropPath(0.1, True, "row", False)  # type: ignore[call-arg]


@pytest.mark.parametrize("shape", [(), (7,), (3, 5, 2)])
def test_drop_path_of_batches_drops_all_or_nothing(shape: tuple[int, ...]) -> None:
    layer, x = bitdrop.DropPath(0.5, mode="batch", rng=0), np.ones(shape)
    seen = set()
    for stream in range(20):
        y = layer(x)
        value = y.flat[0]
        assert_identical(y, np.full(shape, value))
        assert mask_of(layer) == bitdrop.Mask(
            shape, 0.5, key=mask_of(layer).key, stream=stream, noise_shape=(1,) * len(shape)
        )
        assert_identical(layer.backward(x), y)
        seen.add(value)
    assert seen == {0.0, 2.0}


@pytest.mark.parametrize("mode", ["rows", "", None, 1])
def test_unknown_mode_of_drop_path_is_a_value_error(mode: Any) -> None:
    with pytest.raises(ValueError, match=r"^mode must be 'row' or 'batch', but got"):
        bitdrop.DropPath(mode=mode)


def test_alpha_dropout_with_noise_shape_drops_shared_units() -> None:
    x = normal(np.dtype(np.float32), (6, 5, 4))
    layer = bitdrop.AlphaDropout(0.4, noise_shape=(None, None, 1), rng=0)
    assert_identical(layer(x), bitdrop.FeatureAlphaDropout(0.4, rng=0)(x))
    assert_identical(layer.backward(x), mask_of(layer).backward(x))
    assert layer.noise_shape == (None, None, 1)
    again = eval(repr(layer), vars(bitdrop))
    assert (repr(again), again.noise_shape) == (repr(layer), layer.noise_shape)
    with pytest.raises(ValueError, match="noise_shape must have an entry for each axis"):
        layer(x[0])
    with pytest.raises(TypeError, match="unexpected keyword"):
        bitdrop.FeatureAlphaDropout(noise_shape=(1,))  # type: ignore[call-arg]


def test_p_defaults_to_one_half_and_to_0_for_drop_path() -> None:
    assert {kind.__name__: kind().p for kind in KINDS} == {
        kind.__name__: 0.0 if kind is bitdrop.DropPath else 0.5 for kind in KINDS
    }


WRONG_AXES: list[tuple[Any, tuple[int, ...], str]] = [
    (bitdrop.Dropout1d, (), r"\(N, C, L\) or \(C, L\), but got \(\)"),
    (bitdrop.Dropout1d, (4,), r"\(N, C, L\) or \(C, L\), but got \(4,\)"),
    (bitdrop.Dropout1d, (2, 3, 4, 5), r"\(N, C, L\) or \(C, L\), but got \(2, 3, 4, 5\)"),
    (bitdrop.Dropout2d, (2, 3), r"\(N, C, H, W\) or \(C, H, W\), but got \(2, 3\)"),
    (bitdrop.Dropout2d, (2, 3, 4, 5, 6), r"\(N, C, H, W\) or \(C, H, W\)"),
    (bitdrop.Dropout3d, (2, 3, 4), r"\(N, C, D, H, W\) or \(C, D, H, W\)"),
    (bitdrop.Dropout3d, (1, 2, 3, 4, 5, 6), r"\(N, C, D, H, W\) or \(C, D, H, W\)"),
    (bitdrop.DropPath, (), r"\(N, \.\.\.\), but got \(\)"),
    (bitdrop.FeatureAlphaDropout, (), r"\(N, C, \.\.\.\), but got \(\)"),
    (bitdrop.FeatureAlphaDropout, (4,), r"\(N, C, \.\.\.\), but got \(4,\)"),
]


@pytest.mark.parametrize(("kind", "shape", "message"), WRONG_AXES)
@pytest.mark.parametrize("training", [True, False])
def test_wrong_number_of_axes_is_an_error_and_takes_no_stream_number(
    kind: Any, shape: tuple[int, ...], message: str, training: bool
) -> None:
    layer = kind(0.5, rng=0)
    with pytest.raises(bitdrop.NdimError, match=rf"{kind.__name__} needs x of shape {message}") as caught:
        layer(np.ones(shape), training)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RuntimeError)
    assert layer.state["position"] == 0
    assert layer.mask is None


@for_all_kinds
@pytest.mark.parametrize("bad", [np.ones((2, 3, 4, 5), int), [["a"]], None, [[1.0], [1.0, 2.0]]], ids=str)
def test_input_other_than_float_array_is_a_type_error(kind: Any, bad: Any) -> None:
    layer = kind(0.5, rng=0)
    with pytest.raises(TypeError, match="x must be"):
        layer(bad)
    assert layer.state["position"] == 0


def test_list_gives_same_result_as_array() -> None:
    x = [[1.0, 2.0], [3.0, 4.0]]
    assert_identical(bitdrop.Dropout1d(0.5, rng=0)(x), bitdrop.Dropout1d(0.5, rng=0)(np.array(x)))


def test_drop_path_without_scaling_keeps_samples_unscaled() -> None:
    layer, x = bitdrop.DropPath(0.4, scale_by_keep=False, rng=0), input_for(bitdrop.DropPath)
    y = layer(x)
    keep = np.asarray(layer.mask)
    assert_identical(y, oracle.applied(x, keep, 1.0))
    assert_identical(layer.backward(x), y)
    assert layer.eval()(x) is x
    assert "scale_by_keep=False" in repr(layer)
    layer.p = 0.9
    layer.train()(x)
    assert mask_of(layer).scale == 1.0
    with pytest.raises(TypeError, match="scale_by_keep must be True or False"):
        bitdrop.DropPath(scale_by_keep=1)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.sampled_from([*KINDS]), st.floats(0, 0.99), SEEDS)
def test_backward_is_derivative_of_forward(kind: Any, p: float, seed: int) -> None:
    layer = kind(p, rng=seed)
    x, weights, direction = (input_for(kind, FLOAT64, seed + n) for n in range(3))
    start = layer.state

    def loss(at: Array) -> float:
        layer.state = start  # to draw the same mask
        return float(np.sum(weights * layer(at)))

    step = 2.0**-10
    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(np.sum(layer.backward(weights) * direction)), rel=1e-6, abs=1e-6)


@for_all_kinds
def test_layers_share_only_one_base_class(kind: Any) -> None:
    bases = set(bitdrop.Dropout.__mro__) & set(kind.__mro__) - {object}
    assert {base.__name__ for base in bases} == {"Layer"}


@for_all_kinds
@pytest.mark.parametrize("recompute", [False, True], ids=["bits held", "bits generated again"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_mask_apply_repeats_forward_pass(
    kind: Any, dtype: np.dtype[Any], p: float, recompute: bool, isa: str, settings_restored: None
) -> None:
    _core.set_isa(isa)
    layer = kind(p, recompute=recompute, rng=0)
    x = input_for(kind, dtype)
    y = layer(x)
    mask = mask_of(layer)
    assert_identical(mask.apply(x), y)
    rebuilt = eval(repr(mask), {"Mask": bitdrop.Mask, "Shard": bitdrop.Shard})
    assert rebuilt == mask
    assert_identical(rebuilt.apply(x), y)
    assert_identical(pickle.loads(pickle.dumps(mask)).apply(x), y)


@for_all_kinds
def test_settings_of_layer_are_read_only_attributes(kind: Any) -> None:
    layer = kind(0.5, inplace=True, recompute=True, rng=0)
    assert (layer.inplace, layer.recompute, layer.scaling, layer.noise_shape) == (
        True,
        True,
        "inverted",
        None,
    )
    for name in ("inplace", "recompute", "scaling", "noise_shape"):
        with pytest.raises(AttributeError):
            setattr(layer, name, False)


def test_settings_of_dropout_are_those_of_constructor() -> None:
    layer = bitdrop.Dropout(scaling="vanilla", noise_shape=[None, 1], rng=0)
    assert (layer.scaling, layer.noise_shape) == ("vanilla", (None, 1))
