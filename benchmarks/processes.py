"""Measurements repeated in processes of their own, with freed memory kept or not.

The layout of memory that a process happens to get moves a ratio by several percent. glibc may return freed
memory to the system and fetch it again, thousands of page faults a step. A fresh page costs as much as
dropping thousands of elements. With high thresholds it keeps the memory, as jemalloc and tcmalloc do.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}

Figures = Mapping[str, list[float]]


def medians(script: str, arguments: Sequence[str], count: int, *, kept_memory: bool = True) -> Figures:
    """Run a script several times. Return medians of the figures that it prints as JSON, for each side."""
    environment = os.environ | KEPT_MEMORY if kept_memory else None
    found: list[Figures] = []
    for _ in range(count):
        command = [sys.executable, script, *arguments]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        found.append(json.loads(done.stdout))
    return {
        side: [statistics.median(values) for values in zip(*(one[side] for one in found), strict=True)]
        for side in found[0]
    }
