"""Training steps of compiled networks: without dropout, with torch's, with bitdrop's, and fused.

    pip install '.[bench,torch]'
    python benchmarks/compiled.py

The sides take turns in each of several processes. A step is a forward and a backward pass.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial

import bitdrop
import bitdrop.torch
import machine
import processes
import report
import torch
from torch import Tensor, nn

NONE, TORCH, BITDROP, FUSED = "none", "torch's", "bitdrop's", "bitdrop's, fused"
SIDES = (NONE, TORCH, BITDROP, FUSED)


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


# A network by name, and the shape of its input.
NETWORKS: dict[str, tuple[Callable[[float], nn.Module], tuple[int, ...]]] = {
    "Linear 32, ReLU, dropout": (small, (16, 32)),
    "ReLU, dropout of 1,024": (activation, (1024,)),
    "ReLU, dropout of 4,096": (activation, (4096,)),
    "ReLU, dropout of 16,384": (activation, (16384,)),
    "MLP 256-1024-1024-256, batch 256": (perceptron, (256, 256)),
    "transformer block": (block, (16, 128, 256)),
}


def sides(build: Callable[[float], nn.Module]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the compiled network with each kind of dropout."""
    models = {NONE: build(0.0), **{side: build(0.5) for side in (TORCH, BITDROP, FUSED)}}
    bitdrop.torch.replace_dropout(models[BITDROP])
    bitdrop.torch.fuse_dropout(models[FUSED])
    bitdrop.torch.replace_dropout(models[FUSED])
    return {side: torch.compile(model, fullgraph=True) for side, model in models.items()}


def measure(name: str, seconds: float) -> processes.Figures:
    """Return the figures of each side in this process, of as many steps as take the given time."""
    build, shape = NETWORKS[name]
    compiled, x = sides(build), torch.randn(shape, requires_grad=True)
    dy = torch.randn(next(iter(compiled.values()))(x).shape)
    steps = {side: partial(_step, model, x, dy) for side, model in compiled.items()}
    return processes.take_turns_for(steps, seconds)


def _step(model: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor) -> None:
    torch.autograd.backward(model(x), dy)


def row(name: str, both: processes.BothWays) -> list[str]:
    """Return a row of the table: medians, and ratios to torch's dropout, both ways."""
    cells = []
    for side in SIDES:
        seconds, torchs = (both.kept[one][processes.SECONDS] for one in (side, TORCH))
        default = both.default[side][processes.RATIO] / both.default[TORCH][processes.RATIO]
        cells.append(f"{1e6 * seconds:.0f}, {seconds / torchs:.2f} ({default:.2f})")
    faults = both.default[BITDROP][processes.PAGE_FAULTS]
    return [name, *cells, f"{faults:,.0f}"]


def main() -> None:
    """Measure and print the table, or measure one network for the process that started this one."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="networks")
    parser.add_argument("--threads", type=int, default=1, help="thread count of both libraries")
    parser.add_argument("--processes", type=int, default=3, help="processes of each network")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each network and process")
    parser.add_argument("--child", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bitdrop.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(measure(options.child, options.seconds)))
        return
    report.print_facts(machine.facts() | {"PyTorch": torch.__version__, "freed memory": "both ways"})
    shared = ["--threads", str(options.threads), "--seconds", str(options.seconds)]
    with report.progress() as progress:
        rows = [
            row(name, processes.both_ways(__file__, [*shared, "--child", name], options.processes))
            for name in progress.track(options.only, description="compiling and measuring")
        ]
    columns = ("network", *(f"{side}, us" for side in SIDES), "page faults")
    title = (
        "Compiled steps: medians with freed memory kept, and ratios to torch's dropout (default allocator)"
    )
    report.print_table(title, columns, rows)


if __name__ == "__main__":
    main()
