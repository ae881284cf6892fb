"""Dropout as autograd sees it in ordinary (eager) calls.

An `autograd.Function` costs a few microseconds less than an operator, and holds the bits of the forward pass
for the backward pass. What traces, batches or fakes tensors goes by the operators, which say the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.autograd.graph import increment_version

from bitdrop.torch import _operators, _tensors
from bitdrop.torch._tensors import Mask


def is_plain(x: Tensor) -> bool:
    """Return whether a tensor is memory, and nothing watches the operations on it but autograd."""
    return (
        type(x) in _PLAIN
        and not torch.compiler.is_compiling()
        # torch.func's transforms, and modes such as those of make_fx: there is no public way to ask.
        and not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        # Views of complex numbers that lack their signs, the batches of gradients that
        # torch.autograd.grad(is_grads_batched=True) makes, what has escaped from torch.func's transforms.
        and torch._C._dispatch_keys(x).raw_repr() in _PLAIN_KEYS
    )


def _plain_keys() -> int:
    keys: int = torch._C._dispatch_keys(torch.empty(0, device="cpu")).raw_repr()
    return keys


_PLAIN = (Tensor, torch.nn.Parameter)
with torch.inference_mode(False):
    _PLAIN_KEYS = {_plain_keys()}
with torch.inference_mode():
    _PLAIN_KEYS.add(_plain_keys())


def drop(x: Tensor, mask: Mask, inplace: bool, recompute: bool) -> Tensor:
    """Drop from a plain tensor."""
    if _is_recorded(x):
        y: Tensor = _apply_drop(x, mask, inplace, recompute)
        return y
    out = x if inplace else _tensors.new(x, mask.order)
    _tensors.drop(x, out, mask, None)
    if inplace:
        increment_version(x)
    return out


def _scale(x: Tensor, mask: Mask, bits: Tensor | None = None) -> Tensor:
    """Return the linear part of what a mask does, which gradients and tangents go through."""
    if not is_plain(x):
        key = _operators.words_of(mask.key)
        return _operators.apply(x, key, mask.p, mask.alpha, mask.order, mask.channel_axes, True)
    if _is_recorded(x):
        y: Tensor = _apply_scale(x, mask, bits)
        return y
    return _scaled(x, mask, bits)


def _scaled(x: Tensor, mask: Mask, bits: Tensor | None) -> Tensor:
    out = _tensors.new(x, mask.order)
    if bits is None:
        _tensors.drop(x, out, mask, None, True)
    else:
        _tensors.scale(x, out, mask, bits)
    return out


def _is_recorded(x: Tensor) -> bool:
    """Return whether autograd follows what happens to a tensor, backwards or forwards."""
    return (x.requires_grad and torch.is_grad_enabled()) or forward_ad._current_level >= 0


_REMADE = 4096  # so few bits are made again, because that takes less time than to hold them


class Drop(Function):
    """What `drop` is to autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Mask, inplace: bool, recompute: bool) -> Tensor:
        """Drop into a new tensor, or into x."""
        ctx.mask, ctx.inplace = mask, inplace
        if inplace:
            ctx.mark_dirty(x)
        bits = None
        if not recompute and ctx.needs_input_grad[0] and mask.bits(x) > _REMADE:
            bits = _tensors.new_bits(x, mask)
            ctx.save_for_backward(bits)
        out = x if inplace else _tensors.new(x, mask.order)
        _tensors.drop(x, out, mask, bits)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scale(dy, ctx.mask, *ctx.saved_tensors), None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent: in place where x was, as PyTorch wants it."""
        dy = _scale(dx, ctx.mask)
        return dx.copy_(dy) if ctx.inplace else dy


class Scale(Function):
    """What `_scale` is to autograd: the same forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Mask, bits: Tensor | None) -> Tensor:
        """Drop by the bits, or by bits that are made again."""
        ctx.mask = mask
        if bits is not None:
            ctx.save_for_backward(bits)
        return _scaled(x, mask, bits)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _scale(dy, ctx.mask, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent."""
        return _scale(dx, ctx.mask)


# Without what Function.apply does before: it looks for torch.func's transforms, which never come here, and
# takes as long as dropping ten thousand elements.
_apply_drop = super(Function, Drop).apply
_apply_scale = super(Function, Scale).apply
