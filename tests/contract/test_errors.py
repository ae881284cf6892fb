"""Bad input to all kinds: the right exception, one plain sentence, and everything is as it was."""

import inspect
import re
from collections.abc import Callable, Iterator
from math import nan, prod
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.contract.kinds import KINDS, ROWS, Inputs, Kind, for_all_kinds, for_kinds_with
from tests.helpers.bad_values import (
    BAD_ARRAYS,
    BAD_BLOCK_SIZES,
    BAD_FLAGS,
    BAD_KEYS,
    BAD_OUTS,
    BAD_PROBABILITIES,
    BAD_RNGS,
    BAD_SCALES,
    BAD_SCALINGS,
    BAD_SHAPES,
    BAD_STATES,
    BAD_WORDS,
    OVERLAPS,
    Sparse,
    read_only,
)
from tests.helpers.passes import record_of
from tests.helpers.support import Array, assert_identical, normal

BOTH_MODES = (True, False)
Bad = tuple[Any, type[Exception], str]


def fails(error: type[Exception], match: str, call: Callable[[], Any]) -> str:
    """Check that a call raises exactly this type, with a message of one plain sentence."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert re.search(match, message), message
    assert re.fullmatch(r"[A-Za-z][^\n]*\.", message), message
    return message


class Watched:
    """Layer, generator and inputs of a kind, which no error may change."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        self.kind, self.inputs = kind, kind.arrays(np.float32)
        self.layer, self.rng = kind.make(rng=0, **options), np.random.default_rng(1)
        kind.forward(self.layer, {name: x.copy() for name, x in self.inputs.items()})
        self.before = self.facts()

    def facts(self) -> Any:
        layer = self.layer
        inputs = [x.tobytes() for x in self.inputs.values()]
        generator = self.rng.bit_generator.state
        return layer.state, layer.p, layer.training, id(record_of(layer)), repr(layer), generator, inputs

    @property
    def x(self) -> Array:
        """The first input."""
        return self.inputs[self.kind.inputs[0]]

    def passes(self, inputs: Any, **options: Any) -> Iterator[Callable[[], Any]]:
        """Yield all ways to do a forward pass: layer and function, training and inference."""
        for training in BOTH_MODES:
            yield lambda t=training: self.kind.forward(self.layer, inputs, t, **options)
            if self.kind.function:
                yield lambda t=training: self.kind.call(inputs, rng=self.rng, training=t, **options)

    def gradients(self, dy: Any, **options: Any) -> Iterator[Callable[[], Any]]:
        """Yield all ways to compute a gradient."""
        for owner in (self.layer, record_of(self.layer)):
            yield lambda owner=owner: owner.backward(dy, **options)

    def calls(self, name: str, value: Any, **options: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield all calls with another value of an input, and its name in each."""
        changed = self.inputs | {name: value}
        yield from ((name, call) for call in self.passes(changed, **options))
        if name in self.kind.inputs:
            yield name, lambda: self.kind.apply(record_of(self.layer), changed, **options)
        if name == self.kind.inputs[0] and not (options and self.kind.rule == "select"):
            yield from ((self.kind.gradient, call) for call in self.gradients(value, **options))

    def check(self) -> None:
        """Check that nothing has changed."""
        assert self.facts() == self.before


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
    watched, error = Watched(kind), kind.lacks["complex"]
    for named, call in watched.calls("x", watched.x.astype(np.complex64)):
        if kind.rule == "noise" or named != "dy":  # the gradient of a mask is linear
            fails(error[0], error[1].replace("x.", rf"{named}\."), call)
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
    fails(ValueError, "^out overlaps x in part", lambda: bitdrop.dropout(x, out=x.T))
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
        fails(ValueError, applied, lambda i=inputs: kind.apply(record_of(watched.layer), i))  # type: ignore[misc]
    watched.check()


@for_all_kinds
def test_backward_before_forward_is_an_error(kind: Kind) -> None:
    match = rf"^backward needs the {kind.applied} of a forward pass"
    fails(RuntimeError, match, lambda: kind.make().backward(np.ones(kind.shape)))


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
        fails(error, match, lambda v=value: kind.forward(watched.layer, watched.inputs | {name: v}, training))  # type: ignore[misc]
    match = f"^out must not be given to a layer with inplace=True, which writes into {name}"
    fails(
        TypeError, match, lambda: kind.forward(watched.layer, watched.inputs, training, out=np.empty_like(x))
    )
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
            fails(bitdrop.NdimError, f"^{match}$", lambda t=training, o=out: layer(o.copy(), t, out=o))  # type: ignore[misc]
            assert (out == 7).all()
            assert (layer.state, layer.mask) == (state, mask)
    assert issubclass(bitdrop.NdimError, ValueError)
    assert issubclass(bitdrop.NdimError, RuntimeError)


# Arguments by name, of everything that takes them

BAD_SHARDS: list[Bad] = [
    *((bad, TypeError, "must be a bitdrop.Shard or None") for bad in (((4, 6), (0, 0)), (4, 6), 1)),
    (bitdrop.Shard((4,), (0,)), ValueError, "as many axes as"),
    (bitdrop.Shard((9, 9, 40, 1), (0, 0, 0, 0)), ValueError, "as many axes as"),
]
BAD_NOISE_SHAPES: list[Bad] = [
    *((bad, TypeError, "must be None or a tuple") for bad in (5, "1, 1", {1, 2})),
    *((bad, TypeError, "must be a tuple of ints") for bad in ((1, 1.5, 1), (1, "1", 1))),
    ((1, -1, 1), ValueError, "negative"),
]
BAD_VALUES: dict[str, list[Bad]] = {
    "p": [(p, error, ".*but got") for p, error in BAD_PROBABILITIES.values()],
    "keep_prob": [(p, error, ".*but got") for p, error in BAD_PROBABILITIES.values() if p is not None],
    "rng": [(rng, error, ".*but got") for rng, error in BAD_RNGS.values()],
    **{
        name: [(flag, TypeError, "True or False, but got") for flag in BAD_FLAGS]
        for name in ("training", "inplace", "recompute", "scale_by_keep", "shared_channels")
    },
    "scaling": [(bad, ValueError, "'inverted' or 'vanilla', but got") for bad in BAD_SCALINGS],
    "activation": [(bad, ValueError, "None or 'relu', but got") for bad in ("gelu", 1, np.ones(2))],
    "mode": [(bad, ValueError, "but got") for bad in ("rows", "", None, 1)],
    "stream": [(word, error, "must be") for word, error in BAD_WORDS.values()],
    "key": [(key, TypeError, "must be") for key in BAD_KEYS]
    + [
        (key, error, r"\[\d\] must be")
        for word, error in BAD_WORDS.values()
        for key in ((word, 2), (1, word))
    ],
    "shape": [(shape, error, "must") for shape, error in BAD_SHAPES],
    **{
        name: [(scale, error, "must be") for scale, error in BAD_SCALES]
        for name in ("scale", "shift", "dropped")
    },
    "block_size": [(size, error, "must be") for size, error in BAD_BLOCK_SIZES],
    "block_ndim": [
        (4, ValueError, "must be 1, 2 or 3"),
        (0, ValueError, "at least 1"),
        ("2", TypeError, "must be"),
    ],
    "eps": [
        (-1e-9, ValueError, "not be negative"),
        (nan, ValueError, "finite"),
        ("1", TypeError, "a number"),
    ],
    "noise_shape": BAD_NOISE_SHAPES,
    "shard": BAD_SHARDS,
    "num_threads": [(0, ValueError, "from 1"), (1025, ValueError, "from 1"), (1.0, TypeError, "an int")],
}
X = normal(np.dtype("f4"), ROWS)
FUNCTIONS: dict[Any, dict[str, Any]] = {
    bitdrop.dropout: {"x": X},
    bitdrop.gaussian_dropout: {"x": X},
    bitdrop.fused_dropout: {"x": X},
    bitdrop.zoneout: {"new": X, "previous": -X},
    bitdrop.Mask: {"shape": ROWS, "p": 0.5, "key": (1, 2)},
    bitdrop.Noise: {"shape": ROWS, "p": 0.5, "key": (1, 2)},
    bitdrop.ZoneoutMask: {"shape": ROWS, "p": 0.5, "key": (1, 2)},
    bitdrop.BlockMask: {"shape": ROWS, "p": 0.5, "block_size": 3, "key": (1, 2)},
    bitdrop.Mask.from_array: {"kept": np.ones(3, bool)},
    **{kind.layer: {} for kind in KINDS.values()},
}
ARGUMENTS = [
    (function, name)
    for function in FUNCTIONS
    for name in inspect.signature(function).parameters
    if name in BAD_VALUES and not (name == "shape" and function is bitdrop.Mask.from_array)
]


@pytest.mark.parametrize(
    ("function", "name"), ARGUMENTS, ids=lambda value: getattr(value, "__qualname__", value)
)
def test_bad_argument_is_an_error(function: Any, name: str) -> None:
    """Exceptions are told apart from the rate of Gaussian dropout, which must be less than 1 as well."""
    rng, out = np.random.default_rng(1), np.full(ROWS, 7, np.float32)
    parameters = inspect.signature(function).parameters
    good = FUNCTIONS[function] | ({"rng": rng} if "rng" in parameters else {})
    good |= {"out": out} if "out" in parameters else {}
    before = rng.bit_generator.state
    for value, error, match in BAD_VALUES[name]:
        if not (value is None and parameters[name].default is None):  # None means that it is not given
            fails(error, rf"^{name}.*{match}", lambda v=value: function(**good | {name: v}))  # type: ignore[misc]
    if name in ("training", "p") and "training" in parameters:
        value, error, match = BAD_VALUES[name][0]
        at_inference = good | {"training": False} | {name: value}
        fails(error, rf"^{name}.*{match}", lambda: function(**at_inference))
    assert rng.bit_generator.state == before
    assert (out == 7).all()


def test_every_public_argument_has_bad_values() -> None:
    """Arrays are tested above; what else a public callable takes by name is in the table."""
    arrays = {"x", "new", "previous", "bias", "residual", "out", "kept"}
    for function in FUNCTIONS:
        assert set(inspect.signature(function).parameters) <= {*BAD_VALUES, *arrays}, function


@for_all_kinds
def test_bad_argument_of_a_layer_leaves_it_as_it_was(kind: Kind) -> None:
    watched = Watched(kind)
    layer, inputs = watched.layer, watched.inputs
    for p, error, match in BAD_VALUES["p"]:
        fails(error, f"^p must be.*{match}", lambda p=p: setattr(layer, "p", p))  # type: ignore[misc]
    for flag in BAD_FLAGS:
        fails(TypeError, "^mode must be", lambda flag=flag: layer.train(flag))  # type: ignore[misc]
        fails(TypeError, "^training must be", lambda flag=flag: kind.forward(layer, inputs, flag))  # type: ignore[misc]
    for shard, error, match in BAD_SHARDS:
        reason = kind.lacks.get("shard", (error, f"^shard.*{match}"))
        fails(*reason, lambda s=shard: kind.forward(layer, inputs, True, shard=s))  # type: ignore[misc]
    for index, length in enumerate(kind.shape):
        whole = [*kind.shape]
        whole[index] = length - 1
        shard = bitdrop.Shard(tuple(whole), (0,) * len(whole))
        reason = kind.lacks.get("shard", (ValueError, r"does not lie within"))
        fails(*reason, lambda s=shard: kind.forward(layer, inputs, True, shard=s))  # type: ignore[misc]
    number = layer.state["format"]
    for state, error, match in BAD_STATES:
        if not (isinstance(state, dict) and state.get("format") == number and len(state) == 3):
            fails(error, match, lambda s=state: setattr(layer, "state", s))  # type: ignore[misc]
    for key, error, match in BAD_VALUES["key"]:
        fails(error, f"^key.*{match}", lambda k=key: setattr(layer, "state", layer.state | {"key": k}))  # type: ignore[misc]
    for word, error in BAD_WORDS.values():
        at = 2**64 + 1 if word == 2**64 else word  # 2**64 is the position after the last stream number
        fails(error, "^position must", lambda at=at: setattr(layer, "state", layer.state | {"position": at}))  # type: ignore[misc]
    for rng, error in BAD_RNGS.values():
        fails(error, "^rng must be", lambda rng=rng: layer.reset(rng))  # type: ignore[misc]
    watched.check()


@for_all_kinds
def test_unknown_keyword_names_the_class_that_was_called(kind: Kind) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.layer.__name__}\.__init__\(\) got an unexpected .*'prob'"):
        kind.make(prob=0.5)
    with pytest.raises(TypeError, match=rf"^{kind.layer.__name__}\.__init__\(\) takes .*positional argument"):
        kind.layer(0.5, 1, 2, 3, 4)


@for_all_kinds
def test_cells_that_a_kind_cannot_have_are_errors_with_a_reason(kind: Kind) -> None:
    inputs, good = kind.arrays(np.float32), bitdrop.Shard(kind.shape, (0,) * len(kind.shape))
    asked: dict[str, Callable[[], Any]] = {
        "shard": lambda: kind.forward(kind.make(rng=0), inputs, shard=good),
        "recompute": lambda: kind.make(recompute=True),
        "noise_shape": lambda: kind.make(noise_shape=(1,) * len(kind.shape)),
        "complex": lambda: kind.forward(kind.make(rng=0), {n: x.astype("c8") for n, x in inputs.items()}),
    }
    for name, call in asked.items():
        if name in kind.lacks:
            error, sentence = kind.lacks[name]
            with pytest.raises(error, match=re.escape(sentence)):
                call()
        else:
            call()


@for_kinds_with("noise_shape")
@pytest.mark.parametrize("ndim", ["fewer", "more", "none", "long", "short"])
def test_noise_shape_that_does_not_fit_x_is_an_error(kind: Kind, ndim: str) -> None:
    wrong: dict[str, tuple[Any, str]] = {
        "fewer": ((1, 1), "an entry for each axis of"),
        "more": ((1, 1, 1, 1), "an entry for each axis of"),
        "none": ((), "an entry for each axis of"),
        "long": ((kind.shape[0] + 1, 1, 1), "1, None or x's length"),
        "short": ((0, 1, 1), "1, None or x's length"),
    }
    noise_shape, match = wrong[ndim]
    layer, inputs = kind.make(rng=0, noise_shape=noise_shape), kind.arrays(np.float32)
    fails(ValueError, f"^noise_shape must .*{match}", lambda: kind.forward(layer, inputs))
    if kind.function:
        rng = np.random.default_rng(0)
        fails(
            ValueError, f"^noise_shape .*{match}", lambda: kind.call(inputs, rng=rng, noise_shape=noise_shape)
        )
        assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    if ndim == "long":  # it refers to the whole array
        shard = bitdrop.Shard((kind.shape[0] + 1, *kind.shape[1:]), (1, 0, 0))
        kind.forward(layer, inputs, True, shard=shard)
        return
    assert layer.state["position"] == 0
    for record in (bitdrop.Mask, bitdrop.Noise, bitdrop.ZoneoutMask):
        fails(
            ValueError,
            f"^noise_shape .*{match}",
            lambda r=record: r(kind.shape, 0.5, key=(1, 2), noise_shape=noise_shape),
        )  # type: ignore[misc]


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


@pytest.mark.parametrize(("shape", "start", "error", "match"), BAD_PLACES, ids=repr)
def test_invalid_place_of_a_shard_is_an_error(shape: Any, start: Any, error: Any, match: str) -> None:
    fails(error, match, lambda: bitdrop.Shard(shape, start))


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
        lambda: mask.backward(normal(np.dtype("f4"), ROWS), bias_gradient=gradient),
    )
    assert "bias's dtype, float32" not in said


HINTS: list[tuple[tuple[int, ...], str]] = [
    ((3, 8), r"for a part of the mask's elements, use mask\.part\(\(0, 0\), \(3, 8\)\)\.$"),
    ((6, 1), r"use mask\.part\(\(0, 0\), \(6, 1\)\)\.$"),
    ((12, 8), r"for any length along an axis, share its draws: noise_shape=\(1, None\)\.$"),
    ((6, 9), r"for any length along an axis, share its draws: noise_shape=\(None, 1\)\.$"),
    ((8, 6), r"keep layer\.mask of each call, or set layer\.state to repeat a call on another shape\.$"),
    ((48,), r"set layer\.state to repeat a call on another shape\.$"),
]


@pytest.mark.parametrize(("shape", "match"), HINTS)
def test_error_about_another_shape_says_what_helps(shape: tuple[int, ...], match: str) -> None:
    layer = bitdrop.Dropout(rng=0)
    layer(np.ones((6, 8)))
    assert layer.mask is not None
    for call in (layer.mask.apply, layer.mask.backward, layer.backward):
        fails(ValueError, match, lambda call=call: call(np.ones(shape)))  # type: ignore[misc]


def test_hints_about_shapes_lead_where_they_say() -> None:
    mask = bitdrop.Mask((6, 8), 0.5, key=(1, 2))
    assert mask.part((0, 0), (3, 8)).apply(np.ones((3, 8))).shape == (3, 8)
    layer = bitdrop.Dropout(noise_shape=(1, None), rng=0)
    with layer.locked():
        small, large = layer(np.ones((6, 8))), layer(np.ones((12, 8)))
    assert ((small[0] != 0) == (large != 0)).all()
    layer = bitdrop.Dropout(rng=0)
    state = layer.state
    first = layer(np.ones((6, 8)))
    layer.state = state
    assert_identical(layer(np.ones(48)), first.ravel())


@pytest.mark.parametrize("size", [7, 10**400], ids=["7", "huge"])
def test_block_larger_than_a_map_is_an_error(size: int) -> None:
    x, out = np.ones((2, 3, 6, 8)), np.full((2, 3, 6, 8), 7.0)
    larger, match = (
        bitdrop.DropBlock2d(0.5, size, rng=0),
        r"^block_size must be at most .*\(6, 8\), but it is",
    )
    for training in BOTH_MODES:
        fails(ValueError, match, lambda training=training: larger(x, training, out=out))  # type: ignore[misc]
    fails(ValueError, match, lambda: bitdrop.BlockMask((6, 8), 0.1, size, key=(1, 2)))
    fails(ValueError, "at least 3 axes", lambda: bitdrop.BlockMask((6, 8), 0.1, 1, key=(1, 2), block_ndim=3))
    assert (out == 7).all()
    assert (larger.state["position"], larger.mask) == (0, None)


NOT_BOOL: dict[str, tuple[Any, str]] = {
    "ints": (np.ones(3, int), f"{np.dtype(int).name}: pass kept != 0"),
    "floats": (np.ones(3), "float64: pass kept != 0"),
    "list of ints": ([0, 1], f"list of dtype {np.dtype(int).name}: pass kept != 0"),
    "objects": (np.array([True, None]), "object"),
    "text": ("yes", f"str of dtype {np.dtype('U3').str}"),
    "None": (None, "NoneType"),
    "class": (bitdrop.Mask, "type of dtype object"),
    "ragged": ([[True], [True, False]], "but got list"),
    "masked": (np.ma.masked_array([True, False], [False, True]), "masked array.*filled"),
    "lazy": (BAD_ARRAYS["lazy"][0](), "lazy"),
    "labelled": (BAD_ARRAYS["labelled"][0](), "labels"),
    "sparse": (Sparse(), "sparse"),
}


@pytest.mark.parametrize("bad", NOT_BOOL)
def test_kept_other_than_bools_is_an_error(bad: str) -> None:
    value, match = NOT_BOOL[bad]
    for record in (bitdrop.Mask, bitdrop.ZoneoutMask):
        fails(TypeError, rf"^kept .*{match}", lambda record=record: record.from_array(value))  # type: ignore[misc]


def test_shape_to_which_kept_does_not_broadcast_is_an_error() -> None:
    kept = np.ones((2, 3), bool)
    for shape, error in [((3, 2), ValueError), ((3,), ValueError), *BAD_SHAPES[1:]]:
        fails(error, "^(shape|kept) must", lambda shape=shape: bitdrop.Mask.from_array(kept, shape=shape))  # type: ignore[misc]


def test_fused_masks_are_made_by_passes_alone() -> None:
    fails(TypeError, "made by a fused pass", lambda: bitdrop.FusedMask())  # type: ignore[call-arg]


def test_arguments_other_than_the_first_are_keyword_only() -> None:
    calls: list[tuple[Any, list[str]]] = [
        (bitdrop.Dropout, ["p"]),
        (bitdrop.dropout, ["x", "p"]),
        (bitdrop.gaussian_dropout, ["x", "p"]),
        (bitdrop.fused_dropout, ["x", "p"]),
        (bitdrop.zoneout, ["new", "previous", "p"]),
        (bitdrop.Mask, ["shape", "p"]),
        (bitdrop.DropPath, ["p", "scale_by_keep", "mode"]),
        (bitdrop.DropBlock2d, ["p", "block_size"]),
    ]
    for function, by_place in calls:
        parameters = inspect.signature(function).parameters.values()
        assert [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD] == by_place
