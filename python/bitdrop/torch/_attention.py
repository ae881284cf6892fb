"""Scaled dot product attention whose dropout is bitdrop's.

On a CPU torch has no fused attention with dropout: it computes the weights, drops from them and multiplies
them by the values. So does this file, with torch's own operator for the weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import handle_torch_function, has_torch_function

from bitdrop.torch import _calls, _private
from bitdrop.torch._plain import PLAIN_TYPES, is_supported

_torchs_own: Callable[..., Tensor] = functional.scaled_dot_product_attention
_HALF = (torch.float16, torch.bfloat16)
_DTYPES = (*_HALF, torch.float32, torch.float64)
_TYPES = (*PLAIN_TYPES, _private.FunctionalTensor)
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
        try:
            return _dropped(tensors, dropout_p, options)
        except RuntimeError:  # wrong shapes and the like: torch's own error tells
            pass
    return _torchs_own(query, key, value, attn_mask, dropout_p, **options)


def _is_ours(tensors: _Tensors, dropout_p: float) -> bool:
    query, key, value, mask = tensors
    return (
        type(dropout_p) is float
        and 0.0 < dropout_p <= 1.0
        and all(_is_read(x) and x.dtype in _DTYPES and x.dim() >= 2 for x in tensors[:3])
        and key.dtype == value.dtype == query.dtype
        and (mask is None or (_is_read(mask) and mask.dtype in (torch.bool, torch.float32, query.dtype)))
        # Without this backend torch raises an error: no other one drops on a CPU.
        and (torch.compiler.is_compiling() or torch.backends.cuda.math_sdp_enabled())
    )


def _is_read(x: Tensor) -> bool:
    """Return whether bitdrop reads a tensor, of a dtype of its own or of bool."""
    return type(x) in _TYPES and (is_supported(x) if x.dtype is not torch.bool else x.is_cpu)


def _computes_in_half() -> bool:
    """Return whether the user allowed sums in half types."""
    return not torch.compiler.is_compiling() and torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()


def _dropped(tensors: _Tensors, dropout_p: float, options: dict[str, Any]) -> Tensor:
    """Return the result, computed in the dtype that autocast chooses."""
    dtype = tensors[0].dtype
    if not torch.is_autocast_enabled("cpu") or dtype is torch.float64:
        return _computed(tensors, dropout_p, options)
    dtype = torch.get_autocast_dtype("cpu")
    query, key, value, mask = (x if x is None or x.dtype is torch.bool else x.to(dtype) for x in tensors)
    with torch.autocast("cpu", enabled=False):
        return _computed((query, key, value, mask), dropout_p, options)  # type: ignore[arg-type]


def _computed(tensors: _Tensors, dropout_p: float, options: dict[str, Any]) -> Tensor:
    query, key, value, mask = tensors
    dtype = query.dtype
    if dtype in _HALF and not _computes_in_half():
        query, key, value = query.float(), key.float(), value.float()
        mask = mask.float() if mask is not None and mask.is_floating_point() else mask
    if mask is not None and mask.dtype is torch.bool:  # torch's operator would add 0 and 1
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)
    # Values without columns: the weights alone are wanted.
    _, weights = _private.attention_weights(query, key, value[..., :0], mask, 0.0, **options)
    if options["enable_gqa"]:
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    weights = _calls.drop(_calls.DROPOUT, weights, dropout_p, True, False, _calls.DEFAULTS)
    return torch.matmul(weights, value).to(dtype)
