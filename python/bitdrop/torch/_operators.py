"""Dropout as an operator, for torch.compile, torch.func, make_fx and export, which see operators alone.

PyTorch's graph optimiser merges equal calls of one operator. So drawing a key and applying it are two
operators: `draw_key` of `_keys.py` is random, and `apply` is a pure function of tensor and key.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch.autograd import Function, forward_ad

from bitdrop._affine import Affine
from bitdrop._plan import new_plan
from bitdrop.torch import _keys, _tensors
from bitdrop.torch._keys import library
from bitdrop.torch._plain import is_plain
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
library.impl("apply", torch._disable_dynamo(_apply), "CPU")


@torch.library.register_fake("bitdrop::apply", lib=library)
def _fake_result(x: Tensor, key: Tensor, p: float, affine: Sequence[float], order: Axes, *_: Any) -> Tensor:
    return _tensors.empty(x, order)


class Recorded(Function):
    """The operator `apply` to autograd, backwards and forwards."""

    @staticmethod
    def forward(ctx: Any, caller: "_Caller", x: Tensor, key: Tensor, *rest: Any) -> Tensor:
        """Apply, and keep the key and the arguments for gradients and tangents."""
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)
        p, affine, *axes = rest
        ctx.rest = p, [*Affine(*affine).linear], *axes
        # A Function turns recording off, but the transforms outside of this one may have to record.
        with torch.set_grad_enabled(caller.grad), forward_ad._set_fwd_grad_enabled(caller.forward_grad):
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


# Function.apply would look for transforms of torch.func, which have chosen this level already.
_apply_recorded = super(Function, Recorded).apply


@torch._disable_dynamo
def _differentiable(dispatch_keys: Any, x: Tensor, *rest: Any) -> Tensor:
    """Apply and record for autograd: `torch.library.register_autograd` knows no forward mode."""
    caller = _Caller(dispatch_keys, torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled())
    is_forward = caller.forward_grad and forward_ad._current_level >= 0
    if not is_forward and not (caller.grad and x.requires_grad):
        # To dispatch to the CPU's kernel takes half as long as to run it.
        return _apply(x, *rest) if is_plain(x) else _below_autograd(dispatch_keys, x, *rest)
    with enable_single_level_autograd_function():  # a transform of torch.func is one level
        y: Tensor = _apply_recorded(caller, x, *rest)
    return y


library.impl("apply", _differentiable, "Autograd", with_keyset=True)


def _below_autograd(dispatch_keys: Any, *arguments: Any) -> Tensor:
    with torch._C._AutoDispatchBelowAutograd():
        y: Tensor = torch.ops.bitdrop.apply.default.redispatch(
            dispatch_keys & torch._C._after_autograd_keyset, *arguments
        )
    return y


@torch.library.register_vmap("bitdrop::apply", lib=library)
@torch._disable_dynamo
def _batched(info: Any, in_dims: tuple[int | None, ...], x: Tensor, key: Tensor, *rest: Any) -> Any:
    """Apply to all samples of a batch in one call.

    Samples with keys of their own have the bits of one larger mask, under the key of the first one. Otherwise
    they share their bits along the new axis, so that each has the mask of a single call.
    """
    of_x, of_key, *_ = in_dims
    p, affine, order, shared = rest
    x = x.unsqueeze(0).expand(info.batch_size, *x.shape) if of_x is None else x.movedim(of_x, 0)
    inverse = None
    if order and not shared:  # bits are numbered in this order of the axes, which becomes the C order
        x = x.permute(0, *(axis + 1 for axis in order))
        inverse = [0, *(order.index(axis) + 1 for axis in range(len(order)))]
    axes = [axis + 1 for axis in shared]
    if of_key is None:
        axes = [0, *axes]
    else:
        key = key.select(of_key, 0)
    y = torch.ops.bitdrop.apply(x, key, p, affine, [], axes)
    return (y if inverse is None else y.permute(inverse)), 0
