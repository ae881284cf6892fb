"""Layers that drop channels or samples, or keep moments: shapes, noise shapes, coefficients."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.cuts import NoiseShape
from tests.helpers.support import Array, assert_identical, normal

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
SATURATION = -1.7580993408473766  # lim SELU(x) for x -> -infinity
Case = tuple[Any, tuple[int, ...], NoiseShape]
CASES: list[Case] = [
    (bitdrop.Dropout1d, (6, 5, 9), (None, None, 1)),
    (bitdrop.Dropout1d, (40, 9), (None, 1)),
    (bitdrop.Dropout2d, (6, 5, 4, 3), (None, None, 1, 1)),
    (bitdrop.Dropout2d, (30, 10, 11), (None, 1, 1)),
    (bitdrop.Dropout3d, (6, 5, 4, 3, 2), (None, None, 1, 1, 1)),
    (bitdrop.Dropout3d, (30, 4, 5, 6), (None, 1, 1, 1)),
    (bitdrop.DropPath, (40,), (None,)),
    (bitdrop.DropPath, (40, 7), (None, 1)),
    (bitdrop.DropPath, (40, 3, 5, 6), (None, 1, 1, 1)),
    (bitdrop.AlphaDropout, (40,), (None,)),
    (bitdrop.AlphaDropout, (6, 5, 9), (None, None, None)),
    (bitdrop.FeatureAlphaDropout, (6, 7), (None, None)),
    (bitdrop.FeatureAlphaDropout, (6, 5, 4, 3), (None, None, 1, 1)),
    (bitdrop.FeatureAlphaDropout, (6, 5, 4, 3, 2), (None, None, 1, 1, 1)),
]
KINDS = {kind: (shape, noise_shape) for kind, shape, noise_shape in CASES}
for_all_cases = pytest.mark.parametrize(("kind", "shape", "noise_shape"), CASES)
for_all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def input_for(kind: Any, dtype: np.dtype[Any] = FLOAT32, seed: int = 0) -> Array:
    return normal(dtype, KINDS[kind][0], seed)


def mask_of(layer: Any) -> bitdrop.Mask:
    mask = layer.mask
    assert isinstance(mask, bitdrop.Mask)
    return mask


def coefficients(kind: Any, p: float) -> tuple[float, float, float]:
    """Return a, b and the value of dropped units, by the formulas of the papers in 400 digits."""
    if not issubclass(kind, bitdrop.AlphaDropout):
        return (1 / (1 - p) if p < 1 else 0.0), 0.0, 0.0
    if p in (0, 1):
        return 1.0 - p, 0.0, 0.0
    with localcontext(prec=400):
        q, saturation = 1 - Decimal(p), Decimal(SATURATION)
        a = 1 / (q + saturation**2 * q * (1 - q)).sqrt()
        b = -a * (1 - q) * saturation
        return float(a), float(b), float(a * saturation + b)


def check_options_do_not_change_values(make: Callable[..., Any], x: Array) -> None:
    """Compare layers of `make` with out=, in place and with recompute=True with the plain one."""
    plain = make()
    expected = plain(x)
    gradient = plain.backward(x)
    out, written = np.empty_like(x), x.copy()
    with_out, inplace, recompute = make(), make(inplace=True), make(recompute=True)
    assert with_out(x, out=out) is out
    assert inplace(written) is written
    for result in (out, written, recompute(x)):
        assert_identical(result, expected)
    for layer in (with_out, inplace, recompute):
        assert_identical(layer.backward(x), gradient)
    assert mask_of(recompute).nbytes == 0 < mask_of(plain).nbytes
    with pytest.raises(TypeError, match="out must not be given"):
        inplace(x, out=out)
