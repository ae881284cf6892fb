"""The copy: the unit of all ratios, and the smallest cost of reading and writing an array."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
from bitdrop import _engine
from bitdrop._affine import IDENTITY
from bitdrop._plan import KEEP_ALL
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
    return partial(_engine.drop, (_engine.DTYPES["float32"], (out, x)), IDENTITY, KEEP_ALL)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)
