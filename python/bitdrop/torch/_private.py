"""Private names of PyTorch: the one file that reads them, and the versions in which they were tested.

If one is missing, or PyTorch is newer than any that was tested, `TRUSTED` is False: after one warning every
call goes to torch's own functions, and to its public operations for what torch lacks.
"""

import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

OLDEST, NEWEST = (2, 8), (2, 14)
"""The versions that were tested, both included. Unless its line says otherwise, a name was in all of them."""

_version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
_missing: list[str] = []


def _find(name: str, otherwise: Any = None) -> Any:
    """Return what a name stands for. If it is missing, note it, and return what keeps the import going."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        _missing.append(name)
        return otherwise


# State of a call.
are_transforms_active = _find("torch._C._are_functorch_transforms_active")
count_dispatch_modes = _find("torch._C._len_torch_dispatch_stack")
tracing_state = _find("torch._C._get_tracing_state")
dispatch_keys = _find("torch._C._dispatch_keys")
is_forward_mode_enabled = _find("torch._C._is_fwd_grad_enabled")
set_forward_mode_enabled = _find("torch.autograd.forward_ad._set_fwd_grad_enabled")
_find("torch.autograd.forward_ad._current_level")
_find("torch.compiler._is_exporting_flag")

# Tensors and modules.
FakeTensor = _find("torch._subclasses.FakeTensor", ())
FunctionalTensor = _find("torch._subclasses.functional_tensor.FunctionalTensor")
is_wrapper = _find("torch.utils._python_dispatch.is_traceable_wrapper_subclass")
has_global_hooks = _find("torch.nn.modules.module._has_any_global_hook")
DropoutNd = _find("torch.nn.modules.dropout._DropoutNd", torch.nn.Module)
is_view = _find("torch.Tensor._is_view")
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_missing += [name for name in ("_modules", *HOOKS) if not hasattr(torch.nn.Module(), name)]
_find("torch.nn.Conv1d._conv_forward")

# Functions and operators. `Function.apply` looks for transforms first, and is slow. That of its base is not.
SingleLevelFunction = _find("torch.autograd.function._SingleLevelFunction", torch.autograd.Function)
enable_single_level = _find("torch._functorch.autograd_function.enable_single_level_autograd_function")
below_autograd = _find("torch._C._AutoDispatchBelowAutograd")
after_autograd = _find("torch._C._after_autograd_keyset")
disable_dynamo = _find("torch._disable_dynamo", lambda function: function)
attention_weights = _find("torch.ops.aten._scaled_dot_product_attention_math")

# Recorded graphs and checkpoints.
functorch_config = _find("torch._functorch.config")
proxy_tensor = _find("torch.fx.experimental.proxy_tensor")
CachingMode = _find("torch.utils.checkpoint._CachingTorchDispatchMode")
CachedMode = _find("torch.utils.checkpoint._CachedTorchDispatchMode")
# 2.13 and newer. Without it regions have no memory budgets.
budget_of_region = getattr(torch.fx.traceback, "_get_memory_budget_annotation", lambda _: None)

TRUSTED = not _missing and _version <= NEWEST
"""True if the private names may be used."""


def children_of(module: torch.nn.Module) -> Iterable[torch.nn.Module | None]:
    """Return the modules in a module, those with two names twice."""
    return module._modules.values()


def product_of(convolution: torch.nn.Module) -> Callable[..., Tensor]:
    """Return the function of input, weight and bias that a convolution computes."""
    function: Callable[..., Tensor] = convolution._conv_forward
    return function


def is_forward_mode() -> bool:
    """Return whether a dual level of forward mode is entered."""
    level: int = forward_ad._current_level
    return level >= 0


def is_exporting() -> bool:
    """Return whether torch.export is at work. Up to 2.9 the compiler takes torch's function for True."""
    exporting: bool = torch.compiler._is_exporting_flag
    return exporting


def _check_version() -> None:
    """Refuse a PyTorch that is too old, and warn of one that is not known."""
    found = torch.__version__
    if _version < OLDEST:
        raise ImportError(
            f"bitdrop.torch needs PyTorch 2.8 or newer, but this is {found}: pip install -U torch."
        )
    if TRUSTED:
        return
    reason = f"lacks {', '.join(_missing)}" if _missing else "is newer than any that bitdrop was tested with"
    warnings.warn(
        f"PyTorch {found} {reason}: bitdrop.torch leaves all tensors to torch's own functions. Use a newer "
        "bitdrop, or PyTorch 2.8 to 2.14.",
        stacklevel=2,
    )


_check_version()
