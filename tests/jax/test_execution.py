"""Asynchronous calls, donated buffers, threads, memory between forward and backward."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import bitdrop
import jax
import numpy as np

from tests.helpers.jax_kinds import Kind, for_all_kinds, keys, on_jax

KEY = jax.random.key(11)
LARGE = (3, 400, 1000)


def held_bytes(function: Any, *arguments: Any) -> int:
    """Return the size of what a gradient holds, but for its arguments themselves."""
    _, pull = jax.vjp(function, *arguments)
    given = {id(argument) for argument in arguments}
    return sum(
        leaf.nbytes for leaf in jax.tree.leaves(pull) if hasattr(leaf, "nbytes") and id(leaf) not in given
    )


@for_all_kinds
def test_gradient_holds_key_alone(kind: Kind) -> None:
    arrays = on_jax(kind.inputs("float32", LARGE))
    held = held_bytes(lambda *inputs: kind(inputs, KEY), *arrays)
    of_relu = held_bytes(jax.nn.relu, arrays[0]) if "relu" in kind.name else 0
    assert held - of_relu <= 16


@for_all_kinds
def test_asynchronous_calls_and_donated_buffers(kind: Kind) -> None:
    arrays = kind.inputs("float32", LARGE)
    expected, _ = kind.numpy(arrays, KEY)

    @jax.jit
    def several(inputs: Any, key: Any) -> Any:
        return [kind(inputs, key) for _ in range(3)]

    for y in several(on_jax(arrays), KEY):  # no call waits for another
        assert np.asarray(y).tobytes() == expected.tobytes()
    donating = jax.jit(lambda x, others, key: kind((x, *others), key), donate_argnums=0)
    x, *others = on_jax(arrays)
    results = [donating(x + 0, others, KEY) for _ in range(3)]
    assert all(np.asarray(y).tobytes() == expected.tobytes() for y in results)


@for_all_kinds
def test_threads_change_nothing(kind: Kind, settings_restored: None) -> None:
    arrays = kind.inputs("float32", LARGE)
    inputs, several = on_jax(arrays), keys(6)
    call = jax.jit(kind)
    expected = [np.asarray(call(inputs, several[i])).tobytes() for i in range(6)]
    for threads in (1, 2):
        bitdrop.set_num_threads(threads)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda i: np.asarray(call(inputs, several[i])).tobytes(), range(6)))
        assert found == expected
        batch = jax.jit(jax.vmap(kind, (None, 0)))(inputs, several)
        assert [np.asarray(y).tobytes() for y in batch] == expected
