"""`layer.locked()`: one stream number for every forward pass inside, in the thread that holds the lock."""

import copy
import os
import pickle
from collections.abc import Iterator
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.passes import record_of
from tests.helpers.support import assert_identical
from tests.helpers.threads import at_once

X = np.ones((13, 17), np.float32)


def streams(layer: Any, calls: int, x: Any = X) -> list[int]:
    numbers = []
    for _ in range(calls):
        layer(x)
        numbers.append(record_of(layer).stream)
    return numbers


def test_lock_object_can_be_entered_again() -> None:
    layer = bitdrop.Dropout(rng=0)
    lock = layer.locked()
    with lock, lock:
        assert streams(layer, 2) == [0, 0]
    with lock:
        assert streams(layer, 2) == [1, 1]
    assert streams(layer, 2) == [2, 3]


def test_exit_without_enter_changes_nothing() -> None:
    layer = bitdrop.Dropout(rng=0)
    lock = layer.locked()
    lock.__exit__(None, None, None)
    with layer.locked():
        lock.__exit__(None, None, None)
        assert streams(layer, 2) == [0, 0]
    assert streams(layer, 2) == [1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_exception_ends_a_lock(error: type[BaseException]) -> None:
    layer = bitdrop.Dropout(rng=0)

    def fail() -> None:
        with layer.locked():
            layer(X)
            raise error

    with pytest.raises(error):
        fail()
    assert streams(layer, 2) == [1, 2]


def test_lock_that_is_entered_and_lost_unlocks() -> None:
    layer = bitdrop.Dropout(rng=0)
    lock = layer.locked()
    lock.__enter__()
    lock.__enter__()
    assert streams(layer, 2) == [0, 0]
    del lock  # as after a signal between __enter__ and the body
    assert streams(layer, 2) == [1, 2]


def test_other_threads_are_not_locked() -> None:
    layer = bitdrop.Dropout(rng=0)
    other: list[int] = []

    def work() -> None:
        other.extend(streams(layer, 2))
        with layer.locked():
            other.extend(streams(layer, 2))

    with layer.locked():
        assert streams(layer, 1) == [0]
        at_once(lambda _: work(), 1)
        assert streams(layer, 1) == [0]
    assert other == [1, 2, 3, 3]
    assert streams(layer, 1) == [4]


def test_later_thread_does_not_inherit_the_lock_of_an_ended_one() -> None:
    layer = bitdrop.Dropout(rng=0)
    locks: list[Any] = []

    def enter() -> None:
        locks.append(layer.locked())
        locks[-1].__enter__()
        assert streams(layer, 2) == [0, 0]

    def check() -> None:
        numbers.extend(streams(layer, 2))

    numbers: list[int] = []
    at_once(lambda _: enter(), 1)
    for _ in range(5):  # the system gives the identifier of an ended thread to the next one
        at_once(lambda _: check(), 1)
    assert numbers == list(range(1, 11))


def test_lock_of_a_generator_ends_if_another_thread_closes_it() -> None:
    layer = bitdrop.Dropout(rng=0)

    def steps() -> Iterator[int]:
        with layer.locked():
            while True:
                yield streams(layer, 1)[0]

    generator = steps()
    assert [next(generator), next(generator)] == [0, 0]
    at_once(lambda _: generator.close(), 1)  # type: ignore[attr-defined]
    assert streams(layer, 2) == [1, 2]


def test_lock_that_another_thread_exits_unlocks_the_thread_that_entered() -> None:
    layer = bitdrop.Dropout(rng=0)
    lock = layer.locked()
    lock.__enter__()
    assert streams(layer, 2) == [0, 0]
    at_once(lambda _: lock.__exit__(None, None, None), 1)
    assert streams(layer, 2) == [1, 2]


def test_many_threads_that_lock_take_a_number_each() -> None:
    layer, x = bitdrop.Dropout(rng=0), np.ones(3, np.float32)
    threads, rounds = 8, 100

    def work(_: int) -> None:
        for _ in range(rounds):
            with layer.locked():
                for _ in range(3):
                    layer(x)

    at_once(work)
    assert layer.state["position"] == threads * rounds
    assert streams(layer, 2) == [threads * rounds, threads * rounds + 1]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_copies_of_a_locked_layer_are_unlocked(duplicate: Any) -> None:
    layer = bitdrop.Dropout(rng=0)
    with layer.locked():
        layer(X)
        assert streams(duplicate(layer), 2) == [1, 2]
        assert streams(layer, 1) == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_child_of_an_unseeded_layer_draws_its_own_locked_mask() -> None:
    layer = bitdrop.Dropout()
    with layer.locked():
        y = layer(X)
        child = os.fork()
        if child == 0:
            own = layer(X)
            os._exit(0 if (own != y).any() and (layer(X) == own).all() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert_identical(layer(X), y)
