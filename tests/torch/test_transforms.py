"""Transforms of torch.func and tracing modes."""

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import functional
from torch import Tensor
from torch.func import grad, jacfwd, jacrev, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from tests.helpers.pytorch_support import NAMES, pair, shape_for


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_over_every_axis_drops_as_it_is_told(name: str, randomness: str) -> None:
    shape = (4, 9, 6, 7, 8)[: len(shape_for(name))]
    for axis in range(len(shape) + 1):
        x = torch.ones(shape).unsqueeze(axis).expand(*shape[:axis], 3, *shape[axis:])
        y = vmap(lambda one: pair(name)[0](one, 0.5, True), axis, axis, randomness=randomness)(x)
        assert y.shape == x.shape
        assert len(y.movedim(axis, 0).flatten(1).unique(dim=0)) == (1 if randomness == "same" else 3)


def squares(x: Tensor) -> Tensor:
    return (functional.dropout(x, 0.5) ** 2).sum() / 4


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_gradient_of_each_sample_uses_its_own_mask(memory_format: torch.memory_format) -> None:
    x = (torch.rand(4, 3, 2, 5, 6) + 1).to(memory_format=memory_format)
    for randomness, masks in (("different", 4), ("same", 1)):
        torch.manual_seed(1)
        gradients = vmap(grad(squares), randomness=randomness)(x)
        torch.manual_seed(1)
        dropped = vmap(lambda one: functional.dropout(one, 0.5), randomness=randomness)(x)
        assert torch.equal(gradients, dropped)
        assert len((gradients != 0).flatten(1).unique(dim=0)) == masks


def test_hessian_uses_one_mask() -> None:
    hessian = jacfwd(jacrev(squares), randomness="same")(torch.ones(40))
    assert torch.equal(hessian, torch.diag(hessian.diagonal()))
    assert set(hessian.diagonal().tolist()) == {0.0, 2.0}


def test_in_place_under_vmap_draws_mask_per_sample() -> None:
    y = vmap(lambda row: functional.dropout(row * 1, 0.5, True, True), randomness="different")(
        torch.ones(3, 50)
    )
    assert len(y.unique(dim=0)) == 3


def test_recorded_graph_draws_new_mask_each_time() -> None:
    def function(x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5) + 3 * functional.dropout(x, 0.5)

    x = torch.ones(100)
    graph = make_fx(function)(x)
    torch.manual_seed(2)
    expected = function(x)
    torch.manual_seed(2)
    assert torch.equal(graph(x), expected)
    assert not torch.equal(graph(x), expected)
    assert set(expected.tolist()) == {0.0, 2.0, 6.0, 8.0}


def test_dispatch_mode_sees_operators() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode  # noqa: PLC0415

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            seen.append(str(func))
            return func(*args, **kwargs or {})

    seen: list[str] = []
    x = torch.ones(100, requires_grad=True)
    with Watch():
        y = functional.dropout(x, 0.5)
        y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y)
    assert sum(name.endswith("drop.default") for name in seen) == 2  # or `native_drop`


@pytest.mark.parametrize("inplace", [False, True])
def test_tensor_escaped_from_transform_is_dropped(inplace: bool) -> None:
    escaped: list[Tensor] = []

    def function(x: Tensor, leaf: Tensor) -> Tensor:
        escaped.append(x * leaf)
        return x.sum()

    torch.func.grad(function)(torch.ones(100), torch.ones(100))
    y = functional.dropout(escaped[0], 0.5, inplace=inplace)
    assert set(y.tolist()) == {0.0, 2.0}
    assert set(escaped[0].tolist()) == ({0.0, 2.0} if inplace else {1.0})
    leaf = torch.ones(100, requires_grad=True)
    torch.func.grad(function)(torch.ones(100), leaf)
    functional.dropout(escaped[1], 0.5, inplace=inplace).sum().backward()
    assert leaf.grad is not None
    assert set(leaf.grad.tolist()) == {0.0, 2.0}
