"""Speedup of `bitdrop.torch` over torch's own dropout, on tensors from small to large.

    pip install '.[bench,torch]'
    python benchmarks/tensors.py

Every call creates a new tensor, as in training. Run it on an idle machine. Figures that have a target are
marked. The second table has cold calls: between two of them a matrix product takes the caches, as in a
training step.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from timeit import Timer

import bitdrop
import bitdrop.torch
import machine
import report
import torch
from timing import Step, alternate, alternate_cold
from torch import Tensor, nn
from torch.nn import functional as torch_functional

TORCH, BITDROP = "torch", "bitdrop"
Dropout = Callable[[Tensor, float], Tensor]

# Elements, p, and the speedups to reach: forward, forward recorded for a gradient, forward and backward.
_ROWS: tuple[tuple[int, float, tuple[float | None, float | None, float | None]], ...] = (
    (2**10, 0.5, (1, 1, None)),
    (2**10, 0.1, (1, 1, None)),
    (2**18, 0.5, (60, None, 30)),
    (2**18, 0.1, (None, None, None)),
    (2**20, 0.5, (None, None, None)),
    (2**24, 0.5, (20, None, 12)),
    (2**24, 0.1, (None, None, None)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="thread count of both libraries")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each comparison")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    bitdrop.set_num_threads(options.threads)
    report.print_facts(machine.facts() | {"PyTorch": torch.__version__})
    rows = [
        [f"{n:,}", str(p), name, *_compare(calls, n, options.seconds, reach)]
        for n, p, reaches in _ROWS
        for (name, calls), reach in zip(_calls(n, p).items(), reaches, strict=True)
    ]
    columns = ("elements", "p", "call", "torch, ns per element", "bitdrop, ns", "times faster", "to reach")
    report.print_table(f"New float32 tensors, threads: {options.threads}", columns, rows)
    rows = [_cold_row(n, options.seconds) for n in (2**10, 2**14, 2**18)]
    cold_columns = ("elements", "torch, us", "bitdrop, us", "bitdrop / torch")
    report.print_table("Forward and backward pass, cold", cold_columns, rows)


def _cold_row(n: int, seconds: float) -> list[str]:
    """Return the time of a forward and a backward pass after matrix products, by library, and the ratio."""
    leaf, dy = torch.rand(n, requires_grad=True), torch.rand(n)
    a, b, product = torch.rand(700, 700), torch.rand(700, 700), torch.empty(700, 700)
    layers = {TORCH: torch.nn.Dropout(0.5), BITDROP: bitdrop.torch.Dropout(0.5)}
    sides = {side: _passes(layer, leaf, dy) for side, layer in layers.items()}
    times = alternate_cold(sides, partial(torch.mm, a, b, out=product), seconds)
    microseconds = [f"{1e6 * times[side]:.0f}" for side in (TORCH, BITDROP)]
    return [f"{n:,}", *microseconds, f"{times[BITDROP] / times[TORCH]:.2f}"]


def _passes(layer: nn.Module, leaf: Tensor, dy: Tensor) -> tuple[Step, Step]:
    """Return a layer's forward pass, and the backward pass of the last one."""
    y = leaf

    def forward() -> None:
        nonlocal y
        y = layer(leaf)

    return forward, lambda: torch.autograd.grad(y, leaf, dy)


def _calls(n: int, p: float) -> dict[str, dict[str, Timer]]:
    """Return the calls to compare, each for both libraries."""
    sides: dict[str, Dropout] = {TORCH: torch_functional.dropout, BITDROP: bitdrop.torch.functional.dropout}
    plain, leaf, dy = torch.rand(n) + 1, torch.rand(n, requires_grad=True), torch.rand(n)
    return {
        "forward": {side: Timer(partial(dropout, plain, p)) for side, dropout in sides.items()},
        "forward, recorded": {side: Timer(partial(dropout, leaf, p)) for side, dropout in sides.items()},
        "forward and backward": {
            side: Timer(partial(_forward_and_backward, dropout, leaf, p, dy))
            for side, dropout in sides.items()
        },
    }


def _forward_and_backward(dropout: Dropout, leaf: Tensor, p: float, dy: Tensor) -> None:
    torch.autograd.grad(dropout(leaf, p), leaf, dy)


def _compare(calls: dict[str, Timer], n: int, seconds: float, reach: float | None) -> list[str]:
    timings = alternate([calls], BITDROP, seconds)
    faster = timings[TORCH].ratio
    mark = "" if reach is None else report.mark(faster >= reach, reach)
    nanoseconds = [f"{timings[side].seconds / n * 1e9:.3f}" for side in (TORCH, BITDROP)]
    return [*nanoseconds, f"{faster:.1f}", mark]


if __name__ == "__main__":
    main()
