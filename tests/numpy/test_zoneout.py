"""Zoneout: function, layer and mask."""

import copy
import json
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import PROBABILITIES, SEEDS, SHAPES, views
from tests.helpers.support import DTYPES, Array, any_bits, assert_identical, normal

KEY = (1, 2)
KINDS = [*DTYPES, np.dtype(np.complex64), np.dtype(np.complex128)]
for_all_dtypes = pytest.mark.parametrize("dtype", KINDS, ids=str)


def state(dtype: np.dtype[Any], shape: Any, seed: int = 0) -> Array:
    """Return a state of normal numbers, also of complex ones."""
    if dtype.kind != "c":
        return normal(dtype, shape, seed)
    return (normal(np.dtype("f8"), shape, seed) + 1j * normal(np.dtype("f8"), shape, seed + 1)).astype(dtype)


def scaled(x: Array, factor: float) -> Array:
    """Return a product, by NumPy in the type of the arithmetic."""
    if x.dtype.kind == "c":
        result = np.empty(x.shape, x.dtype)
        result.real, result.imag = scaled(x.real, factor), scaled(x.imag, factor)
        return result
    kind = np.float32 if x.itemsize == 2 else x.dtype.type
    return (x.astype(kind) * kind(factor)).astype(x.dtype)


def blended(new: Array, previous: Array, p: float) -> Array:
    """Return the expectation, by NumPy in the type of the arithmetic."""
    if new.dtype.kind == "c":
        parts = [blended(a, b, p) for a, b in ((new.real, previous.real), (new.imag, previous.imag))]
        result = np.empty(new.shape, new.dtype)
        result.real, result.imag = parts
        return result
    kind = np.float32 if new.itemsize == 2 else new.dtype.type
    wide: Array = kind(1.0 - p) * new.astype(kind) + kind(p) * previous.astype(kind)
    return wide.astype(new.dtype)


def same(actual: Array, expected: Array) -> None:
    if actual.dtype.kind == "c":
        assert actual.shape == expected.shape
        same(actual.real, expected.real)
        same(actual.imag, expected.imag)
    else:
        assert_identical(actual, expected)


@for_all_dtypes
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_elements_are_those_that_dropout_would_drop(dtype: np.dtype[Any], isa: str, p: float) -> None:
    new, previous = state(dtype, (37, 211)), state(dtype, (37, 211), 5)
    before = _core.get_isa()
    _core.set_isa(isa)
    try:
        h, mask = bitdrop.zoneout(new, previous, p, rng=3)
        dnew, dprevious = mask.backward(new)
        expectation, at_inference = bitdrop.zoneout(new, previous, p, training=False)
    finally:
        _core.set_isa(before)
    _, dropped = bitdrop.dropout(np.ones(new.shape), p, rng=3)
    kept, zeros = np.asarray(dropped), np.zeros((), dtype)
    assert np.array_equal(np.asarray(mask), kept)
    same(h, np.where(kept, new, previous))
    same(dnew, np.where(kept, new, zeros))
    same(dprevious, np.where(kept, zeros, new))
    same(expectation, blended(new, previous, p))
    for share, factor in zip(at_inference.backward(new), (1.0 - p, p), strict=True):
        same(share, scaled(new, factor))
    assert (mask.p, mask.key, mask.stream, mask.training) == (p, dropped.key, 0, True)
    assert (at_inference.p, at_inference.training) == (p, False)


@settings(max_examples=150)
@given(st.data(), SHAPES, st.sampled_from(DTYPES), PROBABILITIES, SEEDS, st.sampled_from([1, 3]))
def test_any_layout_gives_the_values_of_contiguous_arrays(
    data: st.DataObject, shape: Any, dtype: np.dtype[Any], p: float, seed: int, threads: int
) -> None:
    new, previous = data.draw(views(shape, dtype)), data.draw(views(shape, dtype))
    out = data.draw(views(shape, dtype, writable=True))
    bitdrop.set_num_threads(threads)
    expected, mask = bitdrop.zoneout(new.copy(), previous.copy(), p, rng=seed)
    h, again = bitdrop.zoneout(new, previous, p, rng=seed, out=out)
    assert h is out
    assert again == mask
    assert_identical(h, expected)
    assert_identical(mask.apply(new, previous), expected)
    for at_once, parts in zip(mask.backward(new), again.backward(new.copy()), strict=True):
        assert_identical(at_once, parts)
    bitdrop.set_num_threads(1)


@for_all_dtypes
def test_large_states_use_several_threads_and_give_the_same(dtype: np.dtype[Any]) -> None:
    new, previous = state(dtype, (900, 1000)), state(dtype, (900, 1000), 5)
    expected, mask = bitdrop.zoneout(new, previous, 0.3, rng=0)
    before = _core.get_non_temporal_threshold()
    _core.set_non_temporal_threshold(0)
    bitdrop.set_num_threads(4)
    try:
        same(bitdrop.zoneout(new, previous, 0.3, rng=0)[0], expected)
        same(mask.apply(new, previous), expected)
        same(
            bitdrop.zoneout(new.T, previous.T, 0.3, rng=0)[0],
            bitdrop.zoneout(new.T, previous.T, 0.3, rng=0)[0],
        )
    finally:
        bitdrop.set_num_threads(1)
        _core.set_non_temporal_threshold(before)


def test_values_are_copied_whatever_they_are() -> None:
    for dtype in DTYPES[2:]:
        new, previous = any_bits(dtype, 5000), any_bits(dtype, 5000, 1)
        h, mask = bitdrop.zoneout(new, previous, 0.5, rng=0)
        assert h.tobytes() == np.where(np.asarray(mask), new, previous).tobytes()


@for_all_dtypes
@pytest.mark.parametrize("training", [True, False])
def test_out_may_be_either_state(dtype: np.dtype[Any], training: bool) -> None:
    new, previous = state(dtype, (9, 700)), state(dtype, (9, 700), 5)
    expected, _ = bitdrop.zoneout(new, previous, 0.3, training=training, rng=0)
    for at in (0, 1):
        states = [new.copy(), previous.copy()]
        h, _ = bitdrop.zoneout(states[0], states[1], 0.3, training=training, rng=0, out=states[at])
        assert h is states[at]
        same(h, expected)
        same(states[1 - at], (new, previous)[1 - at])


def test_previous_state_may_be_broadcast() -> None:
    new = state(np.dtype(np.float32), (200, 300))
    previous = np.broadcast_to(np.float32(7), new.shape)
    for_each_row = np.broadcast_to(new[:1] + 1, new.shape)
    for old in (previous, for_each_row):
        h, mask = bitdrop.zoneout(new, old, 0.5, rng=0)
        assert_identical(h, np.where(np.asarray(mask), new, old))


def test_inference_is_the_mean_over_masks() -> None:
    new, previous = np.arange(8.0), -np.arange(8.0)
    mean = np.mean([bitdrop.zoneout(new, previous, 0.25, rng=seed)[0] for seed in range(4000)], axis=0)
    expectation, _ = bitdrop.zoneout(new, previous, 0.25, training=False)
    assert np.abs(mean - expectation).max() < 8 * 5 * 0.9 / 63  # five standard errors


@pytest.mark.parametrize("training", [True, False])
def test_backward_is_the_derivative(training: bool) -> None:
    float64 = np.dtype(np.float64)
    new, previous, dh, direction = (state(float64, (6, 50), seed) for seed in range(0, 8, 2))
    _, mask = bitdrop.zoneout(new, previous, 0.3, training=training, rng=0)
    gradients = mask.backward(dh)
    step = 2.0**-10
    for at in (0, 1):
        up, down = [new, previous], [new, previous]
        up[at], down[at] = up[at] + step * direction, down[at] - step * direction
        slope = np.sum(dh * (mask.apply(up[0], up[1]) - mask.apply(down[0], down[1]))) / (2 * step)
        assert slope == pytest.approx(np.sum(gradients[at] * direction), rel=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_mask_is_a_value(training: bool) -> None:
    x = np.ones((5, 40))
    _, mask = bitdrop.zoneout(x, x, 0.3, training=training, rng=0)
    same_mask = bitdrop.ZoneoutMask((5, 40), 0.3, key=mask.key, training=training)
    for other in (
        same_mask,
        pickle.loads(pickle.dumps(mask)),
        copy.deepcopy(mask),
        eval(repr(mask), vars(bitdrop)),
    ):
        assert other == mask
        assert hash(other) == hash(mask)
        assert other.p == 0.3
        assert np.array_equal(np.asarray(other), np.asarray(mask))
    assert len(pickle.dumps(mask)) < 300
    assert mask != bitdrop.ZoneoutMask((5, 40), 0.3, key=KEY, training=not training)
    assert mask != bitdrop.ZoneoutMask((5, 40), 0.4, key=mask.key, training=training)
    assert mask != bitdrop.Mask((5, 40), 0.3, key=mask.key)


@pytest.mark.parametrize("training", [True, False])
def test_part_of_mask_is_that_part_of_the_whole(training: bool) -> None:
    new, previous = state(np.dtype("f4"), (9, 80)), state(np.dtype("f4"), (9, 80), 5)
    h, mask = bitdrop.zoneout(new, previous, 0.3, training=training, rng=0)
    part = mask.part((2, 7), (4, 66))
    at = np.s_[2:6, 7:73]
    assert_identical(part.apply(new[at], previous[at]), h[at])
    for whole, piece in zip(mask.backward(new), part.backward(new[at]), strict=True):
        assert_identical(piece, whole[at])
    for other in (pickle.loads(pickle.dumps(part)), eval(repr(part), vars(bitdrop))):
        assert other == part
        assert_identical(other.apply(new[at], previous[at]), h[at])


def test_layer_repeats_the_function_under_its_key() -> None:
    new, previous = state(np.dtype("f4"), (9, 80)), state(np.dtype("f4"), (9, 80), 5)
    layer, recompute = bitdrop.Zoneout(0.3, rng=0), bitdrop.Zoneout(0.3, recompute=True, rng=0)
    key = tuple(layer.state["key"])
    for stream in range(3):
        expected = bitdrop.ZoneoutMask((9, 80), 0.3, key=key, stream=stream)
        for one in (layer, recompute):
            assert_identical(one(new, previous), expected.apply(new, previous))
            assert one.mask == expected
            for got, want in zip(one.backward(new), expected.backward(new), strict=True):
                assert_identical(got, want)
    assert [one.mask.nbytes > 0 for one in (layer, recompute) if one.mask is not None] == [True, False]
    layer.eval()
    assert_identical(layer(new, previous), blended(new, previous, 0.3))
    assert_identical(layer(new, previous), layer.forward(new, previous, False))
    assert layer.state["position"] == 3
    restored = bitdrop.Zoneout(0.3)
    restored.state = json.loads(json.dumps(layer.state))
    assert_identical(restored(new, previous), layer(new, previous, True))


def test_locked_layer_keeps_the_same_units_at_every_step() -> None:
    layer, h = bitdrop.Zoneout(0.5, rng=0), np.zeros(100)
    with layer.locked():
        for step in range(1, 6):
            h = layer(np.full(100, float(step)), h)
    assert set(h.tolist()) == {0.0, 5.0}


def test_layer_in_place_writes_into_new() -> None:
    new, previous = state(np.dtype("f4"), (9, 80)), state(np.dtype("f4"), (9, 80), 5)
    layer, written = bitdrop.Zoneout(0.3, inplace=True, rng=0), new.copy()
    assert layer(written, previous) is written
    assert_identical(written, bitdrop.Zoneout(0.3, rng=0)(new, previous))
    with pytest.raises(TypeError, match=r"^out must not be given .* writes into new\.$"):
        layer(written, previous, out=new)
    with pytest.raises(TypeError, match=r"^new must be a NumPy array"):
        layer([1.0], [2.0])


def test_layer_has_the_defaults_and_repr_of_a_layer() -> None:
    layer = bitdrop.Zoneout()
    assert (layer.p, layer.training, layer.mask) == (0.1, True, None)
    assert repr(eval(repr(layer), vars(bitdrop))) == repr(layer)
    assert copy.copy(layer).state != layer.state
    with pytest.raises(RuntimeError, match="backward needs the mask"):
        layer.backward(np.ones(3))
    with pytest.raises(TypeError, match=r"^Zoneout\.__init__\(\) got an unexpected keyword"):
        bitdrop.Zoneout(rate=0.5)  # type: ignore[call-arg]


ONES = np.ones((6, 8), np.float32)
BAD_STATES: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "shapes": (
        ONES,
        ONES[:3],
        ValueError,
        r"^previous must have new's shape, \(6, 8\), but its shape is \(3, 8\)",
    ),
    "broadcastable": (ONES, ONES[:1], ValueError, "^previous must have new's shape"),
    "dtypes": (
        ONES,
        ONES.astype("f8"),
        TypeError,
        "^previous must be of new's dtype, float32, .* is float64",
    ),
    "real and complex": (ONES, ONES.astype("c8"), TypeError, "^previous must be of new's dtype"),
    "new of ints": (ONES.astype(np.int64), ONES, TypeError, "^new must be of .*int64"),
    "previous of ints": (ONES, ONES.astype(np.int64), TypeError, "^previous must be of .*int64"),
    "previous masked": (ONES, np.ma.masked_array(ONES), TypeError, "^previous is a masked array"),
    "no previous": (ONES, None, TypeError, "^previous must be"),
}


@pytest.mark.parametrize("bad", BAD_STATES)
@pytest.mark.parametrize("training", [True, False])
def test_states_that_do_not_belong_together_are_an_error(bad: str, training: bool) -> None:
    new, previous, error, match = BAD_STATES[bad]
    rng, out = np.random.default_rng(0), np.full((6, 8), 7, np.float32)
    layer = bitdrop.Zoneout(rng=rng)
    before = rng.bit_generator.state, layer.state
    mask = bitdrop.ZoneoutMask((6, 8), 0.5, key=KEY, training=training)
    for call in (
        lambda: bitdrop.zoneout(new, previous, training=training, rng=rng, out=out),
        lambda: layer(new, previous, training, out=out),
        lambda: mask.apply(new, previous, out=out),
    ):
        with pytest.raises(error, match=match) as caught:
            call()
        assert type(caught.value) is error
    assert (out == 7).all()
    assert (rng.bit_generator.state, layer.state) == before
    assert layer.mask is None


@pytest.mark.parametrize("name", ["new", "previous"])
def test_out_that_overlaps_a_state_in_part_is_an_error(name: str) -> None:
    memory = np.ones(200, np.float32)
    states = {"new": memory[100:148].copy(), "previous": memory[100:148].copy()} | {name: memory[:48]}
    with pytest.raises(ValueError, match=rf"^out overlaps {name} in part"):
        bitdrop.zoneout(states["new"], states["previous"], rng=0, out=memory[1:49])
    assert (memory == 1).all()


def test_other_bad_arguments_are_errors() -> None:
    calls: list[tuple[Any, type[Exception], str]] = [
        (lambda: bitdrop.zoneout(ONES, ONES, 1.5), ValueError, "^p must be in"),
        (lambda: bitdrop.zoneout(ONES, ONES, "1"), TypeError, "^p must be a number"),  # type: ignore[arg-type]
        (lambda: bitdrop.zoneout(ONES, ONES, training=1), TypeError, "^training must be"),  # type: ignore[arg-type]
        (lambda: bitdrop.zoneout(ONES, ONES, rng="a"), TypeError, "^rng must be"),  # type: ignore[arg-type]
        (lambda: bitdrop.zoneout(ONES, ONES, out=ONES[:3].copy()), ValueError, "^out must have new's shape"),
        (
            lambda: bitdrop.ZoneoutMask((6, 8), 0.5, key=KEY).apply(ONES[:3], ONES[:3]),
            ValueError,
            "^new must have",
        ),
        (lambda: bitdrop.ZoneoutMask((6, 8), 0.5, key=KEY).backward(ONES[:3]), ValueError, "^dh must have"),
        (lambda: bitdrop.ZoneoutMask((6, 8), 0.5, key=KEY, training=1), TypeError, "^training must be"),  # type: ignore[arg-type]
        (lambda: bitdrop.ZoneoutMask((6, 8), 0.5, key=3), TypeError, "^key must be"),  # type: ignore[arg-type]
    ]
    for call, error, match in calls:
        with pytest.raises(error, match=match):
            call()
