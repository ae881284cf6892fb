"""Dropout to autograd in ordinary (eager) calls.

An `autograd.Function` costs a few microseconds less than an operator, and holds the bits of the forward pass
for the backward pass. Whatever traces, batches or fakes tensors takes the operators, which mean the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from bitdrop.torch import _keys, _operators, _private, _tensors
from bitdrop.torch._plain import is_plain
from bitdrop.torch._tensors import Pass


def drop(x: Tensor, values: Pass, inplace: bool, recompute: bool) -> Tensor:
    """Drop elements of a plain tensor."""
    if _is_recorded(x):
        y: Tensor = Drop.apply(x, values, inplace, recompute)
        return y
    out = x if inplace else _tensors.new(x, values.order)
    _tensors.drop(x, out, values)
    if inplace:
        increment_version(x)
    return out


def _scale(x: Tensor, values: Pass, bits: Tensor | None = None) -> Tensor:
    """Return the linear part of a pass, for gradients and tangents. `values` are linear."""
    if not is_plain(x):
        return _operators.apply(x, _keys.words_of(values.plan.key), values)
    if _is_recorded(x):
        y: Tensor = Scale.apply(x, values, bits)
        return y
    return _scaled(x, values, bits)


def _scaled(x: Tensor, values: Pass, bits: Tensor | None) -> Tensor:
    out = _tensors.new(x, values.order)
    if bits is None:
        _tensors.drop(x, out, values)
    else:
        _tensors.apply(x, out, values, bits)
    return out


def _is_recorded(x: Tensor) -> bool:
    """Return whether autograd records operations on a tensor, for backward or forward mode."""
    return (x.requires_grad and torch.is_grad_enabled()) or _private.is_forward_mode()


_RECOMPUTED = 4096  # Generating up to this many bits again takes less time than holding them.


class Drop(_private.SingleLevelFunction):
    """`drop` to autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Pass, inplace: bool, recompute: bool) -> Tensor:
        """Drop into a new tensor, or into x."""
        ctx.values, ctx.inplace = values, inplace
        if inplace:
            ctx.mark_dirty(x)
        bits = None
        if not recompute and ctx.needs_input_grad[0] and values.bit_count(x.shape) > _RECOMPUTED:
            bits = _tensors.new_bits(x, values)
            ctx.save_for_backward(bits)
        out = x if inplace else _tensors.new(x, values.order)
        _tensors.drop(x, out, values, bits)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scale(dy, ctx.values.linear, *ctx.saved_tensors), None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent. If x was changed in place, PyTorch wants that of dx too."""
        dy = _scale(dx, ctx.values.linear)
        return dx.copy_(dy) if ctx.inplace else dy


class Scale(_private.SingleLevelFunction):
    """`_scale` to autograd: the same backwards and forwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Pass, bits: Tensor | None) -> Tensor:
        """Apply stored bits, or generate them again."""
        ctx.values = values
        if bits is not None:
            ctx.save_for_backward(bits)
        return _scaled(x, values, bits)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scale(dy, ctx.values, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent."""
        return _scale(dx, ctx.values)
