"""`bitdrop.DropBlock2d`, `DropBlock3d` and `BlockMask`: blocks, scale, options, errors."""

import copy
import json
import pickle
from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.helpers import block_masks, oracle
from tests.helpers.layer_kinds import check_options_do_not_change_values
from tests.helpers.strategies import SEEDS, views
from tests.helpers.support import DTYPES, Array, assert_identical, normal

KEY = (2**64 - 1, 17)
KINDS: dict[Any, tuple[int, ...]] = {bitdrop.DropBlock2d: (3, 4, 9, 11), bitdrop.DropBlock3d: (3, 2, 6, 7, 8)}
for_all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# Shape, block size, number of axes: even and odd, as long as an axis, one element, several chunks.
MASKS: list[tuple[tuple[int, ...], int, int]] = [
    ((3, 4, 9, 11), 3, 2),
    ((5, 9, 11), 4, 2),
    ((9, 70), 2, 2),
    ((7, 7, 7), 7, 2),
    ((40, 5, 6), 1, 2),
    ((2, 300, 280), 7, 2),
    ((2, 3, 2, 65, 513), 60, 2),
    ((3000, 13, 13), 7, 2),  # chunks that end where no block begins
    ((1, 1, 1), 1, 2),
    ((3, 2, 6, 7, 8), 3, 3),
    ((4, 6, 6, 6), 6, 3),
    ((2, 20, 70, 60), 5, 3),
    ((5, 4, 3, 3), 1, 3),
    ((0, 3, 4, 4), 2, 2),
]
for_all_masks = pytest.mark.parametrize(("shape", "size", "ndim"), MASKS)


def block_mask(
    shape: tuple[int, ...], size: int, ndim: int, p: float = 0.3, **options: Any
) -> bitdrop.BlockMask:
    return bitdrop.BlockMask(shape, p, size, key=KEY, stream=3, block_ndim=ndim, **options)


def mask_of(layer: Any) -> bitdrop.BlockMask:
    assert isinstance(layer.mask, bitdrop.BlockMask)
    return layer.mask


@pytest.mark.usefixtures("settings_restored")
@for_all_masks
@pytest.mark.parametrize("p", [0.0, 0.02, 0.3, 1.0])
def test_elements_under_a_seed_are_dropped_by_every_isa(
    shape: tuple[int, ...], size: int, ndim: int, p: float, isa: str
) -> None:
    _core.set_isa(isa)
    for threads in (1, 4):
        bitdrop.set_num_threads(threads)
        mask = block_mask(shape, size, ndim, p)
        expected = block_masks.kept(mask)
        assert np.array_equal(np.asarray(mask), expected)
        assert np.array_equal(mask.bits, np.packbits(expected, bitorder="little"))
        assert mask.scale == (1.0 if p == 0 else block_masks.scale(expected))


@for_all_masks
def test_seeds_are_a_mask_of_format_1(shape: tuple[int, ...], size: int, ndim: int) -> None:
    mask = block_mask(shape, size, ndim)
    assert mask.gamma == block_masks.gamma(0.3, shape, size, ndim)
    places = block_masks.places(shape, size, ndim)
    assert mask.seeds == bitdrop.Mask(places, mask.gamma, key=KEY, stream=3)
    assert np.array_equal(~np.asarray(mask.seeds), block_masks.seeds(mask))


@pytest.mark.parametrize(
    ("shape", "size", "ndim"), [case for case in MASKS if case[1] % 2 and 0 not in case[0]]
)
def test_result_is_that_of_torchvision_for_the_same_seeds(
    shape: tuple[int, ...], size: int, ndim: int
) -> None:
    x = normal(FLOAT64, shape)
    mask = block_mask(shape, size, ndim)
    expected = block_masks.torchvision(x, ~np.asarray(mask.seeds), size, ndim)
    np.testing.assert_allclose(mask.apply(x), expected, rtol=1e-15)


@for_all_kinds
def test_layer_drops_blocks_of_its_kind(kind: Any, dtype: np.dtype[Any]) -> None:
    layer, shape = kind(0.2, 3, rng=0), KINDS[kind]
    x, dy = normal(dtype, shape), normal(dtype, shape, seed=1)
    for stream in range(3):
        y = layer(x)
        mask = mask_of(layer)
        ndim = len(shape) - 2
        assert mask == bitdrop.BlockMask(
            shape, 0.2, 3, key=tuple(layer.state["key"]), stream=stream, block_ndim=ndim
        )
        keep = block_masks.kept(mask)
        assert 0 < keep.sum() < keep.size
        expected = oracle.applied(x, keep, block_masks.scale(keep))
        assert_identical(y, expected)
        assert_identical(mask.apply(x), expected)
        assert_identical(layer.backward(dy), oracle.applied(dy, keep, mask.scale))


@for_all_kinds
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_complex_numbers_lose_the_blocks_of_real_ones(kind: Any, real: Any) -> None:
    parts = [normal(np.dtype(real), KINDS[kind], seed) for seed in (0, 1)]
    z = np.stack(parts, axis=-1).view(np.result_type(real, np.complex64))[..., 0]
    layer = kind(0.3, 2, rng=0)
    y, dz = layer(z), layer.backward(z)
    assert y.dtype == dz.dtype == z.dtype
    for name, part in zip(("real", "imag"), parts, strict=True):
        assert_identical(getattr(y, name).copy(), kind(0.3, 2, rng=0)(part))
        assert_identical(getattr(dz, name).copy(), mask_of(layer).backward(part))


@for_all_kinds
def test_part_of_a_mask_keeps_what_the_whole_keeps(kind: Any) -> None:
    layer, x = kind(0.3, 3, rng=0), normal(FLOAT32, KINDS[kind])
    y = layer(x)
    start, shape = (1,) * x.ndim, tuple(length - 1 for length in x.shape)
    box = (slice(1, None),) * x.ndim
    part = mask_of(layer).part(start, shape)
    assert_identical(part.apply(x[box]), y[box].copy())
    assert np.array_equal(np.asarray(part), np.asarray(layer.mask)[box])


@for_all_kinds
def test_locked_layer_repeats_its_blocks(kind: Any) -> None:
    layer, x = kind(0.3, 2, rng=0), normal(FLOAT32, KINDS[kind])
    with layer.locked():
        first, second = layer(x), layer(x)
    assert_identical(first, second)
    assert layer.state["position"] == 1
    assert np.any(layer(x) != first)


@for_all_kinds
def test_sample_without_batch_axis_is_accepted(kind: Any) -> None:
    shape = KINDS[kind][1:]
    x = normal(FLOAT32, shape)
    assert_identical(kind(0.3, 2, rng=0)(x), kind(0.3, 2, rng=0)(x[np.newaxis])[0])


@settings(max_examples=100)
@given(st.data(), st.sampled_from([*KINDS]), st.sampled_from(DTYPES), st.floats(0, 1), SEEDS)
def test_layout_of_x_and_out_does_not_change_result(
    data: st.DataObject, kind: Any, dtype: np.dtype[Any], p: float, seed: int
) -> None:
    shape = tuple(data.draw(st.integers(2, 2 * length)) for length in KINDS[kind])
    size = data.draw(st.integers(1, min(shape[2:])))
    x, out = data.draw(views(shape, dtype)), data.draw(views(shape, dtype, writable=True))
    plain = np.ascontiguousarray(x)
    with np.errstate(all="ignore"):
        layer = kind(p, size, rng=seed)
        assert_identical(layer(x, out=out), kind(p, size, rng=seed)(plain))
        mask = mask_of(layer)
        assert_identical(layer.backward(x), mask.backward(plain))
        assert np.array_equal(np.asarray(mask), block_masks.kept(mask))


@pytest.mark.parametrize("p", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_share_of_dropped_elements_is_that_of_theory(p: float, size: int) -> None:
    """An element is kept if there is no seed at any of the places whose blocks cover it.

    Maps are independent of each other, so one element of each is counted: at a corner, an edge, the centre.
    """
    maps, side = 200_000, 9
    mask = bitdrop.BlockMask((maps, side, side), p, size, key=KEY)
    keep = np.asarray(mask)

    def covering(at: int) -> int:
        return min(at, side - size) - max(0, at - size + 1) + 1

    for row, column in ((0, 0), (0, 4), (4, 4), (8, 3)):
        chance = (1 - mask.gamma) ** (covering(row) * covering(column))
        count = np.count_nonzero(keep[:, row, column])
        low, high = binom.cdf(count, maps, chance), binom.sf(count - 1, maps, chance)
        assert min(low, high) > 1e-6, (row, column, count / maps, chance)
    assert 1 - keep.mean() <= p + 0.002
    assert mask.apply(np.ones(mask.shape)).mean() == pytest.approx(1, rel=1e-9)


@for_all_kinds
def test_inference_returns_x_itself(kind: Any) -> None:
    layer, x = kind(0.5, 2, rng=0).eval(), normal(FLOAT32, KINDS[kind])
    assert layer(x) is x
    assert_identical(layer.backward(x), x)
    assert layer.state["position"] == 0
    assert layer(x, True) is not x


@for_all_kinds
def test_p_0_keeps_every_bit_of_x(kind: Any, dtype: np.dtype[Any]) -> None:
    x = normal(dtype, KINDS[kind])
    x[0, 0] = -0.0
    x[1, 0] = np.inf
    layer = kind(0, 3, rng=0)
    y = layer(x)
    assert y is not x
    assert_identical(y, x)
    assert_identical(layer.backward(x), x)
    assert layer.state["position"] == 1


@for_all_kinds
def test_dropped_elements_are_positive_zeros_whatever_x_holds(kind: Any, dtype: np.dtype[Any]) -> None:
    shape = KINDS[kind]
    x = np.full(shape, np.nan, dtype)
    x[:, 0] = -1
    layer = kind(1, min(shape[2:]), rng=0)
    y = layer(x)
    keep = np.asarray(mask_of(layer))
    assert not keep.all()
    assert_identical(y[~keep], np.zeros(np.count_nonzero(~keep), dtype))


def test_maps_of_which_nothing_is_left_become_positive_zeros() -> None:
    layer = bitdrop.DropBlock2d(1.0, 5, rng=0)
    x = np.full((2, 3, 5, 5), -np.inf, np.float32)
    assert_identical(layer(x), np.zeros_like(x))
    assert mask_of(layer).scale == 0.0
    assert_identical(layer.backward(x), np.zeros_like(x))


@for_all_kinds
def test_out_inplace_and_recompute_do_not_change_values(kind: Any, dtype: np.dtype[Any]) -> None:
    check_options_do_not_change_values(partial(kind, 0.4, 2, rng=0), normal(dtype, KINDS[kind]))


@for_all_kinds
@pytest.mark.parametrize("duplicate", [lambda layer: pickle.loads(pickle.dumps(layer)), copy.deepcopy])
def test_copied_layer_continues_identically(kind: Any, duplicate: Any) -> None:
    layer, x = kind(0.3, 2, eps=0.5, rng=1), normal(FLOAT32, KINDS[kind])
    layer(x)
    other = duplicate(layer)
    assert repr(other) == repr(layer)
    assert_identical(other.backward(x), layer.backward(x))
    for _ in range(2):
        assert_identical(other(x), layer(x))
    restored = kind(0.3, 2, eps=0.5)
    restored.state = json.loads(json.dumps(layer.state))
    assert_identical(restored(x), layer(x))


@for_all_kinds
def test_evaluated_repr_gives_equal_layer(kind: Any) -> None:
    for layer in (kind(0.25, 3, inplace=True, recompute=True, rng=0), kind(eps=0.0)):
        again = eval(repr(layer), vars(bitdrop))
        assert type(again) is kind
        assert repr(again) == repr(layer)
        assert (again.p, again.block_size, again.eps) == (layer.p, layer.block_size, layer.eps)


@for_all_kinds
def test_defaults_are_those_of_the_paper(kind: Any) -> None:
    layer = kind()
    assert (layer.p, layer.block_size, layer.eps, layer.scaling, layer.noise_shape) == (
        0.1,
        7,
        1e-6,
        "inverted",
        None,
    )


@for_all_kinds
def test_changed_p_applies_to_next_forward(kind: Any) -> None:
    layer, changed, x = kind(0.3, 2, rng=0), kind(0.8, 2, rng=0), normal(FLOAT32, KINDS[kind])
    changed(x)
    before = mask_of(changed)
    changed.p = 0.3
    layer(x)
    assert_identical(changed(x), layer(x))
    assert (before.p, mask_of(changed).p) == (0.8, 0.3)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]"):
        layer.p = 1.5


@settings(max_examples=40)
@given(st.sampled_from([*KINDS]), st.floats(0, 1), SEEDS)
def test_backward_is_derivative_of_forward(kind: Any, p: float, seed: int) -> None:
    layer = kind(p, 2, rng=seed)
    x, weights, direction = (normal(FLOAT64, KINDS[kind], seed + n) for n in range(3))
    start = layer.state

    def loss(at: Array) -> float:
        layer.state = start  # to draw the same mask
        return float(np.sum(weights * layer(at)))

    step = 2.0**-10
    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(np.sum(layer.backward(weights) * direction)), rel=1e-6, abs=1e-6)


def test_masks_are_equal_if_their_parameters_are() -> None:
    mask = block_mask((4, 9, 9), 3, 2)
    others = [
        block_mask((4, 9, 8), 3, 2),
        block_mask((4, 9, 9), 4, 2),
        block_mask((4, 9, 9), 3, 3),
        block_mask((4, 9, 9), 3, 2, p=0.4),
        block_mask((4, 9, 9), 3, 2, eps=0.0),
        bitdrop.BlockMask((4, 9, 9), 0.3, 3, key=KEY),
        bitdrop.BlockMask((4, 9, 9), 0.3, 3, key=KEY[::-1], stream=3),
        bitdrop.Mask((4, 9, 9), 0.3, key=KEY, stream=3),
    ]
    assert mask == block_mask((4, 9, 9), 3, 2)
    assert len({mask, block_mask((4, 9, 9), 3, 2), *others}) == 9
    assert all(mask != other and other != mask for other in others)


def test_mask_is_immutable_and_its_bits_read_only() -> None:
    mask = block_mask((4, 9, 9), 3, 2)
    for name in ("p", "gamma", "scale", "block_size", "bits", "other"):
        with pytest.raises(AttributeError):
            setattr(mask, name, 1)
    for array in (mask.bits, np.asarray(mask)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@for_all_masks
def test_evaluated_repr_copies_and_pickles_give_equal_masks(
    shape: tuple[int, ...], size: int, ndim: int
) -> None:
    mask = block_mask(shape, size, ndim, eps=0.25)
    for other in (eval(repr(mask), vars(bitdrop)), copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert other == mask
        assert hash(other) == hash(mask)
        assert (other.scale, other.gamma, other.shape) == (mask.scale, mask.gamma, mask.shape)
        assert np.array_equal(other.bits, mask.bits)


def test_pickle_of_large_mask_is_small_and_holds_the_scale() -> None:
    layer = bitdrop.DropBlock2d(0.2, 5, rng=0)
    layer(np.ones((8, 16, 56, 56), np.float32))
    data = pickle.dumps(mask_of(layer))
    assert len(data) < 250
    restored = pickle.loads(data)
    assert restored.nbytes == 0
    assert restored.scale == mask_of(layer).scale
    restore, (number, *parameters) = mask_of(layer).__reduce__()
    with pytest.raises(ValueError, match="format 2"):
        restore(number + 1, *parameters)


WRONG_AXES: list[tuple[Any, tuple[int, ...], str]] = [
    (bitdrop.DropBlock2d, (9, 9), r"\(N, C, H, W\) or \(C, H, W\), but got \(9, 9\)"),
    (bitdrop.DropBlock2d, (2, 2, 9, 9, 9), r"\(N, C, H, W\) or \(C, H, W\)"),
    (bitdrop.DropBlock3d, (9, 9, 9), r"\(N, C, D, H, W\) or \(C, D, H, W\)"),
    (bitdrop.DropBlock3d, (1, 2, 2, 9, 9, 9), r"\(N, C, D, H, W\) or \(C, D, H, W\)"),
]


@pytest.mark.parametrize(("kind", "shape", "message"), WRONG_AXES)
@pytest.mark.parametrize("training", [True, False])
def test_wrong_number_of_axes_is_an_error_and_takes_no_stream_number(
    kind: Any, shape: tuple[int, ...], message: str, training: bool
) -> None:
    layer = kind(0.5, 2, rng=0)
    with pytest.raises(bitdrop.NdimError, match=rf"{kind.__name__} needs x of shape {message}"):
        layer(np.ones(shape), training)
    assert layer.state["position"] == 0
    assert layer.mask is None
