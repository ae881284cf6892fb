"""`bitdrop.jax.Dropout` as a pytree, in models of Equinox, and the functions in modules of Flax."""

from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import bitdrop.jax
import jax
import jax.numpy as jnp
import numpy as np

KEY = jax.random.key(4)
X = jnp.arange(12.0).reshape(3, 4)


def test_layer_is_the_function_of_its_leaves() -> None:
    layer = bitdrop.jax.Dropout(0.25)
    assert jax.tree.leaves(layer) == [0.25, False]
    assert layer == bitdrop.jax.Dropout(p=0.25, inference=False)
    expected = bitdrop.jax.dropout(X, 0.25, key=KEY)
    assert (layer(X, key=KEY) == expected).all()
    assert layer(X, inference=True) is X
    at_inference = bitdrop.jax.Dropout(0.25, inference=True)
    assert at_inference(X) is X
    assert (at_inference(X, key=KEY, inference=False) == expected).all()
    closed_over = jax.jit(lambda x, key: layer(x, key=key))
    assert (closed_over(X, KEY) == expected).all()


def test_training_without_key_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Dropout needs a key in training: pass key=, or inference=True"):
        bitdrop.jax.Dropout(0.5)(X)


def test_unknown_argument_names_the_one_that_is_meant() -> None:
    with pytest.raises(TypeError, match=r"^Dropout has no argument 'rate': pass p=0.5\.$"):
        bitdrop.jax.Dropout(rate=0.5)  # type: ignore[call-arg]
    layer = bitdrop.jax.Dropout(0.5)
    for name, value, meant in (("deterministic", True, True), ("training", False, True)):
        with pytest.raises(TypeError, match=f"^Dropout has no argument '{name}': pass inference={meant}"):
            layer(X, **{name: value})


def test_traced_leaves_are_refused() -> None:
    with pytest.raises(TypeError, match=r"inference must not be traced: jit .* by equinox\.filter_jit"):
        jax.jit(lambda layer: layer(X, key=KEY))(bitdrop.jax.Dropout(0.5))
    with pytest.raises(TypeError, match="p must be a number"):
        jax.jit(lambda layer: layer(X, key=KEY, inference=False))(bitdrop.jax.Dropout(0.5))


def test_equinox_filters_and_inference_mode_see_leaves() -> None:
    eqx: Any = pytest.importorskip("equinox", reason="needs Equinox: pip install '.[jax-test]'")

    class Model(eqx.Module):  # type: ignore[name-defined]
        linear: Any
        dropout: Any

        def __call__(self, x: Any, key: Any) -> Any:
            return self.dropout(self.linear(x), key=key)

    model = Model(eqx.nn.Linear(4, 64, key=KEY), bitdrop.jax.Dropout(0.5))
    values = jax.vmap(model.linear)(X)
    dropped = eqx.filter_jit(lambda model, x, keys: jax.vmap(model)(x, keys))(
        model, X, jax.random.split(KEY, 3)
    )
    assert set(np.unique(np.asarray(dropped / values).round(3))) == {0, 2}
    still = eqx.nn.inference_mode(model)
    assert still.dropout == bitdrop.jax.Dropout(0.5, inference=True)
    assert (jax.vmap(still)(X, jax.random.split(KEY, 3)) == values).all()
    changed = eqx.tree_at(lambda model: model.dropout.p, model, 0.1)
    assert changed.dropout == bitdrop.jax.Dropout(0.1)
    gradients = eqx.filter_grad(lambda model: jax.vmap(model)(X, jax.random.split(KEY, 3)).sum())(model)
    assert jnp.isfinite(gradients.linear.weight).all()


def test_layer_is_called_as_equinox_calls_its_own() -> None:
    eqx: Any = pytest.importorskip("equinox", reason="needs Equinox: pip install '.[jax-test]'")
    model = eqx.nn.Sequential([eqx.nn.Linear(4, 64, key=KEY), bitdrop.jax.Dropout(0.5)])
    y = model(X[0], key=KEY)
    assert 0 < int((y == 0).sum()) < 64
    assert (eqx.nn.inference_mode(model)(X[0]) != 0).all()
