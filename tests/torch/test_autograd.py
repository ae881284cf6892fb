"""Gradients: backward, double backward, forward mode, in place, and the memory held for them."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import _autograd, functional
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from tests.helpers.pytorch_support import NAMES, outcome, pair, shape_for

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "permuted": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "strided": lambda x: x.repeat_interleave(2, -1)[..., ::2],
}


@pytest.fixture
def small_masks_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the bits of small masks, which are recomputed by default."""
    monkeypatch.setattr(_autograd, "_RECOMPUTED", 0)


def same_mask(name: str, *args: Any, **kwargs: Any) -> Callable[[Tensor], Tensor]:
    """Return the function with one mask for all calls."""

    def call(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return pair(name)[0](x, *args, **kwargs)

    return call


@pytest.mark.usefixtures("small_masks_are_held")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_equal_finite_differences(name: str, layout: str, recompute: bool) -> None:
    function = same_mask(name, 0.4, True, recompute=recompute)
    x = LAYOUTS[layout](torch.randn(shape_for(name), dtype=torch.float64)).requires_grad_()
    assert gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(function, x, check_fwd_over_rev=True)


@pytest.mark.usefixtures("small_masks_are_held")
def test_gradients_in_every_layout_are_masked_like_forward() -> None:
    x = torch.rand(3, 4, 5, 6, dtype=torch.float64) + 1
    for memory_format in (torch.contiguous_format, torch.channels_last):
        leaf = x.to(memory_format=memory_format).requires_grad_()
        y = functional.dropout(leaf, 0.5)
        gradients = [
            x,
            x.to(memory_format=torch.channels_last),
            x[..., :1].expand_as(x),
            x.flip(3),
            x.mT.contiguous().mT,
        ]
        for dy in gradients:
            (dx,) = torch.autograd.grad(y, leaf, dy, retain_graph=True)
            assert torch.equal(dx, torch.where(y != 0, 2 * dy, 0))
            assert dx.stride() == y.stride()


def held_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    held: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function(x)
    return sum(tensor.nbytes for tensor in held)


def test_large_mask_holds_one_bit_per_element_unless_recomputed() -> None:
    x = torch.ones(10_001, requires_grad=True)
    assert held_bytes(lambda x: functional.dropout(x, 0.5), x) == 1251
    assert held_bytes(lambda x: functional.dropout(x, 0.5, recompute=True), x) == 0
    assert held_bytes(lambda x: pair("dropout")[1](x, 0.5), x) == 40_004
    assert held_bytes(lambda x: functional.dropout(x, 0.5), x[:4097]) == 513
    images = torch.ones(50, 100, 2, 2, requires_grad=True)
    assert held_bytes(lambda x: functional.dropout2d(x, 0.5), images) == 625


def test_small_mask_is_recomputed_and_holds_nothing() -> None:
    x = torch.ones(4096, requires_grad=True)
    assert held_bytes(lambda x: functional.dropout(x, 0.5), x) == 0
    images = torch.ones(2, 12, 9, 9, requires_grad=True)
    assert held_bytes(lambda x: functional.dropout2d(x, 0.5), images) == 0
    assert held_bytes(lambda x: functional.dropout(x, 0.5), torch.ones(10)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_in_place_gradients_equal_those_of_new_tensor(name: str) -> None:
    x = torch.randn(shape_for(name), requires_grad=True)
    torch.manual_seed(2)
    (expected,) = torch.autograd.grad(pair(name)[0](x * 2, 0.5, True).sin().sum(), x)
    torch.manual_seed(2)
    y = x * 2
    assert pair(name)[0](y, 0.5, True, True) is y
    (dx,) = torch.autograd.grad(y.sin().sum(), x)
    assert torch.equal(dx, expected)


def test_in_place_on_view_changes_base_and_its_gradient() -> None:
    for function in pair("dropout"):
        x = torch.ones(2, 1000, requires_grad=True)
        whole = x * 3
        function(whole[1], 0.5, True, True)
        whole.sum().backward()
        assert x.grad is not None
        assert torch.equal(whole[1], x.grad[1])
        assert (whole[0] == 3).all()
        assert set(x.grad[1].tolist()) == {0.0, 6.0}


MISUSES: dict[str, Callable[[Any], tuple[Tensor, Callable[[], Any]]]] = {
    "leaf": lambda f: (x := torch.ones(3, requires_grad=True), lambda: f(x, 0.5, True, True)),
    "view of a leaf": lambda f: (x := torch.ones(3, requires_grad=True), lambda: f(x[1:], 0.5, True, True)),
    "expanded": lambda f: (x := torch.ones(1), lambda: f(x.expand(3), 0.5, True, True)),
    "one of several views": lambda f: (
        x := torch.ones(4, requires_grad=True) * 1,
        lambda: f(x.unbind()[0], 0.5, True, True),
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_in_place_misuse_raises_torchs_error_before_writing(misuse: str) -> None:
    ours, theirs = pair("dropout")
    x, call = MISUSES[misuse](ours)
    found = outcome(call, x).error
    _, reference = MISUSES[misuse](theirs)
    expected = outcome(reference, x).error
    assert found is not None
    assert expected is not None
    assert found[0] is expected[0]
    # The name of the view in the message depends on the operation that follows.
    assert found[1].split("Output 0 of ")[-1] == expected[1].split("Output 0 of ")[-1]
    assert (x.detach() == 1).all()


@pytest.mark.parametrize("no_grad", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_version_counter_rises_in_place_only(no_grad: Any) -> None:
    for function in pair("dropout"):
        x = torch.ones(100)
        with no_grad():
            function(x, 0.5)
            assert x._version == 0
            function(x, 0.5, True, True)
            assert x._version == 1
            function(x, 0.5, False, True)
            function(x, 0.0, True, True)
            assert x._version == 1


def test_in_place_on_saved_tensor_fails_in_backward() -> None:
    for function in pair("dropout"):
        for requires_grad in (False, True):
            factor = torch.ones(100, requires_grad=requires_grad) * 1
            y = torch.ones(100, requires_grad=True) * factor
            function(factor, 0.5, True, True)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.sum().backward()


def test_second_backward_needs_retained_graph() -> None:
    y = functional.dropout(torch.ones(100, requires_grad=True), 0.5)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()


def test_no_graph_is_built_without_grad() -> None:
    x = torch.ones(10, requires_grad=True)
    with torch.no_grad():
        assert not functional.dropout(x, 0.5).requires_grad
    assert not functional.dropout(x.detach(), 0.5).requires_grad
    with torch.inference_mode():
        assert functional.dropout(torch.ones(10), 0.5).is_inference()


def test_backward_in_one_thread_works_during_forward_in_another() -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def step(_: int) -> bool:
        x = torch.ones(50_000, requires_grad=True)
        y = functional.dropout(x, 0.5)
        y.sum().backward()
        assert x.grad is not None
        return torch.equal(x.grad, y)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(step, range(40)))
