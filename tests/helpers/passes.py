"""Functions for layers and records of every kind."""

from typing import Any

import bitdrop

from tests.helpers.support import Array


def backward(owner: Any, dy: Array, **options: Any) -> tuple[Array, ...]:
    """Return the gradients that a layer or a record gives, as a tuple."""
    found = owner.backward(dy, **options)
    return found if isinstance(found, tuple) else (found,)


def record_of(layer: Any) -> Any:
    """Return what the last forward pass recorded."""
    return layer.noise if isinstance(layer, bitdrop.GaussianDropout) else layer.mask
