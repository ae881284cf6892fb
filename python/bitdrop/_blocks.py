"""The value that decides which blocks can be dropped, and how often."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from bitdrop._typing import Shape
from bitdrop._units import Units

Maps = tuple[int, tuple[int, int, int], tuple[int, int, int]]
"""Number of maps, their lengths (depth, height, width; images have depth 1), and the lengths of a block."""


class Blocks(NamedTuple):
    """Cubes or squares along the last axes of an array.

    Attributes
    ----------
    ndim : int
        Number of the axes along which blocks extend: 2 or 3.
    size : int
        Length of a block along each of these axes.
    eps : float
        Number added to the number of kept elements before it divides.
    """

    ndim: int
    size: int
    eps: float

    def check(self, shape: Shape) -> None:
        """Check that a block fits into the maps of an array of this shape."""
        if any(length < self.size for length in shape[-self.ndim :]):
            raise ValueError(
                f"block_size must be at most the length of each of x's last {self.ndim} axes, "
                f"{shape[-self.ndim :]}, but it is {self.size}."
            )

    def maps(self, shape: Shape) -> Maps:
        """Return the maps of an array of this shape, as the engine takes them."""
        depth, height, width = (1,) * (3 - self.ndim) + shape[-self.ndim :]
        block = self.size
        return (
            prod(shape[: -self.ndim]),
            (depth, height, width),
            (block if self.ndim == 3 else 1, block, block),
        )

    def gamma(self, p: float, shape: Shape) -> float:
        """Return the probability of a seed: of dropping the block at each place that it can have."""
        lengths = shape[-self.ndim :]
        elements = p
        for length in lengths:  # in the order of torchvision, so that it rounds alike
            elements *= length
        places = prod(length - self.size + 1 for length in lengths)
        return min(elements / (prod((self.size,) * self.ndim) * places), 1.0)

    def scale(self, p: float, shape: Shape, kept: int) -> float:
        """Return the factor of the kept elements: all elements, divided by those kept."""
        if p == 0.0 or kept == 0:
            return float(p == 0.0)
        return prod(shape) / (self.eps + kept)


SINGLE_ELEMENTS = Blocks(2, 1, 0.0)


@dataclass(frozen=True, slots=True)
class BlockUnits(Units):
    """Units that are blocks.

    Attributes
    ----------
    blocks : Blocks
        The blocks.
    """

    blocks: Blocks = SINGLE_ELEMENTS

    def check(self, shape: Shape) -> None:
        """Check that arrays of this shape have an accepted number of axes, and that a block fits in."""
        Units.check(self, shape)
        self.blocks.check(shape)
