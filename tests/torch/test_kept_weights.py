"""The weights of kept units, gathered and put back, against torch's own operations."""

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop
import torch
from bitdrop.torch._kept_weights import Choice, Kept, gathered
from torch import Tensor

SHAPES = [(8, 6), (130, 70), (1, 1), (12, 5, 3), (9, 16, 3, 3), (9, 16, 1, 1), (6, 4, 2, 3, 2), (700, 600)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex128]
# The choice of rows, that of columns, and the factor.
CHOICES = {"rows": (True, False, 1.0), "columns": (False, True, 2.0), "both": (True, True, 0.5)}


def layouts(weight: Tensor) -> dict[str, Tensor]:
    """Return equal weights in several orders of memory."""
    return {
        "C order": weight,
        "transposed": weight.transpose(0, 1).contiguous().transpose(0, 1),
        "columns last": weight.movedim(1, -1).contiguous().movedim(-1, 1),
        "every other row": weight.repeat_interleave(2, 0)[::2],
    }


def draw(units: int) -> tuple[Kept, Tensor]:
    """Return kept units, and their indices by torch."""
    state = torch.get_rng_state()
    kept = Kept.draw(units, 0.5, None)
    torch.set_rng_state(state)
    k0, k1 = (word % 2**64 for word in torch.randint(-(2**63), 2**63 - 1, (2,)).tolist())
    return kept, torch.from_numpy(bitdrop.Mask(units, 0.5, key=(k0, k1)).kept_indices())


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_and_gradients_equal_those_of_indexing(
    shape: tuple[int, ...], dtype: torch.dtype, name: str
) -> None:
    by_rows, by_columns, scale = CHOICES[name]
    torch.manual_seed(sum(shape))
    rows, row_indices = draw(shape[0]) if by_rows else (None, torch.arange(shape[0]))
    columns, column_indices = draw(shape[1]) if by_columns else (None, torch.arange(shape[1]))
    choice = Choice(rows, columns, scale)
    for order, weight in layouts(torch.randn(shape, dtype=dtype)).items():
        bias = torch.randn(shape[0], dtype=dtype)
        got_inputs = [x.detach().requires_grad_() for x in (weight, bias)]
        expected_inputs = [x.detach().requires_grad_() for x in (weight, bias)]
        got = gathered(got_inputs[0], got_inputs[1], choice)
        chosen = expected_inputs[0].index_select(0, row_indices).index_select(1, column_indices) * scale
        expected = chosen, expected_inputs[1][row_indices]
        if order == "columns last" and not weight.is_contiguous():
            assert got[0].movedim(1, -1).is_contiguous()
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
        ones = [torch.randn_like(part) for part in expected]
        gradients = torch.autograd.grad(got, got_inputs, ones)
        for a, b in zip(gradients, torch.autograd.grad(expected, expected_inputs, ones), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 2, 2)], ids=str)
def test_gradients_of_every_order(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    choice = Choice(Kept.draw(shape[0], 0.5, None), Kept.draw(shape[1], 0.5, None), 2.0)
    weight, bias = (torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (shape, shape[:1]))

    def function(weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        part, numbers = gathered(weight, bias, choice)
        assert numbers is not None
        return part**3, numbers**3

    torch.autograd.gradcheck(function, (weight, bias), check_batched_grad=True, check_forward_ad=True)
    torch.autograd.gradgradcheck(function, (weight, bias), check_batched_grad=True, check_fwd_over_rev=True)
