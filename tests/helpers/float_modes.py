"""Flush-to-zero and denormals-are-zero, as a caller may have set them, through the C library's fenv.h."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_MXCSR_AT = 28  # bytes into glibc's fenv_t on x86-64
_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040


@contextmanager
def flushing_denormals() -> Iterator[bool]:
    """Set the mode in this thread for a while; gives whether denormals are flushed now."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
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
