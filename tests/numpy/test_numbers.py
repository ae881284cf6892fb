"""p, keep_prob and scale of every real type."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import bitdrop
import ml_dtypes
import numpy as np
import pytest

QUARTERS: list[Any] = [
    Fraction(1, 4),
    Decimal("0.25"),
    np.float16(0.25),
    np.float32(0.25),
    np.float64(0.25),
    np.longdouble(0.25),
    ml_dtypes.bfloat16(0.25),
    ml_dtypes.float8_e5m2(0.25),
    np.array(0.25),
    np.array(0.25, np.float16),
    np.array(0.25, np.longdouble),
    np.array(0.25, ml_dtypes.bfloat16),
    np.broadcast_to(np.float32(0.25), ()),
]
ONES: list[Any] = [1, np.int8(1), np.uint64(1), np.array(1), np.array(1, np.uint8), Fraction(1), Decimal(1)]


@pytest.mark.parametrize(
    ("number", "value"),
    [*((number, 0.25) for number in QUARTERS), *((number, 1.0) for number in ONES)],
    ids=lambda number: f"{type(number).__name__} {getattr(number, 'dtype', '')}",
)
def test_probability_may_be_any_real_number(number: Any, value: float) -> None:
    x = np.ones(100)
    _, mask = bitdrop.dropout(x, number, rng=0)
    layer = bitdrop.Dropout(number, rng=0)
    again = bitdrop.Dropout(keep_prob=number, rng=0)
    given = bitdrop.Mask(3, number, key=(1, 2), scale=number)
    for p in (mask.p, layer.p, 1.0 - again.p, given.p, given.scale):
        assert type(p) is float
        assert p == value
    layer.p = number
    assert layer.p == value


def test_decimal_is_compared_before_it_is_rounded() -> None:
    assert bitdrop.Dropout(Decimal("0.99999999999999999999")).p == 1.0
    with pytest.raises(ValueError, match=r"^p must be in \[0, 1\]"):
        bitdrop.Dropout(Decimal("1.00000000000000000001"))
