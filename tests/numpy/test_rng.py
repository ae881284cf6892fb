"""Keys drawn from `rng`, and repetition of masks."""

from collections.abc import Callable
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.support import run_python

SEEDS: dict[str, Callable[[], Any]] = {
    "int": lambda: 42,
    "large int": lambda: 2**200 + 1,
    "NumPy int": lambda: np.int64(42),
    "sequence": lambda: [1, 2, 3],
    "SeedSequence": lambda: np.random.SeedSequence(42),
    "BitGenerator": lambda: np.random.SFC64(42),
    "Generator": lambda: np.random.default_rng(42),
    "Generator of MT19937": lambda: np.random.Generator(np.random.MT19937(7)),
}


@pytest.mark.parametrize("name", SEEDS)
def test_key_is_two_uint64_integers_of_default_rng(name: str) -> None:
    drawn = np.random.default_rng(SEEDS[name]()).integers(0, 2**64, size=2, dtype=np.uint64)
    _, mask = bitdrop.dropout(np.ones(4), rng=SEEDS[name]())
    assert mask.key == (int(drawn[0]), int(drawn[1]))
    assert mask.stream == 0
    layer = bitdrop.Dropout(rng=SEEDS[name]())
    assert layer.state["key"] == [int(drawn[0]), int(drawn[1])]


def test_key_of_seed_0_is_pinned() -> None:
    _, mask = bitdrop.dropout(np.ones(4), rng=0)
    assert mask.key == (11749869230777074271, 4976686463289251617)


@pytest.mark.parametrize("size", [0, 4])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_generator_is_advanced_in_training_alone_for_every_p_and_size(p: float, size: int) -> None:
    used, other = np.random.default_rng(3), np.random.default_rng(3)
    for scaling in ("inverted", "vanilla"):
        bitdrop.dropout(np.ones(size), p, rng=used, training=False, scaling=scaling)
    assert used.bit_generator.state == other.bit_generator.state
    bitdrop.dropout(np.ones(size), p, rng=used)
    other.integers(0, 2**64, size=2, dtype=np.uint64)
    assert used.bit_generator.state == other.bit_generator.state


FORK_WHILE_LOCK_IS_HELD = """
import os, signal, threading
import numpy as np, bitdrop
from bitdrop import _random

layer = bitdrop.Dropout()
layer(np.ones(4))
held, done = threading.Event(), threading.Event()

def hold():
    with _random._process_generator.bit_generator.lock:
        held.set()
        done.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    layer(np.ones(4))
    bitdrop.dropout(np.ones(4))
    os._exit(0)
print(os.waitpid(child, 0)[1])
done.set()
holder.join()
"""


def test_forked_child_does_not_wait_for_locks_of_parent_threads() -> None:
    process = run_python("-W", "ignore", "-c", FORK_WHILE_LOCK_IS_HELD)
    assert process.stdout == "0\n", process.stderr
