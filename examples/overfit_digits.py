"""Dropout against overfitting: digits of which three in ten carry a wrong label, with and without dropout.

A network that is large enough learns wrong labels by heart, and then repeats the errors on images that it has
not seen. Dropout makes that hard: a unit cannot rely on the others that would store one image (Arpit et al.,
"A closer look at memorization in deep networks", ICML 2017).

Of scikit-learn's 1,797 digits, 1,000 train the network, 300 validate it and 497 test it. Training and
validation images have wrong labels; the test images have the right ones and are the same for every seed. The
validation images choose the settings and the epoch; the test images only report. `--choose` repeats the
choice.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
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

TEST_IMAGES = 497
BATCH = 50
MEASURE_EVERY = 2  # epochs
COLOURS = {"without dropout": "#D55E00", "with dropout": "#0072B2"}  # distinct for colour-blind readers too


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run, apart from its seed."""

    training_images: int = 1000
    validation_images: int = 300
    wrong_labels: float = 0.3  # share of the training and validation images
    hidden_layers: int = 2
    hidden_units: int = 256
    epochs: int = 100
    learning_rate: float = 0.03
    input_p: float = 0.0
    hidden_p: float = 0.0


# Chosen on the validation images, by --choose.
CHOSEN = {
    "without dropout": Settings(learning_rate=0.003),
    "with dropout": Settings(learning_rate=0.01, input_p=0.1, hidden_p=0.3),
}
TRIED = {"learning_rate": (0.003, 0.01, 0.03), "input_p": (0.0, 0.1, 0.2), "hidden_p": (0.0, 0.3, 0.5, 0.7)}
CHOOSING_SEEDS = range(100, 103)  # none of the seeds that report


@dataclass
class Data:
    """Images as rows of 64 grey values in [0, 1], and digits as labels, some of them wrong."""

    train_x: Floats
    train_labels: Labels
    validation_x: Floats
    validation_labels: Labels
    test_x: Floats
    test_labels: Labels  # all right


@dataclass
class Curves:
    """Accuracies at some epochs, against the labels of `Data`: one row for each seed."""

    epochs: list[int]
    train: NDArray[np.float64]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]

    def stopped_early(self, accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each seed's accuracy at the epoch that is best on its validation images."""
        best: NDArray[np.float64] = accuracies[np.arange(len(accuracies)), self.validation.argmax(axis=1)]
        return best


def split_digits(settings: Settings, rng: np.random.Generator) -> Data:
    """Return the digits in three parts: the test images fixed, the others and their errors by `rng`."""
    digits = load_digits()
    x, labels = (digits.data / 16).astype(np.float32), digits.target
    fixed = np.random.default_rng(0).permutation(len(x))
    test, others = fixed[:TEST_IMAGES], rng.permutation(fixed[TEST_IMAGES:])
    given = labels.copy()
    wrong = others[rng.random(len(others)) < settings.wrong_labels]
    given[wrong] = (given[wrong] + rng.integers(1, 10, len(wrong))) % 10
    train = others[: settings.training_images]
    validation = others[settings.training_images :][: settings.validation_images]
    return Data(x[train], given[train], x[validation], given[validation], x[test], labels[test])


def build_network(
    settings: Settings, weights_rng: np.random.Generator, mask_rng: np.random.Generator
) -> Network:
    """Return an untrained network that drops pixels and outputs of hidden layers, where p is not 0."""
    layers: list[Layer] = [bitdrop.Dropout(settings.input_p, rng=mask_rng)] if settings.input_p else []
    inputs = 64
    for _ in range(settings.hidden_layers):
        layers += [Affine(inputs, settings.hidden_units, weights_rng), ReLU()]
        if settings.hidden_p:
            layers.append(bitdrop.Dropout(settings.hidden_p, rng=mask_rng))
        inputs = settings.hidden_units
    layers.append(Affine(inputs, 10, weights_rng))
    return Network(layers)


def train_epoch(network: Network, optimiser: Momentum, data: Data, rng: np.random.Generator) -> None:
    """Train the network on every training image once, with one update per batch."""
    loss = SoftmaxLoss()
    images = len(data.train_x)
    for batch in np.array_split(rng.permutation(images), max(1, images // BATCH)):
        loss.forward(network.forward(data.train_x[batch], training=True), data.train_labels[batch])
        network.backward(loss.backward())
        optimiser.step()


def measured_epochs(epochs: int) -> list[int]:
    """Return the epochs after which accuracy is measured: every second, and the last."""
    return [*range(0, epochs, MEASURE_EVERY), epochs]


def train_seed(settings: Settings, seed: int) -> Iterator[tuple[float, float, float] | None]:
    """Train one network, and yield after each epoch its accuracies if they are to be measured, or None."""
    split_rng, weights_rng, batch_rng, mask_rng = np.random.default_rng(seed).spawn(4)
    data = split_digits(settings, split_rng)
    network = build_network(settings, weights_rng, mask_rng)
    optimiser = Momentum(network, settings.learning_rate)
    measured = set(measured_epochs(settings.epochs))
    for epoch in range(settings.epochs + 1):
        if epoch > 0:
            train_epoch(network, optimiser, data, batch_rng)
        yield (
            (
                network.accuracy(data.train_x, data.train_labels),
                network.accuracy(data.validation_x, data.validation_labels),
                network.accuracy(data.test_x, data.test_labels),
            )
            if epoch in measured
            else None
        )


def train(name: str, settings: Settings, seeds: range, progress: Progress) -> Curves:
    """Train one network for each seed, and return the accuracies of all."""
    task = progress.add_task(name, total=len(seeds) * (settings.epochs + 1))
    rows = []
    for seed in seeds:
        for accuracies in train_seed(settings, seed):
            progress.advance(task)
            if accuracies is not None:
                rows.append(accuracies)
    measured = measured_epochs(settings.epochs)
    return Curves(measured, *np.reshape(rows, (len(seeds), len(measured), 3)).transpose(2, 0, 1))


def choose(base: Settings, progress: Progress) -> Table:
    """Train with all settings that were tried, and return their accuracies on the validation images."""
    table = Table(title=f"Percent of the validation images, mean of {len(CHOOSING_SEEDS)} seeds")
    for column in ("learning rate", "p of inputs", "p of hidden units", "best epoch", "last epoch"):
        table.add_column(column, justify="right")
    tried = [dict(zip(TRIED, values, strict=True)) for values in product(*TRIED.values())]
    tried = [values for values in tried if values["hidden_p"] > 0 or values["input_p"] == 0]
    for values in tried:
        settings = replace(base, **values)  # type: ignore[arg-type]
        curves = train(f"{values}", settings, CHOOSING_SEEDS, progress)
        accuracies = (curves.stopped_early(curves.validation), curves.validation[:, -1])
        table.add_row(*map(str, values.values()), *(f"{100 * a.mean():.1f}" for a in accuracies))
    return table


def percent(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation over the seeds, in percent. A single seed has no deviation."""
    mean = f"{100 * values.mean():.1f}"
    return f"{mean} ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else mean


def report(results: dict[str, Curves], console: Console) -> None:
    """Print a table of the last epoch and of the epoch that the validation images choose, and a summary."""
    plain, dropped = results["without dropout"], results["with dropout"]
    seeds, epochs = len(plain.test), plain.epochs[-1]
    table = Table(title=f"Percent right, mean ± standard deviation of {seeds} seeds")
    table.add_column("network")
    for column in (
        f"training labels, after {epochs} epochs",
        f"test images, after {epochs} epochs",
        "test images, stopped early",
    ):
        table.add_column(column, justify="right")
    for name, curves in results.items():
        table.add_row(
            name,
            percent(curves.train[:, -1]),
            percent(curves.test[:, -1]),
            percent(curves.stopped_early(curves.test)),
        )
    console.print(table)
    last = dropped.test[:, -1] - plain.test[:, -1]
    early = dropped.stopped_early(dropped.test) - plain.stopped_early(plain.test)
    console.print(
        f"Dropout changes the accuracy on the test images by {100 * last.mean():+.1f} points after {epochs} "
        f"epochs, and by {100 * early.mean():+.1f} points if both networks stop early. It was better for "
        f"{np.sum(last > 0)} and {np.sum(early > 0)} of {seeds} seeds."
    )


def plot(results: dict[str, Curves], path: Path, title: str) -> None:
    """Save a plot of the four curves: mean over the seeds, with a band of one standard deviation."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    for name, curves in results.items():
        for kind, accuracies, style in (
            ("training images, as labelled", curves.train, "--"),
            ("test images", curves.test, "-"),
        ):
            mean, deviation = 100 * accuracies.mean(axis=0), 100 * accuracies.std(axis=0)
            axes.plot(curves.epochs, mean, style, color=COLOURS[name], label=f"{kind}, {name}")
            band = mean - deviation, mean + deviation
            axes.fill_between(curves.epochs, *band, color=COLOURS[name], alpha=0.15, linewidth=0)
    axes.set_ylim(50, 101)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(title)
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def title_of(settings: Settings, seeds: int) -> str:
    """Return the title of the plot."""
    wrong = f"{100 * settings.wrong_labels:.0f} % of their labels wrong"
    return f"Trained on {settings.training_images} digits, {wrong}: mean of {seeds} seeds ± deviation"


def positive(text: str) -> int:
    """Parse a command-line argument that must be a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but got {number}")
    return number


def share(text: str) -> float:
    """Parse a command-line argument that must be in [0, 1]."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], but got {number}")
    return number


PARSERS: dict[str, Callable[[str], float]] = {
    "learning_rate": float,
    "wrong_labels": share,
    "input_p": share,
    "hidden_p": share,
}


def parse_arguments() -> tuple[argparse.Namespace, dict[str, float]]:
    """Return the arguments, and the settings among them that were given."""
    parser = argparse.ArgumentParser(
        description="Train a network on digits with wrong labels, with and without dropout.",
        epilog="Settings that are not given are those that the validation images chose. --input-p and "
        "--hidden-p concern the network with dropout.",
    )
    for field in fields(Settings):
        parser.add_argument("--" + field.name.replace("_", "-"), type=PARSERS.get(field.name, positive))
    parser.add_argument("--seeds", type=positive, default=5, help="number of networks of each kind")
    parser.add_argument("--choose", action="store_true", help="compare the settings that were tried")
    parser.add_argument("--output", type=Path, default=Path("overfit_digits.png"), help="file for the plot")
    arguments = parser.parse_args()
    given = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    return arguments, {name: value for name, value in given.items() if value is not None}


def main() -> None:
    """Train, print the table and save the plot."""
    arguments, given = parse_arguments()
    console = Console()
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # The matrices are small: a second BLAS thread costs more than it saves.
    with threadpool_limits(1, user_api="blas"), Progress(*columns, console=console) as progress:
        if arguments.choose:
            console.print(choose(Settings(**given), progress))  # type: ignore[arg-type]
            return
        results = {}
        for name, chosen in CHOSEN.items():
            settings = replace(chosen, **given)  # type: ignore[arg-type]
            if name == "without dropout":
                settings = replace(settings, input_p=0.0, hidden_p=0.0)
            results[name] = train(f"Training {name}", settings, range(arguments.seeds), progress)
    report(results, console)
    plot(results, arguments.output, title_of(settings, arguments.seeds))
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
