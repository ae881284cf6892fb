"""Dropout of an array that is larger than the memory of all workers together, forward and backward.

Two worker processes share the work, each with a memory limit. Neither the whole array nor the whole mask ever
exists: a worker creates a chunk, drops elements, sums the results and frees the chunk. The bits of a chunk
come from the mask's key and the chunk's place. Finally some rows are computed again without dask, to show
that the result equals that of one machine.
"""

import argparse
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bitdrop
import bitdrop.dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, progress
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

COLUMNS = 2**14
CHUNK_ROWS = 2**9  # 32 MiB of float32
MIB = 2**20
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of getrusage's ru_maxrss


def activations(rows: int) -> Any:
    """Return a lazy array like the outputs of ReLUs, with each element computed from its indices."""

    def chunk(block_info: Any = None) -> Any:
        (first, last), (left, right) = block_info[None]["array-location"]
        rows, columns = np.arange(first, last, dtype=np.float32), np.arange(left, right, dtype=np.float32)
        values = np.add.outer(rows % 1009, 0.7 * columns)
        np.sin(values, out=values)
        return np.maximum(values, 0, out=values)

    chunk_rows = tuple(min(CHUNK_ROWS, rows - start) for start in range(0, rows, CHUNK_ROWS))
    return da.map_blocks(
        chunk, chunks=(chunk_rows, (COLUMNS,)), dtype=np.float32, meta=np.empty((0, 0), "f4")
    )


def peak_memory() -> int:
    """Return the peak resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT


def plot(sizes: Mapping[str, float], path: Path) -> None:
    """Save a bar for each size in MiB."""
    figure = Figure(figsize=(7, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.bar_label(axes.barh([*sizes], [*sizes.values()], color="#0072B2"), fmt=" {:,.0f}")
    axes.invert_yaxis()
    axes.set(xlabel="MiB", title="An array and the memory in which it was processed")
    axes.margins(x=0.15)
    figure.savefig(path, dpi=90)


def main(arguments: Sequence[str] | None = None) -> None:
    """Process the array on a cluster, and print the results."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--size", type=float, default=4.0, help="size of the array, in GiB")
    parser.add_argument("--memory-limit", type=int, default=512, help="memory limit of each worker, in MiB")
    parser.add_argument("--workers", type=int, default=2, help="number of worker processes")
    parser.add_argument("--p", type=float, default=0.25, help="probability that an element is dropped")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mask")
    parser.add_argument(
        "--output", type=Path, default=Path("larger_than_memory.png"), help="file for the plot"
    )
    options = parser.parse_args(arguments)

    x = activations(int(options.size * 2**30) // (4 * COLUMNS))
    y, mask = bitdrop.dask.dropout(x, options.p, rng=options.seed)
    dx = mask.backward(da.ones(x.shape, chunks=x.chunks, dtype=x.dtype))
    rows = slice(x.shape[0] // 2, x.shape[0] // 2 + 3)
    wanted = x.mean(dtype="f8"), y.mean(dtype="f8"), (dx == 0).mean(), x[rows], y[rows]

    limit = options.memory_limit * MIB
    with (
        LocalCluster(n_workers=options.workers, threads_per_worker=1, memory_limit=limit) as cluster,
        Client(cluster) as client,
    ):
        futures = client.compute(wanted)
        progress(futures)
        mean, dropped_mean, dropped_share, some_x, some_y = client.gather(futures)
        peaks = client.run(peak_memory).values()

    # The same rows in this process: a shard of the whole array, with the same seed and so the same key.
    shard = bitdrop.Shard(x.shape, (rows.start, 0))
    alone, _ = bitdrop.dropout(some_x, options.p, rng=options.seed, shard=shard)
    table = Table(show_header=False)
    table.add_row("array", f"{x.shape[0]:,} x {x.shape[1]:,} float32: {x.nbytes / MIB:,.0f} MiB")
    table.add_row("memory limit of all workers", f"{options.workers * options.memory_limit:,} MiB")
    table.add_row("most that each worker held", ", ".join(f"{peak / MIB:,.0f} MiB" for peak in peaks))
    table.add_row("mean before and after dropout", f"{mean:.5f}, {dropped_mean:.5f}")
    table.add_row("share of gradients dropped", f"{dropped_share:.5f}")
    table.add_row("rows as on one machine", "yes" if np.array_equal(alone, some_y) else "NO")
    console = Console()
    console.print(table)
    sizes = {"array": x.nbytes / MIB, "limit of all workers": float(options.workers * options.memory_limit)}
    plot(sizes | {f"held by worker {n}": peak / MIB for n, peak in enumerate(peaks)}, options.output)
    console.print(f"Plot: {options.output}")


if __name__ == "__main__":
    main()
