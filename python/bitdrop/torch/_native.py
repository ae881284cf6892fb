"""Access of bitdrop's functions in C to PyTorch, without its headers: one binary serves all versions.

Operators have kernels in C by PyTorch's stable C interface, whose functions are looked up in the loaded
library. Ordinary calls also read tensors by DLPack's C exchange, from PyTorch 2.10 on. Where something is
missing, everything takes its way in Python.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.autograd import forward_ad

from bitdrop import _core
from bitdrop.torch import _private, _threads

passes = _core.torch


def _load() -> bool:
    """Load PyTorch's stable C interface, and return whether it is complete."""
    suffix = "dylib" if sys.platform == "darwin" else "so"
    library = Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"
    if not _private.TRUSTED or not passes.load_shim(os.fspath(library)):
        return False
    passes.keep_state_functions(
        forward_ad, _private.is_forward_mode_enabled, torch.get_num_threads, _threads._team
    )
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=passes.leave_team)
    return True


HAS_KERNELS = _load()
"""True if operators have kernels in C."""

HAS_PASSES = HAS_KERNELS and hasattr(torch.Tensor, "__dlpack_c_exchange_api__")
"""True if ordinary calls can be functions in C."""


def define(library: Any, name: str, schema: str, fake: Callable[..., Any]) -> None:
    """Define an operator ``native_...`` that has a kernel in C, which autograd passes by.

    If autograd has to record it, for example because a graph runs on dual tensors, the kernel calls an
    operator in Python instead, which takes the same arguments.
    """
    library.define(f"native_{name}{schema}")
    library.impl(f"native_{name}", torch.library.fallthrough_kernel, "Autograd")
    torch.library.register_fake(f"bitdrop::native_{name}", _private.disable_dynamo(fake), lib=library)
