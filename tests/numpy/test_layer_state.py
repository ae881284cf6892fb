"""State of `bitdrop.Dropout`: keys, stream numbers, saving, copies."""

import copy
import json
import pickle
import threading
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers.support import Array, assert_identical, normal

X = normal(np.dtype(np.float32), (13, 17))


def mask_of(layer: bitdrop.Dropout) -> bitdrop.Mask:
    assert layer.mask is not None
    return layer.mask


def outputs(layer: bitdrop.Dropout, calls: int) -> Array:
    return np.stack([layer(X) for _ in range(calls)])


def test_each_training_forward_takes_next_stream_number() -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    key = tuple(layer.state["key"])
    for stream in range(5):
        layer(X)
        assert mask_of(layer) == bitdrop.Mask(X.shape, 0.3, key=key, stream=stream)
    assert layer.state["position"] == 5


def test_evaluation_takes_no_stream_number() -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    layer(X, False)
    layer.eval()(X)
    assert layer.state["position"] == 0


def test_p_0_takes_a_stream_number() -> None:
    layer, other = bitdrop.Dropout(0.3, rng=0), bitdrop.Dropout(0.3, rng=0)
    layer.p = 0
    assert_identical(layer(X), X)
    layer.p = 0.3
    other(X)
    assert_identical(layer(X), other(X))
    assert layer.state == other.state


def test_state_saved_as_json_resumes_run_bit_for_bit() -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    outputs(layer, 3)
    saved = json.loads(json.dumps(layer.state))
    assert set(saved) == {"format", "key", "position"}
    assert (saved["format"], saved["position"]) == (1, 3)
    assert all(type(word) is int for word in saved["key"])
    expected = outputs(layer, 3)
    other = bitdrop.Dropout(0.3)
    other.state = saved
    assert other.state == saved
    assert_identical(outputs(other, 3), expected)


def test_state_is_a_copy() -> None:
    layer = bitdrop.Dropout(rng=0)
    state = layer.state
    layer.state["key"][0] = 5
    layer.state["position"] = 7
    assert layer.state == state


@pytest.mark.parametrize(
    "duplicate", [lambda layer: pickle.loads(pickle.dumps(layer)), copy.copy, copy.deepcopy]
)
def test_copied_layer_continues_identically(duplicate: Any) -> None:
    layer = bitdrop.Dropout(0.3, scaling="vanilla", recompute=True, rng=0)
    outputs(layer, 3)
    layer.eval()
    other = duplicate(layer)
    assert (other.p, other.training, other.state) == (0.3, False, layer.state)
    assert repr(other) == repr(layer)
    assert other.mask == layer.mask
    assert_identical(other(X), layer(X))
    layer.train()
    other.train()
    assert_identical(outputs(other, 3), outputs(layer, 3))
    assert_identical(other.backward(X), layer.backward(X))
    layer(X)
    assert other.state != layer.state  # they share nothing


def test_pickled_layer_of_another_format_is_refused() -> None:
    state = bitdrop.Dropout(rng=0).__getstate__()
    assert state["_format"] == bitdrop.MASK_FORMAT
    state["_format"] = 99
    with pytest.raises(ValueError, match="format 99"):
        bitdrop.Dropout.__new__(bitdrop.Dropout).__setstate__(state)


def test_forward_after_last_stream_number_is_an_error() -> None:
    layer = bitdrop.Dropout(rng=0)
    layer.state = layer.state | {"position": 2**64 - 1}
    layer(X)
    assert mask_of(layer).stream == 2**64 - 1
    restored = bitdrop.Dropout(rng=1)
    restored.state = layer.state  # the state after the last stream number can be restored too
    assert restored.state == layer.state
    used_up = layer.state
    with pytest.raises(RuntimeError, match="all 2\\*\\*64 stream numbers"):
        layer(X)
    assert layer.state == used_up


def test_layers_of_same_seed_give_same_masks() -> None:
    assert_identical(outputs(bitdrop.Dropout(rng=5), 3), outputs(bitdrop.Dropout(rng=5), 3))


def test_unseeded_layers_have_different_keys() -> None:
    assert len({tuple(bitdrop.Dropout().state["key"]) for _ in range(50)}) == 50


def test_layers_sharing_a_generator_have_different_keys() -> None:
    rng = np.random.default_rng(0)
    assert bitdrop.Dropout(rng=rng).state["key"] != bitdrop.Dropout(rng=rng).state["key"]


def test_threads_sharing_a_layer_take_each_stream_number_once() -> None:
    layer = bitdrop.Dropout(rng=0)
    x = np.ones(3, np.float32)
    threads, calls = 8, 300
    taken: list[list[bool]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads)

    def work(own: list[bool]) -> None:
        start.wait()
        for _ in range(calls):
            layer(x)
            own.append(True)

    workers = [threading.Thread(target=work, args=(own,)) for own in taken]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(map(len, taken)) == threads * calls
    assert layer.state["position"] == threads * calls


def test_stream_counter_gives_each_number_once_to_many_threads() -> None:
    counter = _core.StreamCounter((1, 2), 5)
    taken: list[int] = []

    def take() -> None:
        numbers = [counter.take()[1] for _ in range(20000)]
        taken.extend(numbers)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(5, 80005))
    assert (counter.key, counter.position) == ((1, 2), 80005)
