"""Keys drawn through the C interface of bit generators: the words and the state of `Generator.integers`."""

import threading
from typing import Any

import bitdrop
import numpy as np
import pytest

SIXTY_FOUR_BITS = [np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64]
ALL = [*SIXTY_FOUR_BITS, np.random.MT19937]


def key_of(rng: Any) -> tuple[int, int]:
    return bitdrop.dropout(np.ones(4), rng=rng)[1].key


def equal_states(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal_states(first[k], second[k]) for k in first)
    return bool(np.all(first == second))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("before", ["nothing", "one uint32", "one odd uint32", "a normal"])
def test_key_and_state_are_those_of_integers(kind: Any, before: str) -> None:
    ours, theirs = np.random.Generator(kind(5)), np.random.Generator(kind(5))
    for generator in (ours, theirs):
        if before == "one uint32":  # a 64-bit generator then holds the other half for the next one
            generator.integers(0, 2**32, dtype=np.uint32)
        elif before == "one odd uint32":
            generator.integers(0, 2**32, size=3, dtype=np.uint32)
        elif before == "a normal":
            generator.standard_normal()
    for _ in range(3):
        drawn = theirs.integers(0, 2**64, size=2, dtype=np.uint64)
        assert key_of(ours) == tuple(drawn.tolist())
        assert equal_states(ours.bit_generator.state, theirs.bit_generator.state)
    assert ours.integers(0, 2**32, size=4, dtype=np.uint32).tolist() == (
        theirs.integers(0, 2**32, size=4, dtype=np.uint32).tolist()
    )


@pytest.mark.parametrize("kind", SIXTY_FOUR_BITS)
def test_key_is_raw_output_of_64_bit_generator(kind: Any) -> None:
    assert key_of(np.random.Generator(kind(8))) == tuple(kind(8).random_raw(2).tolist())


def test_key_of_mt19937_joins_raw_words_in_pairs() -> None:
    raw = np.random.MT19937(8).random_raw(4).tolist()
    assert key_of(np.random.MT19937(8)) == (raw[0] << 32 | raw[1], raw[2] << 32 | raw[3])


def test_subclass_of_generator_draws_by_its_own_integers() -> None:
    class Constant(np.random.Generator):
        def integers(self, *args: Any, **kwargs: Any) -> Any:
            return np.array([3, 4], dtype=np.uint64)

    assert key_of(Constant(np.random.PCG64(1))) == (3, 4)


def test_draw_waits_for_lock_of_generator() -> None:
    generator = np.random.default_rng(1)
    keys: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: keys.append(key_of(generator)))
    with generator.bit_generator.lock:
        thread.start()
        thread.join(0.2)
        assert not keys
    thread.join(10)
    assert len(keys) == 1
    assert generator.bit_generator.lock.acquire(blocking=False)  # it was released
    generator.bit_generator.lock.release()
