"""Base of the values that a draw decides: masks and noise."""

from bitdrop import _validate
from bitdrop._bit_layout import BitLayout, Shard
from bitdrop._plan import Plan
from bitdrop._typing import Key, NoiseShape, Shape
from bitdrop._units import Units


class Drawn:
    """A shape, random numbers for it, and their places."""

    __slots__ = ("_layout", "_plan", "_shape")

    _shape: Shape
    _plan: Plan
    _layout: BitLayout | None

    @property
    def shape(self) -> Shape:
        """Shape of the arrays that the value applies to."""
        return self._shape

    @property
    def p(self) -> float:
        """Probability that an element is dropped, or the rate of the noise."""
        return self._plan.p

    @property
    def key(self) -> Key:
        """The two words of the key."""
        return self._plan.key

    @property
    def stream(self) -> int:
        """Number of the call under the key."""
        return self._plan.stream

    @property
    def noise_shape(self) -> Shape | None:
        """Shape of the draws, 1 along axes that share them. None: every element has its own."""
        return None if self._layout is None else self._layout.noise_shape

    @property
    def shard(self) -> Shard | None:
        """Place of the arrays in a larger one, if they are a part."""
        return None if self._layout is None else self._layout.shard

    def _places(self) -> str:
        """Return the end of the expression that makes the value."""
        rest = "" if self.noise_shape is None else f", noise_shape={self.noise_shape}"
        return rest + ("" if self.shard is None else f", shard={self.shard}")


def layout_of(shape: Shape, noise_shape: NoiseShape | None, shard: Shard | None) -> BitLayout | None:
    """Return the places of the draws, for a noise shape and a shard that have not been validated."""
    entries = None if noise_shape is None else _validate.as_noise_entries(noise_shape)
    return Units(noise=entries).layout(shape, shard)
