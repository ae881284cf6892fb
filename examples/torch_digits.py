"""Dropout against overfitting in PyTorch: `overfit_digits.py` with bitdrop's modules in one changed line.

Data, settings, table and plot are those of `overfit_digits.py`. PyTorch's generators of weights, batches and
masks draw other numbers, so the results differ by chance.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import bitdrop.torch
import numpy as np
import torch
from overfit_digits import (
    BATCH,
    CHOSEN,
    Curves,
    Data,
    Settings,
    measured_epochs,
    plot,
    positive,
    report,
    split_digits,
    title_of,
)
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import Tensor, nn

DROPOUTS: dict[str, type[nn.Dropout]] = {
    "torch": nn.Dropout,
    "bitdrop": bitdrop.torch.Dropout,  # the one line
}


def build_network(settings: Settings, dropout: type[nn.Dropout]) -> nn.Sequential:
    """Return an untrained network that drops pixels and outputs of hidden layers, where p is not 0."""
    layers: list[nn.Module] = [dropout(settings.input_p)] if settings.input_p else []
    inputs = 64
    for _ in range(settings.hidden_layers):
        linear = nn.Linear(inputs, settings.hidden_units)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
        if settings.hidden_p:
            layers.append(dropout(settings.hidden_p))
        inputs = settings.hidden_units
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


def train_epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor, order: Tensor
) -> None:
    """Train the network on every training image once, with one update per batch."""
    network.train()
    for batch in order.split(BATCH):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x[batch]), labels[batch]).backward()
        optimiser.step()


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose largest output is that of their label, without dropout."""
    return (network.eval()(x).argmax(dim=1) == labels).double().mean().item()


def train_seed(
    settings: Settings, data: Data, dropout: type[nn.Dropout], seed: int
) -> list[tuple[float, ...]]:
    """Train one network, and return its accuracies on training, validation and test images."""
    torch.manual_seed(seed)
    network = build_network(settings, dropout)
    optimiser = torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=0.9)
    batches = torch.Generator().manual_seed(seed)
    train_x, train_labels = torch.from_numpy(data.train_x), torch.from_numpy(data.train_labels)
    pairs = [
        (train_x, train_labels),
        (torch.from_numpy(data.validation_x), torch.from_numpy(data.validation_labels)),
        (torch.from_numpy(data.test_x), torch.from_numpy(data.test_labels)),
    ]
    accuracies: list[tuple[float, ...]] = []
    for epoch in range(settings.epochs + 1):
        if epoch > 0:
            order = torch.randperm(len(train_x), generator=batches)
            train_epoch(network, optimiser, train_x, train_labels, order)
        if epoch in measured_epochs(settings.epochs):
            accuracies.append(tuple(accuracy(network, x, labels) for x, labels in pairs))
    return accuracies


def main() -> None:
    """Train, print the table and save the plot."""
    parser = argparse.ArgumentParser(
        description="Train a PyTorch network on digits with wrong labels, with and without dropout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dropout", choices=DROPOUTS, default="bitdrop", help="library of the dropout")
    parser.add_argument("--epochs", type=positive, default=Settings.epochs, help="number of training epochs")
    parser.add_argument("--seeds", type=positive, default=5, help="number of networks of each kind")
    parser.add_argument("--output", type=Path, default=Path("torch_digits.png"), help="file for the plot")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are small
    console = Console()
    results = {}
    seconds = {}
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as progress:
        for name, chosen in CHOSEN.items():
            settings = replace(chosen, epochs=arguments.epochs)
            begun, rows = time.perf_counter(), []
            for seed in progress.track(range(arguments.seeds), description=f"Training {name}"):
                data = split_digits(settings, np.random.default_rng(seed))
                rows.append(train_seed(settings, data, DROPOUTS[arguments.dropout], seed))
            results[name] = Curves(measured_epochs(settings.epochs), *np.array(rows).transpose(2, 0, 1))
            seconds[name] = time.perf_counter() - begun
    report(results, console)
    console.print("Seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    plot(results, arguments.output, title_of(settings, arguments.seeds))
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
