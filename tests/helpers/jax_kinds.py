"""The functions of `bitdrop.jax`, each with its kind in the contract, whose layer is its specification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bitdrop.jax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from bitdrop import Shard

from tests.contract import kinds
from tests.helpers.passes import backward
from tests.helpers.support import Array

P = 0.3
SHAPE = (4, 6, 5)


@dataclass(frozen=True, eq=False)
class Kind:
    """A function of `bitdrop.jax` and the name of its kind. Arrays are the inputs in the contract's order."""

    name: str
    function: Callable[..., Any]

    @property
    def own(self) -> kinds.Kind:
        """The kind of the contract."""
        return kinds.KINDS[self.name]

    @property
    def count(self) -> int:
        """Number of input arrays."""
        return len(self.own.inputs) + len(self.own.further)

    @property
    def dtypes(self) -> list[str]:
        """Names of the accepted dtypes."""
        return [dtype.name for dtype in self.own.dtypes]

    def named(self, arrays: Any) -> dict[str, Any]:
        """Return arrays by the names of the inputs."""
        return dict(zip((*self.own.inputs, *self.own.further), arrays, strict=True))

    def call(self, arrays: Any, **options: Any) -> Any:
        """Call the function with these options alone."""
        by_name = self.named(arrays)
        by_place = [by_name.pop(name) for name in self.own.inputs]
        return self.function(*by_place, **by_name, **options)

    def __call__(self, arrays: Any, key: Any, **options: Any) -> Any:
        """Call the function."""
        return self.call(arrays, p=P, key=key, **self.own.options, **options)

    def inputs(self, dtype: str = "float32", shape: tuple[int, ...] = SHAPE) -> tuple[Array, ...]:
        """Return input arrays for NumPy."""
        return tuple(self.own.arrays(getattr(ml_dtypes, dtype, dtype), shape).values())

    def part(self, arrays: Any, part: tuple[slice, ...]) -> tuple[Any, ...]:
        """Return the inputs of a part of the elements."""
        return tuple(array[part[-array.ndim :]] for array in arrays)

    def numpy(self, arrays: Any, key: Any, p: float = P, **options: Any) -> tuple[Array, Any]:
        """Return the result of the layer for NumPy that draws with the same key, and the layer."""
        layer = self.own.make(p)
        words = (0, 0) if key is None else bitdrop.jax.mask_key(key)
        layer.state = {**layer.state, "key": list(words), "position": 0}
        return self.own.forward(layer, self.named(arrays), **options), layer

    def gradients(self, layer: Any, dy: Array) -> dict[str, Array]:
        """Return the layer's gradients of all inputs by name, given that of the result."""
        found, options = {}, {}
        if "bias" in self.own.further:
            found["bias"] = options["bias_gradient"] = np.empty(layer.mask.bias_shape, dy.dtype)
        by_place = backward(layer, dy, **options)
        found |= dict(zip(self.own.inputs, by_place, strict=True))
        return found | ({"residual": dy} if "residual" in self.own.further else {})

    def __str__(self) -> str:
        """Return the name, for the names of tests."""
        return self.name


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dropout": bitdrop.jax.dropout,
    "alpha": bitdrop.jax.alpha_dropout,
    "gaussian": bitdrop.jax.gaussian_dropout,
    "path": bitdrop.jax.drop_path,
    "path unscaled": bitdrop.jax.drop_path,
    "path of a batch": bitdrop.jax.drop_path,
    "zoneout": bitdrop.jax.zoneout,
    "fused bias": bitdrop.jax.fused_dropout,
    "fused bias, relu, residual": bitdrop.jax.fused_dropout,
}
KINDS = [Kind(*item) for item in FUNCTIONS.items()]
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
