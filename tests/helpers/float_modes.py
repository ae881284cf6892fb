"""Flush-to-zero and denormals-are-zero modes, set through the fenv.h of the C library."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_MXCSR_AT = 28  # byte offset in fenv_t of glibc on x86-64
_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040


def _is_known_machine() -> bool:
    linux = sys.platform == "linux" and platform.machine() == "x86_64"
    return linux and platform.libc_ver()[0] == "glibc"


@contextmanager
def flushing_denormals() -> Iterator[bool]:
    """Set both modes in this thread until the block exits; yield whether denormals are flushed now."""
    if not _is_known_machine():
        yield False
        return
    libm = ctypes.CDLL("libm.so.6")
    before, flushing = (ctypes.create_string_buffer(32) for _ in range(2))
    libm.fegetenv(before)
    libm.fegetenv(flushing)
    mxcsr = ctypes.c_uint32.from_buffer(flushing, _MXCSR_AT)
    mxcsr.value |= _FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO
    libm.fesetenv(flushing)
    try:
        yield bool((np.array([2.0**-126], np.float32) * np.float32(0.5))[0] == 0)
    finally:
        libm.fesetenv(before)
