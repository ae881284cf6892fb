"""Dropout against overfitting: a deep network trained on 300 images of digits, with and without dropout.

With so few images the network learns all of them by heart. It is then less accurate on images that it has not
seen. Dropout is meant to narrow this gap between training and test accuracy.

Each seed decides the 300 training images, the initial weights and the order of the batches. Both networks of
a seed share all of these, so they differ only in dropout.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from network import Affine, Floats, Labels, Layer, Momentum, Network, ReLU, SoftmaxLoss
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

TRAINING_IMAGES = 300
HIDDEN_LAYERS = 4
HIDDEN_UNITS = 256
INPUT_P = 0.1  # small, because no other unit can replace a lost pixel
HIDDEN_P = 0.5
BATCH = 50
MEASURE_EVERY = 5  # epochs

COLOURS = {"without dropout": "#D55E00", "with dropout": "#0072B2"}  # distinct for colour-blind readers too


@dataclass
class Data:
    """Images as rows of 64 grey values in [0, 1], and their digits as labels."""

    train_x: Floats
    train_labels: Labels
    test_x: Floats
    test_labels: Labels


@dataclass
class Curves:
    """Accuracies on training and test images at some epochs: one row for each seed."""

    epochs: list[int]
    train: NDArray[np.float64]
    test: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """Training accuracy minus test accuracy for each seed, after the last epoch."""
        return self.train[:, -1] - self.test[:, -1]


def split_digits(rng: np.random.Generator) -> Data:
    """Return 300 randomly chosen digits as the training set, and the other 1,497 as the test set."""
    digits = load_digits()
    x, labels = (digits.data / 16).astype(np.float32), digits.target
    train, test = np.split(rng.permutation(len(x)), [TRAINING_IMAGES])
    return Data(x[train], labels[train], x[test], labels[test])


def build_network(dropout: bool, weights_rng: np.random.Generator, mask_rng: np.random.Generator) -> Network:
    """Return an untrained network. With dropout, it drops pixels and the outputs of every hidden layer."""
    layers: list[Layer] = [bitdrop.Dropout(p=INPUT_P, rng=mask_rng)] if dropout else []
    inputs = 64
    for _ in range(HIDDEN_LAYERS):
        layers += [Affine(inputs, HIDDEN_UNITS, weights_rng), ReLU()]
        if dropout:
            layers.append(bitdrop.Dropout(p=HIDDEN_P, rng=mask_rng))
        inputs = HIDDEN_UNITS
    layers.append(Affine(inputs, 10, weights_rng))
    return Network(layers)


def train_epoch(network: Network, optimiser: Momentum, data: Data, rng: np.random.Generator) -> None:
    """Train the network on every training image once, with one update per batch."""
    loss = SoftmaxLoss()
    for batch in np.split(rng.permutation(TRAINING_IMAGES), TRAINING_IMAGES // BATCH):
        loss.forward(network.forward(data.train_x[batch], training=True), data.train_labels[batch])
        network.backward(loss.backward())
        optimiser.step()


def measured_epochs(epochs: int) -> list[int]:
    """Return the epochs after which accuracy is measured: every fifth, and the last."""
    return [*range(0, epochs, MEASURE_EVERY), epochs]


def train(dropout: bool, seeds: int, epochs: int, learning_rate: float, progress: Progress) -> Curves:
    """Train one network for each seed, and return the accuracies of all."""
    name = "with dropout" if dropout else "without dropout"
    task = progress.add_task(f"Training {name}", total=seeds * epochs)
    measured = measured_epochs(epochs)
    train_accuracies, test_accuracies = [], []
    for seed in range(seeds):
        split_rng, weights_rng, batch_rng, mask_rng = np.random.default_rng(seed).spawn(4)
        data = split_digits(split_rng)
        network = build_network(dropout, weights_rng, mask_rng)
        optimiser = Momentum(network, learning_rate)
        for epoch in range(epochs + 1):
            if epoch > 0:
                train_epoch(network, optimiser, data, batch_rng)
                progress.advance(task)
            if epoch in measured:
                train_accuracies.append(network.accuracy(data.train_x, data.train_labels))
                test_accuracies.append(network.accuracy(data.test_x, data.test_labels))
    shape = (seeds, len(measured))
    return Curves(measured, np.reshape(train_accuracies, shape), np.reshape(test_accuracies, shape))


def percent(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation over the seeds, in percent. A single seed has no deviation."""
    mean = f"{100 * values.mean():.1f}"
    return f"{mean} ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else mean


def report(results: dict[str, Curves], console: Console) -> None:
    """Print a table of the last epoch and a summary of the gap."""
    plain, dropped = results["without dropout"], results["with dropout"]
    seeds = len(plain.gap)
    table = Table(title=f"Percent after {plain.epochs[-1]} epochs: mean ± standard deviation, {seeds} seeds")
    table.add_column("network")
    for column in ("training images", "test images", "gap"):
        table.add_column(column, justify="right")
    for name, curves in results.items():
        table.add_row(name, percent(curves.train[:, -1]), percent(curves.test[:, -1]), percent(curves.gap))
    console.print(table)
    console.print(
        f"Gap between training and test accuracy: {100 * plain.gap.mean():.1f} points without dropout, "
        f"{100 * dropped.gap.mean():.1f} with it. "
        f"Dropout narrowed the gap for {np.sum(dropped.gap < plain.gap)} of {seeds} seeds "
        f"and raised test accuracy for {np.sum(dropped.test[:, -1] > plain.test[:, -1])}."
    )


def plot(results: dict[str, Curves], path: Path) -> None:
    """Save a plot of the four curves: mean over the seeds, with a band of one standard deviation."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    for name, curves in results.items():
        for kind, accuracies, style in (("training", curves.train, "--"), ("test", curves.test, "-")):
            mean, deviation = 100 * accuracies.mean(axis=0), 100 * accuracies.std(axis=0)
            axes.plot(curves.epochs, mean, style, color=COLOURS[name], label=f"{kind} images, {name}")
            band = mean - deviation, mean + deviation
            axes.fill_between(curves.epochs, *band, color=COLOURS[name], alpha=0.15, linewidth=0)
    axes.set_ylim(85, 100.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy (%)")
    seeds = len(next(iter(results.values())).gap)
    axes.set_title(f"Trained on {TRAINING_IMAGES} digits: mean of {seeds} seeds ± one standard deviation")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def positive(text: str) -> int:
    """Parse a command-line argument that must be a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but got {number}")
    return number


def main() -> None:
    """Train, print the table and save the plot."""
    parser = argparse.ArgumentParser(
        description="Train a network on 300 digits with and without dropout, and compare the two.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=positive, default=200, help="number of training epochs")
    parser.add_argument("--seeds", type=positive, default=5, help="number of networks of each kind")
    parser.add_argument(
        "--learning-rate", type=float, default=0.01, help="learning rate of SGD with momentum"
    )
    parser.add_argument("--output", type=Path, default=Path("overfit_digits.png"), help="file for the plot")
    arguments = parser.parse_args()

    console = Console()
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # The matrices are small: a second BLAS thread costs more than it saves.
    with threadpool_limits(1, user_api="blas"), Progress(*columns, console=console) as progress:
        results = {}
        for name, dropout in (("without dropout", False), ("with dropout", True)):
            results[name] = train(
                dropout, arguments.seeds, arguments.epochs, arguments.learning_rate, progress
            )
    report(results, console)
    plot(results, arguments.output)
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
