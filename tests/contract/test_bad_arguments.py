"""Bad arguments, to all kinds: the right exception, one plain sentence, and everything is as it was."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from math import nan
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.contract.kinds import KINDS, ROWS, Kind, for_all_kinds, for_kinds_with
from tests.contract.watched import BOTH_MODES, Bad, Watched, fails
from tests.helpers.bad_values import (
    BAD_ARRAYS,
    BAD_BLOCK_SIZES,
    BAD_FLAGS,
    BAD_KEYS,
    BAD_PROBABILITIES,
    BAD_RNGS,
    BAD_SCALES,
    BAD_SCALINGS,
    BAD_SHAPES,
    BAD_STATES,
    BAD_WORDS,
    Sparse,
)
from tests.helpers.support import assert_identical, normal

# Arguments by name, of everything that takes them

BAD_SHARDS: list[Bad] = [
    *((bad, TypeError, "must be a bitdrop.Shard or None") for bad in (((4, 6), (0, 0)), (4, 6), 1)),
    (bitdrop.Shard((4,), (0,)), ValueError, "as many axes as"),
    (bitdrop.Shard((9,) * 7, (0,) * 7), ValueError, "as many axes as"),
]
SEQUENCE = "must be None or a sequence of non-negative ints and None, but got "
BAD_NOISE_SHAPES: list[Bad] = [
    *((bad, TypeError, SEQUENCE) for bad in (5, "1, 1", {1, 2}, (1, 1.5, 1), (1, "1", 1))),
    ((None, -1, 1), ValueError, SEQUENCE + r"\(None, -1, 1\)\.$"),
    *(
        (bad, ValueError, "one that an array can have")
        for bad in ((None, 2**70, 1), (2**32, 2**32), (1,) * 65)
    ),
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
# None is a shape there, and these take no noise shape.
LEFT_OUT: set[tuple[Any, str]] = {
    (kind.layer, "noise_shape") for kind in KINDS.values() if "noise_shape" in kind.lacks
}
LEFT_OUT |= {(bitdrop.Mask.from_array, "shape")}
ARGUMENTS = [
    (function, name)
    for function in FUNCTIONS
    for name in inspect.signature(function).parameters
    if name in BAD_VALUES and (function, name) not in LEFT_OUT
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
            fails(error, rf"^{name}.*{match}", function, **good | {name: value})
    if name in ("training", "p") and "training" in parameters:
        value, error, match = BAD_VALUES[name][0]
        at_inference = good | {"training": False} | {name: value}
        fails(error, rf"^{name}.*{match}", function, **at_inference)
    assert rng.bit_generator.state == before
    assert (out == 7).all()


def test_every_public_argument_has_bad_values() -> None:
    """Arrays are tested above; what else a public callable takes by name is in the table."""
    arrays = {"x", "new", "previous", "bias", "residual", "out", "kept"}
    for function in FUNCTIONS:
        parameters = inspect.signature(function).parameters.values()
        named = {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
        assert named <= {*BAD_VALUES, *arrays}, function


@for_all_kinds
def test_bad_argument_of_a_layer_leaves_it_as_it_was(kind: Kind) -> None:
    watched = Watched(kind)
    layer, inputs = watched.layer, watched.inputs
    for p, error, match in BAD_VALUES["p"]:
        fails(error, f"^p must be.*{match}", setattr, layer, "p", p)
    for flag in BAD_FLAGS:
        fails(TypeError, "^mode must be", layer.train, flag)
        fails(TypeError, "^training must be", kind.forward, layer, inputs, flag)
        with pytest.MonkeyPatch.context() as change:
            change.setattr(layer, "training", flag)
            fails(TypeError, "^training must be", kind.forward, layer, inputs)
    for shard, error, match in BAD_SHARDS:
        reason = kind.lacks.get("shard", (error, f"^shard.*{match}"))
        fails(*reason, kind.forward, layer, inputs, True, shard=shard)
    for index, length in enumerate(kind.shape):
        whole = [*kind.shape]
        whole[index] = length - 1
        shard = bitdrop.Shard(tuple(whole), (0,) * len(whole))
        reason = kind.lacks.get("shard", (ValueError, r"does not lie within"))
        fails(*reason, kind.forward, layer, inputs, True, shard=shard)
    number = layer.state["format"]
    for state, error, match in BAD_STATES:
        if not (isinstance(state, dict) and state.get("format") == number and len(state) == 3):
            fails(error, match, setattr, layer, "state", state)
    for key, error, match in BAD_VALUES["key"]:
        fails(error, f"^key.*{match}", setattr, layer, "state", layer.state | {"key": key})
    for word, error in BAD_WORDS.values():
        at = 2**64 + 1 if word == 2**64 else word  # 2**64 is the position after the last stream number
        fails(error, "^position must", setattr, layer, "state", layer.state | {"position": at})
    for rng, error in BAD_RNGS.values():
        fails(error, "^rng must be", layer.reset, rng)
    watched.check()


@for_all_kinds
def test_unknown_argument_names_the_class_that_was_called(kind: Kind) -> None:
    name = kind.layer.__name__
    fails(TypeError, f"^{name} has no argument 'prob': pass p=0.5\\.$", kind.make, prob=0.5)
    fails(TypeError, f"^{name} has no argument 'seed': pass rng=3\\.$", kind.make, seed=3)
    fails(TypeError, rf"^{name} has no argument 'seed': pass rng=\.$", kind.make, seed=[3])
    fails(
        TypeError, rf"^{name} has no argument 'train': set the mode by train\(\) and", kind.make, train=True
    )
    listed = ", ".join(inspect.signature(kind.layer).parameters)
    fails(TypeError, rf"^{name} has no argument 'what': its arguments are {listed}\.$", kind.make, what=0.5)
    assert ("noise_shape" in listed) == ("noise_shape" not in kind.lacks)
    with pytest.raises(TypeError, match=r"takes .*positional argument"):
        kind.layer(0.5, 1, 2, 3, 4)


@for_all_kinds
def test_unknown_argument_of_a_call_names_the_one_that_is_meant(kind: Kind) -> None:
    watched = Watched(kind)
    layer, inputs = watched.layer, watched.inputs
    for name, value, meant in (("train", False, False), ("deterministic", True, False)):
        match = f"^forward has no argument '{name}': pass training={meant}\\.$"
        fails(TypeError, match, layer, **inputs, **{name: value})
    match = f"^forward has no argument 'p': it is an argument of {kind.layer.__name__}\\.$"
    fails(TypeError, match, layer, **inputs, p=0.1)
    fails(
        TypeError, r"^forward has no argument 'what': its arguments are .*shard\.$", layer, **inputs, what=1
    )
    watched.check()
    if kind.function:
        rng = np.random.default_rng(0)
        fails(TypeError, "has no argument 'rate': pass p=0.1", kind.call, inputs, rng=rng, rate=0.1)
        fails(TypeError, "has no argument 'what': its arguments are ", kind.call, inputs, rng=rng, what=0.1)
        assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@for_all_kinds
def test_subclasses_with_other_arguments_explain_theirs(kind: Kind) -> None:
    class Other(kind.layer):  # type: ignore[misc, name-defined]
        def __init__(self, rate: float) -> None:
            super().__init__(p=rate)

    class Open(kind.layer):  # type: ignore[misc, name-defined]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)

    assert Other(rate=0.25).p == Open(p=0.25).p == 0.25
    fails(TypeError, r"^Other has no argument 'p': its arguments are rate\.$", Other, p=0.25)
    fails(TypeError, r"^Open has no argument 'rate': pass p=0.25\.$", Open, rate=0.25)
    bad: Any = "0.25"
    with pytest.raises(TypeError, match=r"^p must be"):
        Other(rate=bad)


@for_all_kinds
def test_cells_that_a_kind_cannot_have_are_errors_with_a_reason(kind: Kind) -> None:
    inputs, good = kind.arrays(np.float32), bitdrop.Shard(kind.shape, (0,) * len(kind.shape))
    asked: dict[str, Callable[[], Any]] = {
        "shard": partial(kind.forward, kind.make(rng=0), inputs, shard=good),
        "recompute": partial(kind.make, recompute=True),
        "noise_shape": partial(kind.make, noise_shape=(1,) * len(kind.shape)),
        "complex": partial(kind.forward, kind.make(rng=0), {n: x.astype("c8") for n, x in inputs.items()}),
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
    fails(ValueError, f"^noise_shape must .*{match}", kind.forward, layer, inputs)
    if kind.function:
        rng = np.random.default_rng(0)
        fails(ValueError, f"^noise_shape .*{match}", kind.call, inputs, rng=rng, noise_shape=noise_shape)
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
            record,
            kind.shape,
            0.5,
            key=(1, 2),
            noise_shape=noise_shape,
        )


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
    fails(error, match, bitdrop.Shard, shape, start)


HINTS: list[tuple[tuple[int, ...], str]] = [
    ((3, 8), r"for a part of the mask's elements, use mask\.part\(\(0, 0\), \(3, 8\)\)\.$"),
    ((6, 1), r"use mask\.part\(\(0, 0\), \(6, 1\)\)\.$"),
    ((12, 8), r"for any length along an axis, share its draws: noise_shape=\(1, None\)\.$"),
    ((6, 9), r"for any length along an axis, share its draws: noise_shape=\(None, 1\)\.$"),
    ((8, 6), ""),
    ((48,), ""),
]


@pytest.mark.parametrize(("shape", "match"), HINTS)
def test_error_about_another_shape_says_what_helps(shape: tuple[int, ...], match: str) -> None:
    layer = bitdrop.Dropout(rng=0)
    layer(np.ones((6, 8)))
    assert layer.mask is not None
    of_dy = match or (
        r"it is the gradient with respect to the result of that pass; to go back through an earlier pass, "
        r"keep its layer\.mask\.$"
    )
    for call in (layer.mask.backward, layer.backward):
        fails(ValueError, f"^dy must .*{of_dy}", call, np.ones(shape))
    of_x = match or r"to repeat a call on another shape, set layer\.state\.$"
    fails(ValueError, f"^x must .*{of_x}", layer.mask.apply, np.ones(shape))


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
        fails(ValueError, match, larger, x, training, out=out)
    fails(ValueError, match, bitdrop.BlockMask, (6, 8), 0.1, size, key=(1, 2))
    fails(ValueError, "at least 3 axes", bitdrop.BlockMask, (6, 8), 0.1, 1, key=(1, 2), block_ndim=3)
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
        fails(TypeError, rf"^kept .*{match}", record.from_array, value)


def test_shape_to_which_kept_does_not_broadcast_is_an_error() -> None:
    kept = np.ones((2, 3), bool)
    for shape, error in [((3, 2), ValueError), ((3,), ValueError), *BAD_SHAPES[1:]]:
        fails(error, "^(shape|kept) must", bitdrop.Mask.from_array, kept, shape=shape)


def test_fused_masks_are_made_by_passes_alone() -> None:
    fails(TypeError, "made by a fused pass", bitdrop.FusedMask)


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
