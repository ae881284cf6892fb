"""Threads of a call: PyTorch's own, if they can be had.

Between two operations PyTorch's OpenMP threads spin. Threads of another library would have to take the CPUs
from them.
"""

import ctypes
import os

import torch

from bitdrop import _core
from bitdrop._core import Threads

_torchs_setting, _bitdrops_setting = torch.get_num_threads, _core.get_num_threads


def of_a_call() -> Threads:
    """Return the threads of a call: as many as the smaller of torch's and bitdrop's settings says."""
    torchs, bitdrops = _torchs_setting(), _bitdrops_setting()
    return Threads(min(torchs, bitdrops), _team)


def _find_team() -> int:
    """Return the address of a function that runs work on OpenMP's threads, or 0 for bitdrop's own."""
    if not torch.backends.openmp.is_available():
        return 0
    try:
        # GCC's runtime has this name. LLVM's and Intel's have it too, for programs that GCC compiled.
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):  # TypeError on Windows, which has no library None
        return 0


def _leave_team() -> None:
    """Do without OpenMP in a forked process: its runtime may wait for threads that the child lacks."""
    global _team  # noqa: PLW0603
    _team = 0


_team = _find_team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_team)
