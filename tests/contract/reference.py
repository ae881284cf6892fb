"""Expected results of each kind, in NumPy: from the documents and the oracles, without the package."""

from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import numpy as np

from tests.contract.kinds import Inputs, Kind
from tests.helpers import block_masks, noise_oracle, oracle
from tests.helpers.strategies import NoiseShape, Shape
from tests.helpers.support import Array

SATURATION = -1.0507009873554805 * 1.6732632423543772  # the limit of SELU far below 0


def arithmetic(dtype: np.dtype[Any]) -> Any:
    """Return the type that numbers of a dtype are computed in."""
    return np.float64 if dtype == np.float64 else np.float32


def by_parts(function: Callable[..., Array], *arrays: Array) -> Array:
    """Call a function of real arrays on the real and on the imaginary parts."""
    if arrays[0].dtype.kind != "c":
        with np.errstate(all="ignore"):
            return function(*arrays)
    real, imag = (by_parts(function, *(getattr(x, part) for x in arrays)) for part in ("real", "imag"))
    result = np.empty(real.shape, arrays[0].dtype)
    result.real, result.imag = real, imag
    return result


def alpha(p: float) -> tuple[float, float, float]:
    """Return scale, shift and the value of dropped units of alpha dropout (Klambauer et al., 2017)."""
    if p in (0.0, 1.0):
        return 1.0 - p, 0.0, 0.0
    scale = 1.0 / sqrt((1.0 - p) * (1.0 + p * (SATURATION * SATURATION)))
    return scale, -scale * p * SATURATION, scale * (1.0 - p) * SATURATION


class Reference:
    """A forward pass of a kind: its draws, what becomes of each element, and the gradients.

    Attributes
    ----------
    drawn : ndarray
        For each element whether it is kept (of bool), or its normal number.
    scale, shift, dropped : float
        Kept elements become ``scale * x + shift``, the others ``dropped``.
    """

    def __init__(
        self,
        kind: Kind,
        shape: Shape,
        p: float,
        key: tuple[int, int],
        stream: int = 0,
        noise_shape: NoiseShape | None = None,
        training: bool = True,
    ) -> None:
        self.kind, self.p, self.training = kind, p, training
        vanilla = kind.options.get("scaling") == "vanilla"
        unscaled = kind.rule == "select" or not kind.options.get("scale_by_keep", True)
        self.scale, self.shift, self.dropped = 1.0, 0.0, 0.0
        self.drawn: Array
        if not training:
            self.scale = 1.0 - p if vanilla else 1.0
            self.drawn = np.zeros(shape, np.float32) if kind.rule == "noise" else np.ones(shape, np.bool_)
            return
        lengths = kind.draws(shape, noise_shape)
        if kind.rule == "noise":
            drawn: Array = noise_oracle.normals(key, stream, 0, prod(lengths))
        elif "block_size" in kind.options:
            ndim = int(kind.layer.__name__[-2])
            place = ndim, kind.options["block_size"], kind.options.get("shared_channels", False)
            drawn = block_masks.kept(shape, p, place, key, stream)
            self.scale = 1.0 if p == 0 else block_masks.scale(drawn)
        else:
            drawn = oracle.kept(key, stream, p, 0, prod(lengths))
            if kind.rule == "alpha":
                self.scale, self.shift, self.dropped = alpha(p)
            elif not (vanilla or unscaled):
                self.scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
        self.drawn = np.broadcast_to(drawn.reshape(lengths), shape)

    def forward(self, inputs: Inputs) -> Array:
        """Return the result of the pass."""
        if self.kind.rule == "fused":
            return self._in_steps(**inputs)[0]
        return self.repeated(inputs, self.drawn)

    def repeated(self, inputs: Inputs, kept: Array | None = None) -> Array:
        """Return what the record makes of the inputs that are passed by position."""
        first, *others = (inputs[name] for name in self.kind.inputs)
        kept = self.passes(inputs) if kept is None else kept
        match self.kind.rule:
            case "select":
                rule = self._select if self.training else self._blend
                return by_parts(rule, first, others[0])
            case "noise":
                return self._noisy(first)
            case "alpha":
                return self._affine(first)
        return by_parts(lambda x: oracle.applied(x, kept, self.scale), first)

    def passes(self, inputs: Inputs) -> Array:
        """Return the elements that are kept, and active if there is an activation."""
        return self._in_steps(**inputs)[1] if self.kind.rule == "fused" else self.drawn

    def gradients(self, dy: Array, inputs: Inputs) -> tuple[Array, ...]:
        """Return the gradient of each input that is passed by position."""
        if self.kind.rule == "noise":
            return (self._noisy(dy),)
        shares = [(self.passes(inputs), self.scale)]
        if self.kind.rule == "select":
            everything = np.ones(dy.shape, np.bool_)
            shares = [(self.drawn, 1.0), (~self.drawn, 1.0)]
            if not self.training:
                weights = 1.0 - self.p, self.p  # a state of weight 0 is not read
                shares = [(everything & (weight != 0), weight) for weight in weights]
        return tuple(
            by_parts(lambda d, kept=kept, scale=scale: oracle.applied(d, kept, scale), dy)
            for kept, scale in shares
        )

    def _noisy(self, x: Array) -> Array:
        return x if self.p == 0 or not self.training else noise_oracle.noisy(x, self.drawn, self.p)

    def _affine(self, x: Array) -> Array:
        number = arithmetic(x.dtype)
        with np.errstate(all="ignore"):
            y = x.astype(number) * number(self.scale)
            if self.shift != 0.0 or self.dropped != 0.0:
                y = y + number(self.shift)
            return np.where(self.drawn, y.astype(x.dtype), np.asarray(number(self.dropped)).astype(x.dtype))

    def _select(self, new: Array, previous: Array) -> Array:
        return np.where(self.drawn, new, previous)

    def _blend(self, new: Array, previous: Array) -> Array:
        """Return the mean over masks. A state of weight 0 is not read."""
        number = arithmetic(new.dtype)
        parts = [
            number(weight) * state.astype(number)
            for weight, state in ((1.0 - self.p, new), (self.p, previous))
            if weight != 0.0
        ]
        return np.asarray(sum(parts[1:], parts[0])).astype(new.dtype)

    def _in_steps(
        self, x: Array, bias: Array | None = None, residual: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the steps of a fused pass, and the elements that are kept and active."""
        number, passes = arithmetic(x.dtype), self.drawn
        with np.errstate(all="ignore"):
            h = x.astype(number)
            if bias is not None:
                h = h + bias.astype(number)
            if self.kind.options.get("activation"):
                passes = self.drawn & ~(h <= 0)
                h = np.maximum(h, number(0))
            h = np.where(self.drawn, h * number(self.scale), number(0))
            if residual is None:
                return np.asarray(h.astype(x.dtype)), passes
            return np.asarray((residual.astype(number) + h).astype(residual.dtype)), passes
