"""The copy: the unit of all ratios, and the smallest cost of reading and writing an array."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
from bitdrop._core import Operation, Rule
from timing import Array, Step

# With fewer bytes per thread, handing the work over takes longer than the copy.
_BYTES_PER_THREAD = 2**20


def copy(x: Array, out: Array, threads: int = 1) -> Step:
    """Return ``np.copyto(out, x)``, split into one chunk per thread if the array is large enough."""
    count = min(threads, x.nbytes // _BYTES_PER_THREAD)
    if count < 2:
        return partial(np.copyto, out, x)
    chunks = list(zip(np.array_split(out, count), np.array_split(x, count), strict=True))
    first_out, first_x = chunks[0]
    pool = _pool(threads - 1)

    def copy_chunks() -> None:
        others = [pool.submit(np.copyto, chunk, source) for chunk, source in chunks[1:]]
        np.copyto(first_out, first_x)
        for other in others:
            other.result()

    return copy_chunks


def non_temporal_copy(x: Array, out: Array) -> Step:
    """Return a copy by non-temporal stores: the engine's own pass with p = 0 and scale 1."""
    keeping_all = Rule(0.0, Operation.scale(1.0), store=False).pass_with_key(x.shape, (0, 0))
    return partial(keeping_all.repeat, (x,), out)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)
