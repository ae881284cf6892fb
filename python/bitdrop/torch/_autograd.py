"""Passes to autograd in ordinary (eager) calls.

An `autograd.Function` costs a few microseconds less than an operator, and holds the bits of the forward pass
for the backward pass. Whatever traces, batches or fakes tensors takes the operators, which mean the same.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from bitdrop._core import Pass
from bitdrop._typing import Key
from bitdrop.torch import _keys, _operators, _private, _tensors, _threads
from bitdrop.torch._plain import is_plain
from bitdrop.torch._settings import Setting
from bitdrop.torch._tensors import memory, memory_of_bits

Inputs = tuple[Tensor, ...]

_RECOMPUTED = 4096  # Generating up to this many bits again takes less time than holding them.


def run(inputs: Inputs, setting: Setting, key: Key, inplace: bool, recompute: bool) -> Tensor:
    """Do a pass over plain tensors."""
    for x in inputs:
        if is_recorded(x):
            y: Tensor = Run.apply(setting, key, inplace, recompute, *inputs)
            return y
    out = inputs[0] if inplace else setting.new(inputs[0])
    setting.run(inputs, out, key)
    if inplace:
        increment_version(out)
    return out


def is_recorded(x: Tensor) -> bool:
    """Return whether autograd records operations on a tensor, for backward or forward mode."""
    return (x.requires_grad and torch.is_grad_enabled()) or _private.is_forward_mode()


class Run(_private.SingleLevelFunction):
    """`run` to autograd."""

    @staticmethod
    def forward(
        ctx: Any, setting: Setting, key: Key, inplace: bool, recompute: bool, *inputs: Tensor
    ) -> Tensor:
        """Do the pass into a new tensor, or into the first input."""
        x = inputs[0]
        ctx.setting, ctx.inplace, bits = setting, inplace, None
        if inplace:
            ctx.mark_dirty(x)
        if not recompute and any(ctx.needs_input_grad[4:]) and setting.bit_count(x.shape) > _RECOMPUTED:
            bits = _tensors.new_bits(setting.bit_count(x.shape))
            ctx.save_for_backward(bits)
        out = x if inplace else setting.new(x)
        ctx.done = setting.run(inputs, out, key, bits)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs."""
        if is_plain(dy) and not is_recorded(dy):
            gradients = _gradients(dy, ctx.done, ctx.setting, ctx.saved_tensors)
        else:
            gradients = _operators.gradients(dy, _keys.words_of(ctx.done.key), ctx.setting)
        return None, None, None, None, *gradients

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """Do the pass on the tangents. If x was changed in place, PyTorch wants that of its tangent too."""
        dy = _operators.tangent(tangents[4:], _keys.words_of(ctx.done.key), ctx.setting)
        return tangents[4].copy_(dy) if ctx.inplace and tangents[4] is not None else dy


def _gradients(dy: Tensor, done: Pass, setting: Setting, saved: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradients of the inputs, by the engine."""
    bits = memory_of_bits(saved[0]) if saved else None
    results = [setting.new(dy) for _ in done.operation.input_names]
    outs = [memory(result, setting.order) for result in results]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    done.gradient(memory(dy, setting.order), out, None, bits, _threads.of_a_call())
    return results
