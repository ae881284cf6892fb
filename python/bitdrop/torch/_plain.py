"""Recognition of tensors: memory that the engine can read, watched by autograd alone or by more."""

import torch
from torch import Tensor

from bitdrop.torch import _private
from bitdrop.torch._tensors import DTYPES

_SUPPORTED = "strided, not nested, of a floating or complex dtype of at least 16 bits, and on the CPU"


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


def is_supported(input: Tensor) -> bool:
    """Return whether the engine can read a tensor's memory, or could if its class were a usual one."""
    return (
        isinstance(input, Tensor)
        and input.is_cpu
        and input.dtype in DTYPES
        and input.layout is torch.strided
        and not input.is_nested
        and not torch.jit.is_tracing()
        and not is_exporting()
        and (type(input) is Tensor or not _is_foreign(input))
        and _private.TRUSTED
    )


def is_ours(input: Tensor) -> bool:
    """Return whether bitdrop serves a tensor, and not torch's own function."""
    return is_plain(input) or is_supported(input)


def why_torch_drops() -> str:
    """Return why a tensor goes to torch's own function, and what helps, for an error."""
    if is_exporting():
        return "exported graphs hold torch's own dropout: export without generators and locks"
    return f"torch's own function drops this tensor: pass one that is {_SUPPORTED}"


def _is_foreign(input: Tensor) -> bool:
    """Return whether a tensor's class hides several tensors, or none."""
    if isinstance(input, _private.FakeTensor):
        return not torch.compiler.is_compiling()
    # Compilers wrap the tensors of functions that they take as they are.
    return type(input) is not _private.FunctionalTensor and _private.is_wrapper(input)


def _plain_keys() -> set[int]:
    """Return the dispatch keys of tensors of the CPU, of real and complex numbers."""
    return {
        _keys_of(torch.empty(0, dtype=dtype, device="cpu")).raw_repr()
        for dtype in (torch.float32, torch.complex64)
    }


PLAIN_TYPES = (Tensor, torch.nn.Parameter)
is_exporting = _private.is_exporting
_is_compiling = torch.compiler.is_compiling
_are_transforms_active = _private.are_transforms_active
_dispatch_modes = _private.count_dispatch_modes
_tracing_state = _private.tracing_state
_keys_of = _private.dispatch_keys
_PLAIN_KEYS: set[int] = set()
if _private.TRUSTED:
    for _inference in (False, True):
        with torch.inference_mode(_inference):
            _PLAIN_KEYS |= _plain_keys()
else:

    def is_plain(x: Tensor) -> bool:
        """Return False: without its private names nothing tells."""
        return False
