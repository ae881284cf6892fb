"""Dropout as an operator, for torch.compile, torch.func, make_fx and export, which see operators alone.

PyTorch's graph optimiser merges equal calls of one operator. So drawing a key and applying it are two
operators: `draw_key` of `_keys.py` is random, and `drop` is a pure function of tensors and key.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bitdrop.torch import _keys, _private, _tensors
from bitdrop.torch._keys import library
from bitdrop.torch._native import HAS_KERNELS, define
from bitdrop.torch._plain import is_plain
from bitdrop.torch._private import disable_dynamo
from bitdrop.torch._settings import SELECT, Setting, order_of, setting_of

# The arguments after the key are a `Setting`. `previous` is the second input of zoneout.
_SCHEMA = (
    "(Tensor x, Tensor? previous, Tensor key, int operation, float p, float scale, float shift, "
    "float dropped, int block_ndim, int block_size, float eps, bool shared_channels, int shared, int order, "
    "int result_order) -> Tensor"
)
library.define(f"drop{_SCHEMA}")


def drop(x: Tensor, previous: Tensor | None, words: Tensor, setting: Setting) -> Tensor:
    """Do a pass under the key that two int64 are."""
    y: Tensor = torch.ops.bitdrop.drop(x, previous, words, *setting.arguments())
    return y


def gradients(dy: Tensor, words: Tensor, setting: Setting) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs of a pass."""
    dx = drop(dy, None, words, setting.linear)
    return (dx,) if setting.operation != SELECT else (dx, drop(torch.zeros_like(dy), dy, words, setting))


def tangent(tangents: Sequence[Tensor | None], words: Tensor, setting: Setting) -> Tensor:
    """Return the tangent of the result of a pass. At least one tangent of the inputs is not None."""
    given = next(tangent for tangent in tangents if tangent is not None)
    if len(tangents) == 1:
        return gradients(given, words, setting)[0]
    new, previous = (torch.zeros_like(given) if tangent is None else tangent for tangent in tangents)
    return drop(new, previous, words, setting)


def _drop(x: Tensor, previous: Tensor | None, key: Tensor, *arguments: Any) -> Tensor:
    setting = setting_of(arguments)
    out = setting.new(x)
    setting.run((x,) if previous is None else (x, previous), out, _keys.key_of(key))
    return out


# After a graph break the compiler would follow even what the dispatcher calls.
library.impl("drop", disable_dynamo(_drop), "CPU")


@torch.library.register_fake("bitdrop::drop", lib=library)
def _fake_result(x: Tensor, previous: Tensor | None, key: Tensor, *arguments: Any) -> Tensor:
    return _tensors.empty(x, order_of(arguments[-1]))


if HAS_KERNELS:
    define(library, "drop", _SCHEMA, _fake_result)


class Recorded(_private.SingleLevelFunction):
    """The operator to autograd, backwards and forwards."""

    @staticmethod
    def forward(
        ctx: Any, caller: "_Caller", x: Tensor, previous: Tensor | None, key: Tensor, *arguments: Any
    ) -> Tensor:
        """Do the pass, and keep the key and the setting for gradients and tangents."""
        ctx.save_for_backward(key)
        ctx.save_for_forward(key)
        ctx.setting = setting_of(arguments)
        # A Function turns recording off, but the transforms outside of this one may have to record.
        with (
            torch.set_grad_enabled(caller.grad),
            _private.set_forward_mode_enabled(caller.forward_grad),
        ):
            return _below_autograd(caller.dispatch_keys, x, previous, key, *arguments)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs."""
        (key,) = ctx.saved_tensors
        dx, *more = gradients(dy, key, ctx.setting)
        return None, dx, more[0] if more else None, None, *[None] * len(ctx.setting.arguments())

    @staticmethod
    def jvp(ctx: Any, _: None, dx: Tensor | None, d_previous: Tensor | None, *__: None) -> Tensor:
        """Do the pass on the tangents."""
        (key,) = ctx.saved_tensors
        is_pair = ctx.setting.operation == SELECT
        return tangent((dx, d_previous) if is_pair else (dx,), key, ctx.setting)


class _Caller(NamedTuple):
    """State of autograd when the operator was called."""

    dispatch_keys: Any
    grad: bool
    forward_grad: bool


@disable_dynamo
def _differentiable(dispatch_keys: Any, x: Tensor, previous: Tensor | None, *rest: Any) -> Tensor:
    """Apply and record for autograd: `torch.library.register_autograd` knows no forward mode."""
    caller = _Caller(dispatch_keys, torch.is_grad_enabled(), _private.is_forward_mode_enabled())
    is_forward = caller.forward_grad and _private.is_forward_mode()
    needs_grad = x.requires_grad or (previous is not None and previous.requires_grad)
    if not is_forward and not (caller.grad and needs_grad):
        # To dispatch to the CPU's kernel takes half as long as to run it.
        if is_plain(x) and (previous is None or is_plain(previous)):
            return _drop(x, previous, *rest)
        return _below_autograd(dispatch_keys, x, previous, *rest)
    with _private.enable_single_level():  # a transform of torch.func is one level
        y: Tensor = Recorded.apply(caller, x, previous, *rest)
    return y


library.impl("drop", _differentiable, "Autograd", with_keyset=True)


def _below_autograd(dispatch_keys: Any, *arguments: Any) -> Tensor:
    # Another transform of torch.func would have to record again. The first run of a graph that was made for
    # dual tensors is watched by a mode, below autograd.
    records_again = _private.are_transforms_active() or _private.is_forward_mode()
    is_native = HAS_KERNELS and not records_again
    operator = torch.ops.bitdrop.native_drop.default if is_native else torch.ops.bitdrop.drop.default
    with _private.below_autograd():
        y: Tensor = operator.redispatch(dispatch_keys & _private.after_autograd, *arguments)
    return y


@torch.library.register_vmap("bitdrop::drop", lib=library)
@disable_dynamo
def _batched(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
    """Do the pass over all samples of a batch in one call, but for blocks.

    Samples with keys of their own have the draws of one larger mask, under the key of the first one.
    Otherwise they share their draws along the new axis, so that each has the mask of a single call.
    """
    tensors, setting = arguments[:3], setting_of(arguments[3:])
    if setting.block_ndim:
        return _one_by_one(info.batch_size, in_dims, tensors, setting), 0
    x, previous, key = tensors
    axes = [0, *(axis + 1 for axis in setting.order or range(x.dim() - (in_dims[0] is not None)))]
    x = _with_batch(x, in_dims[0], info.batch_size).permute(axes)
    if previous is not None:
        previous = _with_batch(previous, in_dims[1], info.batch_size).permute(axes)
    shared = tuple(axis + 1 for axis in setting.shared)
    if in_dims[2] is None:
        shared = (0, *shared)
    else:
        key = key.select(in_dims[2], 0)
    y = drop(x, previous, key, setting._replace(shared=shared, order=(), result_order=()))
    return y.permute([axes.index(axis) for axis in range(len(axes))]), 0


def _with_batch(tensor: Tensor, axis: int | None, size: int) -> Tensor:
    """Return a tensor with the axis of the batch in front."""
    return tensor.expand(size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)


def _one_by_one(size: int, in_dims: Sequence[int | None], tensors: Sequence[Any], setting: Setting) -> Tensor:
    """Do the pass over each sample of a batch."""
    batches = [
        [tensor] * size if axis is None or tensor is None else tensor.unbind(axis)
        for tensor, axis in zip(tensors, in_dims, strict=False)
    ]
    return torch.stack(
        [drop(x, previous, words, setting) for x, previous, words in zip(*batches, strict=True)]
    )
