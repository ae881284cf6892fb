"""From JAX's keys to the keys of masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitdrop._typing import Key


def key_words(key: Any) -> Any:
    """Return the words of a key, typed or raw: an array of shape (2,) or (4,) and dtype uint32."""
    dtype = getattr(key, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed and (dtype != np.uint32 or key.ndim == 0 or key.shape[-1] < 2):
        kind = f"an array of dtype {dtype}" if dtype is not None else repr(key)
        raise TypeError(f"key must be a key of JAX, such as jax.random.key(0), but got {kind}.")
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"key must be one key, but got an array of keys of shape {key.shape}: use jax.vmap for several."
        )
    return jax.random.key_data(key) if typed else jnp.asarray(key)


def mask_key(key: Any) -> Key:
    """Return the key of the mask that a key of JAX makes, for `bitdrop.Mask` and its like.

    Parameters
    ----------
    key : jax.Array
        A key, typed (`jax.random.key`) or raw (`jax.random.PRNGKey`), of any of JAX's generators. Its value
        must be known: not a tracer within a transformed function.

    Returns
    -------
    tuple of two ints
        ``(k0, k1)``: k0 is made of words 0 and 1 of the key's data, the first word the high half. k1 is made
        of words 2 and 3 in the same way, or 0 if the key has two words.

    Raises
    ------
    TypeError
        If key is no key of JAX, or a tracer.
    ValueError
        If key is an array of several keys.

    Examples
    --------
    >>> import bitdrop.jax, jax
    >>> bitdrop.jax.mask_key(jax.random.key(7))
    (7, 0)
    >>> key = jax.random.key(0)
    >>> mask = bitdrop.Mask((2, 3), 0.5, key=bitdrop.jax.mask_key(key))
    >>> x = jax.numpy.ones((2, 3))
    >>> bool((bitdrop.jax.dropout(x, 0.5, key=key) == mask.apply(np.asarray(x))).all())
    True
    """
    if isinstance(key, jax.core.Tracer):
        raise TypeError(
            "mask_key needs a key whose value is known, but got a tracer: call it outside of jax.jit and "
            "other transforms."
        )
    words = [int(word) for word in np.asarray(key_words(key))]
    k0 = words[0] << 32 | words[1]
    return k0, words[2] << 32 | words[3] if len(words) >= 4 else 0
