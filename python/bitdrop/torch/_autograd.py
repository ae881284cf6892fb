"""Dropout as autograd sees it in ordinary (eager) calls.

An `autograd.Function` costs a few microseconds less than an operator, and holds the bits of the forward pass for
the backward pass. What traces, batches or fakes tensors goes by the operators, which say the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from bitdrop.torch import _operators, _tensors
from bitdrop.torch._tensors import Mask, Numbers


def is_plain(x: Tensor) -> bool:
    """Return whether a tensor is memory, and nothing watches the operations on it but autograd."""
    return (
        type(x) in _PLAIN
        and not torch.compiler.is_compiling()
        # torch.func's transforms, modes such as those of make_fx, and the batches of gradients that
        # torch.autograd.grad(is_grads_batched=True) makes: there is no public way to ask.
        and not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._functorch.is_legacy_batchedtensor(x)
    )


_PLAIN = (Tensor, torch.nn.Parameter)


class Drop(Function):
    """Draws from x: ``kept ? scale * x + shift : dropped``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Mask, change: Numbers, inplace: bool, recompute: bool) -> Tensor:
        """Drop into a new tensor, or into x."""
        ctx.mask, ctx.scale, ctx.inplace = mask, Numbers(change.scale), inplace
        if inplace:
            ctx.mark_dirty(x)
        bits = None
        if ctx.needs_input_grad[0] and not recompute:
            bits = torch.empty((mask.bits(x) + 7) // 8, dtype=torch.uint8, device="cpu")
            ctx.save_for_backward(bits)
        out = x if inplace else torch.empty_like(x)
        _tensors.drop(x, out, mask, change, bits)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scaled(dy, ctx.mask, ctx.scale, *ctx.saved_tensors), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent: in place where x was, as PyTorch wants it."""
        dy = _scaled(dx, ctx.mask, ctx.scale)
        return dx.copy_(dy) if ctx.inplace else dy


class Scale(Function):
    """The linear part, the same forwards and backwards: ``kept ? scale * x : 0``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Mask, scale: Numbers, bits: Tensor | None) -> Tensor:
        """Drop by the bits, or by bits that are made again."""
        ctx.mask, ctx.scale = mask, scale
        out = _tensors.empty(x, mask.order)
        if bits is None:
            _tensors.drop(x, out, mask, scale, None)
        else:
            ctx.save_for_backward(bits)
            _tensors.apply(x, out, mask, scale, bits)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scaled(dy, ctx.mask, ctx.scale, *ctx.saved_tensors), None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent."""
        return _scaled(dx, ctx.mask, ctx.scale)


def _scaled(x: Tensor, mask: Mask, scale: Numbers, bits: Tensor | None = None) -> Tensor:
    """Return the linear part; of gradients that are batched or traced by the operator."""
    if is_plain(x):
        result: Tensor = Scale.apply(x, mask, scale, bits)
        return result
    key = _operators.words_of(mask.key)
    return _operators.apply(x, key, mask.p, mask.order, mask.channel_axes, scale)
