"""Dropout for JAX on the CPU: the masks of `bitdrop.Mask` under jit, grad, vmap and on several devices.

Needs JAX: ``pip install '.[jax]'`` in a clone.

>>> import bitdrop.jax, jax, jax.numpy as jnp
>>> @jax.jit
... def drop(x, key):
...     return bitdrop.jax.dropout(x, p=0.5, key=key)
>>> drop(jnp.ones(4), jax.random.key(1))
Array([0., 0., 2., 2.], dtype=float32)
"""

try:
    import jax  # noqa: F401 - a plain error before those of this package's files
except ImportError as error:
    raise ImportError("bitdrop.jax needs JAX: pip install '.[jax]' in a clone.") from error

from bitdrop.jax._keys import mask_key
from bitdrop.jax.functional import alpha_dropout, drop_path, dropout, fused_dropout, gaussian_dropout, zoneout
from bitdrop.jax.layers import Dropout

__all__ = [
    "Dropout",
    "alpha_dropout",
    "drop_path",
    "dropout",
    "fused_dropout",
    "gaussian_dropout",
    "mask_key",
    "zoneout",
]


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
