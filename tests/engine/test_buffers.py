"""Buffer pool: memory of large results is reused after its last view has died, never before."""

import gc
from collections.abc import Iterator
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers.support import Array, assert_identical, normal

LIMIT = 64 * 2**20
X = normal(np.dtype(np.float32), (1024, 1024))


@pytest.fixture(autouse=True)
def no_buffers(settings_restored: None) -> Iterator[None]:
    gc.collect()
    bitdrop.clear_buffers()
    bitdrop.set_buffer_limit(LIMIT)
    yield
    bitdrop.clear_buffers()


def address(x: Array) -> int:
    return int(x.ctypes.data)


def test_memory_of_dead_result_is_reused() -> None:
    y, _ = bitdrop.dropout(X, rng=0)
    first = address(y)
    del y
    assert _core.held_buffer_bytes() >= X.nbytes
    y, _ = bitdrop.dropout(X, rng=1)
    assert address(y) == first


def test_memory_of_result_with_living_view_is_not_reused() -> None:
    mask = bitdrop.Mask(X.shape, 0.5, key=(1, 2))
    y = mask.apply(X)
    part, expected = y[5:9, ::3], y[5:9, ::3].copy()
    del y
    others = [bitdrop.dropout(X, rng=n)[0] for n in range(4)]
    assert not any(np.shares_memory(part, other) for other in others)
    assert_identical(part, expected)


def test_living_results_do_not_share_memory() -> None:
    ys = [bitdrop.dropout(X, rng=n)[0] for n in range(5)]
    assert len({address(y) for y in ys}) == 5
    for n, y in enumerate(ys):
        assert_identical(y, bitdrop.dropout(X, rng=n, out=np.empty_like(X))[0])


def test_results_in_reused_memory_are_right_in_every_layout(dtype: np.dtype[Any]) -> None:
    for n, shape in enumerate([(700, 800), (90, 80, 100), (2**20 + 3,)]):
        x = normal(dtype, shape)
        for view in (x, x.T, np.asfortranarray(x)):
            expected = bitdrop.dropout(view, 0.3, rng=n, out=np.empty(view.shape, dtype))[0]
            y = bitdrop.dropout(view, 0.3, rng=n)[0]
            assert y.strides == np.empty_like(view).strides
            assert y.flags.writeable
            assert_identical(y, expected)


def test_limit_of_0_disables_reuse() -> None:
    bitdrop.set_buffer_limit(0)
    bitdrop.dropout(X, rng=0)
    assert _core.held_buffer_bytes() == 0


def test_clear_buffers_frees_held_memory() -> None:
    bitdrop.dropout(X, rng=0)
    assert _core.held_buffer_bytes() > 0
    bitdrop.clear_buffers()
    assert _core.held_buffer_bytes() == 0


def test_small_result_owns_its_memory() -> None:
    assert bitdrop.dropout(X[:3], rng=0)[0].flags.owndata


def test_large_result_does_not_own_its_memory() -> None:
    large = bitdrop.dropout(X, rng=0)[0]
    assert not large.flags.owndata
    with pytest.raises(ValueError, match="does not own its data"):
        large.resize((2, 3))
