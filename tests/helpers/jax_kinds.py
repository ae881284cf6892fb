"""The functions of `bitdrop.jax` as a table, each with the layer for NumPy that is its specification."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bitdrop
import bitdrop.jax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from bitdrop import Shard

from tests.helpers.support import Array, normal

P = 0.3
SHAPE = (4, 6, 5)
REAL = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]


@dataclass(frozen=True, eq=False)
class Kind:
    """A function of `bitdrop.jax`.

    Attributes
    ----------
    name : str
        The function, and what tells it from others of the table.
    function : callable
        The function, called with arrays and keywords.
    layer : callable
        Returns a new layer for NumPy.
    arrays : int
        Number of input arrays: of SHAPE, but for the second of a fused pass, a bias.
    forward : callable
        Calls the layer with arrays.
    gradients : callable
        Returns the layer's gradients of all inputs, given that of the result.
    options : dict
        Options of the function that the layer got by its constructor.
    dtypes, noise_shape
        What the function accepts: dtypes, and whether it has this argument.
    """

    name: str
    function: Callable[..., Any]
    layer: Callable[[], Any]
    arrays: int = 1
    forward: Callable[..., Any] = lambda layer, x, **options: layer(x, **options)
    gradients: Callable[..., Any] = lambda layer, dy: (layer.backward(dy),)
    options: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = tuple(REAL)
    noise_shape: bool = True

    def __call__(self, arrays: Any, key: Any, **options: Any) -> Any:
        """Call the function."""
        return self.function(*arrays, p=P, key=key, **self.options, **options)

    def inputs(self, dtype: str = "float32", shape: tuple[int, ...] = SHAPE) -> tuple[Array, ...]:
        """Return input arrays for NumPy."""
        kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
        shapes = [shape, shape[-1:] if self.arrays == 3 else shape, shape]
        return tuple(numbers(kind, shapes[i], i) for i in range(self.arrays))

    def part(self, arrays: Any, part: tuple[slice, ...]) -> tuple[Any, ...]:
        """Return the inputs of a part of the elements."""
        return tuple(array[part[-array.ndim :]] for array in arrays)

    def numpy(self, arrays: Any, key: Any, **options: Any) -> tuple[Array, Any]:
        """Return the result of the layer for NumPy that draws with the same key, and the layer."""
        layer = self.layer()
        layer.state = {**layer.state, "key": list(bitdrop.jax.mask_key(key)), "position": 0}
        return self.forward(layer, *arrays, **options), layer

    def __str__(self) -> str:
        """Return the name, for the names of tests."""
        return self.name


def numbers(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int) -> Array:
    """Return normally distributed numbers, complex ones for a complex dtype."""
    if dtype.kind != "c":
        return normal(dtype, shape, seed)
    return (normal(np.dtype(float), shape, seed) + 1j * normal(np.dtype(float), shape, seed + 9)).astype(
        dtype
    )


def call_fused(x: Any, bias: Any, residual: Any, **options: Any) -> Any:
    return bitdrop.jax.fused_dropout(x, bias=bias, residual=residual, **options)


def forward_fused(layer: Any, x: Any, bias: Any, residual: Any, **options: Any) -> Any:
    return layer(x, bias=bias, residual=residual, **options)


def gradients_of_fused(layer: Any, dy: Any) -> Any:
    bias_gradient = np.empty(layer.mask.bias_shape, dy.dtype)
    return layer.backward(dy, bias_gradient=bias_gradient), bias_gradient, dy


def kinds() -> list[Kind]:
    """Return the table."""
    functions = bitdrop.jax
    both = (*REAL, *COMPLEX)
    fused: dict[str, Any] = {"forward": forward_fused, "gradients": gradients_of_fused, "arrays": 3}

    def layer(kind: Any, **settings: Any) -> Callable[[], Any]:
        return lambda: kind(P, **settings)

    return [
        Kind("dropout", functions.dropout, layer(bitdrop.Dropout), dtypes=both),
        Kind("alpha_dropout", functions.alpha_dropout, layer(bitdrop.AlphaDropout)),
        Kind("gaussian_dropout", functions.gaussian_dropout, layer(bitdrop.GaussianDropout)),
        Kind("drop_path", functions.drop_path, layer(bitdrop.DropPath), dtypes=both, noise_shape=False),
        Kind(
            "drop_path of a batch",
            functions.drop_path,
            layer(bitdrop.DropPath, scale_by_keep=False, mode="batch"),
            options={"scale_by_keep": False, "mode": "batch"},
            dtypes=both,
            noise_shape=False,
        ),
        Kind(
            "zoneout",
            functions.zoneout,
            layer(bitdrop.Zoneout),
            arrays=2,
            forward=lambda layer, new, previous, **options: layer(new, previous, **options),
            gradients=lambda layer, dy: layer.backward(dy),
            dtypes=both,
        ),
        Kind("fused_dropout", call_fused, layer(bitdrop.FusedDropout), **fused),
        Kind(
            "fused_dropout with relu",
            call_fused,
            layer(bitdrop.FusedDropout, activation="relu"),
            options={"activation": "relu"},
            **fused,
        ),
    ]


KINDS = kinds()
for_all_kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


def keys(count: int, seed: int = 5) -> Any:
    """Return different keys."""
    return jax.random.split(jax.random.key(seed), count)


def on_jax(arrays: Any) -> tuple[Any, ...]:
    """Return NumPy arrays as JAX's."""
    return tuple(map(jnp.asarray, arrays))


def weighted_sum(y: Any) -> Any:
    """Return a scalar whose gradient with respect to y tells the elements apart."""
    weights = jnp.cos(jnp.arange(y.size, dtype=y.real.dtype)).reshape(y.shape)
    return (y.real * weights).sum()


def shards(shape: tuple[int, ...]) -> list[tuple[Shard, tuple[slice, ...]]]:
    """Return parts of an array with their slices."""
    found = []
    for start, stop in [((0, 0, 0), (2, 6, 5)), ((1, 2, 1), (4, 5, 4)), ((3, 0, 4), (4, 6, 5))]:
        found.append((Shard(shape, start), tuple(map(slice, start, stop))))
    return found
