"""Bad input to block dropout: the right exception, one plain sentence, nothing changed."""

from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.bad_values import (
    BAD_ARRAYS,
    BAD_BLOCK_SIZES,
    BAD_KEYS,
    BAD_PROBABILITIES,
    BAD_SHAPES,
    GOOD,
    HUGE,
    SHAPE,
    overlapping,
    read_only,
)
from tests.numpy.test_bad_input import fails

IMAGES = np.ones((2, 3, 6, 8), np.float32)


@pytest.mark.parametrize(("size", "error"), BAD_BLOCK_SIZES, ids=lambda value: repr(value)[:20])
def test_block_size_other_than_positive_int_is_an_error(size: Any, error: type[Exception]) -> None:
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    for kind in (bitdrop.DropBlock2d, bitdrop.DropBlock3d):
        fails(error, "^block_size must be", partial(kind, 0.1, size, rng=rng))
    fails(error, "^block_size must be", lambda: bitdrop.BlockMask((6, 8), 0.1, size, key=(1, 2)))
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [7, HUGE], ids=["7", "huge"])
def test_block_larger_than_map_is_a_value_error(size: int, training: bool) -> None:
    layer = bitdrop.DropBlock2d(0.5, 6, rng=0)
    layer(IMAGES)
    kept, larger = layer.mask, bitdrop.DropBlock2d(0.5, size, rng=0)
    out = np.full_like(IMAGES, 7)
    match = r"^block_size must be at most .*\(6, 8\), but it is"
    fails(ValueError, match, lambda: larger(IMAGES, training, out=out))
    fails(ValueError, match, lambda: bitdrop.BlockMask((6, 8), 0.1, size, key=(1, 2)))
    fails(
        ValueError, "^block_size", lambda: bitdrop.DropBlock3d(block_size=3)(np.ones((2, 2, 6, 8)), training)
    )
    assert (out == 7).all()
    assert (larger.state["position"], larger.mask) == (0, None)
    assert layer.mask is kept


def test_arguments_of_block_masks_are_validated() -> None:
    def mask(shape: Any = (6, 8), p: Any = 0.1, **options: Any) -> bitdrop.BlockMask:
        return bitdrop.BlockMask(shape, p, 3, **{"key": (1, 2)} | options)

    fails(ValueError, "^shape must have at least 2 axes", lambda: mask((6,)))
    fails(ValueError, "^shape must have at least 3 axes", lambda: mask(block_ndim=3))
    fails(ValueError, "^block_ndim must be 2 or 3", lambda: mask(block_ndim=4))
    fails(TypeError, "^block_ndim must be", lambda: mask(block_ndim="2"))
    fails(ValueError, "^eps must not be negative", lambda: mask(eps=-1e-9))
    fails(ValueError, "^eps must be finite", lambda: mask(eps=float("nan")))
    fails(TypeError, "^eps must be a number", lambda: bitdrop.DropBlock2d(eps="1"))  # type: ignore[arg-type]
    for shape, error in BAD_SHAPES:
        fails(error, "^shape must", partial(mask, shape))
    for p, error in BAD_PROBABILITIES.values():
        fails(error, "^p must be", partial(mask, p=p))
    for key in BAD_KEYS:
        fails(TypeError, "^key", partial(mask, key=key))


def test_shard_of_block_dropout_is_a_type_error() -> None:
    layer = bitdrop.DropBlock2d(0.5, 3, rng=0)
    shard = bitdrop.Shard((4, 3, 6, 8), (0, 0, 0, 0))
    for training in (True, False):
        fails(TypeError, "^shard must be None", partial(layer, IMAGES, training, shard=shard))
    assert (layer.state["position"], layer.mask) == (0, None)


def test_bad_arrays_and_outs_leave_block_dropout_as_it_was() -> None:
    layer = bitdrop.DropBlock2d(0.5, 3, rng=0)
    layer(np.ones((1, *SHAPE), np.float32))
    mask, state = layer.mask, layer.state
    assert mask is not None
    for make, match in BAD_ARRAYS.values():
        fails(TypeError, rf"^x .*{match}", partial(layer, make()))
        fails(TypeError, rf"^dy .*{match}", partial(layer.backward, make()))
    x = GOOD[np.newaxis]
    for out, error, match in (
        (np.zeros(SHAPE, np.float32), ValueError, "x's shape"),
        (np.zeros(x.shape), TypeError, "x's dtype"),
        (read_only(np.zeros_like(x)), ValueError, "read-only"),
        (overlapping((0, 4))[np.newaxis], ValueError, "share memory"),
    ):
        fails(error, f"^out .*{match}", partial(layer, x, out=out))
        fails(error, "^out ", partial(layer.backward, x, out=out))
        assert not out.any()
    fails(ValueError, "^dy must have the shape of the mask", lambda: layer.backward(GOOD))
    assert layer.mask is mask
    assert layer.state == state
