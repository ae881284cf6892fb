"""Kinds of stochastic depth: rows or batches, scaled or not."""

from torch import Tensor

from bitdrop._affine import Affine
from bitdrop._units import Units
from bitdrop.torch._calls import Kind, product_with_noise

MODES = ("row", "batch")
_UNITS = {"row": Units(leading=1), "batch": Units(leading=0)}


def check(p: float, mode: str) -> None:
    """Check the arguments as torchvision does."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in MODES:
        raise ValueError(f"mode has to be either 'row' or 'batch', but got {mode!r}")


def _kind(mode: str, scale_by_keep: bool) -> Kind:
    affine = Affine.inverted if scale_by_keep else _unscaled

    def by_torch(input: Tensor, p: float, training: bool, inplace: bool = False) -> Tensor:
        check(p, mode)
        if mode == "row" and input.dim() == 0:
            raise ValueError("input must have an axis of samples for mode 'row', but has no axes.")
        if not training or p == 0.0:
            return input
        shared = range(_UNITS[mode].leading_of(input.dim()), input.dim())
        return product_with_noise(input, p, shared, scale=affine(p).scale, inplace=inplace)

    return Kind(by_torch, affine, _UNITS[mode])


def _unscaled(_: float) -> Affine:
    return Affine.vanilla()


KINDS = {(mode, scale): _kind(mode, scale) for mode in MODES for scale in (True, False)}
