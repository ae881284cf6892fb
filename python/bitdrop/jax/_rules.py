"""Static values of a pass: they decide it together with a key."""

from dataclasses import dataclass, replace
from enum import IntEnum

from bitdrop._affine import IDENTITY, Affine
from bitdrop._typing import Shape


class Operation(IntEnum):
    """Codes of what becomes of an element, as cpp/jax/handler.cpp reads them."""

    SCALE = 0
    AFFINE = 1
    FUSED = 3
    FUSED_RELU = 4
    SELECT = 5
    NOISE = 8

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return {Operation.FUSED: 3, Operation.FUSED_RELU: 3, Operation.SELECT: 2}.get(self, 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is drawn, and what becomes of an element.

    Attributes
    ----------
    p : float
        Probability that a unit is dropped, or the rate of noise.
    operation : Operation
        What becomes of an element.
    affine : Affine
        Coefficients of the operation.
    """

    p: float
    operation: Operation
    affine: Affine = IDENTITY

    @classmethod
    def of_affine(cls, p: float, affine: Affine) -> "Rule":
        """Return the rule of a pass with one input."""
        return cls(p, Operation.SCALE if affine == affine.linear else Operation.AFFINE, affine)

    @property
    def linear(self) -> "Rule":
        """The derivative of a pass with one input."""
        return self if self.operation is Operation.NOISE else Rule.of_affine(self.p, self.affine.linear)

    @property
    def selected(self) -> "Rule":
        """The pass that keeps the first input of two, and drops the second."""
        return replace(self, operation=Operation.SCALE, affine=IDENTITY)


@dataclass(frozen=True, slots=True)
class Place:
    """The draws of an array.

    Attributes
    ----------
    first : int
        Index of the array's first draw.
    strides : tuple of ints
        Strides of the array's axes through the draws of the whole, 0 along axes that share them.
    batch_ndim : int
        Number of axes before these. Each index of them is a pass of its own.
    """

    first: int
    strides: Shape
    batch_ndim: int = 0

    def batched(self) -> "Place":
        """Return the place with one more batch axis."""
        return replace(self, batch_ndim=self.batch_ndim + 1)
