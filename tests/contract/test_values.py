"""Values: a pass, its record and its gradients are those of the reference, bit for bit."""

from math import prod
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.kinds import KINDS, Inputs, Kind, for_all_functions, for_all_kinds
from tests.contract.reference import Reference
from tests.helpers.passes import backward, record_of
from tests.helpers.strategies import EDGES, SEEDS, NoiseShape, Shape, edges, views
from tests.helpers.support import Array, any_bits, assert_identical, normal, real_dtype

pytestmark = pytest.mark.usefixtures("settings_restored")
TINY = [0.0, 5e-324, 2.0**-65, 2.0**-13, 0.3, 1 - 2.0**-53, 1.0]


def rates(kind: Kind, ps: list[float]) -> list[float]:
    return [p for p in ps if p < 1.0] if kind.rule == "noise" else ps


@st.composite
def shapes(draw: st.DrawFn, kind: Kind) -> Shape:
    """Draw a shape that the kind takes: few elements, none, or more than a block of the mask format."""
    least = kind.options.get("block_size", 0)
    lengths = [draw(st.integers(least, 2 * length)) for length in kind.shape]
    if prod(lengths[:-1]) <= 12 and draw(st.booleans()):
        lengths[-1] = draw(st.integers(max(least, 60), 5000))
    return tuple(lengths)


@st.composite
def inputs_of(draw: st.DrawFn, kind: Kind, shape: Shape, dtype: Any, writable: str = "") -> Inputs:
    """Draw inputs of any layout and bit patterns."""
    names = (*kind.inputs, *kind.further)
    return {name: draw(views(kind.shape_of(name, shape), dtype, name == writable)) for name in names}


@st.composite
def noise_shapes_of(draw: st.DrawFn, kind: Kind, shape: Shape) -> NoiseShape | None:
    """Draw a noise shape for kinds whose elements own draws."""
    if "noise_shape" in kind.lacks or "noise_shape" in kind.options or draw(st.booleans()):
        return None
    return tuple(draw(st.sampled_from([1, length, None])) for length in shape)


def choose_settings(data: st.DataObject) -> None:
    _core.set_isa(data.draw(st.sampled_from(_core.isas())))
    bitdrop.set_num_threads(data.draw(st.integers(1, 3)))
    _core.set_non_temporal_threshold(data.draw(st.sampled_from([0, 2**60])))


def part_of(inputs: Inputs, part: tuple[slice, ...], shape: Shape) -> Inputs:
    """Return a part of all inputs, those that broadcast among them."""
    return {name: within(np.broadcast_to(x, shape), part) for name, x in inputs.items()}


def within(x: Array, part: tuple[slice, ...]) -> Array:
    """Return a part of an array, which is an array without axes too."""
    index: Any = (*part, ...)
    values: Array = x[index]
    return values


@for_all_kinds
@settings(max_examples=40)
@given(st.data())
def test_any_pass_equals_the_reference(kind: Kind, data: st.DataObject) -> None:
    choose_settings(data)
    shape, dtype = data.draw(shapes(kind)), data.draw(st.sampled_from(kind.dtypes))
    p = data.draw(
        st.one_of(st.sampled_from(rates(kind, EDGES)), st.floats(0, 1, exclude_max=kind.rule == "noise"))
    )
    inputs, training = data.draw(inputs_of(kind, shape, dtype)), data.draw(st.booleans())
    noise_shape = data.draw(noise_shapes_of(kind, shape))
    options: dict[str, Any] = {} if noise_shape is None else {"noise_shape": noise_shape}
    if "recompute" not in kind.lacks:
        options["recompute"] = data.draw(st.booleans())
    before = {name: x.copy() for name, x in inputs.items()}
    layer = kind.make(p, rng=data.draw(SEEDS), **options)
    state = layer.state
    reference = Reference(kind, shape, p, tuple(state["key"]), 0, noise_shape, training)
    expected, repeated = reference.forward(inputs), reference.repeated(inputs)
    y = kind.forward(layer, inputs, training)
    assert_identical(y, expected, "forward")
    for name, x in inputs.items():
        assert_identical(x, before[name], name)
    record = record_of(layer)
    assert_identical(kind.apply(record, inputs), repeated, "apply")
    if kind.rule != "noise":
        assert np.array_equal(np.asarray(record), reference.passes(inputs))
    dy = data.draw(views(shape, dtype))
    gradients = reference.gradients(dy, inputs)
    for owner in (layer, record):
        for found, gradient in zip(backward(owner, dy), gradients, strict=True):
            assert_identical(found, gradient, "gradient")
    layer.state = state
    out = data.draw(views(shape, dtype, writable=True))
    assert kind.forward(layer, inputs, training, out=out) is out
    assert_identical(out, expected, "out")
    check_shard_and_part(kind, data, layer, inputs, dy)


def check_shard_and_part(kind: Kind, data: st.DataObject, layer: Any, inputs: Inputs, dy: Array) -> None:
    """Compare a part of a training pass with a pass over the part, and with the part of its record."""
    shape = dy.shape
    spans = [data.draw(edges(length)) for length in shape]
    at = [data.draw(st.integers(0, len(ends) - 2)) for ends in spans]
    part = tuple(slice(ends[i], ends[i + 1]) for ends, i in zip(spans, at, strict=True))
    start, lengths = tuple(s.start for s in part), tuple(s.stop - s.start for s in part)
    whole = within(kind.forward(layer, inputs, True), part)
    record = record_of(layer)
    gradients = [within(gradient, part) for gradient in backward(layer, dy)]
    own, d_own = part_of(inputs, part, shape), within(dy, part)
    piece = record.part(start, lengths)
    assert piece.shape == lengths
    assert_identical(kind.apply(piece, own), within(kind.apply(record, inputs), part), "part")
    inner_start, inner = tuple(n // 3 for n in lengths), tuple(n - n // 3 for n in lengths)
    inside = tuple(slice(n // 3, None) for n in lengths)
    again = piece.part(inner_start, inner)
    for found, twice, gradient in zip(
        backward(piece, d_own), backward(again, within(d_own, inside)), gradients, strict=True
    ):
        assert_identical(found, gradient, "gradient of a part")
        assert_identical(twice, within(gradient, inside), "gradient of a part of a part")
    if "shard" not in kind.lacks:
        layer.state = layer.state | {"position": layer.state["position"] - 1}
        shard = bitdrop.Shard(shape, start)
        assert_identical(kind.forward(layer, own, True, shard=shard), whole, "shard")
        for found, gradient in zip(backward(layer, d_own), gradients, strict=True):
            assert_identical(found, gradient, "gradient of a shard")


@for_all_kinds
def test_half_along_each_axis_is_that_of_the_whole(kind: Kind) -> None:
    inputs = kind.arrays(shape=tuple(max(2, length) for length in kind.shape))
    shape = inputs[kind.inputs[0]].shape
    for axis, length in enumerate(shape):  # a start along one axis alone, which no other can stand for
        layer = kind.make(rng=0)
        start = tuple(length // 2 if a == axis else 0 for a in range(len(shape)))
        half = tuple(slice(s, None) for s in start)
        own = part_of(inputs, half, shape)
        expected = within(kind.forward(layer, inputs, True), half)
        record = record_of(layer)
        lengths = tuple(n - s for n, s in zip(shape, start, strict=True))
        repeated = within(kind.apply(record, inputs), half)
        assert_identical(kind.apply(record.part(start, lengths), own), repeated, "part")
        if "shard" not in kind.lacks:
            layer.reset(rng=0)
            shard = bitdrop.Shard(shape, start)
            assert_identical(kind.forward(layer, own, True, shard=shard), expected, "shard")


@for_all_kinds
@settings(max_examples=15)
@given(st.data())
def test_output_may_be_an_input(kind: Kind, data: st.DataObject) -> None:
    shape, dtype = data.draw(shapes(kind)), data.draw(st.sampled_from(kind.dtypes))
    target = data.draw(st.sampled_from([name for name in (*kind.inputs, *kind.further) if name != "bias"]))
    inputs, training = data.draw(inputs_of(kind, shape, dtype, target)), data.draw(st.booleans())
    layer = kind.make(0.3, rng=1)
    expected = np.array(kind.forward(layer, inputs, training))
    layer.reset(rng=1)
    assert kind.forward(layer, inputs, training, out=inputs[target]) is inputs[target]
    assert_identical(inputs[target], expected)


@for_all_kinds
def test_every_dtype_rate_and_instruction_set(kind: Kind, isa: str) -> None:
    """Special values too: any bit patterns, of which many are NaNs, infinities and denormals."""
    _core.set_isa(isa)
    shape = (*kind.shape[:-1], 211)
    for dtype in kind.dtypes:
        inputs = {
            name: any_bits(dtype, prod(kind.shape_of(name, shape)), seed).reshape(kind.shape_of(name, shape))
            for seed, name in enumerate((*kind.inputs, *kind.further))
        }
        for p in rates(kind, TINY):
            layer = kind.make(p, rng=0)
            reference = Reference(kind, shape, p, tuple(layer.state["key"]))
            assert_identical(kind.forward(layer, inputs), reference.forward(inputs), f"{dtype}, {p}")
            dy = inputs[kind.inputs[0]]
            for found, gradient in zip(backward(layer, dy), reference.gradients(dy, inputs), strict=True):
                assert_identical(found, gradient, f"gradient in {dtype}, {p}")


@for_all_kinds
def test_threads_and_large_arrays(kind: Kind) -> None:
    """Enough elements for several threads, in both orders, with and without non-temporal stores."""
    shape = (3, *kind.shape[1:-1], 300_001 // prod(kind.shape[1:-1]))
    inputs = kind.arrays(np.float32, shape)
    layer = kind.make(0.3, rng=0)
    reference = Reference(kind, shape, 0.3, tuple(layer.state["key"]))
    expected, gradients = reference.forward(inputs), reference.gradients(inputs[kind.inputs[0]], inputs)
    for threads, threshold, order in ((1, 2**60, "C"), (4, 0, "C"), (3, 2**60, "F")):
        bitdrop.set_num_threads(threads)
        _core.set_non_temporal_threshold(threshold)
        laid = {name: np.asarray(x, order=order) for name, x in inputs.items()}  # type: ignore[call-overload]
        layer.reset(rng=0)
        y = kind.forward(layer, laid)
        assert_identical(y, expected)
        assert y.strides == np.empty_like(laid[kind.inputs[0]]).strides
        for found, gradient in zip(backward(layer, laid[kind.inputs[0]]), gradients, strict=True):
            assert_identical(found, gradient)
        if "shard" not in kind.lacks:
            part = (slice(None),) * (len(shape) - 1) + (slice(33, None),)
            layer.reset(rng=0)
            shard = bitdrop.Shard(shape, (0,) * (len(shape) - 1) + (33,))
            assert_identical(kind.forward(layer, part_of(laid, part, shape), shard=shard), expected[part])


@pytest.mark.parametrize("name", ["dropout", "alpha", "gaussian", "fused relu", "zoneout"])
def test_shards_begin_at_any_index(name: str, isa: str) -> None:
    _core.set_isa(isa)
    kind, shape = KINDS[name], (3, 5000)
    for dtype in kind.dtypes:
        inputs = kind.arrays(dtype, shape)
        whole = kind.forward(kind.make(rng=3), inputs)
        for start in [(0, 0), (1, 0), (0, 1), (2, 63), (1, 64), (0, 1023), (1, 1024), (2, 4095), (1, 4097)]:
            part, layer = tuple(slice(index, None) for index in start), kind.make(rng=3)
            y = kind.forward(layer, part_of(inputs, part, shape), shard=bitdrop.Shard(shape, start))
            assert_identical(y, whole[part], f"{start} in {dtype}")
            record = record_of(layer)
            if kind.rule != "noise":  # bits are packed from bit 0 of the part
                assert np.array_equal(record.bits, np.packbits(np.asarray(record), bitorder="little"))


@for_all_kinds
@pytest.mark.parametrize("empty", [False, True], ids=["0-d", "empty"])
def test_empty_and_0_d_arrays(kind: Kind, empty: bool) -> None:
    shape = (0, *kind.shape[1:]) if empty else ()
    if not empty and (kind.shared or "noise_shape" in kind.options or "block_size" in kind.options):
        pytest.skip("its units need axes")
    for dtype in kind.dtypes:
        inputs = {name: np.full(shape, 3.0, dtype) for name in kind.inputs}
        inputs |= {name: np.full(kind.shape_of(name, shape), 2.0, dtype) for name in kind.further}
        for p in rates(kind, TINY):
            layer = kind.make(p, rng=0)
            reference = Reference(kind, shape, p, tuple(layer.state["key"]))
            y = kind.forward(layer, inputs)
            assert type(y) is np.ndarray
            assert_identical(y, reference.forward(inputs))
            assert layer.state["position"] == 1
            assert_identical(backward(layer, y)[0], reference.gradients(y, inputs)[0])
            assert kind.forward(layer, inputs, False).shape == shape


@for_all_kinds
def test_inference_returns_x_itself_if_nothing_is_to_be_done(kind: Kind) -> None:
    inputs = kind.arrays(np.float32)
    x = inputs[kind.inputs[0]]
    layer = kind.make(0.25, rng=0).eval()
    y = kind.forward(layer, inputs)
    busy = kind.rule == "select" or kind.further or kind.options.keys() & {"activation"}
    assert (y is x) == (not busy and kind.options.get("scaling") != "vanilla")
    out = np.empty_like(x)
    assert kind.forward(layer, inputs, out=out) is out
    assert_identical(out, Reference(kind, x.shape, 0.25, (0, 0), training=False).forward(inputs))
    assert layer.state["position"] == 0
    assert kind.forward(layer, inputs, True) is not x


@for_all_functions
@settings(max_examples=30)
@given(st.data())
def test_function_gives_what_the_layer_gives(kind: Kind, data: st.DataObject) -> None:
    shape, dtype = data.draw(shapes(kind)), data.draw(st.sampled_from(kind.dtypes))
    inputs, seed = data.draw(inputs_of(kind, shape, dtype)), data.draw(st.integers(0, 2**130))
    p = data.draw(st.sampled_from(rates(kind, [0.0, 0.3, 1.0])))
    noise_shape, training = data.draw(noise_shapes_of(kind, shape)), data.draw(st.booleans())
    options: dict[str, Any] = {} if noise_shape is None else {"noise_shape": noise_shape}
    layer = kind.make(p, rng=seed, **options)
    expected = kind.forward(layer, inputs, training)
    y, record = kind.call(inputs, p, rng=seed, training=training, **options)
    assert_identical(np.asarray(y), np.asarray(expected))
    assert record == record_of(layer)
    assert hash(record) == hash(record_of(layer))
    out = data.draw(views(shape, dtype, writable=True))
    assert kind.call(inputs, p, rng=seed, training=training, out=out, **options)[0] is out
    assert_identical(out, y)
    if training:
        shard = bitdrop.Shard((2, *shape), (1, *(0 for _ in shape)))
        lifted = {name: np.broadcast_to(x, shape)[np.newaxis] for name, x in inputs.items()}
        wide = {"noise_shape": (None, *noise_shape)} if noise_shape else {}
        if "noise_shape" not in kind.options:
            lower, _ = kind.call(lifted, p, rng=seed, shard=shard, **wide)
            whole = {name: np.concatenate([x, x]) for name, x in lifted.items()}
            assert_identical(lower[0], kind.call(whole, p, rng=seed, **wide)[0][1])


@for_all_kinds
def test_gradients_are_derivatives(kind: Kind) -> None:
    """Finite differences in float64 along a random direction, for each input."""
    for p, training in ((0.3, True), (0.0, True), (0.4, False)):
        layer, inputs = kind.make(p, rng=3), kind.arrays(np.float64)
        weights = normal(np.dtype("f8"), kind.shape, 99)

        def loss(
            changed: Inputs, layer: Any = layer, weights: Array = weights, mode: bool = training
        ) -> float:
            layer.reset(rng=3)  # to draw the same
            return float(np.sum(weights * kind.forward(layer, changed, mode)))

        loss(inputs)
        gradients = dict(zip(kind.inputs, backward(layer, weights), strict=True))
        if "bias" in inputs:
            gradients["bias"] = np.empty_like(inputs["bias"])
            backward(layer, weights, bias_gradient=gradients["bias"])
        if "residual" in inputs:
            gradients["residual"] = weights
        step = 2.0**-20
        for name, gradient in gradients.items():
            direction = normal(np.dtype("f8"), inputs[name].shape, 7)
            above, below = (inputs | {name: inputs[name] + sign * step * direction} for sign in (1, -1))
            slope = (loss(above) - loss(below)) / (2 * step)
            assert slope == pytest.approx(float(np.sum(gradient * direction)), rel=1e-6, abs=1e-6), name


@for_all_kinds
def test_precision_of_the_reference_is_that_of_the_formula(kind: Kind) -> None:
    """The reference itself: near the formula in float64, in every dtype."""
    for dtype in kind.dtypes:
        inputs = kind.arrays(dtype)
        reference = Reference(kind, kind.shape, 0.4, (1, 2))
        found = reference.forward(inputs)
        wide = np.complex128 if dtype.kind == "c" else np.float64
        exact = reference.forward({name: x.astype(wide) for name, x in inputs.items()})
        unit = 2.0**-8 if real_dtype(dtype).name == "bfloat16" else float(np.finfo(real_dtype(dtype)).eps)
        np.testing.assert_allclose(found.astype(wide), exact, rtol=4 * unit, atol=16 * unit)
