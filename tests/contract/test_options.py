"""Options: whatever is asked for besides, the values are those of the plain pass."""

from typing import Any

import numpy as np
import pytest

from tests.contract.kinds import Inputs, Kind, for_all_kinds, for_kinds_with
from tests.contract.reference import Reference
from tests.helpers.passes import backward, record_of
from tests.helpers.support import Array, assert_identical, normal


@for_kinds_with("recompute")
def test_recompute_holds_no_bits_and_gives_the_same(kind: Kind) -> None:
    inputs = kind.arrays(np.float32)
    stored, recomputed = kind.make(rng=3), kind.make(rng=3, recompute=True)
    assert (stored.recompute, recomputed.recompute) == (False, True)
    for _ in range(2):
        assert_identical(kind.forward(recomputed, inputs), kind.forward(stored, inputs))
        assert record_of(recomputed) == record_of(stored)
        for a, b in zip(
            *(backward(one, inputs[kind.inputs[0]]) for one in (recomputed, stored)), strict=True
        ):
            assert_identical(a, b)
        assert record_of(recomputed).nbytes == 0
        if kind.rule != "noise":
            assert record_of(stored).nbytes == (record_of(stored).size + 7) // 8


@for_all_kinds
def test_layer_in_place_writes_into_its_first_input_in_forward_alone(kind: Kind) -> None:
    plain, inplace, name = kind.make(rng=3), kind.make(rng=3, inplace=True), kind.inputs[0]
    assert inplace.inplace
    for training in (True, False):
        inputs = kind.arrays(np.float32)
        written = inputs | {name: inputs[name].copy()}
        expected = kind.forward(plain, inputs, training).copy()
        assert kind.forward(inplace, written, training) is written[name]
        assert_identical(written[name], expected)
        dy = normal(np.dtype("f4"), kind.shape, 5)
        for found, gradient in zip(backward(inplace, dy), backward(plain, dy), strict=True):
            assert_identical(found, gradient)
        assert_identical(dy, normal(np.dtype("f4"), kind.shape, 5))


@for_all_kinds
def test_gradient_may_be_written_into_out_or_dy(kind: Kind) -> None:
    layer, inputs, dy = kind.make(rng=3), kind.arrays(np.float32), normal(np.dtype("f4"), kind.shape, 5)
    kind.forward(layer, inputs)
    expected = backward(layer, dy)
    for owner in (layer, record_of(layer)):
        for into_dy in range(-1, len(expected)):
            given = dy.copy()
            outs = tuple(given if i == into_dy else np.empty_like(dy) for i in range(len(expected)))
            found = backward(owner, given, out=outs if len(outs) > 1 else outs[0])
            for written, out, gradient in zip(found, outs, expected, strict=True):
                assert written is out
                assert_identical(out, gradient)


@for_all_kinds
def test_gradients_and_records_take_other_dtypes(kind: Kind) -> None:
    """A record is of no dtype: a pass in float32 has the gradients of float64 and of complex numbers."""
    layer, inputs = kind.make(rng=3), kind.arrays(np.float32)
    kind.forward(layer, inputs)
    reference = Reference(kind, kind.shape, 0.4, tuple(layer.state["key"]))
    for dtype in kind.dtypes:
        dy = normal(dtype, kind.shape, 5)
        for found, gradient in zip(
            backward(record_of(layer), dy), reference.gradients(dy, inputs), strict=True
        ):
            assert_identical(found, gradient, str(dtype))


@for_all_kinds
def test_array_likes_and_memory_maps_give_the_values_of_arrays(kind: Kind, tmp_path: Any) -> None:
    inputs = kind.arrays(np.float64)
    expected = kind.forward(kind.make(rng=0), inputs)
    lists: Any = {name: x.tolist() for name, x in inputs.items()}
    maps: Inputs = {}
    for name, x in inputs.items():
        x.tofile(tmp_path / name)
        maps[name] = np.memmap(tmp_path / name, x.dtype, "r", shape=x.shape)
    for values in (lists, maps, {name: DLPackOnly(x) for name, x in inputs.items()}):
        y = kind.forward(kind.make(rng=0), values)  # type: ignore[arg-type]
        assert type(y) is np.ndarray
        assert_identical(y, expected)
    first = kind.inputs[0]
    with pytest.raises(ValueError, match=rf"^{first} is read-only"):
        kind.forward(kind.make(rng=0, inplace=True), maps)
    out = np.memmap(tmp_path / "out", expected.dtype, "w+", shape=expected.shape)
    assert kind.forward(kind.make(rng=0), inputs, out=out) is out
    assert_identical(np.asarray(out), expected)


class DLPackOnly:
    """Array of another library that supports only the DLPack protocol."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()
