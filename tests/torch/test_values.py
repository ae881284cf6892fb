"""Values of functions compared with torch's: scaling, channels, moments."""

import math

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import for_all_dtypes, for_all_functions, pair, shape_for

Functional = bitdrop.torch.functional


@for_all_functions
@for_all_dtypes
def test_kept_elements_are_scaled_as_in_torch(name: str, torch_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape_for(name), dtype=torch_dtype)
    tolerance = 2e-2 if torch_dtype.itemsize == 2 else 1e-6
    for p in (0.25, 0.5, 0.75):
        mine, others = (
            torch.stack([function(x, p, True) for _ in range(100)]).double() for function in pair(name)
        )
        # In a hundred draws every element takes both of its values.
        for extreme in (torch.amin, torch.amax):
            torch.testing.assert_close(extreme(mine, 0), extreme(others, 0), rtol=tolerance, atol=tolerance)


def test_scaling_equals_torchs_to_last_digit_of_float32() -> None:
    x = torch.linspace(0.5, 2, 1000)
    for p in (0.1, 0.3, 0.5, 0.9):
        y, reference = Functional.dropout(x, p), pair("dropout")[1](x, p)
        both = (y != 0) & (reference != 0)
        assert both.any()
        torch.testing.assert_close(y[both], reference[both], rtol=2e-7, atol=0)


@for_all_functions
def test_channels_are_dropped_whole(name: str) -> None:
    if name in {"dropout", "alpha_dropout"}:
        pytest.skip("drops elements")
    x = torch.ones(50, 20, 2, 3, 2)[(..., *[0] * (5 - len(shape_for(name))))]
    y = pair(name)[0](x, 0.3, True)
    channels = y.flatten(2)
    assert (channels == channels[:, :, :1]).all()
    low = channels[:, :, 0] == channels.min()
    assert low.double().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / 1000))
    assert 0 < low[0].sum() < 20  # within a sample
    assert 0 < low[:, 0].sum() < 50  # within a channel


@pytest.mark.parametrize(("name", "shape"), [("dropout1d", (40, 6)), ("dropout3d", (40, 2, 3, 2))])
def test_tensors_without_samples_drop_along_first_axis(name: str, shape: tuple[int, ...]) -> None:
    y = pair(name)[0](torch.ones(shape), 0.5).flatten(1)
    assert (y == y[:, :1]).all()
    assert len(y.unique()) == 2


def test_alpha_dropout_keeps_mean_and_deviation() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 2000)
    for name in ("alpha_dropout", "feature_alpha_dropout"):
        for function in pair(name):
            y = function(x, 0.3, True)
            assert y.mean().item() == pytest.approx(0, abs=0.02)
            assert y.std().item() == pytest.approx(1, abs=0.02)


def test_two_values_of_alpha_dropout_are_torchs() -> None:
    x = torch.full((1000,), 0.7, dtype=torch.float64)
    for p in (0.05, 0.5, 0.95):
        mine, others = (function(x, p, True).unique() for function in pair("alpha_dropout"))
        torch.testing.assert_close(mine, others, rtol=1e-12, atol=1e-12)


def test_dropped_special_value_is_positive_zero() -> None:
    for value in (math.nan, math.inf, -1.0, -0.0):
        for p in (0.5, 1.0):
            y = Functional.dropout(torch.full((1000,), value), p)
            dropped = y[y == 0] if value else y
            assert p < 1 or len(dropped) == 1000
            assert not torch.signbit(dropped).any() or (value == 0 and p < 1)
