"""Settings of the process, from the environment or by call, and the facts for bug reports."""

import math
import os
import platform
from typing import Any, Literal

import numpy as np

from bitdrop import _core, _validate

MAX_THREADS = 1024
_MAX_DEFAULT_LIMIT = 512 * 2**20
_CGROUP = "/sys/fs/cgroup"


def get_num_threads() -> int:
    """Return how many threads a call may use.

    Returns
    -------
    int
        At first the environment variable BITDROP_NUM_THREADS, or else the CPUs that this process may use.

    Examples
    --------
    >>> import bitdrop
    >>> bitdrop.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use; small arrays use fewer. Results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to 1024.

    Raises
    ------
    TypeError, ValueError
        If n is not an int, or out of range.

    Examples
    --------
    >>> import bitdrop
    >>> before = bitdrop.get_num_threads()
    >>> bitdrop.set_num_threads(1)
    >>> bitdrop.get_num_threads()
    1
    >>> bitdrop.set_num_threads(before)
    """
    _core.set_num_threads(_validate.as_count(n, "n", MAX_THREADS))


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
    _core.set_buffer_limit(_validate.as_word(nbytes, "nbytes"))


def clear_buffers() -> None:
    """Return the memory that is held for results, but not in use, to the system.

    Examples
    --------
    >>> import bitdrop
    >>> bitdrop.clear_buffers()
    """
    _core.clear_buffers()


def default_buffer_limit() -> int:
    """Return the smaller of 512 MiB and an eighth of the memory that this process may use."""
    return min(_MAX_DEFAULT_LIMIT, usable_memory() // 8)


def _read(folder: str | os.PathLike[str], name: str) -> str:  # pathlib would double the time of our import
    with open(os.path.join(folder, name), encoding="ascii") as file:
        return file.read().strip()


def usable_memory(cgroup: str | os.PathLike[str] = _CGROUP) -> int:
    """Return the bytes of memory that the machine and the control group allow."""
    limits = []
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # versions 2 and 1
        try:
            text = _read(cgroup, name)
        except OSError:
            continue
        if text.isdecimal():  # else "max"
            limits.append(int(text))
    return min(limits, default=8 * _MAX_DEFAULT_LIMIT)


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print what a bug report should say: versions, instruction sets, threads, compiler.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        "stdout" prints and returns None, "dicts" returns a dict.

    Returns
    -------
    dict or None
        The facts, by name.

    Raises
    ------
    ValueError
        If mode is neither of the two.

    Examples
    --------
    >>> import bitdrop
    >>> facts = bitdrop.show_config("dicts")
    >>> facts["mask_format"]
    1
    >>> facts["instruction_set"] in facts["instruction_sets_available"]
    True
    """
    facts = {
        "bitdrop": _core.VERSION,
        "mask_format": _core.MASK_FORMAT,
        "noise_format": _core.NOISE_FORMAT,
        "instruction_set": _core.get_isa(),
        "instruction_sets_available": _core.isas(),
        "threads": _core.get_num_threads(),
        "cpus": usable_cpus(),
        "last_level_cache": _core.last_level_cache(),
        "non_temporal_threshold": _core.get_non_temporal_threshold(),
        "buffer_limit": _core.get_buffer_limit(),
        "compiler": _core.COMPILER,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
    if mode == "dicts":
        return facts
    _validate.check_choice(mode, "mode", ("stdout", "dicts"))
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {', '.join(fact) if isinstance(fact, list) else fact}")
    return None


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, by affinity and by its control group."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, _cgroup_cpus())))


def _cgroup_cpus(root: str | os.PathLike[str] = _CGROUP) -> float:
    """Return the control group's share of CPU time in CPUs: infinite if there is no limit."""
    try:
        if os.path.exists(os.path.join(root, "cpu.max")):  # version 2
            quota, period = _read(root, "cpu.max").split()
            return math.inf if quota == "max" else int(quota) / int(period)
        quota_us = int(_read(root, "cpu/cpu.cfs_quota_us"))  # version 1
        return quota_us / int(_read(root, "cpu/cpu.cfs_period_us")) if quota_us > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def configure_from_environment() -> None:
    """Apply BITDROP_ISA, BITDROP_NUM_THREADS and BITDROP_BUFFER_LIMIT, or raise an ImportError."""
    isa = os.environ.get("BITDROP_ISA")
    if isa:
        if isa not in _core.isas():
            possible = ", ".join(_core.isas())
            raise ImportError(
                f"BITDROP_ISA is {isa!r}, but this machine can run: {possible}. Set it to one of them."
            )
        _core.set_isa(isa)
    threads = _integer_from_environment("BITDROP_NUM_THREADS", 1, MAX_THREADS)
    _core.set_num_threads(min(usable_cpus(), MAX_THREADS) if threads is None else threads)
    limit = _integer_from_environment("BITDROP_BUFFER_LIMIT", 0, 2**64 - 1)
    _core.set_buffer_limit(default_buffer_limit() if limit is None else limit)


def _integer_from_environment(name: str, least: int, most: int) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if text.isascii() and text.isdecimal() and least <= int(text) <= most:
        return int(text)
    raise ImportError(f"{name} must be an integer from {least} to {most}, but it is {text!r}.")
