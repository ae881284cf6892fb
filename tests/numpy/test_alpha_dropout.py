"""Alpha dropout: moments and coefficients."""

from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.layer_kinds import coefficients
from tests.helpers.support import normal


@pytest.mark.parametrize("kind", [bitdrop.AlphaDropout, bitdrop.FeatureAlphaDropout])
@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.8, 0.95])
def test_alpha_dropout_keeps_mean_and_deviation(kind: Any, p: float, dtype: np.dtype[Any]) -> None:
    """With 2^20 draws, 1 % is ten standard errors of the mean."""
    shape = (1024, 1024) if kind is bitdrop.FeatureAlphaDropout else (2**20,)
    x = np.random.default_rng(5).standard_normal(shape).astype(dtype)
    y = kind(p, rng=7)(x).astype(np.float64)
    assert abs(y.mean()) < 0.01
    assert abs(y.std() - 1) < 0.01


@pytest.mark.parametrize("p", [2.0**-70, 1e-300, 5e-324, 1 - 2.0**-53, 0.999999])
def test_coefficients_of_alpha_dropout_are_finite_for_every_p(p: float, dtype: np.dtype[Any]) -> None:
    layer = bitdrop.AlphaDropout(p, rng=0)
    x = normal(dtype, 5000)
    y = layer(x)
    assert np.isfinite(y.astype(np.float64)[~np.asarray(layer.mask)]).all()
    if p < 1e-20:
        np.testing.assert_array_equal(y, x)
    assert layer.mask is not None
    found = layer.mask.scale, layer.mask.shift, layer.mask.dropped
    np.testing.assert_allclose(found, coefficients(bitdrop.AlphaDropout, p), rtol=1e-15)
