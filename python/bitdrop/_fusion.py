"""Fused passes: dropout with a bias, an activation and a residual, as one operation of the engine."""

from enum import IntEnum
from typing import Any, Literal, NamedTuple, TypeVar

from bitdrop._affine import Affine

Activation = Literal["relu"]
ACTIVATIONS = ("relu",)

Operand = TypeVar("Operand")


class Operation(IntEnum):
    """Operations of the engine that an `Affine` does not name, by their codes."""

    RELU = 2
    FUSED = 3
    FUSED_RELU = 4


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

    @property
    def empty(self) -> bool:
        """True if the pass is dropout alone."""
        return self.bias is None and self.residual is None and self.activation is None

    def operation(self, affine: Affine) -> Affine | FusedAffine:
        """Return the coefficients of dropout alone as those of the pass."""
        active = self.activation is not None
        if self.bias is not None or self.residual is not None:
            operation = Operation.FUSED_RELU if active else Operation.FUSED
        elif active:
            operation = Operation.RELU
        else:
            return affine
        return FusedAffine(*affine, operation)

    def arrays(self, out: Operand, x: Operand) -> tuple[Any, ...]:
        """Return the output and the inputs of the operation, in the engine's order."""
        if self.bias is None and self.residual is None:
            return out, x
        return out, x, self.bias, self.residual


def check_activation(activation: Any) -> None:
    """Check that an activation is None or one that fused passes have."""
    if activation is not None and (not isinstance(activation, str) or activation not in ACTIVATIONS):
        raise ValueError(f"activation must be None or 'relu', but got {activation!r}.")
