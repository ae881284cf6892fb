"""Modules of the contract between bitdrop.torch and torch, with one of torch's to compare each with."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import bitdrop.torch
import torch
from torch import Tensor, nn

Make = Callable[[float], nn.Module]


class Row(NamedTuple):
    """A module of bitdrop's, and one of torch's to compare it with."""

    ours: Make
    theirs: Make
    shape: tuple[int, ...]


class Reference(nn.Module):
    """A kind that torch lacks, by torch's operations: `draw(x, p)` returns the factors."""

    def __init__(self, p: float, draw: Callable[[Tensor, float], Tensor]) -> None:
        super().__init__()
        self.p, self.draw = p, draw

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw(x, self.p) if self.training and self.p else x


def draw_path(x: Tensor, p: float) -> Tensor:
    return x.new_empty((len(x), *[1] * (x.dim() - 1))).bernoulli_(1 - p) / (1 - p)


def draw_gaussian(x: Tensor, p: float) -> Tensor:
    return 1 + (p / (1 - p)) ** 0.5 * torch.randn_like(x)


def draw_block(x: Tensor, p: float) -> Tensor:
    seeds = x.new_empty((*x.shape[:2], *[length - 1 for length in x.shape[2:]])).bernoulli_(p / 2)
    keep = 1 - nn.functional.max_pool2d(nn.functional.pad(seeds, [1] * 4), 2, 1)
    return keep * (keep.numel() / (1e-6 + keep.sum()))


def replaced(module: nn.Module) -> nn.Module:
    bitdrop.torch.replace_dropout(module)
    return module


def fused(p: float) -> nn.Module:
    model = nn.Sequential(nn.ReLU(), nn.Dropout(p))
    bitdrop.torch.fuse_dropout(model)
    return model


def around(make: Make, p: float) -> nn.Module:
    """Return a dropout between two linear layers that change nothing."""
    layers = [nn.Linear(7, 7, bias=False) for _ in range(2)]
    for layer in layers:
        nn.init.eye_(layer.weight)
    return nn.Sequential(layers[0], make(p), layers[1])


def thinned(p: float) -> nn.Module:
    model = around(nn.Dropout, p)
    bitdrop.torch.thin_dropout(model)
    return model


class ReferencePath(nn.Module):
    """A residual connection that adds the input to itself."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.path = Reference(p, draw_path)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.path(x)
        return y


ROWS: dict[str, Row] = {
    name: Row(getattr(bitdrop.torch, name), getattr(nn, name), shape)
    for name, shape in {
        "Dropout": (4, 6, 5, 7),
        "Dropout1d": (4, 6, 5),
        "Dropout2d": (4, 6, 5, 7),
        "Dropout3d": (4, 6, 5, 3, 2),
        "AlphaDropout": (4, 6, 5, 7),
        "FeatureAlphaDropout": (4, 6, 5, 7),
    }.items()
} | {
    "replace_dropout": Row(lambda p: replaced(nn.Dropout(p)), nn.Dropout, (4, 6, 5, 7)),
    "FusedDropout": Row(bitdrop.torch.FusedDropout, nn.Dropout, (4, 6, 5, 7)),
    "fuse_dropout": Row(fused, lambda p: nn.Sequential(nn.ReLU(), nn.Dropout(p)), (4, 6, 5, 7)),
    "thin_dropout": Row(thinned, partial(around, nn.Dropout), (4, 6, 5, 7)),
    "DropPath": Row(bitdrop.torch.DropPath, lambda p: Reference(p, draw_path), (12, 6, 5)),
    "ResidualPath": Row(lambda p: bitdrop.torch.ResidualPath(nn.Identity(), p), ReferencePath, (12, 6, 5)),
    "GaussianDropout": Row(
        bitdrop.torch.GaussianDropout, lambda p: Reference(p, draw_gaussian), (4, 6, 5, 7)
    ),
    "DropBlock2d": Row(
        lambda p: bitdrop.torch.DropBlock2d(p, 2), lambda p: Reference(p, draw_block), (4, 6, 9, 8)
    ),
}
LIKE_TORCHS = list(ROWS)[:10]
COUNTS_ARE_DATA = {"thin_dropout", "ResidualPath"}  # the number of kept units or samples: a graph break
