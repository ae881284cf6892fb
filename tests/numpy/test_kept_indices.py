"""`Mask.kept_indices`: the kept indices along the one axis of a mask."""

from typing import Any

import bitdrop
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

KEY = (1, 2)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.data())
def test_kept_indices_are_those_of_the_mask_as_an_array(lengths: list[int], data: Any) -> None:
    axis = data.draw(st.integers(-len(lengths), len(lengths) - 1))
    noise = [1] * len(lengths)
    noise[axis] = lengths[axis]
    p = data.draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    mask = bitdrop.Mask(tuple(lengths), p, key=KEY, noise_shape=noise)
    kept = mask.kept_indices(axis)
    along = np.moveaxis(np.asarray(mask), axis, 0).reshape(lengths[axis], -1)
    assert kept.dtype == np.int64
    assert kept.tolist() == np.flatnonzero(along[:, 0]).tolist()
    assert np.array_equal(along, np.broadcast_to(along[:, :1], along.shape))


def test_kept_indices_use_last_axis_by_default() -> None:
    mask = bitdrop.Mask((3, 50), 0.5, key=KEY, noise_shape=(1, None))
    assert mask.kept_indices().tolist() == mask.kept_indices(1).tolist() == mask.kept_indices(-1).tolist()
    assert 10 < len(mask.kept_indices()) < 40


def test_kept_indices_of_shard_count_from_its_start() -> None:
    whole = bitdrop.Mask((4, 60), 0.5, key=KEY, noise_shape=(1, None))
    shard = bitdrop.Shard((4, 60), (2, 20))
    part = bitdrop.Mask((2, 30), 0.5, key=KEY, noise_shape=(1, None), shard=shard)
    expected = [i - 20 for i in whole.kept_indices().tolist() if 20 <= i < 50]
    assert part.kept_indices().tolist() == expected


def test_kept_indices_along_shared_axis_are_all_or_none() -> None:
    masks = [bitdrop.Mask((3, 5), 0.5, key=KEY, stream=s, noise_shape=(1, 1)) for s in range(20)]
    kept = {tuple(mask.kept_indices().tolist()) for mask in masks}
    assert kept == {(), (0, 1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("shape", "noise", "axis"), [((3, 5), None, -1), ((3, 5), (None, 1), 1), ((2, 3, 4), (1, None, None), 2)]
)
def test_mask_that_varies_along_other_axes_is_an_error(shape: Any, noise: Any, axis: int) -> None:
    mask = bitdrop.Mask(shape, 0.5, key=KEY, noise_shape=noise)
    with pytest.raises(ValueError, match=r"varies along axis \d alone.*noise_shape="):
        mask.kept_indices(axis)


@pytest.mark.parametrize("axis", [2, -3, 2**70])
def test_axis_out_of_range_is_an_error(axis: int) -> None:
    with pytest.raises(ValueError, match="axis must be an axis of an array of 2 axes"):
        bitdrop.Mask((3, 5), 0.5, key=KEY, noise_shape=(1, None)).kept_indices(axis)


@pytest.mark.parametrize("axis", [0.0, None, "0"])
def test_axis_of_another_type_is_an_error(axis: Any) -> None:
    with pytest.raises(TypeError, match="axis must be an int"):
        bitdrop.Mask((3, 5), 0.5, key=KEY, noise_shape=(1, None)).kept_indices(axis)


def test_mask_without_axes_has_no_kept_indices() -> None:
    with pytest.raises(ValueError, match="axis must be"):
        bitdrop.Mask((), 0.5, key=KEY).kept_indices()
