"""`bitdrop.dropout`: values, returned objects, output arrays."""

from collections.abc import Callable
from typing import Any

import bitdrop
import numpy as np
import pytest
from numpy.typing import ArrayLike

from tests.helpers import oracle
from tests.helpers.support import Array, assert_identical, normal


def expected_output(x: Array, mask: bitdrop.Mask) -> Array:
    keep = oracle.kept(mask.key, mask.stream, mask.p, 0, x.size).reshape(x.shape)
    return oracle.applied(x, keep, mask.scale)


def test_training_drops_and_scales_kept_elements(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, (37, 53))
    before = x.copy()
    y, mask = bitdrop.dropout(x, p=0.3, rng=0)
    assert_identical(y, expected_output(x, mask))
    assert y.dtype == dtype
    assert (mask.p, mask.shape, mask.stream, mask.scale) == (0.3, (37, 53), 0, 1 / (1 - 0.3))
    assert_identical(x, before)
    assert 0.2 < np.mean(y == 0) < 0.4


def test_p_defaults_to_one_half() -> None:
    _, mask = bitdrop.dropout(np.ones(8))
    assert (mask.p, mask.scale) == (0.5, 2.0)


def test_vanilla_scaling_keeps_values_unscaled() -> None:
    x = normal(np.dtype(np.float64), 1000)
    y, mask = bitdrop.dropout(x, p=0.3, scaling="vanilla", rng=0)
    assert mask.scale == 1.0
    keep = np.asarray(mask)
    assert_identical(y[keep], x[keep])
    assert not y[~keep].any()


def test_both_scalings_drop_same_units() -> None:
    x = np.ones(1000)
    _, inverted = bitdrop.dropout(x, p=0.3, rng=5)
    _, vanilla = bitdrop.dropout(x, p=0.3, rng=5, scaling="vanilla")
    assert np.array_equal(inverted.bits, vanilla.bits)


def test_inference_returns_x_itself(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, (3, 4))
    y, mask = bitdrop.dropout(x, p=0.3, training=False)
    assert y is x
    assert mask == bitdrop.Mask((3, 4), 0.0, key=(0, 0), scale=1.0)
    assert_identical(mask.backward(x), x)


def test_vanilla_inference_multiplies_by_1_minus_p(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, (3, 4))
    y, mask = bitdrop.dropout(x, p=0.3, training=False, scaling="vanilla")
    assert mask == bitdrop.Mask((3, 4), 0.0, key=(0, 0), scale=1 - 0.3)
    assert_identical(y, oracle.applied(x, np.ones(x.shape, bool), 1 - 0.3))
    assert_identical(mask.backward(x), y)


def test_inference_with_out_writes_a_copy() -> None:
    x, out = normal(np.dtype(np.float32), (3, 4)), np.zeros((3, 4), np.float32)
    y, _ = bitdrop.dropout(x, training=False, out=out)
    assert y is out
    assert_identical(out, x)


def test_inference_of_list_returns_array() -> None:
    y, _ = bitdrop.dropout([1.0, 2.0], training=False)
    assert_identical(y, np.array([1.0, 2.0]))


def test_p_0_keeps_all_values_unscaled(dtype: np.dtype[Any]) -> None:
    x = normal(dtype, 100)
    y, mask = bitdrop.dropout(x, p=0)
    assert y is not x
    assert_identical(y, x)
    assert (mask.p, mask.scale) == (0.0, 1.0)
    assert np.asarray(mask).all()


def test_p_1_drops_all_without_a_warning(dtype: np.dtype[Any]) -> None:
    x = np.array([1.0, np.nan, np.inf, -0.0, -5.0], dtype)
    y, mask = bitdrop.dropout(x, p=1)
    assert_identical(y, np.zeros(5, dtype))
    assert mask.scale == 0.0
    assert not np.asarray(mask).any()
    assert_identical(mask.backward(x), np.zeros(5, dtype))


@pytest.mark.parametrize("p", [0.5, np.float32(0.5), np.float64(0.5), np.float16(0.5)])
def test_numpy_scalar_as_p_is_accepted(p: Any) -> None:
    _, mask = bitdrop.dropout(np.ones(4), p)
    assert mask.p == 0.5
    assert type(mask.p) is float


@pytest.mark.parametrize("p", [0, 1, np.int64(1), np.uint8(0)])
def test_integer_as_p_is_accepted(p: Any) -> None:
    _, mask = bitdrop.dropout(np.ones(4), p)
    assert mask.p == p
    assert type(mask.p) is float


def test_float32_p_is_converted_exactly() -> None:
    p: Any = np.float32(0.1)
    _, mask = bitdrop.dropout(np.ones(4), p)
    assert mask.p == float(np.float32(0.1)) != 0.1


def test_0_d_input_gives_0_d_array(dtype: np.dtype[Any]) -> None:
    for p, expected in [(0.0, 3.0), (1.0, 0.0)]:
        y, mask = bitdrop.dropout(np.array(3.0, dtype), p)
        assert isinstance(y, np.ndarray)
        assert_identical(y, np.array(expected, dtype))
        assert mask.shape == ()
        assert mask.bits.shape == (1,)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("x", [3.0, np.float64(3.0)])
def test_number_gives_0_d_array(x: float, training: bool) -> None:
    y, _ = bitdrop.dropout(x, 0.0, training=training)
    assert isinstance(y, np.ndarray)
    assert_identical(y, np.array(3.0))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 5, 2)])
def test_empty_input_gives_empty_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    for training in (True, False):
        y, mask = bitdrop.dropout(np.empty(shape, dtype), training=training)
        assert_identical(y, np.empty(shape, dtype))
        assert mask.bits.shape == (0,)
        assert np.asarray(mask).shape == shape
        assert mask.backward(y).shape == shape


def test_nested_list_of_floats_gives_float64() -> None:
    y, mask = bitdrop.dropout([[1.0, 2.0], [3.0, 4.0]], 0.5, rng=1)
    assert_identical(y, expected_output(np.array([[1.0, 2.0], [3.0, 4.0]]), mask))


class DLPackOnly:
    """Array of another library that supports only the DLPack protocol."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


def test_array_of_another_library_is_read_by_dlpack() -> None:
    x = normal(np.dtype(np.float32), 100)
    y, mask = bitdrop.dropout(DLPackOnly(x), 0.5, rng=1)  # type: ignore[arg-type]
    assert_identical(y, expected_output(x, mask))


STRIDES: dict[str, Callable[[Array], Array]] = {
    "transposed": lambda x: x.T,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1, ::-1],
    "stepped": lambda x: x[::2, 1::3],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "single element broadcast": lambda x: np.broadcast_to(x[0, 0], x.shape),
    "many axes": lambda x: x[:32, :64].reshape((2,) * 11).transpose(),
}


@pytest.mark.parametrize("name", STRIDES)
def test_strides_of_x_and_out_do_not_change_result(name: str, dtype: np.dtype[Any]) -> None:
    view = STRIDES[name]
    x = view(normal(dtype, (40, 70)))
    y, mask = bitdrop.dropout(x, 0.4, rng=2)
    assert_identical(y, expected_output(x, mask))
    if x.flags.writeable:
        out = view(np.zeros((40, 70), dtype))
        written, _ = bitdrop.dropout(x, 0.4, rng=2, out=out)
        assert written is out
        assert_identical(out, y)


@pytest.mark.parametrize("name", ["transposed", "Fortran", "many axes"])
def test_new_output_has_memory_order_of_x(name: str) -> None:
    x = STRIDES[name](np.ones((40, 70)))
    y, _ = bitdrop.dropout(x)
    assert y.strides == np.empty_like(x, subok=False).strides


def test_out_equal_to_x_works_in_place(dtype: np.dtype[Any]) -> None:
    for view in (STRIDES["transposed"], STRIDES["stepped"], np.asarray):
        x = view(normal(dtype, (40, 70)))
        expected, _ = bitdrop.dropout(x, 0.4, rng=2)
        y, _ = bitdrop.dropout(x, 0.4, rng=2, out=x)
        assert y is x
        assert_identical(x, expected)


def test_out_may_be_another_view_of_same_elements() -> None:
    x = normal(np.dtype(np.float32), (40, 70))
    expected, _ = bitdrop.dropout(x, 0.4, rng=2)
    bitdrop.dropout(x, 0.4, rng=2, out=x[:])
    assert_identical(x, expected)


def test_out_may_interleave_with_x() -> None:
    memory = normal(np.dtype(np.float32), 200)
    expected, _ = bitdrop.dropout(memory[::2], 0.4, rng=2)
    others = memory[::2].copy()
    bitdrop.dropout(memory[::2], 0.4, rng=2, out=memory[1::2])
    assert_identical(memory[1::2], expected)
    assert_identical(memory[::2], others)


def test_subclass_of_ndarray_gives_plain_array() -> None:
    y, mask = bitdrop.dropout(np.ones((3, 3)).view(np.recarray), rng=0)
    assert type(y) is np.ndarray
    assert type(mask.backward(y)) is np.ndarray


@pytest.mark.parametrize("x", [np.ones(10), [1.0] * 10])
def test_array_like_gives_same_result_as_array(x: ArrayLike) -> None:
    assert_identical(bitdrop.dropout(x, rng=3)[0], bitdrop.dropout(np.ones(10), rng=3)[0])


@pytest.mark.parametrize("shape", [(7,), (3, 500), (4, 5, 6)])
def test_broadcast_input_gets_own_mask_for_each_copy(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    x = normal(dtype, shape)
    copies = np.broadcast_to(x, (50, *shape))
    y, mask = bitdrop.dropout(copies, 0.3, rng=0)
    assert_identical(y, bitdrop.dropout(np.ascontiguousarray(copies), 0.3, rng=0)[0])
    assert_identical(mask.backward(copies), y)
    assert len(np.unique(np.asarray(mask).reshape(50, -1), axis=0)) > 25
    assert y.flags.writeable
