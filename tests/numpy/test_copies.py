"""Copies, pickles and `reset` of layers: no mask repeats unless a seed or a pickle says so."""

import copy
import os
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.layer_kinds import for_all_kinds, input_for, mask_of
from tests.helpers.support import assert_identical

X = np.ones((13, 17), np.float32)
for_both_copies = pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])


@for_all_kinds
@for_both_copies
def test_copies_of_an_unseeded_layer_draw_keys_of_their_own(kind: Any, duplicate: Any) -> None:
    layer, x = kind(0.5), input_for(kind)
    layer(x)
    copies = [duplicate(layer) for _ in range(10)]
    assert len({tuple(one.state["key"]) for one in [layer, *copies]}) == 11
    assert {one.state["position"] for one in copies} == {0}
    assert copies[0].mask == layer.mask
    assert_identical(copies[0].backward(x), layer.backward(x))
    assert repr(copies[0]) == repr(layer)
    assert len({tuple(duplicate(copies[0]).state["key"]) for _ in range(3)}) == 3  # it is unseeded too


@for_both_copies
def test_copied_blocks_of_an_unseeded_network_drop_different_units(duplicate: Any) -> None:
    block = {"layers": [bitdrop.Dropout(0.5), bitdrop.DropPath(0.5)]}
    network = [copy.deepcopy(block) for _ in range(4)]
    masks = {one["layers"][0](X).tobytes() for one in network}
    assert len(masks) == 4


@for_all_kinds
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_copies_of_a_seeded_layer_continue_identically(kind: Any, duplicate: Any) -> None:
    layer, x = kind(0.5, recompute=True, rng=0), input_for(kind)
    layer(x)
    other = duplicate(layer)
    assert other.state == layer.state
    for _ in range(2):
        assert_identical(other(x), layer(x))
    layer(x)
    assert other.state != layer.state  # they share nothing


@for_both_copies
def test_copies_of_a_layer_whose_state_was_set_continue_identically(duplicate: Any) -> None:
    layer = bitdrop.Dropout()
    layer.state = {"format": 1, "key": [1, 2], "position": 3}
    assert duplicate(layer).state == layer.state


def test_pickle_of_an_unseeded_layer_keeps_its_key() -> None:
    layer = bitdrop.Dropout()
    other = pickle.loads(pickle.dumps(layer))
    assert other.state == layer.state
    assert copy.copy(other).state == layer.state  # what a pickle restores is fixed


@for_both_copies
def test_copies_keep_attributes_of_subclasses(duplicate: Any) -> None:
    class Named(bitdrop.Dropout2d):
        def __init__(self, names: list[str]) -> None:
            super().__init__(0.25)
            self.names = names

    layer = Named(["a"])
    other = duplicate(layer)
    assert type(other) is Named
    assert other.names == ["a"]
    assert (other.names is layer.names) == (duplicate is copy.copy)
    assert other.p == 0.25
    other.p = 0.75
    assert layer.p == 0.25


def test_deep_copy_keeps_one_layer_one() -> None:
    layer = bitdrop.Dropout()
    first, second = copy.deepcopy([layer, layer])
    assert first is second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@for_both_copies
def test_copy_of_an_unseeded_layer_draws_another_key_in_a_forked_child(duplicate: Any) -> None:
    layer = duplicate(bitdrop.Dropout())
    key = layer.state["key"]
    child = os.fork()
    if child == 0:
        os._exit(0 if layer.state["key"] != key else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@for_all_kinds
def test_reset_draws_the_key_of_a_new_layer(kind: Any) -> None:
    layer, x = kind(0.5, rng=0), input_for(kind)
    y = layer.eval().train()(x)
    layer(x)
    mask = layer.mask
    assert layer.reset(rng=0) is None
    assert layer.mask is mask
    assert layer.state == kind(0.5, rng=0).state
    assert_identical(layer(x), y)


def test_reset_without_seed_draws_a_new_key_each_time() -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    keys = set()
    for _ in range(10):
        layer(X)
        layer.reset()
        assert layer.state["position"] == 0
        keys.add(tuple(layer.state["key"]))
    assert len(keys) == 10
    assert copy.copy(layer).state != layer.state  # it is unseeded now


def test_reset_by_a_generator_advances_it() -> None:
    rng = np.random.default_rng(0)
    layer = bitdrop.Dropout(rng=1)
    layer.reset(rng)
    assert layer.state == bitdrop.Dropout(rng=np.random.default_rng(0)).state
    layer.reset(rng)
    assert layer.state != bitdrop.Dropout(rng=np.random.default_rng(0)).state


def test_failed_reset_changes_nothing() -> None:
    layer = bitdrop.Dropout(rng=0)
    layer(X)
    before = layer.state
    with pytest.raises(TypeError, match="rng must be"):
        layer.reset("seed")  # type: ignore[arg-type]
    assert layer.state == before


def test_reset_inside_a_lock_starts_anew_and_stays_locked() -> None:
    layer = bitdrop.Dropout(rng=0)
    with layer.locked():
        first = layer(X)
        layer.reset(rng=1)
        second = layer(X)
        assert (first != second).any()
        assert_identical(layer(X), second)
    assert layer.state["position"] == 1
    assert mask_of(layer).stream == 0
