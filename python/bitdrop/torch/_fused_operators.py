"""A fused pass and its gradients as operators, for compiled graphs: their kernels are in C."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from bitdrop.torch import _native, _private, _tensors
from bitdrop.torch._keys import library
from bitdrop.torch._private import disable_dynamo
from bitdrop.torch._settings import SCALE, Setting, order_of
from bitdrop.torch._tensors import Axes


def in_steps(
    x: Tensor, bias: Tensor | None, residual: Tensor | None, active: bool, drop: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return a fused pass by torch's operations and a dropout. Half types are rounded once, too."""
    dtypes = [other.dtype for other in (x, bias, residual) if other is not None]
    halves = dtypes[0].itemsize == 2 and all(dtype is dtypes[0] for dtype in dtypes)
    h = x.float() if halves else x
    if bias is not None:
        h = h + bias
    if active:
        h = torch.relu(h)
    h = drop(h)
    if residual is not None:
        h = residual + h
    return h.to(dtypes[0]) if halves else h


def unpack_bits(bits: Tensor, shape: Sequence[int], order: Axes) -> Tensor:
    """Return packed bits, one of each element, as a bool tensor of this shape."""
    places = torch.arange(8, dtype=torch.uint8, device="cpu")
    kept = (bits.unsqueeze(-1) >> places & 1).view(-1)[: prod(shape)].bool()
    if not order:
        return kept.view(*shape)
    inside_out = kept.view([shape[axis] for axis in order])
    return inside_out.permute([order.index(axis) for axis in range(len(order))])


class FusedByOperators(_private.SingleLevelFunction):
    """A fused pass to autograd, by native operators."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, residual: Tensor | None, *rest: Any) -> Tensor:
        """Do the pass, and hold a bit of each element."""
        y, bits = torch.ops.bitdrop.native_fused(x, bias, residual, *rest)
        _, _, ctx.scale, _, ctx.order, _ = rest
        # The gradient of the bias needs its shape, and the bias lives anyway.
        ctx.save_for_backward(bits, bias)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, bias and residual."""
        needs_x, needs_bias, needs_residual, *_ = ctx.needs_input_grad
        bits, bias = ctx.saved_tensors
        dx = d_bias = None
        if needs_bias:
            dx, d_bias = torch.ops.bitdrop.native_fused_backward_bias(dy, bits, bias, ctx.scale, ctx.order)
        elif needs_x:
            dx = torch.ops.bitdrop.native_fused_backward(dy, bits, ctx.scale, ctx.order)
        return dx if needs_x else None, d_bias, dy if needs_residual else None, *[None] * 6


def _fused(x: Tensor, bias: Tensor | None, residual: Tensor | None, *rest: Any) -> Tensor:
    """Take one pass, unless transforms or forward mode watch: their derivatives are those of the steps."""
    if _private.are_transforms_active() or _private.is_forward_mode():
        return _steps(x, bias, residual, *rest)
    inputs = x, bias, residual
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        y: Tensor = FusedByOperators.apply(*inputs, *rest)
        return y
    return torch.ops.bitdrop.native_fused(*inputs, *rest)[0]


def _steps(x: Tensor, bias: Tensor | None, residual: Tensor | None, *rest: Any) -> Tensor:
    key, p, scale, active, order, _ = rest
    axes = order_of(order)
    setting = Setting(SCALE, p, scale, order=axes, result_order=axes)

    def drop(h: Tensor) -> Tensor:
        dropped: Tensor = torch.ops.bitdrop.drop(h, None, key, *setting.arguments())
        return dropped

    return in_steps(x, bias, residual, bool(active), drop)


def _recorded_fused(*arguments: Any) -> tuple[Tensor, Tensor]:
    with torch.no_grad(), _private.set_forward_mode_enabled(False):
        _, bits = torch.ops.bitdrop.native_fused(*arguments)
    return _steps(*arguments), bits


def _recorded_backward(dy: Tensor, bits: Tensor, scale: float, order: int) -> Tensor:
    return torch.where(unpack_bits(bits, dy.shape, order_of(order)), dy * scale, 0.0)


def _recorded_backward_bias(
    dy: Tensor, bits: Tensor, bias: Tensor, scale: float, order: int
) -> tuple[Tensor, Tensor]:
    dx = _recorded_backward(dy, bits, scale, order)
    return dx, dx.sum_to_size(bias.shape)


def _fake_fused(x: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    bits = x.new_empty((x.numel() + 7) // 8, dtype=torch.uint8)
    return _tensors.empty(x, order_of(rest[-1])), bits


def _fake_backward(dy: Tensor, bits: Tensor, scale: float, order: int) -> Tensor:
    return _tensors.empty(dy, order_of(order))


def _fake_backward_bias(
    dy: Tensor, bits: Tensor, bias: Tensor, scale: float, order: int
) -> tuple[Tensor, Tensor]:
    return _tensors.empty(dy, order_of(order)), dy.new_empty(bias.shape)


_ARGUMENTS = (
    "(Tensor x, Tensor? bias, Tensor? residual, Tensor key, float p, float scale, int active, int order, "
    "int result_order)"
)


def _define(name: str, schema: str, fake: Callable[..., Any], recorded: Callable[..., Any]) -> None:
    _native.define(library, name, schema, fake)
    library.define(f"recorded_{name}{schema}")
    library.impl(f"recorded_{name}", disable_dynamo(recorded), "CompositeImplicitAutograd")


if _native.HAS_KERNELS:
    _define("fused", f"{_ARGUMENTS} -> (Tensor, Tensor)", _fake_fused, _recorded_fused)
    _define(
        "fused_backward",
        "(Tensor dy, Tensor bits, float scale, int order) -> Tensor",
        _fake_backward,
        _recorded_backward,
    )
    _define(
        "fused_backward_bias",
        "(Tensor dy, Tensor bits, Tensor bias, float scale, int order) -> (Tensor, Tensor)",
        _fake_backward_bias,
        _recorded_backward_bias,
    )
    library.define(f"fused{_ARGUMENTS} -> Tensor")
    library.impl("fused", disable_dynamo(_fused), "CompositeImplicitAutograd")
    _native.passes.register_kernels()
