"""Cost of dropout in training: steps with torch's dropout, with bitdrop's, with bitdrop's fused, and without.

Each network is built four times with the same weights. Their steps (forward, backward, optimiser) alternate
in one process, so that other work of the machine affects all alike. Each figure is a median over processes,
measured twice: with the memory allocator as it is, and with one that keeps freed memory.
"""

import argparse
import contextlib
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import bitdrop
import bitdrop.torch
import machine
import processes
import report
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

NONE, TORCH, BITDROP, FUSED = "no dropout", "torch's", "bitdrop's", "bitdrop's, fused"
SIDES = (NONE, TORCH, BITDROP, FUSED)
SAVED = "saved bytes"


@dataclass(frozen=True)
class Network:
    """A network to train, with the p of its dropout and a batch."""

    name: str
    p: float
    build: Callable[[float], nn.Module]
    batch: Callable[[], Tensor]


def convolutional(p: float) -> nn.Module:
    """Two blocks of two convolutions each, as for small images, with dropout after each block."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        first, second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        return [first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(p)]

    head = [nn.Flatten(), nn.Linear(64 * 8 * 8, 256), nn.ReLU(), nn.Dropout(p), nn.Linear(256, 10)]
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Dropout(p), *block(32, 32), *block(32, 64), *head
    )


def perceptron(p: float) -> nn.Module:
    """Three hidden layers of 1,024 units, with dropout after each."""
    layers: list[nn.Module] = []
    for inputs in (784, 1024, 1024):
        layers += [nn.Linear(inputs, 1024), nn.ReLU(), nn.Dropout(p)]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


class TransformerBlock(nn.Module):
    """One encoder layer, with a classifier on the outputs' average over time."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=p, batch_first=True)
        self.layer.self_attn.dropout = 0.0  # as in many models; the next network has it
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for ten classes."""
        outputs: Tensor = self.head(self.layer(x).mean(dim=1))
        return outputs


class Encoder(nn.Module):
    """A small BERT: two encoder layers, with dropout on the weights of attention too."""

    def __init__(self, p: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=p, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for ten classes."""
        outputs: Tensor = self.head(self.layers(x)[:, 0])
        return outputs


NETWORKS = {
    network.name: network
    for network in (
        Network("convolutional network", 0.25, convolutional, lambda: torch.randn(64, 3, 32, 32)),
        Network("multilayer perceptron", 0.5, perceptron, lambda: torch.randn(256, 784)),
        Network("transformer block", 0.1, TransformerBlock, lambda: torch.randn(16, 128, 256)),
        Network("small BERT", 0.1, Encoder, lambda: torch.randn(16, 128, 256)),
    )
}


def variants(network: Network) -> dict[str, nn.Module]:
    """Return the network with each kind of dropout, all with the same weights."""
    models = {NONE: network.build(0.0)}
    models[TORCH] = network.build(network.p)
    models[TORCH].load_state_dict(models[NONE].state_dict())
    models[BITDROP] = copy.deepcopy(models[TORCH])
    if bitdrop.torch.replace_dropout(models[BITDROP]) == 0:
        raise RuntimeError(f"the {network.name} has no dropout to replace")
    models[FUSED] = copy.deepcopy(models[BITDROP])
    bitdrop.torch.fuse_dropout(models[FUSED])  # the rest stays bitdrop's
    return models


class Trainer:
    """A model with its optimiser and batch."""

    def __init__(self, side: str, model: nn.Module, x: Tensor) -> None:
        self._model, self._x = model, x
        self._functions = bitdrop.torch.patch if side == BITDROP else contextlib.nullcontext
        self._labels = torch.arange(len(x)) % 10
        self._optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(self) -> None:
        """Train one step."""
        self._optimiser.zero_grad()
        with self._functions():  # for the dropout on attention's weights
            nn.functional.cross_entropy(self._model(self._x), self._labels).backward()
        self._optimiser.step()

    def saved_bytes(self) -> int:
        """Return the bytes that a forward pass holds for backward, counting each storage once."""
        held: dict[int, int] = {}

        def hold(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
            return tensor

        with self._functions(), torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            loss = nn.functional.cross_entropy(self._model(self._x), self._labels)
        del loss  # kept until here, so that no address is reused while storages are counted
        return sum(held.values())


def measure(network: Network, rounds: int) -> processes.Figures:
    """Train all sides in turns, and return the figures of each."""
    x = network.batch()
    trainers = {side: Trainer(side, model, x) for side, model in variants(network).items()}
    figures = processes.take_turns({side: trainer.step for side, trainer in trainers.items()}, rounds)
    return {side: figures[side] | {SAVED: trainers[side].saved_bytes()} for side in SIDES}


def in_processes(name: str, arguments: argparse.Namespace) -> processes.BothWays:
    """Return medians over processes of what `measure` returns."""
    options = ["--child", name, "--rounds", str(arguments.rounds), "--threads", str(arguments.threads)]
    return processes.both_ways(__file__, options, arguments.processes)


def print_results(results: Mapping[str, processes.BothWays], threads: int) -> None:
    """Print times, ratios and memory."""
    columns = (
        *("network", "p", "dropout", "ms per step", "ratio to no dropout"),
        *("default allocator: ratio", "page faults per step", "saved for backward"),
    )
    rows = []
    for name, both in results.items():
        for side in SIDES:
            kept, default = both.kept[side], both.default[side]
            cells = (
                f"{1e3 * kept[processes.SECONDS]:.1f}",
                f"{kept[processes.RATIO]:.2f}",
                f"{default[processes.RATIO]:.2f}",
                f"{default[processes.PAGE_FAULTS]:,.0f}",
                f"{kept[SAVED] / 2**20:.1f} MiB",
            )
            rows.append((name, str(NETWORKS[name].p), side, *cells))
    report.print_table(f"Training steps, float32, freed memory kept, threads: {threads}", columns, rows)


def plot(results: Mapping[str, processes.BothWays], path: Path, footnote: str) -> None:
    """Write a bar chart: the time of a step as a multiple of that without dropout."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width, colours = 0.21, ("#999999", "#D55E00", "#0072B2", "#56B4E9")
    for number, (side, colour) in enumerate(zip(SIDES, colours, strict=True)):
        places = [place + (number - 1.5) * width for place in range(len(results))]
        bars = axes.bar(
            places,
            [both.kept[side][processes.RATIO] for both in results.values()],
            width * 0.92,
            label=side,
            color=colour,
        )
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize="small")
    axes.set_xticks(range(len(results)), [f"{name}\np = {NETWORKS[name].p}" for name in results])
    axes.set(
        ylabel="time of a training step", title="Training with dropout, as multiples of the step without"
    )
    axes.margins(y=0.25)  # room for the legend above the bars
    axes.legend(frameon=False, loc="upper center", ncols=len(SIDES))
    figure.supxlabel(footnote, fontsize="small", color="gray")
    figure.savefig(path, dpi=144)


def positive(text: str) -> int:
    """Parse a command-line argument that must be a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but got {number}")
    return number


def main() -> None:
    """Measure, print the table and write the chart."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="networks")
    parser.add_argument("--processes", type=positive, default=5, help="processes of each network")
    parser.add_argument("--rounds", type=positive, default=10, help="steps of each side per process")
    parser.add_argument(
        "--threads", type=positive, default=bitdrop.get_num_threads(), help="thread count of both libraries"
    )
    parser.add_argument("--output", type=Path, default=Path("training.png"), help="file for the bar chart")
    parser.add_argument("--child", choices=NETWORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bitdrop.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.child:
        print(json.dumps(measure(NETWORKS[arguments.child], arguments.rounds)))
        return
    facts = machine.facts() | {"PyTorch": torch.__version__, "freed memory": "both ways"}
    report.print_facts(facts)
    with report.progress() as progress:
        results = {
            name: in_processes(name, arguments)
            for name in progress.track(arguments.only, description="training")
        }
    print_results(results, arguments.threads)
    footnote = f"{facts['processor']}, threads: {arguments.threads}, PyTorch {torch.__version__}"
    plot(results, arguments.output, footnote)
    report.console.print(f"\nChart: {arguments.output}")


if __name__ == "__main__":
    main()
