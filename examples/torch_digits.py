"""Dropout against overfitting in PyTorch: `overfit_digits.py` with bitdrop's modules in one changed line.

Data, sizes, settings and plot are those of `overfit_digits.py`. Both networks of a seed start from the same
weights and see the same batches, so they differ only in dropout.
"""

import argparse
import time
from pathlib import Path

import bitdrop.torch
import numpy as np
import torch
from overfit_digits import (
    BATCH,
    HIDDEN_LAYERS,
    HIDDEN_P,
    HIDDEN_UNITS,
    INPUT_P,
    TRAINING_IMAGES,
    Curves,
    Data,
    measured_epochs,
    plot,
    positive,
    report,
    split_digits,
)
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import Tensor, nn

DROPOUTS: dict[str, type[nn.Dropout]] = {
    "torch": nn.Dropout,
    "bitdrop": bitdrop.torch.Dropout,  # the one line
}


def build_network(dropout: type[nn.Dropout] | None) -> nn.Sequential:
    """Return an untrained network. With dropout, it drops pixels and the outputs of every hidden layer."""
    layers: list[nn.Module] = [dropout(INPUT_P)] if dropout else []
    inputs = 64
    for _ in range(HIDDEN_LAYERS):
        linear = nn.Linear(inputs, HIDDEN_UNITS)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
        if dropout:
            layers.append(dropout(HIDDEN_P))
        inputs = HIDDEN_UNITS
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
    data: Data, dropout: type[nn.Dropout] | None, seed: int, epochs: int, learning_rate: float
) -> tuple[list[float], list[float]]:
    """Train one network, and return its accuracies on training and test images."""
    torch.manual_seed(seed)
    network = build_network(dropout)
    optimiser = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9)
    batches = torch.Generator().manual_seed(seed)
    train_x, train_labels, test_x, test_labels = map(
        torch.from_numpy, (data.train_x, data.train_labels, data.test_x, data.test_labels)
    )
    train_accuracies, test_accuracies = [], []
    for epoch in range(epochs + 1):
        if epoch > 0:
            order = torch.randperm(TRAINING_IMAGES, generator=batches)
            train_epoch(network, optimiser, train_x, train_labels, order)
        if epoch in measured_epochs(epochs):
            train_accuracies.append(accuracy(network, train_x, train_labels))
            test_accuracies.append(accuracy(network, test_x, test_labels))
    return train_accuracies, test_accuracies


def main() -> None:
    """Train, print the table and save the plot."""
    parser = argparse.ArgumentParser(
        description="Train a PyTorch network on 300 digits with and without dropout, and compare the two.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dropout", choices=DROPOUTS, default="bitdrop", help="library of the dropout")
    parser.add_argument("--epochs", type=positive, default=200, help="number of training epochs")
    parser.add_argument("--seeds", type=positive, default=5, help="number of networks of each kind")
    parser.add_argument(
        "--learning-rate", type=float, default=0.01, help="learning rate of SGD with momentum"
    )
    parser.add_argument("--output", type=Path, default=Path("torch_digits.png"), help="file for the plot")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are small
    console = Console()
    results = {}
    seconds = {}
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as progress:
        for name, dropout in (("without dropout", None), ("with dropout", DROPOUTS[arguments.dropout])):
            begun, curves = time.perf_counter(), []
            for seed in progress.track(range(arguments.seeds), description=f"Training {name}"):
                data = split_digits(np.random.default_rng(seed))
                curves.append(train_seed(data, dropout, seed, arguments.epochs, arguments.learning_rate))
            train, test = np.array(curves).transpose(1, 0, 2)
            results[name] = Curves(measured_epochs(arguments.epochs), train, test)
            seconds[name] = time.perf_counter() - begun
    report(results, console)
    console.print("Seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    plot(results, arguments.output)
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
