"""Recognition of plain tensors: memory that the engine can read, watched by autograd alone."""

import torch
from torch import Tensor

from bitdrop.torch._tensors import DTYPES


def is_plain(x: Tensor) -> bool:
    """Return whether the engine can read a tensor's memory, and only autograd watches operations on it."""
    return (
        type(x) in PLAIN_TYPES
        and not _is_compiling()
        and x.dtype in DTYPES
        # Transforms of torch.func, and modes such as those of make_fx: no public function tells.
        and not _are_transforms_active()
        and not _dispatch_modes()
        and _tracing_state() is None
        # The keys tell the CPU and dense strides. Other keys: views of complex numbers that lack their signs,
        # batches of gradients by torch.autograd.grad(is_grads_batched=True), tensors that left a transform.
        and _keys_of(x).raw_repr() in _PLAIN_KEYS
    )


def _plain_keys() -> int:
    keys: int = torch._C._dispatch_keys(torch.empty(0, device="cpu")).raw_repr()
    return keys


PLAIN_TYPES = (Tensor, torch.nn.Parameter)
_is_compiling = torch.compiler.is_compiling
_are_transforms_active = torch._C._are_functorch_transforms_active
_dispatch_modes = torch._C._len_torch_dispatch_stack
_tracing_state = torch._C._get_tracing_state
_keys_of = torch._C._dispatch_keys
with torch.inference_mode(False):
    _PLAIN_KEYS = {_plain_keys()}
with torch.inference_mode():
    _PLAIN_KEYS.add(_plain_keys())
