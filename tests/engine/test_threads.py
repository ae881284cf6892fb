"""Calls of several threads at once: masks, pools, settings, keys and layers."""

import sys
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from bitdrop._random import draw_key

from tests.helpers.support import assert_identical, normal, run_python
from tests.helpers.threads import THREADS, at_once, digest

SIZES = (300, 30_000, 800_000)  # under the interpreter lock, without it, on several threads
ARRAYS = [normal(np.dtype(np.float32), (size,)) for size in SIZES]


def test_import_does_not_switch_the_interpreter_lock_on() -> None:
    if not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled():
        pytest.skip("this Python has an interpreter lock")
    program = (
        "import sys, numpy, bitdrop; bitdrop.Dropout(rng=0)(numpy.ones(9)); print(sys._is_gil_enabled())"
    )
    process = run_python("-W", "error", "-c", program)
    assert process.stdout == "False\n", process.stderr


def test_buffers_of_many_threads_while_their_limit_changes(settings_restored: None) -> None:
    x = ARRAYS[2]

    def work(number: int) -> None:
        mask = bitdrop.Mask(x.shape, 0.5, key=(number, 0))
        expected = digest(mask.apply(x))
        held = []
        for turn in range(12):
            if number == 0:
                bitdrop.set_buffer_limit((turn % 3) * 4 * 2**20)
            elif number == 1:
                bitdrop.clear_buffers()
            held.append(mask.apply(x))
            if turn % 4 == 3:
                assert {digest(y) for y in held} == {expected}
                held.clear()

    at_once(work)


def test_settings_change_during_calls_and_no_result(settings_restored: None) -> None:
    masks = [bitdrop.Mask(x.shape, 0.3, key=(1, 2)) for x in ARRAYS]
    expected = [mask.apply(x) for mask, x in zip(masks, ARRAYS, strict=True)]

    def work(number: int) -> None:
        for turn in range(10):
            if number == 0:
                bitdrop.set_num_threads(1 + turn % 4)
            elif number == 1:
                _core.set_isa(_core.isas()[turn % len(_core.isas())])
            elif number == 2:
                _core.set_non_temporal_threshold(2 ** (10 + turn))
            for mask, x, y in zip(masks, ARRAYS, expected, strict=True):
                assert_identical(mask.apply(x), y)

    at_once(work)


def test_keys_of_many_threads_differ() -> None:
    shared = np.random.default_rng(0)
    own: list[Any] = []
    drawn: list[Any] = []

    def work(_: int) -> None:
        for _ in range(50):
            own.append(draw_key(None))
            drawn.append(draw_key(shared))

    at_once(work)
    assert len(set(own)) == len(own) == THREADS * 50
    words = np.random.default_rng(0).integers(0, 2**64, size=(len(drawn), 2), dtype=np.uint64)
    assert sorted(drawn) == sorted(map(tuple, words.tolist()))  # no word is torn from its pair


def test_first_keys_of_a_process_differ_between_threads() -> None:
    program = (
        "import bitdrop._random, sys\nfrom tests.helpers.threads import at_once\nkeys = []\n"
        "sys.setswitchinterval(1e-6)\nat_once(lambda _: keys.append(bitdrop._random.draw_key(None)))\n"
        "print(len(set(keys)))"
    )
    for _ in range(3):
        process = run_python("-c", program)
        assert process.stdout == f"{THREADS}\n", process.stderr


def test_state_keeps_key_and_position_together_while_others_set_it() -> None:
    layer = bitdrop.Dropout(0.5, rng=0)
    x = ARRAYS[0]
    layer.state = {"format": 1, "key": [0, 0], "position": 0}

    def work(number: int) -> None:
        for turn in range(200):
            if number < 2:
                # Position 1000 k + ... belongs to key (k, k): no call takes as many numbers.
                kind = number * 200 + turn
                layer.state = {"format": 1, "key": [kind, kind], "position": kind * 10_000}
            elif number == 2:
                state = layer.state
                assert state["key"][0] == state["key"][1] == state["position"] // 10_000
            else:
                layer(x)
                mask = layer.mask
                assert mask is not None
                assert mask.key[0] == mask.key[1] == mask.stream // 10_000

    at_once(work)


def test_mode_and_p_of_a_layer_change_during_calls() -> None:
    layer = bitdrop.Dropout(0.5, rng=0)
    x = ARRAYS[1]

    def work(number: int) -> None:
        for turn in range(50):
            if number == 0:
                layer.train(turn % 2 == 0)
            elif number == 1:
                layer.p = (turn % 5) / 10
            else:
                y = layer(x)
                kept = y != 0
                ratio = (y[kept] / x[kept]).astype(np.float64)
                # One p from start to end: every kept element has the same factor.
                assert ratio.size
                assert float(np.ptp(ratio)) < 1e-6

    at_once(work)
