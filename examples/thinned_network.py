"""Dropout that makes a training step cheaper: only the kept units of a network are computed.

If all samples of a batch share one mask, a dropped unit is dropped for the whole batch. Neither its column of
weights before the dropout nor its row after it has an effect, so no product needs them. The thinned network
gathers the weights between kept units, uses these small matrices forward and backward, and scatters the
gradients. Up to rounding it is the network of shared masks.

The example trains four networks on 300 images of digits:

- without dropout
- dropout as usual: each image has a mask of its own
- shared masks: one mask for a batch, all units computed
- thinned: the same masks, only kept units computed

It prints their accuracies and steps per second, then the time of a step in a wide network, and plots both.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
from matplotlib.figure import Figure
from network import Affine, Floats, Labels, Layer, Network, ReLU, SoftmaxLoss
from numpy.typing import NDArray
from overfit_digits import BATCH, Data, measured_epochs, percent, positive
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

P = 0.5
TRAINING_IMAGES = 300
HIDDEN_LAYERS = 4
WIDTH, WIDE = 256, 1024  # hidden units of a layer: for the digits, and for the timing
WIDE_BATCH = 256
MOMENTUM = np.float32(0.9)
COLOURS = {
    "without dropout": "#D55E00",
    "dropout as usual": "#0072B2",
    "shared masks": "#009E73",
    "thinned": "#CC79A7",
}

Indices = NDArray[np.int64]
Update = tuple[Floats, Any, Floats]  # a parameter, the index of a part of it, and the gradient of that part


def split_digits(rng: np.random.Generator) -> Data:
    """Return 300 randomly chosen digits as the training set, and the other 1,497 as the test set."""
    digits = load_digits()
    x, labels = (digits.data / 16).astype(np.float32), digits.target
    train, test = np.split(rng.permutation(len(x)), [TRAINING_IMAGES])
    return Data(x[train], labels[train], x[:0], labels[:0], x[test], labels[test])


class Thinned:
    """Affine layer, ReLU and shared dropout between the kept units of one step."""

    def __init__(self, affine: Affine, dropout: bitdrop.Dropout | None, inputs: Indices) -> None:
        self._affine = affine
        bias = affine.parameters[1]
        self._scale = np.float32(1)
        if dropout is None:
            self.outputs = np.arange(bias.size)
        else:
            dropout.forward(bias[np.newaxis], training=True)  # one row is enough: a batch shares its mask
            assert dropout.mask is not None
            self.outputs, self._scale = dropout.mask.kept_indices(), np.float32(dropout.mask.scale)
        self._is_last = dropout is None
        self._part = np.ix_(inputs, self.outputs)
        self._weights = affine.parameters[0].take(inputs, axis=0).take(self.outputs, axis=1)

    def forward(self, x: Floats) -> Floats:
        """Return the kept outputs for the kept inputs."""
        self._x = x
        self._y: Floats = x @ self._weights + self._affine.parameters[1][self.outputs]
        if not self._is_last:
            np.maximum(self._y, 0, out=self._y)
            self._y *= self._scale
        return self._y

    def backward(self, dy: Floats) -> Floats:
        """Store the gradients of the kept parameters, and return the gradient of the kept inputs."""
        if not self._is_last:
            dy = dy * self._scale * (self._y > 0)
        self._gradients = self._x.T @ dy, dy.sum(axis=0)
        return dy @ self._weights.T

    def updates(self) -> list[Update]:
        """Return the parameters with their kept parts and the gradients of these."""
        parts = self._part, self.outputs
        return list(zip(self._affine.parameters, parts, self._gradients, strict=True))


class ThinnedNetwork(Network):
    """Network of affine layers, each but the last with a ReLU and a dropout layer, thinned in training."""

    def forward(self, x: Floats, training: bool) -> Floats:
        """Pass x through all layers, in training through the kept units alone."""
        if not training:
            return super().forward(x, training)
        affine = [layer for layer in self.layers if isinstance(layer, Affine)]
        dropout = [layer for layer in self.layers if isinstance(layer, bitdrop.Dropout)]
        inputs: Indices = np.arange(x.shape[1])
        self._parts: list[Thinned] = []
        for pair in zip_longest(affine, dropout):
            part = Thinned(*pair, inputs)
            x, inputs = part.forward(x), part.outputs
            self._parts.append(part)
        return x

    def backward(self, dy: Floats) -> None:
        """Pass the gradient back through the kept units."""
        for part in reversed(self._parts):
            dy = part.backward(dy)

    def updates(self) -> Iterator[Update]:
        """Yield the kept parts of all parameters with their gradients."""
        for part in self._parts:
            yield from part.updates()


def updates(network: Network) -> Iterator[Update]:
    """Yield all parameters of a network with their gradients."""
    if isinstance(network, ThinnedNetwork):
        yield from network.updates()
        return
    for layer in network.layers:
        if isinstance(layer, Affine):
            for parameter, gradient in zip(layer.parameters, layer.gradients, strict=True):
                yield parameter, ..., gradient


class ScatteringMomentum:
    """Stochastic gradient descent with momentum, for gradients of parts of the parameters."""

    def __init__(self, network: Network, learning_rate: float) -> None:
        self._network = network
        affine = [layer for layer in network.layers if isinstance(layer, Affine)]
        self._velocities = [np.zeros_like(parameter) for layer in affine for parameter in layer.parameters]
        self._learning_rate = np.float32(learning_rate)

    def step(self) -> None:
        """Update all velocities and parameters. Outside of its part, a gradient is 0."""
        for velocity, (parameter, part, gradient) in zip(
            self._velocities, updates(self._network), strict=True
        ):
            np.multiply(velocity, MOMENTUM, out=velocity)
            velocity[part] -= self._learning_rate * gradient
            np.add(parameter, velocity, out=parameter)


@dataclass
class Trainer:
    """A network with its optimiser."""

    network: Network
    optimiser: ScatteringMomentum

    def step(self, x: Floats, labels: Labels) -> None:
        """Update the network by the gradients of one batch."""
        loss = SoftmaxLoss()
        loss.forward(self.network.forward(x, training=True), labels)
        self.network.backward(loss.backward())
        self.optimiser.step()


def build(kind: str, width: int, seed: int, learning_rate: float) -> Trainer:
    """Return an untrained network. A seed gives all kinds the same weights, the last two the same masks."""
    weights_rng, mask_rng = np.random.default_rng(seed).spawn(2)
    noise_shape = None if kind == "dropout as usual" else (1, None)
    layers: list[Layer] = []
    inputs = 64
    for _ in range(HIDDEN_LAYERS):
        layers += [Affine(inputs, width, weights_rng), ReLU()]
        if kind != "without dropout":
            layers.append(bitdrop.Dropout(p=P, noise_shape=noise_shape, rng=mask_rng))
        inputs = width
    layers.append(Affine(inputs, 10, weights_rng))
    network = (ThinnedNetwork if kind == "thinned" else Network)(layers)
    return Trainer(network, ScatteringMomentum(network, learning_rate))


@dataclass
class Result:
    """Training of one kind of network: test accuracies at some epochs, a row for each seed, and its speed."""

    epochs: list[int]
    accuracies: NDArray[np.float64]
    steps_per_second: float


def train(kind: str, seeds: int, epochs: int, learning_rate: float, progress: Progress) -> Result:
    """Train one network for each seed on the digits."""
    task = progress.add_task(f"Training {kind}", total=seeds * epochs)
    measured, accuracies, seconds = measured_epochs(epochs), [], 0.0
    for seed in range(seeds):
        split_rng, batch_rng = np.random.default_rng([seed, 1]).spawn(2)
        data = split_digits(split_rng)
        trainer = build(kind, WIDTH, seed, learning_rate)
        for epoch in range(epochs + 1):
            if epoch > 0:
                start = time.perf_counter()
                for batch in np.split(batch_rng.permutation(TRAINING_IMAGES), TRAINING_IMAGES // BATCH):
                    trainer.step(data.train_x[batch], data.train_labels[batch])
                seconds += time.perf_counter() - start
                progress.advance(task)
            if epoch in measured:
                accuracies.append(trainer.network.accuracy(data.test_x, data.test_labels))
    steps = seeds * epochs * (TRAINING_IMAGES // BATCH)
    return Result(measured, np.reshape(accuracies, (seeds, len(measured))), steps / seconds)


def time_wide_steps(rounds: int) -> dict[str, float]:
    """Return the time of a step of each kind, in steps without dropout: medians of quotients."""
    rng = np.random.default_rng(0)
    x, labels = rng.random((WIDE_BATCH, 64), dtype=np.float32), rng.integers(10, size=WIDE_BATCH)
    trainers = {kind: build(kind, WIDE, 0, 0.001) for kind in COLOURS}
    seconds: dict[str, list[float]] = {kind: [] for kind in COLOURS}
    for number in range(rounds + 1):
        for kind, trainer in trainers.items():
            start = time.perf_counter()
            trainer.step(x, labels)
            if number > 0:  # the first is for warming up
                seconds[kind].append(time.perf_counter() - start)
    plain = np.array(seconds["without dropout"])
    return {kind: float(np.median(np.array(taken) / plain)) for kind, taken in seconds.items()}


def report(results: dict[str, Result], wide: dict[str, float], console: Console) -> None:
    """Print both tables."""
    epochs, seeds = results["thinned"].epochs[-1], len(results["thinned"].accuracies)
    table = Table(
        title=f"After {epochs} epochs on {TRAINING_IMAGES} digits: mean ± standard deviation, {seeds} seeds"
    )
    for column in ("network", "test accuracy (%)", "steps per second"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for kind, result in results.items():
        table.add_row(kind, percent(result.accuracies[:, -1]), f"{result.steps_per_second:.0f}")
    console.print(table)
    table = Table(
        title=f"Step of a network of {HIDDEN_LAYERS} x {WIDE} hidden units, batch {WIDE_BATCH}, p = {P}"
    )
    table.add_column("network")
    table.add_column("time / time without dropout", justify="right")
    for kind, ratio in wide.items():
        table.add_row(kind, f"{ratio:.2f}")
    console.print(table)


def plot(results: dict[str, Result], wide: dict[str, float], path: Path) -> None:
    """Save a plot of the test accuracies, and of the times of a step in the wide network."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for kind, result in results.items():
        style = "--" if kind == "thinned" else "-"  # over the curve of shared masks
        left.plot(result.epochs, 100 * result.accuracies.mean(axis=0), style, color=COLOURS[kind], label=kind)
    left.set_ylim(85, 97)
    left.set_xlabel("epoch")
    left.set_ylabel("test accuracy (%)")
    seeds = len(results["thinned"].accuracies)
    left.set_title(f"{TRAINING_IMAGES} digits, {HIDDEN_LAYERS} x {WIDTH} hidden units, mean of {seeds} seeds")
    left.legend(loc="lower right")
    left.grid(alpha=0.3)
    bars = right.barh(list(wide), list(wide.values()), color=[COLOURS[kind] for kind in wide])
    right.bar_label(bars, fmt="%.2f", padding=3)
    right.set_xlim(0, 1.25 * max(wide.values()))
    right.invert_yaxis()
    right.set_xlabel("time of a step, without dropout = 1")
    right.set_title(f"{HIDDEN_LAYERS} x {WIDE} hidden units, batch {WIDE_BATCH}")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, time, print the tables and save the plot."""
    parser = argparse.ArgumentParser(
        description="Train on the kept units alone, and compare with no dropout and dropout as usual.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=positive, default=200, help="number of training epochs")
    parser.add_argument("--seeds", type=positive, default=5, help="number of networks of each kind")
    parser.add_argument(
        "--learning-rate", type=float, default=0.01, help="learning rate of SGD with momentum"
    )
    parser.add_argument(
        "--rounds", type=positive, default=40, help="number of timed steps in the wide network"
    )
    parser.add_argument("--output", type=Path, default=Path("thinned_network.png"), help="file for the plot")
    arguments = parser.parse_args()

    console = Console()
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # One thread each for BLAS and bitdrop, so that the times compare work.
    bitdrop.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        with Progress(*columns, console=console) as progress:
            results = {
                kind: train(kind, arguments.seeds, arguments.epochs, arguments.learning_rate, progress)
                for kind in COLOURS
            }
        wide = time_wide_steps(arguments.rounds)
    report(results, wide, console)
    plot(results, wide, arguments.output)
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
