"""Strides, memory formats, in-place calls and allocations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import for_all_dtypes, for_all_functions, pair, shape_for

Functional = bitdrop.torch.functional


def strides_of_long_axes(x: torch.Tensor) -> list[int]:
    """Return the strides of the axes longer than 1."""
    return [stride for stride, length in zip(x.stride(), x.shape, strict=True) if length > 1]


@given(st.data())
def test_result_has_strides_of_torchs_result(data: st.DataObject) -> None:
    base_shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(base_shape))))
    x = torch.ones(base_shape).permute(order)
    slices = [slice(None, None, data.draw(st.integers(1, 2))) for _ in base_shape]
    x = x[tuple(slices)]
    if data.draw(st.booleans()):
        x = x.unsqueeze(data.draw(st.integers(0, x.dim())))
        x = x.expand([data.draw(st.integers(1, 3)) if length == 1 else length for length in x.shape])
    for name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
        if name == "feature_alpha_dropout" and x.dim() < 2:
            continue
        ours, theirs = pair(name)
        assert strides_of_long_axes(ours(x, 0.5, True)) == strides_of_long_axes(theirs(x, 0.5, True))


@for_all_dtypes
@pytest.mark.parametrize("inplace", [False, True])
def test_memory_format_is_kept_and_mask_follows_memory_order(inplace: bool, torch_dtype: torch.dtype) -> None:
    x = torch.rand(2, 3, 4, 5).to(torch_dtype) + 1
    key = torch.random.get_rng_state()
    plain = Functional.dropout(x.permute(0, 2, 3, 1).contiguous(), 0.5)
    torch.random.set_rng_state(key)
    last = Functional.dropout(x.to(memory_format=torch.channels_last), 0.5, True, inplace)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last.permute(0, 2, 3, 1), plain)


@for_all_functions
@for_all_dtypes
@pytest.mark.parametrize("inplace", [False, True])
def test_strided_input_is_dropped_like_its_dense_copy(
    name: str, torch_dtype: torch.dtype, inplace: bool
) -> None:
    whole = (torch.rand([2 * length for length in shape_for(name)]) + 1).to(torch_dtype).transpose(0, 1)
    x, before = whole[tuple([slice(1, None, 2)] * whole.dim())], whole.clone()
    dense = torch.empty_like(x).copy_(x)
    state = torch.random.get_rng_state()
    y = pair(name)[0](x, 0.4, True, inplace)
    torch.random.set_rng_state(state)
    assert torch.equal(y, pair(name)[0](dense, 0.4, True))
    assert (y is x) == inplace
    x.copy_(dense)
    assert torch.equal(whole, before)  # nothing between the elements was written


def test_dropout_allocates_only_its_result() -> None:
    x = torch.ones(2**18, dtype=torch.bfloat16)  # too small for the buffer pool
    with torch.profiler.profile(profile_memory=True) as profile:
        Functional.dropout(x, 0.5)
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert 2 * 2**18 <= allocated < 2 * 2**18 + 4096


def test_memory_of_dead_large_result_is_reused() -> None:
    x = torch.rand(4, 8, 512, 128).to(memory_format=torch.channels_last).requires_grad_()
    y = Functional.dropout(x, 0.5)
    place, kept = y.data_ptr(), y.detach()
    assert y.stride() == x.stride()
    assert Functional.dropout(x, 0.5).data_ptr() != place
    y.relu_()  # autograd accepts the result like any tensor
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, kept != 0)
    del y, kept
    assert Functional.dropout(x, 0.5).data_ptr() == place
