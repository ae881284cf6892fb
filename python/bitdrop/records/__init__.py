"""Records of passes: masks and noise."""

from bitdrop.records.blocks import BlockMask
from bitdrop.records.fused import FusedMask
from bitdrop.records.mask import Mask
from bitdrop.records.noise import Noise
from bitdrop.records.record import Record
from bitdrop.records.zoneout import ZoneoutMask

__all__ = ["BlockMask", "FusedMask", "Mask", "Noise", "Record", "ZoneoutMask"]
