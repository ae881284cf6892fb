"""On which threads calls work: PyTorch's own, where they can be had.

Between two of PyTorch's operations its OpenMP threads spin, so threads of another library would have to take
their CPUs from them.
"""

import ctypes
import os

import torch

from bitdrop import _core


def of_a_call() -> tuple[int, int]:
    """Return how many threads a call may use, the smaller of torch's number and bitdrop's, and whose."""
    return min(torch.get_num_threads(), _core.get_num_threads()), _team


def _find_team() -> int:
    """Return the address of what runs a function on OpenMP's threads, or 0, which means bitdrop's own."""
    if not torch.backends.openmp.is_available():
        return 0
    try:
        # GCC's runtime has it under this name, and LLVM's and Intel's for programs that GCC has compiled.
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):  # the last on Windows, which has no library None
        return 0


def _leave_team() -> None:
    """Do without OpenMP in a forked process, where its runtime may wait for threads that are not there."""
    global _team  # noqa: PLW0603
    _team = 0


_team = _find_team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_team)
