"""Fused passes, compared with NumPy step by step: every dtype, layout, instruction set and thread count."""

import pickle
from collections.abc import Callable
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import oracle
from tests.helpers.strategies import PROBABILITIES, SEEDS, arrays, views
from tests.helpers.support import Array, any_bits, assert_identical, normal

FLOAT32 = np.dtype(np.float32)
GOOD = normal(FLOAT32, (4, 6))
ROW = normal(FLOAT32, (6,), 1)
OTHER = normal(FLOAT32, (4, 6), 2)


def arithmetic(dtype: np.dtype[Any]) -> Any:
    return np.float64 if dtype == np.float64 else np.float32


def in_steps(x: Array, keep: Array, scale: float, inputs: dict[str, Any]) -> tuple[Array, Array]:
    """Return the result of the steps, and the elements that are kept and active."""
    number = arithmetic(x.dtype)
    with np.errstate(all="ignore"):
        h = x.astype(number)
        if inputs.get("bias") is not None:
            h = h + inputs["bias"].astype(number)
        passes = keep
        if inputs.get("activation"):
            passes = keep & ~(h <= 0)
            h = np.maximum(h, number(0))
        h = np.where(keep, h * number(scale), number(0))
        if inputs.get("residual") is not None:
            h = inputs["residual"].astype(number) + h
        return np.asarray(h.astype(x.dtype)), passes


@st.composite
def biases(draw: st.DrawFn, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw a bias that broadcasts to a shape, of any layout."""
    lengths = tuple(draw(st.sampled_from([1, length])) for length in shape)
    return draw(views(lengths[draw(st.integers(0, len(lengths))) :], dtype))


@st.composite
def further_inputs(draw: st.DrawFn, x: Array) -> dict[str, Any]:
    return {
        "bias": draw(st.none() | biases(x.shape, x.dtype)),
        "residual": draw(st.none() | views(x.shape, x.dtype)),
        "activation": draw(st.sampled_from([None, "relu"])),
    }


@settings(max_examples=300)
@given(
    st.data(),
    arrays(),
    PROBABILITIES,
    st.sampled_from(["inverted", "vanilla"]),
    SEEDS,
    st.sampled_from(_core.isas()),
    st.integers(1, 3),
)
@pytest.mark.usefixtures("settings_restored")
def test_fused_pass_equals_steps(
    data: st.DataObject, x: Array, p: float, scaling: Any, seed: int, isa: str, threads: int
) -> None:
    _core.set_isa(isa)
    bitdrop.set_num_threads(threads)
    _core.set_non_temporal_threshold(data.draw(st.sampled_from([0, 2**60])))
    inputs = data.draw(further_inputs(x))
    dropout = bitdrop.dropout(x, p, scaling=scaling, rng=seed)[1]
    keep = oracle.kept(dropout.key, 0, p, 0, x.size).reshape(x.shape)
    expected, passes = in_steps(x, keep, dropout.scale, inputs)
    y, mask = bitdrop.fused_dropout(x, p, scaling=scaling, rng=seed, **inputs)
    assert_identical(y, expected)
    assert np.array_equal(np.asarray(mask), passes)
    assert np.array_equal(mask.bits, np.packbits(passes, bitorder="little"))
    out = data.draw(views(x.shape, x.dtype, writable=True))
    assert bitdrop.fused_dropout(x, p, scaling=scaling, rng=seed, out=out, **inputs)[0] is out
    assert_identical(out, expected)
    dy = data.draw(views(x.shape, x.dtype))
    assert_identical(mask.backward(dy), oracle.applied(dy, passes, mask.scale))


@settings(max_examples=100)
@given(st.data(), arrays(), SEEDS, st.booleans())
def test_output_may_be_x_or_residual(data: st.DataObject, x: Array, seed: int, residual: bool) -> None:
    inputs = data.draw(further_inputs(x))
    inputs["residual"] = data.draw(views(x.shape, x.dtype, writable=True))
    expected = bitdrop.fused_dropout(x, 0.5, rng=seed, **inputs)[0]
    out = inputs["residual"] if residual else np.array(x)
    y, _ = bitdrop.fused_dropout(x if residual else out, 0.5, rng=seed, out=out, **inputs)
    assert y is out
    assert_identical(y, expected)


@settings(max_examples=100)
@given(st.data(), arrays(), st.floats(0, 1), st.sampled_from(["inverted", "vanilla"]))
def test_inference_keeps_everything(data: st.DataObject, x: Array, p: float, scaling: Any) -> None:
    inputs = data.draw(further_inputs(x))
    scale = 1.0 if scaling == "inverted" else 1 - p
    expected, passes = in_steps(x, np.ones(x.shape, bool), scale, inputs)
    y, mask = bitdrop.fused_dropout(x, p, training=False, scaling=scaling, **inputs)
    if all(value is None for value in inputs.values()) and scale == 1.0:
        assert y is x
    else:
        assert_identical(y, expected)
    assert np.array_equal(np.asarray(mask), passes)
    dy = data.draw(views(x.shape, x.dtype))
    assert_identical(mask.backward(dy), oracle.applied(dy, passes, scale))


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize(
    ("shape", "bias"),
    [
        ((700, 300), (300,)),
        ((3, 40000), (40000,)),
        ((20, 16, 30, 31), (16, 1, 1)),
        ((20, 16, 30, 32), (1, 16, 1, 1)),
        ((500, 400), (1,)),
        ((500, 400), ()),
        ((500, 400), (500, 1)),
        ((50, 40), (50, 40)),
        ((400, 7, 7, 9), (7, 1, 9)),
    ],
)
def test_bias_gradient_is_sum_and_same_on_all_threads(
    dtype: np.dtype[Any], shape: tuple[int, ...], bias: tuple[int, ...]
) -> None:
    x, dy = normal(dtype, shape), normal(dtype, shape, 1)
    seen: set[bytes] = set()
    for isa in _core.isas():
        _core.set_isa(isa)
        for threads in (1, 2, 3):
            bitdrop.set_num_threads(threads)
            _core.set_non_temporal_threshold(0 if threads == 2 else 2**60)
            _, mask = bitdrop.fused_dropout(x, 0.5, bias=np.zeros(bias, dtype), activation="relu", rng=0)
            gradient = np.full(bias, np.nan).astype(dtype)
            dx = mask.backward(dy, bias_gradient=gradient)
            assert_identical(dx, mask.backward(dy))
            seen.add(dx.tobytes() + gradient.tobytes())
    assert len(seen) == 1
    exact = dx.astype(np.float64)
    summed = tuple(range(dx.ndim - len(bias)))
    summed += tuple(a + len(summed) for a, length in enumerate(bias) if length == 1)
    size = np.abs(exact).sum(axis=summed).reshape(bias)
    error = np.abs(gradient.astype(np.float64) - exact.sum(axis=summed).reshape(bias))
    unit = {2: 2.0**-8 if dtype.name == "bfloat16" else 2.0**-11, 4: 2.0**-22, 8: 2.0**-50}[dtype.itemsize]
    assert (error <= unit * np.maximum(np.abs(exact.sum(axis=summed)).reshape(bias), size / 2)).all()


def test_bias_gradient_of_nothing_is_zero() -> None:
    gradient = np.ones(3, np.float32)
    _, mask = bitdrop.fused_dropout(np.empty((0, 3), np.float32), bias=gradient, rng=0)
    mask.backward(np.empty((0, 3), np.float32), bias_gradient=gradient)
    assert_identical(gradient, np.zeros(3, np.float32))


@pytest.mark.parametrize("order", ["C", "F"])
def test_bias_gradient_of_strided_arrays(order: Any) -> None:
    dy = np.asarray(normal(FLOAT32, (60, 50)), order=order)
    _, mask = bitdrop.fused_dropout(dy, 0.5, bias=np.zeros(50, np.float32), rng=0)
    memory = np.zeros(100, np.float32)
    dx = mask.backward(dy, out=dy, bias_gradient=memory[::2])
    assert dx is dy
    assert np.allclose(memory[::2], dx.sum(axis=0, dtype=np.float64), atol=1e-5)
    assert not memory[1::2].any()


@pytest.mark.parametrize("activation", [None, "relu"])
def test_layer_drops_as_dropout_of_the_same_rng(activation: Any) -> None:
    layer = bitdrop.FusedDropout(0.3, activation=activation, rng=5)
    plain = bitdrop.Dropout(0.3, rng=5)
    for _ in range(3):
        y = layer(GOOD, bias=ROW, residual=OTHER)
        h = GOOD + ROW
        assert_identical(y, OTHER + plain(np.maximum(h, np.float32(0)) if activation else h))
    assert layer.state == plain.state
    assert_identical(
        layer.eval()(GOOD, residual=OTHER), OTHER + (np.maximum(GOOD, 0) if activation else GOOD)
    )
    assert_identical(layer(GOOD, training=True), bitdrop.FusedDropout.forward(layer_at(layer), GOOD, True))


def layer_at(layer: bitdrop.FusedDropout) -> bitdrop.FusedDropout:
    """Return a copy of the layer before its last forward pass."""
    copy: bitdrop.FusedDropout = pickle.loads(pickle.dumps(layer))
    copy.state = layer.state | {"position": layer.state["position"] - 1}
    return copy


def test_layer_in_place_and_backward() -> None:
    layer = bitdrop.FusedDropout(0.5, activation="relu", inplace=True, rng=0)
    x, gradient = GOOD.copy(), np.empty(6, np.float32)
    assert layer(x, bias=ROW) is x
    dx = layer.backward(OTHER, bias_gradient=gradient)
    assert np.allclose(gradient, dx.sum(axis=0), atol=1e-6)
    facts = layer.activation, layer.inplace, layer.scaling, layer.recompute
    assert facts == ("relu", True, "inverted", False)
    assert repr(layer) == "FusedDropout(p=0.5, activation='relu', scaling='inverted', inplace=True)"
    with pytest.raises(RuntimeError, match="backward needs the mask"):
        bitdrop.FusedDropout().backward(OTHER)


def test_mask_is_a_value_of_its_bits() -> None:
    first, second = (bitdrop.fused_dropout(x, 0.5, activation="relu", rng=0)[1] for x in (GOOD, OTHER))
    again = bitdrop.fused_dropout(GOOD, 0.5, activation="relu", rng=0)[1]
    assert first == again
    assert hash(first) == hash(again)
    assert first != second
    assert pickle.loads(pickle.dumps(first)) == first
    assert first.nbytes == 3
    assert (first.shape, first.p, first.stream, first.scale, first.bias_shape) == ((4, 6), 0.5, 0, 2.0, None)
    assert repr(first).startswith("<FusedMask (4, 6), 0.5, key=(")
    dropout = bitdrop.Mask(first.shape, first.p, key=first.key, stream=first.stream)
    assert np.array_equal(np.asarray(first), np.asarray(dropout) & (GOOD > 0))
    with pytest.raises(TypeError, match="made by a fused pass"):
        bitdrop.FusedMask()


def test_p_1_gives_the_residual() -> None:
    x = any_bits(FLOAT32, 500)
    assert_identical(bitdrop.fused_dropout(x, 1.0, activation="relu", bias=x)[0], np.zeros(500, np.float32))
    residual = normal(FLOAT32, 500)
    assert_identical(bitdrop.fused_dropout(x, 1.0, activation="relu", residual=residual)[0], residual)


def test_relu_of_special_numbers() -> None:
    x = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 1e-45], np.float32)
    y, mask = bitdrop.fused_dropout(x, 0.0, activation="relu", rng=0)
    assert_identical(y, np.maximum(x, np.float32(0)))
    assert np.asarray(mask).tolist() == [True, False, False, True, False, True]


MEMORY = np.zeros(64, np.float32)
BAD: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "bias that does not broadcast": (ValueError, "bias must broadcast", {"bias": np.ones(4, np.float32)}),
    "bias of more axes": (ValueError, "bias must broadcast", {"bias": np.ones((1, 4, 6), np.float32)}),
    "bias of another dtype": (TypeError, "bias must be of x's dtype", {"bias": np.ones(6)}),
    "bias of ints": (TypeError, "bias must be of float16", {"bias": np.ones(6, int)}),
    "residual of another shape": (ValueError, "residual must have x's shape", {"residual": ROW}),
    "residual of another dtype": (
        TypeError,
        "residual must be of x's",
        {"residual": OTHER.astype(np.float64)},
    ),
    "unknown activation": (ValueError, "activation must be None or 'relu'", {"activation": "gelu"}),
    "activation that is no string": (ValueError, "activation must be", {"activation": np.ones(2)}),
    "out that overlaps bias": (
        ValueError,
        "out overlaps bias",
        {"bias": MEMORY[3:9], "out": MEMORY[:24].reshape(4, 6)},
    ),
    "out that overlaps residual in part": (
        ValueError,
        "out overlaps residual in part",
        {"residual": MEMORY[3:27].reshape(4, 6), "out": MEMORY[:24].reshape(4, 6)},
    ),
    "out of another shape": (ValueError, "out must have x's shape", {"out": MEMORY[:6]}),
    "p out of range": (ValueError, "p must be in", {"p": 2.0}),
    "scaling": (ValueError, "scaling must be", {"scaling": "no"}),
    "training": (TypeError, "training must be", {"training": 1}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing(case: str) -> None:
    error, match, arguments = BAD[case]
    rng, before = np.random.default_rng(0), MEMORY.copy()
    with pytest.raises(error, match=match) as caught:
        bitdrop.fused_dropout(GOOD, rng=rng, **arguments)
    assert type(caught.value) is error
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    assert_identical(MEMORY, before)
    if arguments.keys() <= {"bias", "residual", "out"}:
        layer = bitdrop.FusedDropout(rng=0)
        with pytest.raises(error, match=match):
            layer(GOOD, **arguments)
        assert layer.state["position"] == 0


def _read_only() -> Array:
    gradient = np.zeros(6, np.float32)
    gradient.flags.writeable = False
    return gradient


BAD_GRADIENTS: dict[str, tuple[type[Exception], str, Callable[[Array], Any]]] = {
    "shape": (ValueError, "bias_gradient must have the bias's shape", lambda _: np.zeros(4, np.float32)),
    "dtype": (TypeError, "bias_gradient must be of the bias's dtype", lambda _: np.zeros(6)),
    "read-only": (ValueError, "bias_gradient is read-only", lambda _: _read_only()),
    "list": (TypeError, "bias_gradient must be a NumPy array", lambda _: [0.0] * 6),
    "overlap with itself": (
        ValueError,
        "bias_gradient has elements",
        lambda _: np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (6,), (0,)),
    ),
    "overlap with out": (ValueError, "bias_gradient overlaps out", lambda out: out[0]),
}


@pytest.mark.parametrize("case", BAD_GRADIENTS)
def test_bad_bias_gradient_changes_nothing(case: str) -> None:
    error, match, make = BAD_GRADIENTS[case]
    _, mask = bitdrop.fused_dropout(GOOD, bias=ROW, rng=0)
    out = np.full((4, 6), 7, np.float32)
    with pytest.raises(error, match=match):
        mask.backward(OTHER, out=out, bias_gradient=make(out))
    assert (out == 7).all()


def test_bias_gradient_without_bias_fails() -> None:
    _, mask = bitdrop.fused_dropout(GOOD, rng=0)
    with pytest.raises(ValueError, match="the forward pass had no bias"):
        mask.backward(OTHER, bias_gradient=np.zeros(6, np.float32))
