"""Kinds of stochastic depth: rows or batches, scaled or not."""

from torch import Tensor

from bitdrop.torch import _by_torch
from bitdrop.torch._calls import Kind, inverted, unscaled

MODES = {"row": 1, "batch": 0}
"""Number of first axes that own a draw."""


def check(p: float, mode: str) -> None:
    """Check the arguments as torchvision does."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in MODES:
        raise ValueError(f"mode has to be either 'row' or 'batch', but got {mode!r}")


def _kind(mode: str, scale_by_keep: bool) -> Kind:
    setting = inverted if scale_by_keep else unscaled

    def by_torch(input: Tensor, p: float, training: bool, inplace: bool = False) -> Tensor:
        check(p, mode)
        if mode == "row" and input.dim() == 0:
            raise ValueError("input must have an axis of samples for mode 'row', but has no axes.")
        if not training or p == 0.0:
            return input
        return _by_torch.scale(input, p, range(MODES[mode], input.dim()), setting(p).scale, inplace)

    return Kind(by_torch, setting, MODES[mode])


KINDS = {(mode, scale): _kind(mode, scale) for mode in MODES for scale in (True, False)}
