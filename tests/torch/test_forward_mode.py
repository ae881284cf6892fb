"""Derivatives forwards wherever torch's own dropout has them."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.pytorch_support import NAMES, Quiet, pair, shape_for

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Named(Tensor):
    """A subclass of the plainest kind."""


def watched(mode: Callable[[], Any]) -> Callable[..., Tensor]:
    def call(function: Callable[..., Tensor], x: Tensor, *args: Any) -> Tensor:
        with mode():
            return function(x, *args)

    return call


def plainly(function: Callable[..., Tensor], x: Tensor, *args: Any) -> Tensor:
    return function(x, *args)


def negated(x: Tensor) -> Tensor:
    """Return a tensor of the same values whose memory lacks their signs."""
    return torch.complex(x, -x).conj().imag


WAYS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[..., Tensor]]] = {
    "plain": (lambda x: x * 1, plainly),
    "mode": (lambda x: x * 1, watched(Quiet)),
    "flops": (lambda x: x * 1, watched(lambda: FlopCounterMode(display=False))),
    "negated": (negated, plainly),
    "subclass": (lambda x: (x * 1).as_subclass(Named), plainly),
    "permuted": (lambda x: x.movedim(0, -1).clone().movedim(-1, 0), plainly),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inplace", [False, True])
def test_tangents_go_through_the_mask(name: str, way: str, inplace: bool) -> None:
    make, call = WAYS[way]
    values, tangents = torch.rand(shape_for(name)) + 1, torch.rand(shape_for(name)) + 1
    factors = set()
    for function in pair(name):
        torch.manual_seed(1)
        with forward_ad.dual_level():
            x = make(forward_ad.make_dual(values, tangents))
            y, tangent = forward_ad.unpack_dual(call(function, x, 0.5, True, inplace))
        assert tangent is not None
        low = y.amin()
        factor = (tangent / tangents).double()
        assert ((factor == 0) == (y == (low if "alpha" in name else 0))).all()
        factors |= {round(number, 6) for number in factor.unique().tolist()}
    assert len(factors) == 2


@pytest.mark.parametrize("way", ["mode", "negated", "subclass"])
def test_second_derivatives_forward_over_backward(way: str) -> None:
    make, call = WAYS[way]
    for function in pair("dropout"):
        with forward_ad.dual_level():
            leaf = torch.full((50,), 3.0, requires_grad=True)
            x = make(forward_ad.make_dual(leaf, torch.ones(50)))
            y = call(function, x, 0.5, True)
            (dx,) = torch.autograd.grad((y**2).sum(), leaf, create_graph=True)
            gradient, tangent = forward_ad.unpack_dual(dx)
            assert tangent is not None
            assert set(gradient.tolist()) == {0.0, 24.0}
            assert torch.equal(tangent * 3, gradient)


def compiler_takes_tangents() -> bool:
    """Tell whether this PyTorch compiles functions of dual tensors: 2.14 refuses them."""
    torch._dynamo.reset()
    with forward_ad.dual_level():
        try:
            torch.compile(lambda x: 2 * x, backend="eager", fullgraph=True)(
                forward_ad.make_dual(torch.ones(2), torch.ones(2))
            )
        except torch._dynamo.exc.Unsupported:
            return False
    return True


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("is_compiled_before", [False, True])
def test_compiled_functions_carry_tangents(backend: str, is_compiled_before: bool) -> None:
    if not compiler_takes_tangents():
        pytest.skip("this PyTorch compiles no function of dual tensors")
    for function in pair("dropout"):
        torch._dynamo.reset()
        compiled = torch.compile(lambda x, f=function: f(x * 1, 0.5), backend=backend, fullgraph=True)
        if is_compiled_before:
            compiled(torch.ones(100))
        with forward_ad.dual_level():
            x = forward_ad.make_dual(torch.ones(100), torch.full((100,), 3.0))
            y, tangent = forward_ad.unpack_dual(compiled(x))
        assert tangent is not None
        assert torch.equal(tangent, 3 * y)


def test_the_operator_has_tangents_by_itself() -> None:
    x = torch.ones(100)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, 3 * x)
        captured = []

        class Capture(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                captured.append((func, args, kwargs or {}))
                return func(*args, **(kwargs or {}))

        with Capture():
            pair("dropout")[0](dual, 0.5)
        func, args, kwargs = next(call for call in captured if str(call[0]) == "bitdrop.drop.default")
        y, tangent = forward_ad.unpack_dual(func(dual, *args[1:], **kwargs))
    assert tangent is not None
    assert torch.equal(tangent, 3 * y)
