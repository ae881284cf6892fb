"""Dropout as a layer: a pytree that is called as Equinox's."""

from dataclasses import dataclass
from typing import Any

import jax

from bitdrop._keywords import explains_keywords
from bitdrop.jax.functional import dropout


@dataclass(frozen=True)
class Dropout:
    """Dropout layer for Equinox and for models of plain pytrees, as `equinox.nn.Dropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    inference : bool, default False
        Whether to return the input as it is. `equinox.nn.inference_mode` sets it.

    Notes
    -----
    A pytree whose leaves are `p` and `inference`. So Equinox's filters and `equinox.tree_at` see them, and
    they must not be traced: jit a model that holds this layer by `equinox.filter_jit`, or close over it.

    Examples
    --------
    >>> import bitdrop.jax, jax, jax.numpy as jnp
    >>> layer = bitdrop.jax.Dropout(p=0.5)
    >>> layer(jnp.ones(4), key=jax.random.key(1))
    Array([0., 0., 2., 2.], dtype=float32)
    >>> layer(jnp.ones(4), inference=True)
    Array([1., 1., 1., 1.], dtype=float32)
    >>> jax.tree.leaves(layer)
    [0.5, False]
    """

    p: float = 0.5
    inference: bool = False

    @explains_keywords
    def __call__(self, x: Any, *, key: Any = None, inference: bool | None = None) -> jax.Array:
        """Drop elements of x, or return it at inference.

        Parameters
        ----------
        x : jax.Array
            As in `bitdrop.jax.dropout`.
        key : jax.Array, optional
            Key of JAX. Needed unless at inference.
        inference : bool, optional
            The mode for this call. None means the layer's own.

        Returns
        -------
        jax.Array
            Of x's shape and dtype.

        Raises
        ------
        RuntimeError
            If there is no key, and it is not inference.
        TypeError, ValueError, NotImplementedError
            As `bitdrop.jax.dropout`.
        """
        at_inference = self.inference if inference is None else inference
        if isinstance(at_inference, jax.core.Tracer):
            raise TypeError(
                "inference must not be traced: jit a model that holds this layer by equinox.filter_jit, "
                "or close over it."
            )
        if key is None and not at_inference:
            raise RuntimeError("Dropout needs a key in training: pass key=, or inference=True.")
        return dropout(x, self.p, key=key, training=not at_inference)


Dropout.__init__ = explains_keywords(Dropout.__init__)  # type: ignore[method-assign]
jax.tree_util.register_dataclass(Dropout, data_fields=["p", "inference"], meta_fields=[])
