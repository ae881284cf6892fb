"""Names in pickles of version 0.1: modules that are no more, and states of layers.

Nothing else uses the names of this file.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NamedTuple

from bitdrop import _validate, records
from bitdrop._core import Draws, Operation, Pass, Units
from bitdrop._shard import Shard
from bitdrop.records.blocks import as_blocks, block_rule
from bitdrop.records.record import Record


class _Plan(NamedTuple):
    key: Any
    stream: Any
    p: Any


class _Rule(NamedTuple):
    p: float
    affine: Any
    at_inference: Any
    units: Any
    accept_complex: bool
    store_bits: bool


class _Affine(NamedTuple):
    scale: float
    shift: float = 0.0
    dropped: float = 0.0


class _Values:
    """A frozen dataclass of version 0.1: `Units` or `BlockUnits`. Its pickle has the fields in order."""

    fields: tuple[Any, ...]

    def __setstate__(self, fields: Any) -> None:
        self.fields = tuple(fields)


class _Blocks(NamedTuple):
    ndim: int
    size: int
    eps: float


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """Return a layer's pickled state in this version's form."""
    state = dict(state)
    if "_rule" not in state:
        return state
    rule, mask = state.pop("_rule"), state.pop("_mask")
    state.pop("_made")
    units = state.pop("_units", None)
    state["_noise_shape"] = None
    if units is not None:
        *_, last = units.fields
        if isinstance(last, _Blocks):
            state |= {"_block_size": last.size, "_eps": last.eps, "_shared_channels": False}
        else:
            state["_noise_shape"] = last
    return state | {"_p": rule.p, "_pass": None if mask is None else mask._pass}


def _mask(number: int, shape: Any, p: float, key: Any, *rest: Any) -> Record:
    _validate.check_format(number, "mask", "The pickled mask")
    names = ("stream", "scale", "noise_shape", "shard", "shift", "dropped")
    return records.Mask(shape, p, key=key, **dict(zip(names, rest, strict=False)))


def _array_mask(number: int, shape: Any, data: bytes, scale: float) -> Record:
    _validate.check_format(number, "mask", "The pickled mask")
    return records.Mask._of(Pass.given(data, shape, Operation.scale(scale)))


def _fused_mask(number: int, shape: Any, p: float, key: Any, stream: int, rest: Any) -> Record:
    _validate.check_format(number, "mask", "The pickled mask")
    scale, data, bias_shape = rest
    does = ("fused" if data is None else "fused_relu", scale, 0.0, 0.0)
    no_blocks = 0, 1, 0.0, False
    values = (shape, Draws.BITS.value, key, stream, p, does, no_blocks, None, None, bias_shape, data, None)
    return records.FusedMask._of(Pass(values))


def _block_mask(number: int, shape: Any, p: float, blocks: tuple[int, int, float], *rest: Any) -> Record:
    _validate.check_format(number, "mask", "The pickled mask")
    key, stream, _ = rest
    rule = block_rule(p, as_blocks(*blocks, False), Units())
    return records.BlockMask._of(rule.pass_with_key(shape, key, stream))


def _zoneout_mask(number: int, shape: Any, plan: Any, blend: float | None, shard: Shard | None) -> Record:
    _validate.check_format(number, "mask", "The pickled mask")
    p = plan.p if blend is None else blend
    return records.ZoneoutMask(
        shape,
        p,
        key=plan.key,
        stream=plan.stream,
        training=blend is None,
        shard=shard if blend is None else None,
    )


def _noise(number: int, shape: Any, p: float, key: Any, *rest: Any) -> Record:
    _validate.check_format(number, "noise", "The pickled noise")
    stream, noise_shape, shard = rest
    return records.Noise(shape, p, key=key, stream=stream, noise_shape=noise_shape, shard=shard)


class _Module(ModuleType):
    """A module that is no more. Its classes are public names of the package."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(sys.modules["bitdrop"], name)


_NAMES: dict[str, dict[str, Any]] = {
    "_affine": {"Affine": _Affine},
    "_array_mask": {"_unpickled": _array_mask},
    "_bit_layout": {"Shard": Shard},
    "_blocks": {"Blocks": _Blocks, "BlockUnits": _Values},
    "_forward": {"Rule": _Rule},
    "_plan": {"Plan": _Plan},
    "_units": {"Units": _Values},
    "alpha": {},
    "block_mask": {"_unpickled": _block_mask},
    "drop_block": {},
    "fused": {},
    "fused_mask": {"_unpickled": _fused_mask},
    "gaussian": {},
    "layers": {},
    "mask": {"_unpickled": _mask},
    "noise": {"_unpickled": _noise},
    "zoneout": {"_unpickled": _zoneout_mask},
}


def _install() -> None:
    for name, names in _NAMES.items():
        module = sys.modules[f"bitdrop.{name}"] = _Module(f"bitdrop.{name}")
        vars(module).update(names)


_install()
