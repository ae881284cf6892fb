"""Scaled dot product attention whose dropout is bitdrop's.

On a CPU torch has no fused attention with dropout: it computes the weights, drops from them and multiplies
them by the values. So does this file, with torch's own operator for the weights.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import handle_torch_function, has_torch_function

from bitdrop.torch import _calls
from bitdrop.torch._plain import PLAIN_TYPES

_torchs_own: Callable[..., Tensor] = functional.scaled_dot_product_attention
_HALF = (torch.float16, torch.bfloat16)
_Tensors = tuple[Tensor, Tensor, Tensor, Tensor | None]


def scaled_dot_product_attention(  # noqa: PLR0917
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention with dropout on its weights: see `torch.nn.functional.scaled_dot_product_attention`.

    Parameters, results and errors are those of torch's function. It is called itself unless `dropout_p` is in
    (0, 1] and all tensors are bitdrop's: see `dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> q = torch.ones(1, 2, 4, 8)
    >>> bitdrop.torch.functional.scaled_dot_product_attention(q, q, q, dropout_p=1.0).unique()
    tensor([0.])
    """
    tensors = query, key, value, attn_mask
    options: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    if _is_ours(tensors, dropout_p):
        if has_torch_function(tensors):  # a mode: the tensors have no functions of their own
            arguments = {"attn_mask": attn_mask, "dropout_p": dropout_p, **options}
            overridden: Tensor = handle_torch_function(
                scaled_dot_product_attention, tensors, query, key, value, **arguments
            )
            return overridden
        with suppress(RuntimeError):  # wrong shapes and the like: torch's own error tells
            return _dropped(tensors, dropout_p, options)
    return _torchs_own(query, key, value, attn_mask, dropout_p, **options)


def _is_ours(tensors: _Tensors, dropout_p: float) -> bool:
    query, key, value, mask = tensors
    return (
        type(dropout_p) is float
        and 0.0 < dropout_p <= 1.0
        and all(type(x) in PLAIN_TYPES and _calls.is_supported(x) and x.dim() >= 2 for x in tensors[:3])
        and key.dtype == value.dtype == query.dtype
        and (mask is None or _is_mask(mask, query))
        # Without this backend torch raises an error: no other one drops on a CPU.
        and (torch.compiler.is_compiling() or torch.backends.cuda.math_sdp_enabled())
    )


def _is_mask(mask: Tensor, query: Tensor) -> bool:
    return (
        type(mask) in PLAIN_TYPES and mask.is_cpu and mask.dtype in (torch.bool, torch.float32, query.dtype)
    )


def _computes_in_half() -> bool:
    """Return whether the user allowed sums in half types."""
    return not torch.compiler.is_compiling() and torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()


def _dropped(tensors: _Tensors, dropout_p: float, options: dict[str, Any]) -> Tensor:
    query, key, value, mask = tensors
    dtype = query.dtype
    if dtype in _HALF and not _computes_in_half():
        query, key, value = query.float(), key.float(), value.float()
        mask = mask.float() if mask is not None and mask.is_floating_point() else mask
    # Values without columns: the weights alone are wanted.
    _, weights = torch.ops.aten._scaled_dot_product_attention_math(
        query, key, value[..., :0], mask, 0.0, **options
    )
    if options["enable_gqa"]:
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    weights = _calls.drop(_calls.DROPOUT, weights, dropout_p, True, False, _calls.DEFAULTS)
    return torch.matmul(weights, value).to(dtype)
