"""Mean over masks, compared with the scaled network: equal for a linear layer, approximate with ReLUs.

Ten inputs are dropped. There are 2^10 = 1,024 masks, few enough to try them all. So the mean that scaling
replaces can be computed without sampling. The example measures two networks that differ only in the ReLU of
their hidden layer. For each it compares the mean over sampled masks, and the mean over all masks, with the
network in which nothing is dropped.
"""

import argparse
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

Vectors = NDArray[np.float64]  # a vector, or a matrix with vectors as rows

UNITS = 10
HIDDEN = 50
OUTPUTS = 20


class SmallNetwork:
    """``f(x @ first) @ second`` with fixed random weights; f is the identity or the ReLU."""

    def __init__(self, relu: bool, rng: np.random.Generator) -> None:
        self.relu = relu
        self.first = rng.standard_normal((UNITS, HIDDEN)) / np.sqrt(UNITS)
        self.second = rng.standard_normal((HIDDEN, OUTPUTS)) / np.sqrt(HIDDEN)

    def __call__(self, x: Vectors) -> Vectors:
        """Return the outputs for each row of x."""
        hidden = x @ self.first
        outputs: Vectors = (np.maximum(hidden, 0) if self.relu else hidden) @ self.second
        return outputs


def every_mask(units: int) -> Vectors:
    """Return all 2^units masks, as rows of zeros and ones."""
    numbers = np.arange(2**units)[:, np.newaxis]
    masks: Vectors = (numbers >> np.arange(units) & 1).astype(np.float64)
    return masks


def exact_mean(network: SmallNetwork, x: Vectors, p: float) -> Vectors:
    """Return the mean of the network's outputs over all masks, each weighted by its probability."""
    masks = every_mask(len(x))
    kept = masks.sum(axis=1)
    probabilities = (1 - p) ** kept * p ** (len(x) - kept)
    outputs: Vectors = probabilities @ network(x * masks / (1 - p))
    return outputs


def sampled_means(network: SmallNetwork, x: Vectors, p: float, samples: int, seed: int) -> Vectors:
    """Return the mean of the outputs over the first 1, 2, 3, ... of the sampled masks, as rows."""
    copies = np.tile(x, (samples, 1))
    dropped, _ = bitdrop.dropout(copies, p, rng=seed)  # each row has its own mask
    return np.cumsum(network(dropped), axis=0) / np.arange(1, samples + 1)[:, np.newaxis]


def relative_distance(outputs: Vectors, reference: Vectors) -> Vectors:
    """Return the distance of each row from the reference, divided by the reference's norm."""
    distances: Vectors = np.linalg.norm(outputs - reference, axis=-1) / np.linalg.norm(reference)
    return distances


def plot(distances: dict[str, Vectors], gaps: dict[str, float], path: Path) -> None:
    """Save a plot of the distance between sampled mean and scaled network against the number of masks."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    colours = {"linear": "#0072B2", "ReLU": "#D55E00"}
    for name, distance in distances.items():
        masks = np.arange(1, len(distance) + 1)
        axes.loglog(masks, distance, color=colours[name], label=f"{name}: mean over sampled masks")
    axes.axhline(gaps["ReLU"], color=colours["ReLU"], linestyle="--", label="ReLU: mean over all 1,024 masks")
    axes.loglog(masks, distances["linear"][0] / np.sqrt(masks), "k:", label="1 / √(number of masks)")
    axes.set_xlabel("number of sampled masks")
    axes.set_ylabel("relative distance to the scaled network")
    axes.set_title("The mean over masks, compared with the network in which nothing is dropped")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure both networks, print the table and save the plot."""
    parser = argparse.ArgumentParser(
        description="Compare the mean over masks with the scaled network.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--p", type=float, default=0.5, help="probability that an input is dropped")
    parser.add_argument("--samples", type=int, default=100_000, help="number of sampled masks")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, input and masks")
    parser.add_argument("--output", type=Path, default=Path("averaging.png"), help="file for the plot")
    arguments = parser.parse_args()
    if not 0 <= arguments.p < 1 or arguments.samples < 1:
        parser.error(
            "p must be in [0, 1) and samples 1 or more, "
            f"but got p = {arguments.p} and samples = {arguments.samples}"
        )

    table = Table(title=f"p = {arguments.p:g}: relative distance to the network in which nothing is dropped")
    table.add_column("network")
    table.add_column(f"mean over {arguments.samples:,} sampled masks", justify="right")
    table.add_column("mean over all 1,024 masks", justify="right")
    distances, gaps = {}, {}
    for name, relu in track([("linear", False), ("ReLU", True)], description="Sampling masks"):
        rng = np.random.default_rng(arguments.seed)  # the same weights and input for both
        network, x = SmallNetwork(relu, rng), rng.standard_normal(UNITS)
        scaled = network(x)
        distances[name] = relative_distance(
            sampled_means(network, x, arguments.p, arguments.samples, arguments.seed), scaled
        )
        gaps[name] = float(relative_distance(exact_mean(network, x, arguments.p), scaled))
        table.add_row(name, f"{distances[name][-1]:.2%}", f"{gaps[name]:.2g}")
    console = Console()
    console.print(table)
    plot(distances, gaps, arguments.output)
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
