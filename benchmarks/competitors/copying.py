"""The copy itself: what everything is measured by, and the least that reading and writing an array costs."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
from bitdrop import _core
from timing import Array, Step

# Below this many bytes for each thread, handing the work over takes longer than the copy.
_BYTES_A_THREAD = 2**20
_FLOAT32 = 2  # the engine's code


def copy(x: Array, out: Array, threads: int = 1) -> Step:
    """Return ``np.copyto(out, x)``, cut into a piece for each thread where the array is large enough."""
    pieces = min(threads, x.nbytes // _BYTES_A_THREAD)
    if pieces < 2:
        return partial(np.copyto, out, x)
    parts = list(zip(np.array_split(out, pieces), np.array_split(x, pieces), strict=True))
    first_out, first_x = parts[0]
    pool = _pool(threads - 1)

    def copy_parts() -> None:
        others = [pool.submit(np.copyto, part, source) for part, source in parts[1:]]
        np.copyto(first_out, first_x)
        for other in others:
            other.result()

    return copy_parts


def streaming_copy(x: Array, out: Array) -> Step:
    """Return a copy with stores that bypass the caches: the engine's own pass, keeping all, times one."""
    return partial(_core.drop, x, out, None, _FLOAT32, 0, 0, 0, 0.0, 1.0)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)
