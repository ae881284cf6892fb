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

from bitdrop._bit_layout import Shard
from bitdrop._buffers import clear_buffers, set_buffer_limit
from bitdrop._config import configure_from_environment, get_num_threads, set_num_threads, show_config
from bitdrop._core import MASK_FORMAT, NOISE_FORMAT
from bitdrop._validate import NdimError
from bitdrop._version import __version__
from bitdrop.alpha import AlphaDropout, FeatureAlphaDropout
from bitdrop.block_mask import BlockMask
from bitdrop.drop_block import DropBlock2d, DropBlock3d
from bitdrop.functional import dropout
from bitdrop.fused import FusedDropout, fused_dropout
from bitdrop.fused_mask import FusedMask
from bitdrop.gaussian import GaussianDropout, gaussian_dropout
from bitdrop.layers import Dropout, Dropout1d, Dropout2d, Dropout3d, DropPath
from bitdrop.mask import Mask
from bitdrop.noise import Noise
from bitdrop.zoneout import Zoneout, ZoneoutMask, zoneout

__all__ = [
    "MASK_FORMAT",
    "NOISE_FORMAT",
    "AlphaDropout",
    "BlockMask",
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


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
