"""The static part of a call: with a key and arrays it decides the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bitdrop._core import Operation, Pass
from bitdrop._typing import Shape


@dataclass(frozen=True, slots=True)
class Call:
    """A pass, or the gradient of one, with the inputs that it gets.

    Attributes
    ----------
    operation : Operation
        What becomes of an element.
    p : float
        Probability that a draw drops its elements, or the rate of noise.
    noise_shape : tuple of ints
        Shape of the draws of the whole.
    shard_shape, shard_start : tuples of ints
        Shape of the whole, and the start of the array in it.
    inputs : tuple of ints
        Numbers of the operation's inputs that are given.
    gradient : int or None
        Number of the input whose gradient is computed, from that of the output. None: the pass itself.
    batch_ndim : int
        Number of leading axes of the batch. Each index of them is a pass with a key of its own.
    """

    operation: Operation
    p: float
    noise_shape: Shape
    shard_shape: Shape
    shard_start: Shape
    inputs: tuple[int, ...]
    gradient: int | None = None
    batch_ndim: int = 0

    @classmethod
    def of_pass(cls, done: Pass, inputs: tuple[int, ...]) -> Call:
        """Return the call of a pass."""
        whole, start = done.shard or (done.shape, (0,) * len(done.shape))
        return cls(done.operation, done.p, done.noise_shape or whole, whole, start, inputs)

    def gradient_of(self, number: int) -> Call:
        """Return the gradient of an input as a call. Of an activation it takes what has passed that."""
        operation = self.operation
        if operation.activates:
            operation = Operation.fused(operation.factor, active=False)
        return replace(self, operation=operation, inputs=(0,), gradient=number)

    def batched(self) -> Call:
        """Return the call with one more axis of the batch."""
        return replace(self, batch_ndim=self.batch_ndim + 1)
