"""Means and variances of what users see: by theory, and the same in training and at inference."""

import math
from decimal import Decimal, localcontext
from typing import Any

import bitdrop
import numpy as np
import pytest
from scipy.stats import binom

from tests.contract.kinds import KINDS, Kind
from tests.contract.reference import Reference
from tests.helpers.support import Array, assert_identical, normal

FLOAT64 = np.dtype(np.float64)
SATURATION = -1.7580993408473766  # lim SELU(x) for x -> -infinity
# Blocks are unbiased on the whole alone: corners are covered less often than centres.
UNBIASED = {
    name: kind
    for name, kind in KINDS.items()
    if kind.rule in ("scale", "noise", "select")
    and kind.options.get("scale_by_keep", True)
    and "block_size" not in kind.options
}


@pytest.mark.parametrize("kind", UNBIASED.values(), ids=UNBIASED)
def test_training_and_inference_have_the_same_mean(kind: Kind) -> None:
    """Over 4,000 passes: none of the deviations exceeds 6 of their own standard errors."""
    passes, shape = 4000, tuple(min(length, 4) for length in kind.shape)
    layer, inputs = kind.make(0.3, rng=2024), kind.arrays(FLOAT64, shape)
    outputs = np.array([kind.forward(layer, inputs) for _ in range(passes)])
    error = np.maximum(outputs.std(axis=0), 1e-9) / passes**0.5
    assert np.max(np.abs(outputs.mean(axis=0) - kind.forward(layer, inputs, False)) / error) < 6


@pytest.mark.parametrize("name", ["alpha", "alpha of channels"])
@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.8, 0.95])
def test_alpha_dropout_keeps_mean_and_variance(name: str, p: float, dtype: np.dtype[Any]) -> None:
    """With 2^20 draws, 1 % is ten standard errors of the mean."""
    shape = (1024, 1024) if name == "alpha of channels" else (2**20,)
    x = np.random.default_rng(5).standard_normal(shape).astype(dtype)
    y = KINDS[name].make(p, rng=7)(x).astype(np.float64)
    assert abs(y.mean()) < 0.01
    assert abs(y.std() - 1) < 0.01


@pytest.mark.parametrize("p", [0.0, 0.3, 2.0**-70, 1e-300, 5e-324, 1 - 2.0**-53, 0.999999, 1.0])
def test_coefficients_of_alpha_dropout_are_those_of_the_paper(p: float, dtype: np.dtype[Any]) -> None:
    """In 400 digits."""
    with localcontext(prec=400):
        q, saturation = 1 - Decimal(p), Decimal(SATURATION)
        a = 1 / (q + saturation**2 * q * (1 - q)).sqrt() if 0 < p < 1 else q
        b, dropped = (-a * (1 - q) * saturation, a * saturation * q) if 0 < p < 1 else (q * 0, q * 0)
        exact = float(a), float(b), float(dropped)
    layer, x = bitdrop.AlphaDropout(p, rng=0), normal(dtype, 5000)
    y = layer(x)
    assert layer.mask is not None
    np.testing.assert_allclose((layer.mask.scale, layer.mask.shift, layer.mask.dropped), exact, rtol=1e-15)
    reference = Reference(KINDS["alpha"], (5000,), p, (1, 2))
    assert (reference.scale, reference.shift, reference.dropped) == (
        layer.mask.scale,
        layer.mask.shift,
        layer.mask.dropped,
    )
    assert np.isfinite(y.astype(np.float64)[~np.asarray(layer.mask)]).all()
    if p < 1e-20:
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_gaussian_factors_have_mean_1_and_the_variance_of_dropout(p: float) -> None:
    y, noise = bitdrop.gaussian_dropout(np.ones(10**6), p, rng=0)
    assert noise.std == math.sqrt(p / (1 - p))
    assert abs(y.mean() - 1) < 5 * noise.std / 1000
    assert abs(y.var() / noise.std**2 - 1) < 0.008


def test_noise_and_mask_of_one_key_are_independent() -> None:
    ones = np.ones(2**20, np.float32)
    noisy, noise = bitdrop.gaussian_dropout(ones, 0.5, rng=7)
    dropped, mask = bitdrop.dropout(ones, 0.5, rng=7)
    assert noise.key == mask.key
    assert abs(np.corrcoef(noisy, dropped)[0, 1]) < 5 / 2**10


@pytest.mark.parametrize("p", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_share_of_elements_under_blocks_is_that_of_theory(p: float, size: int) -> None:
    """An element is kept if there is no seed at any of the places whose blocks cover it.

    Maps are independent of each other, so one element of each is counted: at a corner, an edge, the centre.
    """
    maps, side = 200_000, 9
    mask = bitdrop.BlockMask((maps, side, side), p, size, key=(2**64 - 1, 17))
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


def test_blocks_of_one_element_are_dropout_of_elements() -> None:
    mask = bitdrop.BlockMask((40, 50), 0.3, 1, key=(1, 2))
    assert np.array_equal(np.asarray(mask), np.asarray(bitdrop.Mask((40, 50), mask.gamma, key=(1, 2))))


# DropConnect: dropout of weights, as in docs/how-to/drop-connect.md


def test_each_sample_has_weights_of_its_own() -> None:
    x, weights, dy = (normal(FLOAT64, shape, 3) for shape in ((5, 7), (7, 4), (5, 4)))
    copies = np.broadcast_to(weights, (5, 7, 4))
    assert copies.strides[0] == 0  # they are not copied before they are dropped
    dropped, mask = bitdrop.dropout(copies, p=0.4, rng=0)
    assert_identical(dropped, np.where(np.asarray(mask), weights * (1 / 0.6), 0.0))
    assert len({sample.tobytes() for sample in dropped}) == 5
    gradient = mask.backward(x[:, :, np.newaxis] * dy[:, np.newaxis]).sum(axis=0)

    def loss(weights: Array) -> float:
        return float(np.sum(np.einsum("ni,nio->no", x, mask.apply(np.broadcast_to(weights, (5, 7, 4)))) * dy))

    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 2.0**-20
        slope = (loss(weights + step) - loss(weights - step)) / 2.0**-19
        assert gradient[index] == pytest.approx(slope, abs=1e-7)
