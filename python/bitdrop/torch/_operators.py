"""Dropout as an operator, for torch.compile, torch.func, make_fx and export, which see operators alone.

PyTorch's graph optimiser merges equal calls of one operator. So drawing a key and applying it are two
operators: `draw_key` of `_keys.py` is random, and `apply` is a pure function of tensor and key.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bitdrop._affine import Affine
from bitdrop._plan import new_plan
from bitdrop.torch import _keys, _private, _tensors
from bitdrop.torch._keys import library
from bitdrop.torch._plain import is_plain
from bitdrop.torch._private import disable_dynamo
from bitdrop.torch._tensors import Axes, Pass

# The last four arguments are a `Pass` without its key.
library.define("apply(Tensor x, Tensor key, float p, float[] affine, int[] order, int[] shared) -> Tensor")


def apply(x: Tensor, words: Tensor, values: Pass) -> Tensor:
    """Drop elements of x: a pass whose plan has the key of a tensor instead of its own."""
    y: Tensor = torch.ops.bitdrop.apply(
        x, words, values.plan.p, [*values.affine], values.order, values.shared
    )
    return y


def _apply(x: Tensor, key: Tensor, p: float, affine: Sequence[float], order: Axes, shared: Axes) -> Tensor:
    out = _tensors.new(x, order)
    plan = new_plan((_keys.key_of(key), 0, p))
    _tensors.drop(x, out, Pass(Affine(*affine), plan, order, tuple(shared)))
    return out


# After a graph break the compiler would follow even what the dispatcher calls.
library.impl("apply", disable_dynamo(_apply), "CPU")


@torch.library.register_fake("bitdrop::apply", lib=library)
def _fake_result(x: Tensor, key: Tensor, p: float, affine: Sequence[float], order: Axes, *_: Any) -> Tensor:
    return _tensors.empty(x, order)


class Recorded(_private.SingleLevelFunction):
    """The operator `apply` to autograd, backwards and forwards."""

    @staticmethod
    def forward(ctx: Any, caller: "_Caller", x: Tensor, key: Tensor, *rest: Any) -> Tensor:
        """Apply, and keep the key and the arguments for gradients and tangents."""
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)
        p, affine, *axes = rest
        ctx.rest = p, [*Affine(*affine).linear], *axes
        # A Function turns recording off, but the transforms outside of this one may have to record.
        with torch.set_grad_enabled(caller.grad), _private.set_forward_mode_enabled(caller.forward_grad):
            return _below_autograd(caller.dispatch_keys, x, key, *rest)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return None, _linear(ctx, dy), *[None] * (1 + len(ctx.rest))

    @staticmethod
    def jvp(ctx: Any, _: None, dx: Tensor, *__: None) -> Tensor:
        """Drop the same elements of the tangent."""
        return _linear(ctx, dx)


def _linear(ctx: Any, x: Tensor) -> Tensor:
    (key,) = ctx.saved_tensors
    y: Tensor = torch.ops.bitdrop.apply(x, key, *ctx.rest)
    return y


class _Caller(NamedTuple):
    """State of autograd when the operator was called."""

    dispatch_keys: Any
    grad: bool
    forward_grad: bool


@disable_dynamo
def _differentiable(dispatch_keys: Any, x: Tensor, *rest: Any) -> Tensor:
    """Apply and record for autograd: `torch.library.register_autograd` knows no forward mode."""
    caller = _Caller(dispatch_keys, torch.is_grad_enabled(), _private.is_forward_mode_enabled())
    is_forward = caller.forward_grad and _private.is_forward_mode()
    if not is_forward and not (caller.grad and x.requires_grad):
        # To dispatch to the CPU's kernel takes half as long as to run it.
        return _apply(x, *rest) if is_plain(x) else _below_autograd(dispatch_keys, x, *rest)
    with _private.enable_single_level():  # a transform of torch.func is one level
        y: Tensor = Recorded.apply(caller, x, *rest)
    return y


library.impl("apply", _differentiable, "Autograd", with_keyset=True)


def _below_autograd(dispatch_keys: Any, *arguments: Any) -> Tensor:
    with _private.below_autograd():
        y: Tensor = torch.ops.bitdrop.apply.default.redispatch(
            dispatch_keys & _private.after_autograd, *arguments
        )
    return y


@torch.library.register_vmap("bitdrop::apply", lib=library)
@disable_dynamo
def _batched(info: Any, in_dims: tuple[int | None, ...], x: Tensor, key: Tensor, *rest: Any) -> Any:
    """Apply to each sample of a batch. A sample has its own mask only if it has its own key."""
    batches = [
        [tensor] * info.batch_size if axis is None else tensor.unbind(axis)
        for tensor, axis in zip((x, key), in_dims, strict=False)
    ]
    samples = [torch.ops.bitdrop.apply(*pair, *rest) for pair in zip(*batches, strict=True)]
    return torch.stack(samples), 0
