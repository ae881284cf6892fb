"""Bad arguments: each is one plain sentence, before anything is computed."""

from typing import Any, cast

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import jax
import jax.numpy as jnp
import numpy as np
from bitdrop import Shard
from bitdrop.jax import drop_path, fused_dropout, gaussian_dropout, mask_key, zoneout

from tests.helpers.jax_kinds import KINDS, SHAPE, Kind, for_all_kinds, on_jax

KEY = jax.random.key(0)
X = jnp.ones((2, 3), "float32")

OF_ALL: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"p": -0.1}, ValueError, r"p must be in \[0, 1\], but got -0.1"),
    ({"p": float("nan")}, ValueError, r"p must be in \[0, 1\]"),
    ({"p": "half"}, TypeError, "p must be a number"),
    ({"p": True}, TypeError, "p must be a number"),
    ({"rate": 0.5}, TypeError, "has no argument 'rate': pass p=0.5"),
    ({"seed": 3}, TypeError, r"has no argument 'seed': pass key=jax\.random\.key\(3\)\."),
    ({"deterministic": True}, TypeError, "has no argument 'deterministic': pass training=False"),
    ({"what": 1}, TypeError, "has no argument 'what': its arguments are "),
    ({"key": 0}, TypeError, r"key must be a key of JAX, such as jax.random.key\(0\), but got 0"),
    ({"key": None}, TypeError, "key must be a key of JAX.* but got None"),
    ({"key": np.zeros(2)}, TypeError, "key must be a key of JAX.* but got an array of dtype float64"),
    ({"key": jax.random.split(KEY, 2)}, ValueError, r"one key, but got an array of keys.* use jax.vmap"),
    ({"key": jnp.zeros((3, 2), np.uint32)}, ValueError, "one key, but got an array of keys"),
    ({"key": jnp.zeros(1, np.uint32)}, TypeError, "key must be a key of JAX"),
    ({"training": 1}, TypeError, "training must be True or False, but got 1"),
    ({"shard": 3}, TypeError, "shard must be a bitdrop.Shard"),
    ({"shard": (1, 2, 3)}, TypeError, "a bitdrop.Shard or a tuple of shape and start"),
    ({"shard": ((9, 9, 9), (0, 0))}, ValueError, "start must have an int for each of the 3 axes"),
    ({"shard": ((9, 9, 9), (0, 0.5, 0))}, ValueError, "start must have an int for each"),
    ({"shard": Shard((4, 6), (0, 0))}, ValueError, "as many axes"),
    ({"shard": Shard((4, 6, 5), (1, 0, 0))}, ValueError, "does not lie within"),
]


@pytest.mark.parametrize(("options", "error", "message"), OF_ALL, ids=lambda value: str(value)[:40])
@for_all_kinds
def test_bad_argument_is_refused(kind: Kind, options: Any, error: type[Exception], message: str) -> None:
    arrays = on_jax(kind.inputs())
    arguments = {"p": 0.5, "key": KEY, **kind.own.options, **options}

    def call(arrays: Any) -> Any:
        return kind.call(arrays, **arguments)

    for each in (call, jax.jit(call)):
        with pytest.raises(error, match=message):
            each(arrays)


@for_all_kinds
def test_bad_array_is_refused(kind: Kind) -> None:
    arrays = on_jax(kind.inputs())
    for bad, error, message in [
        ([[1.0, 2.0]], TypeError, "must be an array of JAX or NumPy, but got list"),
        (jnp.ones(SHAPE, jnp.int32), TypeError, "must be of float16.* but its dtype is int32"),
        (jnp.ones(SHAPE, bool), TypeError, "its dtype is bool"),
        (2.0, TypeError, "but got float"),
    ]:
        with pytest.raises(error, match=message):
            kind((bad, *arrays[1:]), KEY)
    if "complex64" not in kind.dtypes:
        with pytest.raises(TypeError, match="its dtype is complex64"):
            kind((arrays[0].astype(jnp.complex64), *arrays[1:]), KEY)


@for_all_kinds
def test_traced_p_is_refused(kind: Kind) -> None:
    arrays = on_jax(kind.inputs())
    with pytest.raises(TypeError, match="p must be a number"):
        jax.jit(lambda p: kind.call(arrays, p=p, key=KEY, **kind.own.options))(0.5)


OF_ONE: list[tuple[Any, type[Exception], str]] = [
    (lambda: gaussian_dropout(X, 1.0, key=KEY), ValueError, "p must be less than 1"),
    (lambda: drop_path(X, mode=cast(Any, "column"), key=KEY), ValueError, "mode must be 'row' or 'batch'"),
    (lambda: drop_path(jnp.ones(()), 0.5, key=KEY), ValueError, r"DropPath needs x of shape \(N, ...\)"),
    (
        lambda: drop_path(X, scale_by_keep=cast(Any, 1), key=KEY),
        TypeError,
        "scale_by_keep must be True or False",
    ),
    (lambda: zoneout(X, X[0], key=KEY), ValueError, "previous must have new's shape"),
    (lambda: zoneout(X, X.astype("float16"), key=KEY), TypeError, "previous must be of new's dtype"),
    (
        lambda: fused_dropout(X, bias=X, key=KEY, activation=cast(Any, "gelu")),
        ValueError,
        "activation must be None or 'relu'",
    ),
    (
        lambda: fused_dropout(X, bias=jnp.ones(2, "float32"), key=KEY),
        ValueError,
        "bias must broadcast to x's shape",
    ),
    (lambda: fused_dropout(X, bias=jnp.ones(3, "float16"), key=KEY), TypeError, "bias must be of x's dtype"),
    (lambda: fused_dropout(X, residual=X[0], key=KEY), ValueError, "residual must have x's shape"),
    (
        lambda: KINDS[0]((X,), KEY, noise_shape=(2,)),
        ValueError,
        "noise_shape must have an entry for each axis",
    ),
    (lambda: mask_key(3), TypeError, "key must be a key of JAX"),
]


@pytest.mark.parametrize(("call", "error", "message"), OF_ONE, ids=[message for *_, message in OF_ONE])
def test_bad_argument_of_one_function_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@for_all_kinds
def test_p_of_0_and_1(kind: Kind) -> None:
    arrays = kind.inputs()
    for p in (0.0, 2.0**-70, 1.0):
        if p == 1.0 and kind.own.rule == "noise":
            continue
        y = kind.call(on_jax(arrays), p=p, key=KEY, **kind.own.options)
        assert np.asarray(y).tobytes() == kind.numpy(arrays, KEY, p)[0].tobytes()
