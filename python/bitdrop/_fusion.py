"""Fused passes: dropout with a bias, an activation and a residual, as one operation of the engine."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from bitdrop._affine import Affine
from bitdrop._engine import Operation

Activation = Literal["relu"]
ACTIVATIONS = ("relu",)


class FusedAffine(NamedTuple):
    """An `Affine` that names its operation: ``residual + dropout(activation(x + bias))``.

    Attributes
    ----------
    scale, shift, dropped : float
        As in `Affine`. shift and dropped are 0.
    operation : Operation
        The operation, which decides the number of inputs.
    """

    scale: float
    shift: float
    dropped: float
    operation: Operation


class Inputs(NamedTuple):
    """Further inputs of a fused pass.

    Attributes
    ----------
    bias : array or None
        Added to x, to whose shape it is broadcast.
    residual : array or None
        Added to the result, of x's shape.
    activation : {"relu"} or None
        Applied between bias and dropout.
    """

    bias: Any = None
    residual: Any = None
    activation: Activation | None = None


@lru_cache
def fused_affine(affine: Affine, active: bool, more_inputs: bool) -> Affine | FusedAffine:
    """Return the coefficients of a pass: of dropout with an activation, and with bias or residual."""
    if more_inputs:
        return FusedAffine(*affine, Operation.FUSED_RELU if active else Operation.FUSED)
    return FusedAffine(*affine, Operation.RELU) if active else affine


def broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Return whether arrays of a shape broadcast to another, as in NumPy."""
    if len(shape) > len(to):
        return False
    return all(length in (1, whole) for length, whole in zip(reversed(shape), reversed(to), strict=False))


def check_activation(activation: Any) -> None:
    """Check that an activation is None or one that fused passes have."""
    if activation is not None and (not isinstance(activation, str) or activation not in ACTIVATIONS):
        raise ValueError(f"activation must be None or 'relu', but got {activation!r}.")
