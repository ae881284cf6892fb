"""Pickles and states of version 0.1 load, and go on as they would have there.

Version 0.1 has written tests/golden/pickles0.1.txt: in each line a name, a shape, a pickle in base 64, and
hashes of what the layer or the record gives next.
"""

import base64
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.golden import hash_of
from tests.helpers.passes import backward, record_of
from tests.helpers.paths import GOLDEN
from tests.helpers.support import Array

FILE = GOLDEN / "pickles0.1.txt"
MAPS, ROWS = (2, 3, 6, 8), (4, 30)
LINES = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


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


@pytest.mark.parametrize(("name", "shape", "data", "expected"), LINES, ids=[line[0] for line in LINES])
def test_pickle_of_version_0_1_goes_on_as_there(name: str, shape: str, data: str, expected: str) -> None:
    what, _, kind = name.partition("-")
    lengths = tuple(map(int, shape.split("x")))
    value = pickle.loads(base64.b64decode(data))
    if what == "record":
        assert results(value, lengths, value.apply) == expected
    elif what == "layer":
        again = pickle.loads(pickle.dumps(value))
        assert results_of_layer(value, lengths) == expected
        assert results_of_layer(again, lengths) == expected
    else:
        [pickled] = (line[2] for line in LINES if line[0] == f"layer-{kind}")
        layer, (restored, _) = pickle.loads(base64.b64decode(pickled)), layers()[kind]
        assert layer.state == value
        restored.state = value
        assert restored.state == value
