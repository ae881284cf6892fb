"""Keys: from JAX's to those of masks, and one key for each call."""

from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import bitdrop
import jax
import jax.numpy as jnp
import numpy as np
from bitdrop.jax import dropout, mask_key

X = jnp.ones((40, 50))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (jax.random.key(7), (7, 0)),
        (jax.random.PRNGKey(7), (7, 0)),
        (jax.random.wrap_key_data(jnp.array([1, 2], np.uint32)), (2**32 + 2, 0)),
        (np.array([2**32 - 1, 5], np.uint32), (2**64 - 2**32 + 5, 0)),
        (
            jax.random.wrap_key_data(jnp.array([1, 2, 3, 4], np.uint32), impl="rbg"),
            (2**32 + 2, 3 * 2**32 + 4),
        ),
        (jnp.array([0, 1, 2**31, 0], np.uint32), (1, 2**63)),
    ],
    ids=["typed", "raw", "high word first", "NumPy", "four words", "four words, raw"],
)
def test_key_of_mask_is_made_of_words(key: Any, words: tuple[int, int]) -> None:
    assert mask_key(key) == words
    mask = bitdrop.Mask(X.shape, 0.25, key=words)
    assert np.array_equal(np.asarray(dropout(X, 0.25, key=key)) != 0, np.asarray(mask))
    traced = jax.jit(lambda x, key: dropout(x, 0.25, key=key))
    assert np.array_equal(np.asarray(traced(X, key)) != 0, np.asarray(mask))


def test_traced_key_has_no_ints() -> None:
    with pytest.raises(TypeError, match=r"got a tracer: call it outside of jax\.jit"):
        jax.jit(mask_key)(jax.random.key(0))
