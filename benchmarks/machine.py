"""Facts about machine and versions, to be printed with every measurement."""

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np


def facts() -> dict[str, Any]:
    """Return command, date, processor, cache, memory system and versions."""
    config = bitdrop.show_config("dicts") or {}
    script, *arguments = sys.argv
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(script).name}", *arguments]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "CPUs": config["cpus"],
        "instruction sets": ", ".join(config["instruction_sets_available"]),
        "last-level cache": f"{config['last_level_cache'] / 2**20:.0f} MiB",
        "transparent huge pages": _huge_pages(),
        "freed memory": "kept" if "MALLOC_TRIM_THRESHOLD_" in os.environ else "as the allocator does it",
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "bitdrop": f"{config['bitdrop']}, mask format {config['mask_format']}, {config['compiler']}",
    }


def processor() -> str:
    """Return the processor's name, with family and model if known, because the name alone may say little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "model name" not in fields:
        return platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def _huge_pages() -> str:
    try:
        choices = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return choices.partition("[")[2].partition("]")[0]
