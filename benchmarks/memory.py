"""Memory use beyond input, output and gradient, each case measured in a fresh process."""

import math
import multiprocessing
import re
import tracemalloc
from pathlib import Path

import bitdrop
import numpy as np


def beyond_arrays(n: int, recompute: bool) -> tuple[float, float, float]:
    """Return bits per element for n elements: held between forward and backward, and two peaks.

    The first peak is that of Python's allocators, including NumPy's arrays (tracemalloc). The second is that
    of the resident set, including the engine and its threads. It is NaN if the system does not report it.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        held, peak, resident = pool.apply(_measure, (n, recompute))
    return 8 * held / n, 8 * peak / n, 8 * resident / n


def _measure(n: int, recompute: bool) -> tuple[float, float, float]:
    x, out = np.ones(n, np.float32), np.ones(n, np.float32)  # no temporaries: they would hide the peak
    layer = bitdrop.Dropout(0.1, recompute=recompute, rng=0)
    warm_up = min(n, 2**18)
    layer.forward(x[:warm_up], out=out[:warm_up])  # code loaded, threads started
    before = _most_resident()
    layer.forward(x, out=out)
    layer.backward(x, out=out)
    resident = _most_resident() - before
    tracemalloc.start()
    layer.forward(x, out=out)
    held = tracemalloc.get_traced_memory()[0]
    layer.backward(x, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    return held, peak, resident


def _most_resident() -> float:
    """Return the largest resident set of this process so far, in bytes.

    Linux's getrusage would also count the parent's memory before this program was loaded.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return math.nan
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else math.nan
