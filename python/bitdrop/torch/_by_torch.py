"""Each kind by torch's own function, or by its random numbers and operations for what torch lacks.

They are for tensors that are not bitdrop's, and for exported graphs.
"""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from bitdrop.torch._tensors import Axes

Drawn = Sequence[int]


def kept(input: Tensor, p: float, shared: Axes, dtype: torch.dtype | None = None) -> Tensor:
    """Return 1 for units that are kept, else 0."""
    return input.new_empty(drawn_shape(input, shared), dtype=dtype or input.dtype.to_real()).bernoulli_(
        1.0 - p
    )


def drawn_shape(input: Tensor, shared: Axes) -> list[int]:
    """Return the shape of draws that elements share along some axes."""
    return [1 if axis in shared else length for axis, length in enumerate(input.shape)]


def scale(input: Tensor, p: float, shared: Axes, factor: float, inplace: bool = False) -> Tensor:
    """Multiply kept units by a factor, and set others to 0."""
    noise = kept(input, p, shared) * factor
    return input.mul_(noise) if inplace else input * noise


def affine(
    input: Tensor, p: float, shared: Axes, coefficients: Sequence[float], inplace: bool = False
) -> Tensor:
    """Scale and shift kept units, and set others to a constant."""
    factor, shift, dropped = coefficients
    noise = kept(input, p, shared)
    y = input * (noise * factor) + (noise * (shift - dropped) + dropped)
    return input.copy_(y) if inplace else y


def gaussian(input: Tensor, p: float, shared: Axes) -> Tensor:
    """Multiply units by normal numbers around 1."""
    noise = torch.randn(drawn_shape(input, shared), dtype=input.dtype, device=input.device)
    return input * (1.0 + sqrt(p / (1.0 - p)) * noise)


def zoneout(new: Tensor, previous: Tensor, p: float, shared: Axes) -> Tensor:
    """Choose the new value or the previous one."""
    return torch.where(kept(new, p, shared).bool(), new, previous)


def drop_block(input: Tensor, setting: Any, inplace: bool = False) -> Tensor:
    """Drop blocks, as torchvision does."""
    ndim, size = setting.block_ndim, setting.block_size
    lengths = input.shape[-ndim:]
    places = [length - size + 1 for length in lengths]
    gamma = setting.p * prod(lengths) / (size**ndim * prod(places))
    channels = [1] if setting.shared_channels else [input.shape[-ndim - 1]]
    seeds = input.new_empty([*input.shape[: -ndim - 1], *channels, *places]).bernoulli_(gamma)
    padded = torch.nn.functional.pad(seeds, [size - 1] * (2 * ndim))
    pool: Any = getattr(torch.nn.functional, f"max_pool{ndim}d")
    keep = 1 - pool(padded, size, 1)
    factor = keep.expand_as(input).sum()
    keep = keep * (input.numel() / (setting.eps + factor))
    return input.mul_(keep) if inplace else input * keep
