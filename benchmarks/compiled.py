"""Training steps of compiled networks: without dropout, with torch's, with bitdrop's, and fused.

    pip install '.[bench,torch]'
    python benchmarks/compiled.py

The sides take turns in one run. A step is a forward and a backward pass.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

import bitdrop
import bitdrop.torch
import machine
import report
import torch
from torch import Tensor, nn

NONE, TORCH, BITDROP, FUSED = "none", "torch's", "bitdrop's", "bitdrop's, fused"


def small(p: float) -> nn.Sequential:
    """One layer of 32 units."""
    return nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Dropout(p))


def activation(p: float) -> nn.Sequential:
    """ReLU and dropout alone."""
    return nn.Sequential(nn.ReLU(), nn.Dropout(p))


def perceptron(p: float) -> nn.Sequential:
    """Two hidden layers of 1,024 units."""
    hidden = [nn.Linear(256, 1024), nn.ReLU(), nn.Dropout(p), nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(p)]
    return nn.Sequential(*hidden, nn.Linear(1024, 256))


def block(p: float) -> nn.Module:
    """One encoder layer, without dropout on the weights of attention."""
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=p, batch_first=True)
    layer.self_attn.dropout = 0.0
    return layer


# Name, network, shape of its input.
NETWORKS: tuple[tuple[str, Callable[[float], nn.Module], tuple[int, ...]], ...] = (
    ("Linear 32, ReLU, dropout", small, (16, 32)),
    ("ReLU, dropout of 1,024", activation, (1024,)),
    ("ReLU, dropout of 4,096", activation, (4096,)),
    ("ReLU, dropout of 16,384", activation, (16384,)),
    ("MLP 256-1024-1024-256, batch 256", perceptron, (256, 256)),
    ("transformer block", block, (16, 128, 256)),
)


def sides(build: Callable[[float], nn.Module]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the compiled network with each kind of dropout."""
    models = {NONE: build(0.0), **{side: build(0.5) for side in (TORCH, BITDROP, FUSED)}}
    bitdrop.torch.replace_dropout(models[BITDROP])
    bitdrop.torch.fuse_dropout(models[FUSED])
    bitdrop.torch.replace_dropout(models[FUSED])
    return {side: torch.compile(model, fullgraph=True) for side, model in models.items()}


def measure(network: tuple[str, Callable[[float], nn.Module], tuple[int, ...]], seconds: float) -> list[str]:
    """Return the median time of a step by side, in microseconds, and its ratio to torch's dropout."""
    name, build, shape = network
    torch._dynamo.reset()
    compiled, x = sides(build), torch.randn(shape, requires_grad=True)
    dy = torch.randn(next(iter(compiled.values()))(x).shape)
    samples: dict[str, list[float]] = {side: [] for side in compiled}

    def step(side: str) -> float:
        begun = time.perf_counter()
        torch.autograd.backward(compiled[side](x), dy)
        return time.perf_counter() - begun

    for side in compiled:
        for _ in range(3):  # compiling, then running the compiled code
            step(side)
    end = time.perf_counter() + seconds
    while not samples[NONE] or time.perf_counter() < end:
        for side in random.sample(list(compiled), len(compiled)):
            samples[side].append(step(side))
    medians = {side: statistics.median(times) for side, times in samples.items()}
    return [
        name,
        *(f"{1e6 * medians[side]:.0f} ({medians[side] / medians[TORCH]:.2f})" for side in medians),
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="thread count of both libraries")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bitdrop.set_num_threads(options.threads)
    report.print_facts(machine.facts() | {"PyTorch": torch.__version__})
    rows = [measure(network, options.seconds) for network in NETWORKS]
    columns = ("network", *(f"{side}, us" for side in (NONE, TORCH, BITDROP, FUSED)))
    report.print_table("Compiled steps, and ratios to torch's dropout", columns, rows)


if __name__ == "__main__":
    main()
