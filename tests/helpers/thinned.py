"""Dense computation of networks whose dropouts draw one mask for a part of the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from bitdrop.torch import functional
from torch import Tensor, nn

TOLERANCE = {torch.float64: (1e-9, 1e-10), torch.float32: (1e-3, 1e-4), torch.bfloat16: (0.1, 0.1)}
"""Relative and absolute differences that rounding makes, by dtype."""


def counting(backend: str) -> tuple[Callable[..., Any], list[Any]]:
    """Return a backend of the compiler that notes the graphs it is given, and the notes."""
    torch._dynamo.reset()
    graphs: list[Any] = []

    def compiled(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return torch._dynamo.lookup_backend(backend)(graph, inputs)

    return compiled, graphs


def dropped(x: Tensor, p: float, groups: int, axis: int) -> Tensor:
    """Drop units along an axis, by one mask for each part of x. The masks are those of a vector of ones."""
    parts = []
    for part in x.tensor_split(groups):
        if not part.shape[0]:
            continue
        noise = functional.dropout(torch.ones(x.shape[axis], dtype=torch.float64), p)
        noise = noise.view([-1 if a == axis else 1 for a in range(x.dim())])
        parts.append(torch.where(noise == 0, 0.0, part * noise.to(x.dtype)))
    return torch.cat(parts)


def dense(model: nn.Sequential, x: Tensor, groups: int = 1) -> Tensor:
    """Return the output of a model, all units computed."""
    for module in model:
        if isinstance(module, nn.Sequential):
            x = dense(module, x, groups)
        elif isinstance(module, nn.Dropout):
            x = dropped(x, module.p, groups, x.dim() - 1) if module.training and module.p else x
        elif isinstance(module, nn.modules.dropout._DropoutNd):
            x = dropped(x, module.p, groups, 1) if module.training and module.p else x
        else:
            x = module(x)
    return x


def results(function: Callable[[Tensor], Tensor], model: nn.Module, x: Tensor, seed: int = 0) -> list[Tensor]:
    """Return output, gradient of x and gradients of the parameters under a seed."""
    leaf = x.detach().clone().requires_grad_()
    model.zero_grad()
    torch.manual_seed(seed)
    y = function(leaf)
    (y * torch.linspace(-1, 1, y.numel()).to(y.dtype).view(y.shape)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None for gradient in (leaf.grad, *gradients))
    return [y.detach(), leaf.grad, *gradients]  # type: ignore[list-item]


def assert_same(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Check that results agree to rounding."""
    for mine, other in zip(actual, expected, strict=True):
        rtol, atol = TOLERANCE[other.dtype]
        scale = max(1.0, float(other.abs().max()) if other.numel() else 1.0)
        torch.testing.assert_close(mine, other, rtol=rtol, atol=atol * scale)


def assert_same_and_zeros(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Check that results agree to rounding, and that what is exactly 0 is exactly 0."""
    assert_same(actual, expected)
    assert all(mine[other == 0].eq(0).all() for mine, other in zip(actual, expected, strict=True))
