"""Dropout for PyTorch on the CPU: torch's names, arguments and gradients, at about the cost of a copy.

Needs PyTorch: ``pip install '.[torch]'`` in a clone.

>>> import torch, bitdrop.torch
>>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), bitdrop.torch.Dropout(p=0.5))
>>> y = model(torch.ones(2, 8))

`replace_dropout` changes a model that exists, and `patch` a block of code:

>>> bitdrop.torch.replace_dropout(torch.nn.TransformerEncoderLayer(8, 2))
3
>>> with bitdrop.torch.patch():
...     y = torch.nn.functional.dropout(torch.ones(4), p=0.5)
"""

try:
    from bitdrop.torch import _private as _private
except ModuleNotFoundError as error:
    raise ImportError("bitdrop.torch needs PyTorch: pip install '.[torch]' in a clone.") from error

from bitdrop.torch import functional
from bitdrop.torch.further import DropBlock1d, DropBlock2d, DropBlock3d, GaussianDropout, Zoneout
from bitdrop.torch.fusing import FusedDropout, fuse_dropout
from bitdrop.torch.modules import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    DropPath,
    FeatureAlphaDropout,
)
from bitdrop.torch.patching import find_dropout, patch, replace_dropout
from bitdrop.torch.residual_path import ResidualPath
from bitdrop.torch.sampling import monte_carlo
from bitdrop.torch.thinning import thin_dropout

__all__ = [
    "AlphaDropout",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "FusedDropout",
    "GaussianDropout",
    "ResidualPath",
    "Zoneout",
    "find_dropout",
    "functional",
    "fuse_dropout",
    "monte_carlo",
    "patch",
    "replace_dropout",
    "thin_dropout",
]


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
