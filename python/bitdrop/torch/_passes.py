"""Ordinary (eager) calls as functions in C, where PyTorch lets them read its tensors: see `_native.py`."""

from typing import Any

import torch
from torch import Tensor

from bitdrop.torch import _keys, _native, _operators, _private, _tensors
from bitdrop.torch._fused_operators import unpack_bits
from bitdrop.torch._plain import PLAIN_TYPES


class Native(_private.SingleLevelFunction):
    """A pass in C to autograd."""

    forward = staticmethod(_native.passes.forward)
    backward = staticmethod(_native.passes.backward)


def _slow_gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients of the inputs by operations that have gradients again, or batches."""
    setting, key, order, result_order, is_active, bias_shape = _native.passes.describe(ctx.call)
    setting = setting._replace(order=order, result_order=result_order)
    needs_x, needs_second, needs_third, _ = ctx.needs_input_grad
    if is_active:
        (bits,) = ctx.saved_tensors
        kept = unpack_bits(bits, dy.shape, order)
        gradients: tuple[Tensor, ...] = (torch.where(kept, dy * setting.scale, 0.0),)
    else:
        gradients = _operators.gradients(dy, _keys.words_of(key), setting)
    second = None
    if needs_second:
        second = gradients[1] if len(gradients) > 1 else gradients[0].sum_to_size(bias_shape)
    return gradients[0] if needs_x else None, second, dy if needs_third else None, None


def _not_implemented(*_: Any) -> Any:
    return NotImplemented


drop: Any = _not_implemented
"""``drop(x, second, third, rule, setting, recompute)``: the result of a pass, or NotImplemented."""

if _native.HAS_PASSES:
    _native.passes.keep_eager_functions(
        {
            "exchange": torch.Tensor.__dlpack_c_exchange_api__,
            "tensor": PLAIN_TYPES[0],
            "parameter": PLAIN_TYPES[1],
            "are_transforms_active": _private.are_transforms_active,
            "dispatch_modes": _private.count_dispatch_modes,
            "tracing_state": _private.tracing_state,
            "is_neg": torch.is_neg,
            "is_grad_enabled": torch.is_grad_enabled,
            "is_inference": torch.is_inference_mode_enabled,
            "empty_like": torch.empty_like,
            "c_order": torch.contiguous_format,
            "new_like": _tensors.new,
            "empty": torch.empty,
            "uint8": torch.uint8,
            "cpu": torch.device("cpu"),
            "apply": Native.apply,
            "slow_gradients": _slow_gradients,
        }
    )
    drop = _native.passes.drop
