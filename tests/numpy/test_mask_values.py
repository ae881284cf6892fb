"""`Mask.from_array` and `Mask.part`, and errors that say what helps."""

import copy
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as numpy_arrays

from tests.helpers.bad_values import GOOD, Labelled, Lazy
from tests.helpers.cuts import NoiseShape
from tests.helpers.support import DTYPES, Array, any_bits, assert_identical, normal

KEY = (1, 2)
KEPT = numpy_arrays(np.bool_, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))


def expected(x: Array, kept: Array, scale: float) -> Array:
    """Return what a mask of an array does, by NumPy in the type of the arithmetic."""
    wide = x.astype(np.float32) if x.itemsize == 2 else x
    with np.errstate(all="ignore"):
        scaled = (wide * wide.dtype.type(scale)).astype(x.dtype)
    return np.where(kept, scaled, np.zeros((), x.dtype))


@settings(max_examples=200)
@given(KEPT, st.sampled_from(DTYPES), st.sampled_from([1.0, 2.0, -0.3, 0.0]))
def test_mask_of_an_array_keeps_what_the_array_says(kept: Array, dtype: Any, scale: float) -> None:
    mask = bitdrop.Mask.from_array(kept, scale=scale)
    x = any_bits(dtype, kept.size).reshape(kept.shape)
    assert_identical(mask.apply(x), expected(x, kept, scale))
    assert_identical(mask.backward(x), expected(x, kept, scale))
    assert np.array_equal(np.asarray(mask), kept)
    assert np.array_equal(mask.bits, np.packbits(kept.ravel(), bitorder="little"))
    assert (mask.shape, mask.size, mask.scale) == (kept.shape, kept.size, scale)
    assert mask.nbytes == (kept.size + 7) // 8
    assert (mask.noise_shape, mask.shard) == (None, None)


@settings(max_examples=100)
@given(KEPT)
def test_mask_of_an_array_is_a_value(kept: Array) -> None:
    mask = bitdrop.Mask.from_array(kept, scale=2)
    same = bitdrop.Mask.from_array(kept.copy(), scale=2.0)
    assert mask == same
    assert hash(mask) == hash(same)
    restored = [pickle.loads(pickle.dumps(mask, protocol)) for protocol in range(6)]
    for other in (*restored, copy.copy(mask), copy.deepcopy(mask)):
        assert other == mask
        assert hash(other) == hash(mask)
        assert np.array_equal(np.asarray(other), kept)
    assert mask != bitdrop.Mask.from_array(kept, scale=1.0)
    assert mask != bitdrop.Mask.from_array(kept[np.newaxis], scale=2.0)
    if kept.size:
        changed = kept.copy()
        changed.flat[-1] ^= True
        assert mask != bitdrop.Mask.from_array(changed, scale=2.0)
        assert len({mask, same, bitdrop.Mask.from_array(changed, scale=2.0)}) == 2


def test_mask_of_an_array_does_not_follow_its_changes() -> None:
    kept = np.array([True, False, True])
    mask = bitdrop.Mask.from_array(kept)
    kept[:] = False
    assert np.asarray(mask).tolist() == [True, False, True]


def test_evaluated_repr_gives_equal_mask_of_an_array() -> None:
    mask = bitdrop.Mask.from_array([[True, False], [False, False]], scale=2.5)
    assert repr(mask).startswith("Mask.from_array(array([[")
    assert eval(repr(mask), {"Mask": bitdrop.Mask, "array": np.array}) == mask


def test_mask_of_an_array_reads_any_strides() -> None:
    kept = np.random.default_rng(0).random((5, 6, 7)) < 0.5
    views = (kept.T, kept[::-1, ::2], kept.transpose(1, 0, 2), np.broadcast_to(kept[:1], (4, 6, 7)))
    for view in views:
        assert np.array_equal(np.asarray(bitdrop.Mask.from_array(view)), view)


@pytest.mark.parametrize("name", ["p", "key", "stream"])
def test_mask_of_an_array_was_not_drawn(name: str) -> None:
    mask = bitdrop.Mask.from_array([True])
    with pytest.raises(AttributeError, match=rf"so it has no {name}\.$"):
        getattr(mask, name)
    assert not hasattr(mask, name)


def test_mask_of_an_array_differs_from_a_random_mask_of_the_same_bits() -> None:
    mask = bitdrop.Mask(9, 0.5, key=KEY)
    other = bitdrop.Mask.from_array(np.asarray(mask), scale=mask.scale)
    assert np.array_equal(mask.bits, other.bits)
    assert mask != other


NOT_BOOL: dict[str, tuple[Any, str]] = {
    "ints": (np.ones(3, int), f"{np.dtype(int).name}: pass kept != 0"),
    "floats": (np.ones(3), "float64: pass kept != 0"),
    "list of ints": ([0, 1], f"list of dtype {np.dtype(int).name}: pass kept != 0"),
    "objects": (np.array([True, None]), "object"),
    "text": ("yes", f"str of dtype {np.dtype('U3').str}"),
    "None": (None, "NoneType"),
    "mask": (bitdrop.Mask, "type of dtype object"),
    "ragged": ([[True], [True, False]], "but got list"),
    "masked": (np.ma.masked_array([True, False], [False, True]), "masked array.*filled"),
    "lazy": (Lazy(), "lazy"),
    "labelled": (Labelled(), "labels"),
}


@pytest.mark.parametrize("bad", NOT_BOOL)
def test_array_other_than_bool_is_a_type_error(bad: str) -> None:
    value, match = NOT_BOOL[bad]
    with pytest.raises(TypeError, match=rf"^kept .*{match}"):
        bitdrop.Mask.from_array(value)


@pytest.mark.parametrize("scale", ["1", None, True, np.nan, np.inf])
def test_scale_of_an_array_must_be_finite(scale: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^scale must be"):
        bitdrop.Mask.from_array([True], scale=scale)


@st.composite
def parts(draw: st.DrawFn) -> tuple[bitdrop.Mask, tuple[int, ...], tuple[int, ...]]:
    """Draw a mask and a part of it."""
    shape = draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=70))
    noise: NoiseShape = tuple(draw(st.sampled_from([None, 1])) for _ in shape)
    kind = draw(st.sampled_from(["plain", "shared", "held", "array"]))
    if kind == "array":
        mask = bitdrop.Mask.from_array(np.random.default_rng(0).random(shape) < 0.5, scale=3.0)
    elif kind == "held":
        _, mask = bitdrop.dropout(np.ones(shape), 0.3, rng=draw(st.integers(0, 9)), noise_shape=noise)
    else:
        options: Any = {"noise_shape": noise} if kind == "shared" else {"shift": 0.5, "dropped": -1.0}
        mask = bitdrop.Mask(shape, draw(st.floats(0, 1)), key=KEY, stream=3, **options)
    start = tuple(draw(st.integers(0, length)) for length in shape)
    lengths = tuple(draw(st.integers(0, n - first)) for n, first in zip(shape, start, strict=True))
    return mask, start, lengths


@settings(max_examples=300)
@given(parts(), st.sampled_from(DTYPES))
def test_part_is_that_part_of_the_whole(case: Any, dtype: Any) -> None:
    mask, start, shape = case
    index = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    x = normal(dtype, mask.shape)
    part = mask.part(start, shape)
    assert part.shape == shape
    assert np.array_equal(np.asarray(part), np.asarray(mask)[index])
    assert_identical(part.apply(x[index]), mask.apply(x)[index])
    assert_identical(part.backward(x[index]), mask.backward(x)[index])
    assert pickle.loads(pickle.dumps(part)) == part
    inner = part.part((0,) * len(shape), shape)
    assert inner is part


def test_part_of_a_part_is_the_part_of_the_whole() -> None:
    mask = bitdrop.Mask((9, 8), 0.5, key=KEY)
    assert mask.part((2, 1), (6, 6)).part((1, 2), (3, 3)) == mask.part((3, 3), (3, 3))
    assert mask.part((0, 0), (9, 8)) is mask
    assert bitdrop.Mask(9, 0.5, key=KEY).part(2, 3) == bitdrop.Mask(9, 0.5, key=KEY).part((2,), (3,))


def test_part_of_inference_mask_keeps_all() -> None:
    _, mask = bitdrop.dropout(np.ones((4, 4)), 0.5, training=False, scaling="vanilla", rng=0)
    assert_identical(mask.part((1, 1), (2, 2)).apply(np.ones((2, 2))), np.full((2, 2), 0.5))


BAD_PARTS: list[tuple[Any, Any, type[Exception], str]] = [
    ((0, 0), (7, 8), ValueError, r"does not lie within the mask, \(6, 8\)"),
    ((1, 0), (6, 8), ValueError, r"starts at \(1, 0\) does not lie within the mask"),
    ((0, 9), (1, 0), ValueError, "does not lie within the mask"),
    ((0,), (6, 8), ValueError, r"an entry for each axis of the mask, \(6, 8\), but got \(0,\)"),
    ((0, 0), (6,), ValueError, "an entry for each axis"),
    ((0, 0, 0), (6, 8, 1), ValueError, "an entry for each axis"),
    ((-1, 0), (2, 2), ValueError, "^start must not have negative"),
    ((0, 0), (-2, 2), ValueError, "^shape must not have negative"),
    ((0.0, 0), (2, 2), TypeError, "^start must be a tuple of ints"),
    ((0, 0), None, TypeError, "^shape must be a tuple of ints"),
]


@pytest.mark.parametrize(("start", "shape", "error", "match"), BAD_PARTS)
@pytest.mark.parametrize("of_array", [True, False])
def test_part_that_leaves_the_mask_is_an_error(
    start: Any, shape: Any, error: type[Exception], match: str, of_array: bool
) -> None:
    mask = bitdrop.Mask((6, 8), 0.5, key=KEY)
    if of_array:
        mask = bitdrop.Mask.from_array(np.asarray(mask))
    with pytest.raises(error, match=match) as caught:
        mask.part(start, shape)
    assert type(caught.value) is error


HINTS: list[tuple[tuple[int, ...], str]] = [
    ((3, 8), r"for a part of the mask's elements, use mask\.part\(\(0, 0\), \(3, 8\)\)\.$"),
    ((6, 1), r"use mask\.part\(\(0, 0\), \(6, 1\)\)\.$"),
    ((12, 8), r"for any length along an axis, share its draws: noise_shape=\(1, None\)\.$"),
    ((6, 9), r"for any length along an axis, share its draws: noise_shape=\(None, 1\)\.$"),
    ((8, 6), r"keep layer\.mask of each call, or set layer\.state to repeat a call on another shape\.$"),
    ((48,), r"set layer\.state to repeat a call on another shape\.$"),
]


@pytest.mark.parametrize(("shape", "match"), HINTS)
def test_error_about_another_shape_says_what_helps(shape: tuple[int, ...], match: str) -> None:
    layer = bitdrop.Dropout(rng=0)
    layer(GOOD)
    mask = layer.mask
    assert mask is not None
    for call in (mask.apply, mask.backward, layer.backward):
        with pytest.raises(
            ValueError, match=rf"its shape is {str(shape).translate({40: '.', 41: '.'})}: .*{match}"
        ):
            call(np.ones(shape, np.float32))


def test_hints_lead_where_they_say() -> None:
    mask = bitdrop.Mask((6, 8), 0.5, key=KEY)
    assert mask.part((0, 0), (3, 8)).apply(np.ones((3, 8))).shape == (3, 8)
    layer = bitdrop.Dropout(noise_shape=(1, None), rng=0)
    with layer.locked():
        small, large = layer(GOOD), layer(np.ones((12, 8), np.float32))
    assert ((small[0] != 0) == (large != 0)).all()
    layer = bitdrop.Dropout(rng=0)
    state = layer.state
    first = layer(GOOD)
    layer.state = state
    assert_identical(layer(GOOD.ravel()), first.ravel())
