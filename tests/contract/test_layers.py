"""Layers: modes, streams, locks, state, copies, settings. Each test holds for all kinds."""

import copy
import json
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.contract.kinds import DRAWN_BY_ELEMENT, KINDS, Kind, for_all_kinds
from tests.contract.reference import Reference
from tests.helpers.passes import backward, record_of
from tests.helpers.strategies import WORDS
from tests.helpers.support import assert_identical, normal

COPIES: dict[str, Any] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
}
for_all_copies = pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)


class LayerMachine(RuleBasedStateMachine):
    """Layer of any kind under any sequence of calls, compared with a model.

    The model knows key, position, p, mode, the depth of locks and the last pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.locks: list[Any] = []
        self.locked: int | None = None  # the stream number that a lock holds
        self.last: tuple[Reference, Any] | None = None

    @initialize(name=st.sampled_from([*KINDS]))
    def make(self, name: str) -> None:
        self.kind = KINDS[name]
        self.p, self.position, self.training = 0.25, 0, True
        self.layer = self.kind.make(self.p, rng=9)
        self.key = tuple(self.layer.state["key"])

    @rule(larger=st.booleans(), override=st.sampled_from([None, True, False]))
    def forward(self, larger: bool, override: bool | None) -> None:
        shape = (*self.kind.shape[:-1], 2 * self.kind.shape[-1]) if larger else self.kind.shape
        inputs = self.kind.arrays(np.float32, shape)
        y = self.kind.forward(self.layer, inputs, override)
        training = self.training if override is None else override
        stream = self.position
        if training and self.locks:
            stream = self.position if self.locked is None else self.locked
            self.position += self.locked is None
            self.locked = stream
        elif training:
            self.position += 1
        reference = Reference(self.kind, shape, self.p, self.key, stream, training=training)
        assert_identical(y, reference.forward(inputs))
        self.last = reference, inputs

    @rule(bad=st.sampled_from([[1], None, np.ones(3, int), "x"]), training=st.booleans())
    def forward_of_bad_input(self, bad: Any, training: bool) -> None:
        inputs = self.kind.arrays(np.float32)
        with pytest.raises(TypeError):
            self.kind.forward(self.layer, inputs | {self.kind.inputs[0]: bad}, training)
        with pytest.raises(ValueError, match="shape"):
            self.kind.forward(self.layer, inputs, training, out=np.ones(5, np.float32))

    @precondition(lambda self: self.last is not None)
    @rule()
    def gradients(self) -> None:
        assert self.last is not None
        reference, inputs = self.last
        dy = normal(np.dtype("f4"), reference.drawn.shape, seed=1)
        for found, expected in zip(backward(self.layer, dy), reference.gradients(dy, inputs), strict=True):
            assert_identical(found, expected)
        assert record_of(self.layer) is record_of(self.layer)

    @rule(p=st.sampled_from([0.0, 0.25, 0.9]))
    def set_p(self, p: float) -> None:
        self.layer.p = self.p = p

    @rule(mode=st.booleans())
    def train(self, mode: bool) -> None:
        assert (self.layer.train(mode) if mode else self.layer.eval()) is self.layer
        self.training = mode

    @precondition(lambda self: not self.locks)
    @rule(duplicate=st.sampled_from([*COPIES]))
    def copied(self, duplicate: str) -> None:
        self.layer = COPIES[duplicate](self.layer)

    @rule(key=st.tuples(WORDS, WORDS), position=st.integers(0, 2**63))
    def set_state(self, key: tuple[int, int], position: int) -> None:
        self.layer.state = json.loads(json.dumps(self.layer.state | {"key": key, "position": position}))
        self.key, self.position, self.locked = key, position, None

    @rule()
    def reset(self) -> None:
        assert self.layer.reset(rng=9) is None
        self.key, self.position, self.locked = tuple(self.kind.make(rng=9).state["key"]), 0, None

    @precondition(lambda self: not self.locks)
    @rule()
    def restore_in_new_layer(self) -> None:
        restored = self.kind.make(self.p).train(self.training)
        restored.state = self.layer.state
        self.layer, self.last = restored, None

    @rule()
    def lock(self) -> None:
        self.locks.append(self.layer.locked())
        self.locks[-1].__enter__()

    @precondition(lambda self: self.locks)
    @rule()
    def unlock(self) -> None:
        self.locks.pop().__exit__(None, None, None)
        if not self.locks:
            self.locked = None

    @invariant()
    def equals_model(self) -> None:
        if not hasattr(self, "kind"):
            return
        number = bitdrop.NOISE_FORMAT if self.kind.rule == "noise" else bitdrop.MASK_FORMAT
        self.layer.state["key"][0] = self.layer.state["position"] = 5  # of a copy
        state = self.layer.state
        assert state == {"format": number, "key": list(self.key), "position": self.position}
        assert all(type(word) is int for word in (*state["key"], state["position"]))
        assert (self.layer.p, self.layer.training) == (self.p, self.training)
        assert (record_of(self.layer) is None) == (self.last is None)


LayerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLayerUnderAnyUse = LayerMachine.TestCase


@for_all_kinds
@for_all_copies
def test_copies_of_an_unseeded_layer_draw_keys_of_their_own(kind: Kind, duplicate: Any) -> None:
    layer, inputs = kind.make(), kind.arrays(np.float32)
    kind.forward(layer, inputs)
    kind.forward(layer, inputs)
    copies = [duplicate(layer) for _ in range(4)]
    copies += [duplicate(copies[0]) for _ in range(2)]  # copies are unseeded too
    copies += [copy.deepcopy(COPIES["pickle"](layer)) for _ in range(2)]
    assert len({tuple(one.state["key"]) for one in [layer, *copies]}) == 1 + len(copies)
    assert {one.state["position"] for one in copies} == {0}
    for one in copies:
        assert record_of(one) == record_of(layer)
        assert repr(one) == repr(layer)
        for found, expected in zip(
            *(backward(each, inputs[kind.inputs[0]]) for each in (one, layer)), strict=True
        ):
            assert_identical(found, expected)


@for_all_kinds
@for_all_copies
@pytest.mark.parametrize("start", ["seed", "state", "generator", "reset"])
def test_copies_of_a_seeded_layer_continue_identically(kind: Kind, duplicate: Any, start: str) -> None:
    """A key is the user's if it came from a seed, a generator or a state."""
    layer, inputs = (
        kind.make(rng={"seed": 0, "generator": np.random.default_rng(3)}.get(start)),
        kind.arrays(),
    )
    if start == "state":
        layer.state = layer.state | {"key": [1, 2], "position": 3}
    elif start == "reset":
        layer.reset(rng=4)
    kind.forward(layer, inputs)
    other = duplicate(layer.eval())
    assert (other.state, other.training, repr(other)) == (layer.state, False, repr(layer))
    assert record_of(other) == record_of(layer)
    for _ in range(2):
        assert_identical(kind.forward(other, inputs, True), kind.forward(layer, inputs, True))
    kind.forward(layer, inputs, True)
    assert other.state != layer.state  # they share nothing


@for_all_copies
def test_copies_keep_attributes_of_subclasses(duplicate: Any) -> None:
    layer = Named(["a"])
    other = duplicate(layer)
    assert type(other) is Named
    assert other.names == ["a"]
    assert (other.names is layer.names) == (duplicate is copy.copy)
    other.p = 0.75
    assert (layer.p, other.p) == (0.25, 0.75)


class Named(bitdrop.Dropout2d):
    """Subclass with an attribute, and a forward that trains always."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(0.25, rng=0)
        self.names = names

    def forward(self, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """Do a forward pass in training."""
        return super().forward(*inputs, training=True, **options)


def test_deep_copy_keeps_one_layer_one() -> None:
    first, second = copy.deepcopy([layer := bitdrop.Dropout(), layer])
    assert first is second


def test_subclass_may_override_forward() -> None:
    x = normal(np.dtype("f4"), (6, 5, 4, 3))
    layer = Named([]).eval()
    assert_identical(layer(x), bitdrop.Dropout2d(0.25, rng=0)(x))
    assert repr(layer).startswith("Named(")


def test_reset_without_seed_draws_a_new_key_each_time() -> None:
    layer, keys = bitdrop.Dropout(rng=0), set()
    for _ in range(10):
        layer.reset()
        keys.add(tuple(layer.state["key"]))
    assert len(keys) == 10
    assert copy.copy(layer).state != layer.state  # it is unseeded now
    rng = np.random.default_rng(0)
    layer.reset(rng)  # advances it
    assert layer.state == bitdrop.Dropout(rng=np.random.default_rng(0)).state
    assert bitdrop.Dropout(rng=rng).state["key"] != layer.state["key"]
    assert len({tuple(bitdrop.Dropout().state["key"]) for _ in range(50)}) == 50


@for_all_kinds
def test_forward_after_last_stream_number_is_an_error(kind: Kind) -> None:
    layer, inputs = kind.make(rng=0), kind.arrays(np.float32)
    layer.state = layer.state | {"position": 2**64 - 1}
    with layer.locked():
        first = kind.forward(layer, inputs)
        assert_identical(kind.forward(layer, inputs), first)
    assert record_of(layer).stream == 2**64 - 1
    restored = kind.make(rng=1)
    restored.state = used_up = layer.state  # the state after the last stream number can be restored too
    for one in (layer, restored):
        with pytest.raises(RuntimeError, match=r"all 2\*\*64 stream numbers"):
            kind.forward(one, inputs)
        assert one.state == used_up


@for_all_kinds
def test_pickled_layer_of_another_format_is_refused(kind: Kind) -> None:
    layer = kind.make(rng=0)
    state = layer.__getstate__()
    assert state["_format"] == layer.state["format"]
    state["_format"] = 99
    with pytest.raises(ValueError, match=r"^The pickled layer is of \w+ format 99"):
        object.__new__(kind.layer).__setstate__(state)


@for_all_kinds
def test_evaluated_repr_gives_equal_layer(kind: Kind) -> None:
    options: dict[str, Any] = {"inplace": True}
    options |= {} if "recompute" in kind.lacks else {"recompute": True}
    options |= {"noise_shape": (1, None, None)} if "noise_shape" not in kind.lacks else {}
    options |= {"eps": 0.5} if "block_size" in kind.options else {}
    for layer in (kind.make(0.25, **options), kind.make(0.25)):
        again = eval(repr(layer), vars(bitdrop))
        assert type(again) is type(layer)
        assert repr(again) == repr(layer)
        for name in (*options, *kind.options, "p", "scaling", "noise_shape", "recompute", "inplace"):
            assert getattr(again, name) == getattr(layer, name)


@for_all_kinds
def test_mode_may_be_a_bool_of_numpy(kind: Kind) -> None:
    inputs = kind.arrays(np.float32)
    for mode in (True, False):
        expected = kind.forward(kind.make(rng=0), inputs, mode)
        layer = kind.make(rng=0)
        numpy_mode: Any = np.bool_(mode)
        layer.training = numpy_mode
        assert_identical(kind.forward(layer, inputs), expected)
        assert_identical(kind.forward(kind.make(rng=0), inputs, numpy_mode), expected)


@for_all_kinds
def test_settings_are_attributes_that_cannot_be_set(kind: Kind) -> None:
    layer = kind.make(0.25)
    assert layer.training
    assert record_of(layer) is None
    for name in ("inplace", "recompute", "scaling", "noise_shape", *kind.options):
        expected = {"scaling": "inverted", "noise_shape": None, "inplace": False, "recompute": False}
        assert getattr(layer, name) == (expected | kind.options)[name]
        with pytest.raises(AttributeError):
            setattr(layer, name, False)
    if kind.rule == "noise":
        assert layer.mask is None


def test_defaults_of_the_layers() -> None:
    expected = {"DropPath": 0.0, "Zoneout": 0.1, "DropBlock1d": 0.1, "DropBlock2d": 0.1, "DropBlock3d": 0.1}
    for kind in KINDS.values():
        assert kind.layer().p == expected.get(kind.layer.__name__, 0.5)
    assert (bitdrop.DropPath().scale_by_keep, bitdrop.DropPath().mode) == (True, "row")
    assert (bitdrop.DropPath(0.4, False, "batch").mode, bitdrop.FusedDropout().activation) == ("batch", None)
    for block in (bitdrop.DropBlock1d(), bitdrop.DropBlock2d(), bitdrop.DropBlock3d()):
        assert (block.block_size, block.eps, block.shared_channels) == (7, 1e-6, False)
    assert bitdrop.Dropout(noise_shape=[None, 1]).noise_shape == (None, 1)


@for_all_kinds
def test_earlier_record_repeats_its_own_pass(kind: Kind) -> None:
    layer, inputs = kind.make(rng=0), kind.arrays(np.float32)
    passes = []
    for p in (0.4, 0.7, 0.2):
        layer.p = p
        kind.forward(layer, inputs)
        passes.append((record_of(layer), backward(layer, inputs[kind.inputs[0]])))
    assert len({record for record, _ in passes}) == 3
    for record, gradients in passes:
        for found, expected in zip(backward(record, inputs[kind.inputs[0]]), gradients, strict=True):
            assert_identical(found, expected)


def test_smaller_arrays_use_the_first_draws_of_a_locked_stream() -> None:
    for name in DRAWN_BY_ELEMENT - {"alpha shared", "shared", "gaussian shared"}:
        kind = KINDS[name]
        layer, inputs = kind.make(rng=0), kind.arrays(np.float32)
        with layer.locked():
            whole = kind.forward(layer, inputs)
            part = kind.forward(layer, {n: x if n == "bias" else x[:5] for n, x in inputs.items()})
        assert_identical(part, whole[:5])


def test_keep_prob_sets_p_to_1_minus_itself_in_float64() -> None:
    assert bitdrop.Dropout(keep_prob=0.9).p == 1 - 0.9 != 0.1
    assert bitdrop.Dropout(keep_prob=0).p == 1.0
    assert bitdrop.Dropout(keep_prob=np.float64(1)).p == 0.0
    for p in (0.5, 0.1):
        with pytest.raises(TypeError, match="p and keep_prob exclude each other"):
            bitdrop.Dropout(p, keep_prob=0.5)


def test_no_layer_is_an_instance_of_another_kind() -> None:
    layers = {kind.layer for kind in KINDS.values()}
    related = {(a, b) for a in layers for b in layers if a is not b and issubclass(a, b)}
    assert related == {(bitdrop.FeatureAlphaDropout, bitdrop.AlphaDropout)}
