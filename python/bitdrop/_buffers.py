"""Memory for results. Large buffers are reused, because fresh pages cost more than the dropout."""

import os
from pathlib import Path

from bitdrop import _core
from bitdrop._validate import as_word

_MAX_DEFAULT = 512 * 2**20
empty_bits = _core.empty_bits
"""Return uninitialised memory for a number of packed bits."""

empty_like = _core.empty_like
"""Return an uninitialised array for a result that belongs to `x`, in the layout NumPy would choose."""


def set_buffer_limit(nbytes: int) -> None:
    """Set the amount of memory that is held for reuse by later results.

    Results of at least 1 MiB live in buffers that are reused after the last view of them has died. Such an
    array does not own its memory (``y.flags.owndata`` is False), so ``y.resize`` refuses.

    Parameters
    ----------
    nbytes : int
        Bytes that may be held while no array uses them. 0 turns reuse off. The default is the smaller of
        512 MiB and an eighth of the memory that this process may use, or the environment variable
        BITDROP_BUFFER_LIMIT.

    Raises
    ------
    TypeError, ValueError
        If nbytes is not an int, or is negative.

    Examples
    --------
    >>> import bitdrop
    >>> bitdrop.set_buffer_limit(256 * 2**20)
    """
    _core.set_buffer_limit(as_word(nbytes, "nbytes"))


def clear_buffers() -> None:
    """Return the memory that is held for results, but not in use, to the system.

    Examples
    --------
    >>> import bitdrop
    >>> bitdrop.clear_buffers()
    """
    _core.clear_buffers()


def default_limit() -> int:
    """Return the smaller of 512 MiB and an eighth of the memory that this process may use."""
    return min(_MAX_DEFAULT, usable_memory() // 8)


def usable_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that the machine and the control group allow."""
    limits = []
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # versions 2 and 1
        try:
            text = (cgroup / name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():  # else "max"
            limits.append(int(text))
    return min(limits, default=8 * _MAX_DEFAULT)
