"""Thinned networks, skipped branches and Monte Carlo samples, against the computation of everything.

Each comparison runs in several processes: with freed memory kept, and with the allocator as it is, whose page
faults may decide. In a process the sides alternate. The tables show medians over processes of the median
ratio.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import bitdrop
import bitdrop.torch
import machine
import processes
import report
import torch
from torch import Tensor, nn

SAMPLES = 50
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NONE, TORCH, BITDROP, THINNED = "no dropout", "torch's", "bitdrop's", "thinned"

Sides = dict[str, Callable[[], Any]]


def variants(build: Callable[[float], nn.Module], p: float) -> dict[str, nn.Module]:
    """Return a network with each kind of dropout, all with the same weights."""
    models = {NONE: build(0.0), TORCH: build(p)}
    models[TORCH].load_state_dict(models[NONE].state_dict())
    for name, change in ((BITDROP, bitdrop.torch.replace_dropout), (THINNED, bitdrop.torch.thin_dropout)):
        models[name] = copy.deepcopy(models[TORCH])
        if change(models[name]) == 0:
            raise RuntimeError("the network has no dropout to change")
    return models


def training_step(model: nn.Module, x: Tensor, optimiser: Any) -> Callable[[], None]:
    """Return a function that trains a model for one step."""
    steps = optimiser(model.parameters(), lr=1e-3)

    def step() -> None:
        steps.zero_grad()
        model(x).square().mean().backward()
        steps.step()

    return step


def perceptron(width: int, optimiser: Any) -> Sides:
    """Return the sides of a perceptron of three hidden layers."""

    def build(p: float) -> nn.Module:
        layers: list[nn.Module] = []
        for inputs in (784, width, width):
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(p)]
        return nn.Sequential(*layers, nn.Linear(width, 10))

    x = torch.randn(256, 784)
    return {name: training_step(model, x, optimiser) for name, model in variants(build, 0.5).items()}


def convolutions() -> Sides:
    """Return the sides of three wide convolutions."""

    def build(p: float) -> nn.Module:
        channels = (128, 256, 256, 128)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Dropout2d(p)]
        return nn.Sequential(*layers[:-2])

    x = torch.randn(16, 128, 16, 16)
    return {name: training_step(model, x, torch.optim.SGD) for name, model in variants(build, 0.5).items()}


class Path(nn.Module):
    """Residual connection with stochastic depth that runs its branch on all samples."""

    def __init__(self, branch: nn.Module, p: float) -> None:
        super().__init__()
        self.branch, self.path = branch, bitdrop.torch.DropPath(p)

    def forward(self, x: Tensor) -> Tensor:
        """Return x and the branch's output for kept samples."""
        y: Tensor = x + self.path(self.branch(x))
        return y


def residual_paths(p: float) -> Sides:
    """Return the sides of two residual branches, as the second half of a transformer block."""

    def branch() -> nn.Module:
        return nn.Sequential(nn.LayerNorm(256), nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))

    x = torch.randn(64, 64, 256)
    models = {
        NONE: [Path(branch(), 0.0) for _ in range(2)],
        "DropPath": [Path(branch(), p) for _ in range(2)],
        "ResidualPath": [bitdrop.torch.ResidualPath(branch(), p) for _ in range(2)],
    }
    return {name: training_step(nn.Sequential(*model), x, torch.optim.SGD) for name, model in models.items()}


def cnn() -> tuple[nn.Module, Tensor]:
    """Return a small convolutional network with dropout in its head, and a batch."""
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    head = [nn.Linear(64 * 8 * 8, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, 10)]
    return nn.Sequential(*layers, *head), torch.randn(32, 3, 32, 32)


def mlp() -> tuple[nn.Module, Tensor]:
    """Return a perceptron whose first layer precedes the first dropout, and a batch."""
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(512, 10)), torch.randn(32, 784)


def monte_carlo(build: Callable[[], tuple[nn.Module, Tensor]]) -> Sides:
    """Return the sides of 50 predictions, and a single pass without dropout."""
    model, x = build()
    models = {TORCH: model.train(), BITDROP: copy.deepcopy(model)}
    bitdrop.torch.replace_dropout(models[BITDROP])
    single = copy.deepcopy(model).eval()

    def without_gradients(function: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            with torch.no_grad():
                function()

        return call

    def passes(name: str) -> Callable[[], Tensor]:
        return lambda: torch.stack([models[name](x) for _ in range(SAMPLES)])

    sample = bitdrop.torch.monte_carlo
    sides: dict[str, Callable[[], Tensor]] = {
        "one pass": lambda: single(x),
        "torch's, pass by pass": passes(TORCH),
        "bitdrop's, pass by pass": passes(BITDROP),
        "monte_carlo": lambda: sample(models[BITDROP], x, SAMPLES),
        "monte_carlo, same_for_batch": lambda: sample(models[BITDROP], x, SAMPLES, same_for_batch=True),
    }
    return {name: without_gradients(function) for name, function in sides.items()}


STEPS = "Training steps, p = 0.5, batch 256, three hidden layers"
PATHS = "Training steps of two residual branches, 64 samples of 64 x 256"
PREDICTIONS = f"{SAMPLES} predictions, batch 32"
COMPARISONS: dict[str, tuple[str, Callable[[], Sides]]] = {
    **{
        f"width {width}, {optimiser.__name__}": (STEPS, partial(perceptron, width, optimiser))
        for width in (1024, 512, 256)
        for optimiser in (torch.optim.SGD, torch.optim.Adam)
    },
    "convolutions": ("Training steps of three convolutions, 16 x 16 images, p = 0.5, batch 16", convolutions),
    "p = 0.5": (PATHS, partial(residual_paths, 0.5)),
    "p = 0.1": (PATHS, partial(residual_paths, 0.1)),
    "small CNN": (PREDICTIONS, partial(monte_carlo, cnn)),
    "perceptron": (PREDICTIONS, partial(monte_carlo, mlp)),
}


def measure(name: str, rounds: int, clock: Callable[[], float]) -> processes.Figures:
    """Return the figures of each side in this process."""
    torch.manual_seed(0)
    _, comparison = COMPARISONS[name]
    return processes.take_turns(comparison(), rounds, clock)


def in_processes(name: str, arguments: argparse.Namespace) -> processes.BothWays:
    """Return medians over processes of what `measure` returns."""
    options = ["--rounds", str(arguments.rounds), "--threads", str(arguments.threads)]
    options += ["--child", name, "--clock", arguments.clock]
    return processes.both_ways(__file__, options, arguments.processes)


def print_results(results: Mapping[str, processes.BothWays], arguments: argparse.Namespace) -> None:
    """Print two tables for each kind of comparison: times and ratios to its first side, both ways."""
    for title in dict.fromkeys(COMPARISONS[name][0] for name in results):
        names = [name for name in results if COMPARISONS[name][0] == title]
        sides = list(results[names[0]].kept)
        conditions = f"threads: {arguments.threads}, clock: {arguments.clock}"
        kept = [(name, *(_cell(figures) for figures in results[name].kept.values())) for name in names]
        report.print_table(f"{title}; {conditions}", ("", *sides), kept)
        default = [
            (
                name,
                *(
                    f"{_cell(figures)}, {figures[processes.PAGE_FAULTS]:,.0f}"
                    for figures in results[name].default.values()
                ),
            )
            for name in names
        ]
        report.print_table(
            f"The same with the allocator as it is, and page faults; {conditions}", ("", *sides), default
        )


def _cell(figures: Mapping[str, float]) -> str:
    return f"{1e3 * figures[processes.SECONDS]:.2f} ms, {figures[processes.RATIO]:.2f}"


def parsed() -> argparse.Namespace:
    """Return the command-line arguments."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS), help="comparisons"
    )
    parser.add_argument("--processes", type=int, default=5, help="processes of each comparison")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each process")
    parser.add_argument("--threads", type=int, default=1, help="thread count of both libraries")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine"
    )
    parser.add_argument("--child", choices=COMPARISONS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print the tables, or measure one comparison for the process that started this one."""
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    bitdrop.set_num_threads(arguments.threads)
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.rounds, CLOCKS[arguments.clock])))
        return
    report.print_facts(machine.facts() | {"PyTorch": torch.__version__, "freed memory": "both ways"})
    with report.progress() as progress:
        results = {
            name: in_processes(name, arguments)
            for name in progress.track(arguments.only, description="measuring")
        }
    print_results(results, arguments)


if __name__ == "__main__":
    main()
