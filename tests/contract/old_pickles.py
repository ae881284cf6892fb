"""Pickles of version 0.1: layers after a pass, records and states, with what they give next.

``python -m tests.contract.old_pickles``, under that version, has written tests/golden/pickles0.1.txt.
"""

import base64
import pickle
from collections.abc import Iterator
from typing import Any

import bitdrop
import numpy as np

from tests.helpers.golden import hash_of
from tests.helpers.passes import backward, record_of
from tests.helpers.paths import GOLDEN
from tests.helpers.support import Array

FILE = GOLDEN / "pickles0.1.txt"
MAPS, ROWS = (2, 3, 6, 8), (4, 30)


def layers() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Return a layer of each kind of version 0.1, and the shape of its input."""
    return {
        "Dropout": (bitdrop.Dropout(0.3, rng=1), ROWS),
        "Dropout-vanilla": (bitdrop.Dropout(0.3, scaling="vanilla", recompute=True, rng=2), ROWS),
        "Dropout-shared": (bitdrop.Dropout(0.5, noise_shape=(None, 1), inplace=True, rng=3), ROWS),
        "Dropout-unseeded": (bitdrop.Dropout(0.5), ROWS),
        "Dropout1d": (bitdrop.Dropout1d(0.5, rng=4), ROWS),
        "Dropout2d": (bitdrop.Dropout2d(0.5, rng=5), MAPS),
        "Dropout3d": (bitdrop.Dropout3d(0.5, rng=6), MAPS),
        "DropPath": (bitdrop.DropPath(0.5, scale_by_keep=False, rng=7), ROWS),
        "DropPath-batch": (bitdrop.DropPath(0.5, mode="batch", rng=8), ROWS),
        "AlphaDropout": (bitdrop.AlphaDropout(0.3, noise_shape=(1, None), rng=9), ROWS),
        "FeatureAlphaDropout": (bitdrop.FeatureAlphaDropout(0.5, rng=10), MAPS),
        "GaussianDropout": (bitdrop.GaussianDropout(0.3, noise_shape=(None, 1), rng=11), ROWS),
        "FusedDropout": (bitdrop.FusedDropout(0.3, rng=12), ROWS),
        "FusedDropout-relu": (bitdrop.FusedDropout(0.3, activation="relu", rng=13), ROWS),
        "DropBlock2d": (bitdrop.DropBlock2d(0.3, 3, eps=0.5, rng=14), MAPS),
        "DropBlock3d": (bitdrop.DropBlock3d(0.3, 2, recompute=True, rng=15), MAPS),
        "Zoneout": (bitdrop.Zoneout(0.3, rng=16), ROWS),
    }


def records() -> dict[str, Any]:
    """Return records that no layer leaves: parts, shards, masks of arrays, masks of inference."""
    place: dict[str, Any] = {"key": (1, 2), "stream": 3, "shard": bitdrop.Shard((9, 30), (2, 0))}
    array = bitdrop.Mask.from_array(numbers(ROWS) > 0, scale=2.5)
    states = bitdrop.ZoneoutMask(ROWS, 0.3, key=(1, 2))
    _, fused = bitdrop.fused_dropout(numbers(ROWS), 0.3, bias=numbers((30,)), activation="relu", rng=1)
    return {
        "Mask": bitdrop.Mask(ROWS, 0.3, scale=1.5, shift=0.5, dropped=-2.0, noise_shape=(1, None), **place),
        "Mask-part": bitdrop.Mask((9, 70), 0.3, key=(1, 2)).part((2, 7), ROWS),
        "Noise": bitdrop.Noise(ROWS, 0.3, noise_shape=(None, 1), **place),
        "from_array": array,
        "from_array-part": array.part((1, 2), (2, 20)),
        "BlockMask": bitdrop.BlockMask(MAPS, 0.3, 3, key=(1, 2), eps=0.5),
        "BlockMask-part": bitdrop.BlockMask(MAPS, 0.3, 3, key=(1, 2)).part((0, 0, 1, 1), (2, 3, 4, 5)),
        "FusedMask": fused,
        "ZoneoutMask": states,
        "ZoneoutMask-part": states.part((1, 2), (2, 20)),
        "ZoneoutMask-inference": bitdrop.ZoneoutMask(ROWS, 0.3, key=(1, 2), training=False),
    }


def numbers(shape: tuple[int, ...]) -> Array:
    """Return numbers that depend on no generator."""
    values: Array = ((np.arange(np.prod(shape)) * 37 % 101 - 50.5) / 8).astype(np.float32)
    return values.reshape(shape)


def results(owner: Any, shape: tuple[int, ...], forward: Any) -> str:
    """Return a hash of the gradients of a record or a layer, and of what a call makes of numbers."""
    x = numbers(shape)
    made = [*backward(owner, x), forward(x, -x) if "Zoneout" in type(owner).__name__ else forward(x)]
    return "".join(hash_of(np.ascontiguousarray(y)) for y in made)


def results_of_layer(layer: Any, shape: tuple[int, ...]) -> str:
    """Return a hash of what a layer that has done a pass does next."""
    return results(record_of(layer), shape, lambda *x: x[0]) + results(layer, shape, layer)


def lines() -> Iterator[str]:
    """Yield the lines of the file: name, shape, pickle in base 64, hashes."""
    for name, (layer, shape) in layers().items():
        for _ in range(2):
            do_pass(layer, shape)
        yield line(f"state-{name}", shape, layer.state, lambda state, shape: "")
        yield line(f"layer-{name}", shape, layer, results_of_layer)
    for name, record in records().items():
        yield line(f"record-{name}", record.shape, record, lambda one, shape: results(one, shape, one.apply))


def do_pass(layer: Any, shape: tuple[int, ...]) -> None:
    """Do a pass of a layer."""
    x = numbers(shape)
    layer(x, -x) if isinstance(layer, bitdrop.Zoneout) else layer(x)


def line(name: str, shape: tuple[int, ...], value: Any, next_results: Any) -> str:
    """Return a line of the file. The pickle is made before the results are."""
    data = base64.b64encode(pickle.dumps(value, 4)).decode()
    return f"{name} {'x'.join(map(str, shape))} {data} {next_results(value, shape) or '-'}"


if __name__ == "__main__":
    FILE.write_text(
        "# Version 0.1: see tests/contract/old_pickles.py.\n" + "".join(f"{one}\n" for one in lines())
    )
