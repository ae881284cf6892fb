"""Bad arrays, to all kinds: the right exception, one plain sentence, and everything is as it was."""

import re
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.contract.kinds import KINDS, ROWS, Inputs, Kind, for_all_kinds
from tests.contract.watched import BOTH_MODES, Bad, Watched, fails
from tests.helpers.bad_values import (
    BAD_ARRAYS,
    BAD_OUTS,
    OVERLAPS,
    read_only,
)
from tests.helpers.passes import record_of
from tests.helpers.support import Array, assert_identical, normal


@for_all_kinds
@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_unsupported_array_is_a_type_error(kind: Kind, bad: str) -> None:
    watched, (make, match) = Watched(kind), BAD_ARRAYS[bad]
    if "complex" in bad and "complex" in kind.lacks:
        match += r"|drop \w+\.real and \w+\.imag"
    out = np.full(kind.shape, 7, np.float32)
    for name in (*kind.inputs, *kind.further):
        for options in ({}, {"out": out}):
            for named, call in watched.calls(name, make(), **options):
                if make() is not None or name in kind.inputs:  # a bias of None is no bias
                    fails(TypeError, rf"^{named} .*({match})", call)
    assert (out == 7).all()
    watched.check()


@for_all_kinds
def test_kinds_for_real_numbers_refuse_complex_ones(kind: Kind) -> None:
    if "complex" not in kind.lacks:
        return
    watched, (error, sentence) = Watched(kind), kind.lacks["complex"]
    inputs = {name: x.astype(np.complex64) for name, x in watched.inputs.items()}
    for call in watched.passes(inputs):
        fails(error, sentence, call)
    if kind.rule in ("alpha", "noise"):  # but the rest of a fused pass, and the gradients, are linear
        fails(error, sentence, kind.apply, record_of(watched.layer), inputs)
    watched.check()


@for_all_kinds
@pytest.mark.parametrize("bad", BAD_OUTS)
def test_unsuitable_out_is_an_error(kind: Kind, bad: str) -> None:
    make, error, match = BAD_OUTS[bad]
    watched = Watched(kind)
    out = make(kind.shape)
    for _, call in watched.calls(kind.inputs[0], watched.x, out=out):
        fails(error, rf"^out .*({match})", call)
    if kind.rule == "select":
        for outs in ((out, np.zeros_like(watched.x)), (np.zeros_like(watched.x), out)):
            for call in watched.gradients(watched.x, out=outs):
                fails(error, rf"^out\[\d\] .*({match})", call)
            assert not any(np.any(one) for one in outs if isinstance(one, np.ndarray))
    assert not np.any(np.frombuffer(out, np.uint8) if isinstance(out, bytearray) else out)
    watched.check()


@for_all_kinds
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_partly_overlapping_out_is_an_error(kind: Kind, overlap: str) -> None:
    size = prod(kind.shape)
    memory = np.arange(2 * size, dtype=np.float32)
    before, out = memory.copy(), OVERLAPS[overlap](memory, size).reshape(kind.shape)
    watched, x = Watched(kind), memory[:size].reshape(kind.shape)
    names = [name for name in (*kind.inputs, *kind.further) if name != "bias"]
    for name in names:
        for named, call in watched.calls(name, x, out=out):
            fails(ValueError, f"^out overlaps {named} in part", call)
    assert_identical(memory, before)
    watched.check()


def test_transposed_out_overlaps_x_in_part() -> None:
    x = np.ones((6, 6))
    fails(ValueError, "^out overlaps x in part", bitdrop.dropout, x, out=x.T)
    bitdrop.dropout(x, out=x[:])  # another view of the same elements is x itself
    memory = np.arange(200.0)
    bitdrop.dropout(memory[::2], out=memory[1::2])  # and interleaved elements are apart
    assert (memory[::2] == np.arange(0, 200, 2)).all()


@for_all_kinds
def test_gradient_of_another_shape_is_an_error(kind: Kind) -> None:
    watched, shape = Watched(kind), kind.shape
    for wrong in (shape[::-1], (prod(shape),), (1, *shape), (*shape[:-1], 1), (), (0,)):
        expected = rf"the {kind.applied}, {re.escape(str(shape))}, but its shape is {re.escape(str(wrong))}"
        for call in watched.gradients(np.ones(wrong, np.float32)):
            fails(ValueError, f"^{kind.gradient} must have the shape of {expected}", call)
        inputs = {name: np.ones(wrong, np.float32) for name in kind.inputs}
        applied = f"^{kind.inputs[0]} must have the shape of {expected}"
        fails(ValueError, applied, kind.apply, record_of(watched.layer), inputs)
    watched.check()


@for_all_kinds
def test_backward_before_forward_is_an_error(kind: Kind) -> None:
    match = rf"^backward needs the {kind.applied} of a forward pass"
    fails(RuntimeError, match, kind.make().backward, np.ones(kind.shape))


@for_all_kinds
@pytest.mark.parametrize("training", BOTH_MODES)
def test_inplace_layer_refuses_unwritable_input(kind: Kind, training: bool) -> None:
    watched, name = Watched(kind, inplace=True), kind.inputs[0]
    x = watched.x
    bad: list[Bad] = [
        (x.tolist(), TypeError, f"^{name} must be a NumPy array.*list"),
        (1.0, TypeError, f"^{name} must be a NumPy array.*float"),
        (read_only(x.copy()), ValueError, f"^{name} is read-only"),
        (np.ma.masked_array(x), TypeError, f"^{name} is a masked"),
        (x.astype(int), TypeError, f"^{name} must be of"),
        (np.lib.stride_tricks.as_strided(x[:0], x.shape, (0,) * x.ndim), ValueError, "share memory"),
    ]
    for value, error, match in bad:
        fails(error, match, kind.forward, watched.layer, watched.inputs | {name: value}, training)
    match = f"^out must not be given to a layer with inplace=True, which writes into {name}"
    fails(TypeError, match, kind.forward, watched.layer, watched.inputs, training, out=np.empty_like(x))
    watched.check()


NDIMS: list[tuple[Any, str, list[int]]] = [
    (bitdrop.Dropout1d, "(N, C, L) or (C, L)", [2, 3]),
    (bitdrop.Dropout2d, "(N, C, H, W) or (C, H, W)", [3, 4]),
    (bitdrop.Dropout3d, "(N, C, D, H, W) or (C, D, H, W)", [4, 5]),
    (bitdrop.DropBlock1d, "(N, C, L) or (C, L)", [2, 3]),
    (bitdrop.DropBlock2d, "(N, C, H, W) or (C, H, W)", [3, 4]),
    (bitdrop.DropBlock3d, "(N, C, D, H, W) or (C, D, H, W)", [4, 5]),
    (bitdrop.DropPath, "(N, ...)", [1, 2, 3, 4, 5, 6]),
    (bitdrop.FeatureAlphaDropout, "(N, C, ...)", [2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize(("make", "needs", "ndims"), NDIMS, ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_number_of_axes_is_an_error(make: Any, needs: str, ndims: list[int]) -> None:
    layer = make(0.5, rng=0)
    for ndim in range(7):
        shape, out = (8,) * ndim, np.full((8,) * ndim, 7.0)
        for training in BOTH_MODES:
            if ndim in ndims:
                layer(np.ones(shape), training)
                continue
            state, mask = layer.state, layer.mask
            match = re.escape(f"{make.__name__} needs x of shape {needs}, but got {shape}.")
            fails(bitdrop.NdimError, f"^{match}$", layer, np.ones(shape), training, out=out)
            assert (out == 7).all()
            assert (layer.state, layer.mask) == (state, mask)
    assert issubclass(bitdrop.NdimError, ValueError)
    assert issubclass(bitdrop.NdimError, RuntimeError)


# Inputs that do not belong together


def mismatches(kind: Kind) -> Iterator[tuple[Inputs, type[Exception], str]]:
    """Yield inputs of two dtypes or shapes, and the error."""
    inputs = kind.arrays(np.float32)
    first = kind.inputs[0]
    for name in (*kind.inputs[1:], *kind.further):
        other = inputs[name]
        for wrong in (other.astype("f8"), other.astype("f2")):
            yield (
                inputs | {name: wrong},
                TypeError,
                f"^{name} must be of .*, float32, but its dtype is {wrong.dtype}",
            )
        shapes = [(7,), (1, *kind.shape)] if name == "bias" else [other[:3].shape, other[:1].shape]
        said = "must broadcast to x's shape" if name == "bias" else f"must have {first}'s shape"
        for shape in shapes:
            wrong = np.ones(shape, np.float32)
            yield (
                inputs | {name: wrong},
                ValueError,
                f"^{name} {said}, .*but its shape is {re.escape(str(shape))}",
            )


@for_all_kinds
def test_inputs_that_do_not_belong_together_are_an_error(kind: Kind) -> None:
    watched, out = Watched(kind), np.full(kind.shape, 7, np.float32)
    for inputs, error, match in mismatches(kind):
        for call in watched.passes(inputs, out=out):
            fails(error, match, call)
    if "bias" in kind.further:
        memory = np.zeros(prod(kind.shape), np.float32)
        overlapping = watched.inputs | {"bias": memory[3 : 3 + kind.shape[-1]]}
        for call in watched.passes(overlapping, out=memory.reshape(kind.shape)):
            fails(ValueError, "^out overlaps bias", call)
    assert (out == 7).all()
    watched.check()


BAD_GRADIENTS: dict[str, tuple[type[Exception], str, Callable[[Array], Any]]] = {
    "shape": (ValueError, "must have the bias's shape", lambda _: np.zeros(4, np.float32)),
    "dtype": (TypeError, "must be of .*float32.*float64", lambda _: np.zeros(24)),
    "read-only": (ValueError, "is read-only", lambda _: read_only(np.zeros(24, np.float32))),
    "list": (TypeError, "must be a NumPy array", lambda _: [0.0] * 24),
    "itself": (
        ValueError,
        "has elements",
        lambda _: np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), (24,), (0,)),
    ),
    "out": (ValueError, "overlaps out", lambda out: out[0, 0]),
}


@pytest.mark.parametrize("case", BAD_GRADIENTS)
def test_bad_bias_gradient_changes_nothing(case: str) -> None:
    error, match, make = BAD_GRADIENTS[case]
    watched, out = Watched(KINDS["fused bias"]), np.full(ROWS, 7, np.float32)
    for call in watched.gradients(watched.x, out=out, bias_gradient=make(out)):
        fails(error, f"^bias_gradient {match}", call)
    assert (out == 7).all()
    watched.check()
    no_bias = Watched(KINDS["fused"])
    for call in no_bias.gradients(no_bias.x, bias_gradient=np.zeros(24, np.float32)):
        fails(ValueError, "the forward pass had no bias", call)


def test_bias_gradient_of_halves_is_said_to_be_of_the_dtype_that_is_due() -> None:
    x, bias = (normal(np.dtype("f2"), shape) for shape in (ROWS, ROWS[-1:]))
    _, mask = bitdrop.fused_dropout(x, bias=bias)
    gradient = np.zeros(24, np.float16)
    said = fails(
        TypeError,
        "^bias_gradient must be of",
        mask.backward,
        normal(np.dtype("f4"), ROWS),
        bias_gradient=gradient,
    )
    assert "bias's dtype, float32" not in said
