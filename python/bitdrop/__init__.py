"""Dropout for NumPy arrays at the cost of a copy: exact, and the same on every machine.

>>> import numpy as np, bitdrop
>>> layer = bitdrop.Dropout(p=0.5, rng=0)
>>> x = np.ones((2, 4), dtype=np.float32)
>>> y = layer(x)               # training: drop, scale the survivors by 1 / (1 - p)
>>> dx = layer.backward(x)     # the same units, the same scale
>>> bool((dx == y).all())
True
>>> layer.eval()(x) is x       # inference: x as it is
True
"""

from bitdrop._core import MASK_FORMAT, NOISE_FORMAT, VERSION
from bitdrop._settings import (
    clear_buffers,
    configure_from_environment,
    get_num_threads,
    set_buffer_limit,
    set_num_threads,
    show_config,
)
from bitdrop._shard import Shard
from bitdrop._validate import NdimError
from bitdrop.kinds.alpha import AlphaDropout, FeatureAlphaDropout
from bitdrop.kinds.drop_block import DropBlock1d, DropBlock2d, DropBlock3d
from bitdrop.kinds.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d, dropout
from bitdrop.kinds.fused import FusedDropout, fused_dropout
from bitdrop.kinds.gaussian import GaussianDropout, gaussian_dropout
from bitdrop.kinds.path import DropPath
from bitdrop.kinds.zoneout import Zoneout, zoneout
from bitdrop.records import BlockMask, FusedMask, Mask, Noise, ZoneoutMask

__version__ = VERSION

__all__ = [
    "MASK_FORMAT",
    "NOISE_FORMAT",
    "AlphaDropout",
    "BlockMask",
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
    "FusedMask",
    "GaussianDropout",
    "Mask",
    "NdimError",
    "Noise",
    "Shard",
    "Zoneout",
    "ZoneoutMask",
    "__version__",
    "clear_buffers",
    "dropout",
    "fused_dropout",
    "gaussian_dropout",
    "get_num_threads",
    "set_buffer_limit",
    "set_num_threads",
    "show_config",
    "zoneout",
]

configure_from_environment()


def __getattr__(name: str) -> object:
    """Name the import of a front-end that was not imported."""
    if name in {"dask", "jax", "torch"}:
        raise AttributeError(f"bitdrop.{name} must be imported by its name: import bitdrop.{name}.")
    raise AttributeError(f"module 'bitdrop' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
