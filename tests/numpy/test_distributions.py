"""Means and variances of what users see: by theory, and the same in training and at inference."""

from decimal import Decimal, localcontext
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.contract.kinds import KINDS
from tests.contract.reference import Reference
from tests.helpers.support import Array, assert_identical, normal

FLOAT64 = np.dtype(np.float64)
SATURATION = -1.7580993408473766  # lim SELU(x) for x -> -infinity


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
