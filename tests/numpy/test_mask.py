"""`bitdrop.Mask`: parameters, bits, application, equality, copies."""

import copy
import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers import oracle
from tests.helpers.support import assert_identical, normal

KEY = (2**64 - 1, 17)


def some_mask(**changes: Any) -> bitdrop.Mask:
    parameters: dict[str, Any] = {
        "shape": (5, 7, 11),
        "p": 0.3,
        "key": KEY,
        "stream": 4,
        "scale": 1.5,
    } | changes
    return bitdrop.Mask(parameters.pop("shape"), parameters.pop("p"), **parameters)


def test_mask_has_given_parameters() -> None:
    mask = some_mask()
    assert (mask.shape, mask.p, mask.key, mask.stream, mask.scale) == ((5, 7, 11), 0.3, KEY, 4, 1.5)
    assert mask.size == 385


def test_parameters_are_converted_to_plain_numbers() -> None:
    key = np.array([1, 2], np.uint64)
    mask = bitdrop.Mask([np.int64(3), 4], np.float32(0.5), key=key, stream=np.uint8(1), scale=2)  # type: ignore[arg-type]
    assert repr(mask) == "Mask((3, 4), 0.5, key=(1, 2), stream=1, scale=2.0)"
    assert mask == bitdrop.Mask((3, 4), 0.5, key=(1, 2), stream=1, scale=2.0)


def test_int_as_shape_means_one_axis() -> None:
    assert bitdrop.Mask(9, 0.5, key=KEY).shape == (9,)


@pytest.mark.parametrize(("p", "scale"), [(0.0, 1.0), (0.1, 1 / 0.9), (0.5, 2.0), (1.0, 0.0)])
def test_scale_is_1_over_1_minus_p_unless_given(p: float, scale: float) -> None:
    assert bitdrop.Mask(3, p, key=KEY).scale == scale


def test_array_of_mask_is_true_for_kept_elements() -> None:
    mask = some_mask()
    keep = np.asarray(mask)
    assert keep.dtype == np.bool_
    assert keep.shape == (5, 7, 11)
    assert np.array_equal(keep.ravel(), oracle.kept(KEY, 4, 0.3, 0, 385))
    assert not keep.flags.writeable


def test_array_protocol_honours_dtype_and_copy() -> None:
    mask = some_mask()
    assert_identical(np.asarray(mask, np.float32), np.asarray(mask).astype(np.float32))
    assert np.array(mask).flags.writeable
    with pytest.raises(ValueError, match="always a copy"):
        mask.__array__(copy=False)


def test_bits_are_packed_and_read_only() -> None:
    x = np.ones((5, 7, 11))
    _, stored = bitdrop.dropout(x, 0.3, rng=8)
    for mask in (some_mask(), stored):
        assert mask.bits.dtype == np.uint8
        assert mask.bits.shape == (49,)
        assert np.array_equal(mask.bits, np.packbits(np.asarray(mask).ravel(), bitorder="little"))
        with pytest.raises(ValueError, match="read-only"):
            mask.bits[0] = 0


def test_stored_bits_refuse_to_become_writable() -> None:
    _, mask = bitdrop.dropout(np.ones(8), rng=0)
    with pytest.raises(ValueError, match="WRITEABLE"):
        mask.bits.flags.writeable = True


def test_nbytes_counts_held_bits() -> None:
    mask = some_mask()
    assert mask.nbytes == 0
    mask.apply(np.ones((5, 7, 11)))
    assert mask.bits.size == 49
    assert mask.nbytes == 0
    assert bitdrop.dropout(np.ones((5, 7, 11)))[1].nbytes == 49
    assert bitdrop.dropout(np.ones((5, 7, 11)), training=False)[1].nbytes == 0


def test_stored_bits_equal_recomputed_bits(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, (29, 431))
    for p in (0.0, 0.1, 0.5, 1 - 2.0**-53, 1.0):
        y, stored = bitdrop.dropout(x, p, rng=8)
        made = bitdrop.Mask(stored.shape, stored.p, key=stored.key, stream=stored.stream)
        assert (stored.nbytes > 0, made.nbytes) == (True, 0)
        assert np.array_equal(stored.bits, made.bits)
        for mask in (stored, made):
            assert_identical(mask.apply(x), y)
            assert_identical(mask.backward(x), y)


def test_apply_drops_same_units_in_every_dtype(dtype: np.dtype[Any]) -> None:
    mask = some_mask()
    x = normal(dtype, mask.shape)
    assert_identical(mask.apply(x), oracle.applied(x, np.asarray(mask), 1.5))
    stored = bitdrop.dropout(np.ones(mask.shape), 0.3, rng=1)[1]
    assert_identical(stored.apply(x), oracle.applied(x, np.asarray(stored), stored.scale))


@pytest.mark.parametrize("name", ["apply", "backward"])
def test_out_may_be_x_or_another_array(name: str, dtype: np.dtype[Any]) -> None:
    mask = some_mask()
    method = getattr(mask, name)
    x = normal(dtype, mask.shape)
    expected = method(x)
    out = np.empty((11, 7, 5), dtype).T
    assert method(x, out=out) is out
    assert_identical(out, expected)
    assert method(x, out=x) is x
    assert_identical(x, expected)


def test_mask_is_applied_in_c_order_for_any_strides() -> None:
    mask = some_mask()
    x = normal(np.dtype(np.float64), (11, 7, 5)).T
    assert_identical(mask.apply(x), mask.apply(np.ascontiguousarray(x)))


def test_mask_of_a_pass_hashes_like_an_equal_one() -> None:
    x, layer = np.ones((5, 7)), bitdrop.Dropout(0.3, rng=0)
    layer(x)
    for mask in (bitdrop.dropout(x, 0.3, rng=0)[1], layer.mask):
        assert mask is not None
        same = bitdrop.Mask(mask.shape, mask.p, key=mask.key, stream=mask.stream)
        assert mask == same
        assert hash(mask) == hash(same)


def test_masks_are_equal_if_parameters_are() -> None:
    mask = some_mask()
    assert mask == some_mask()
    assert hash(mask) == hash(some_mask())
    others = [
        some_mask(shape=(385,)),
        some_mask(p=0.25),
        some_mask(key=(17, 2**64 - 1)),
        some_mask(stream=5),
        some_mask(scale=None),
    ]
    assert len({mask, some_mask(), *others}) == 6
    assert all(mask != other for other in others)
    assert mask != "mask"


def test_equality_ignores_stored_bits() -> None:
    _, stored = bitdrop.dropout(np.ones(9), rng=3)
    assert stored == bitdrop.Mask(9, 0.5, key=stored.key)


@pytest.mark.parametrize("name", ["shape", "p", "key", "stream", "scale", "bits", "nbytes", "size", "other"])
def test_mask_is_immutable(name: str) -> None:
    mask = some_mask()
    with pytest.raises(AttributeError):
        setattr(mask, name, 1)


def test_evaluated_repr_gives_equal_mask() -> None:
    mask = some_mask()
    assert eval(repr(mask), {"Mask": bitdrop.Mask}) == mask


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_mask_is_equal_and_small(protocol: int) -> None:
    _, mask = bitdrop.dropout(np.ones(100000), 0.3, rng=1)
    data = pickle.dumps(mask, protocol)
    assert len(data) < 250
    restored = pickle.loads(data)
    assert restored == mask
    assert np.array_equal(restored.bits, mask.bits)


def test_copied_mask_is_equal() -> None:
    _, mask = bitdrop.dropout(np.ones(100), 0.3, rng=1)
    assert copy.copy(mask) == copy.deepcopy(mask) == mask


def test_pickle_of_another_format_is_refused() -> None:
    restore, (number, *parameters) = some_mask().__reduce__()
    assert number == bitdrop.MASK_FORMAT
    with pytest.raises(ValueError, match="format 2"):
        restore(number + 1, *parameters)


def test_size_may_exceed_memory_if_no_bits_are_requested() -> None:
    mask = bitdrop.Mask((2**20, 2**20), 0.5, key=KEY)
    assert mask.size == 2**40
    assert mask == pickle.loads(pickle.dumps(mask))


def test_shift_and_dropped_take_part_in_apply_repr_equality_and_pickle() -> None:
    mask = some_mask(shift=0.5, dropped=-2.0)
    x = normal(np.dtype(np.float64), mask.shape)
    assert_identical(mask.apply(x), np.where(np.asarray(mask), 1.5 * x + 0.5, -2.0))
    assert_identical(mask.backward(x), np.where(np.asarray(mask), 1.5 * x, 0.0))
    assert mask != some_mask()
    assert (mask.shift, mask.dropped) == (0.5, -2.0)
    assert eval(repr(mask), {"Mask": bitdrop.Mask}) == mask
    assert pickle.loads(pickle.dumps(mask)) == mask
    assert hash(pickle.loads(pickle.dumps(mask))) == hash(mask)


def test_pickle_without_shift_and_dropped_is_read() -> None:
    function, arguments = some_mask().__reduce__()
    assert function(*arguments[:8]) == some_mask()
