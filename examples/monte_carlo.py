"""Monte Carlo dropout: a network that measures its uncertainty, which grows away from its training set.

A regression network is trained with dropout. At inference dropout stays on, and the network runs many times,
each time with a different mask. The mean of the answers is the prediction. Their spread is a measure of the
network's uncertainty (Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016).

All masks are drawn in one call: `np.broadcast_to` repeats an array many times without copying it, and dropout
reads the result like any other array.
"""

import argparse
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from network import Affine, Floats, Momentum, Network, ReLU
from rich.progress import track

HIDDEN = 128
TRAINED = (-4.0, 4.0)  # range of the training inputs, except for the gap
GAP = (-1.0, 1.5)
SHOWN = (-8.0, 8.0)


def training_set(points: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return inputs outside the gap and noisy values of a curve at these inputs, as columns."""
    x = rng.uniform(*TRAINED, size=2 * points)
    x = x[(x < GAP[0]) | (x > GAP[1])][:points, np.newaxis]
    y = np.sin(1.2 * x) + 0.15 * x + 0.1 * rng.standard_normal(x.shape)
    return x.astype(np.float32), y.astype(np.float32)


def make_network(p: float, rng: np.random.Generator) -> Network:
    """Return a network with two hidden layers and dropout after each."""
    first = Affine(1, HIDDEN, rng)
    weights, bias = first.parameters
    bias[:] = -weights[0] * rng.uniform(*TRAINED, HIDDEN)  # spreads the kinks of the ReLUs over the inputs
    return Network(
        [
            first,
            ReLU(),
            bitdrop.Dropout(p, rng=rng),
            Affine(HIDDEN, HIDDEN, rng),
            ReLU(),
            bitdrop.Dropout(p, rng=rng),
            Affine(HIDDEN, 1, rng),
        ]
    )


def train(network: Network, x: Floats, y: Floats, epochs: int) -> None:
    """Fit the network to the points by mean squared error."""
    optimiser = Momentum(network, learning_rate=0.001)
    for _ in track(range(epochs), description="Training"):
        error = network.forward(x, training=True) - y
        network.backward(2 * error / np.float32(len(x)))
        optimiser.step()


def sample(network: Network, x: Floats, samples: int) -> Floats:
    """Return the network's answers under `samples` masks, of shape (samples, len(x))."""
    # The layers before the first dropout give the same result for all masks, so they run once.
    hidden = Network(network.layers[:2]).forward(x, training=False)
    copies = np.broadcast_to(hidden, (samples, *hidden.shape))  # a stride of 0: one copy in memory
    answers: Floats = Network(network.layers[2:]).forward(copies, training=True)
    return answers[..., 0]


def plot(x: Floats, answers: Floats, trained: tuple[Floats, Floats], path: Path) -> None:
    """Save a plot of the mean of the answers, their spread and the training set."""
    mean, deviation = answers.mean(axis=0), answers.std(axis=0)
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    for width in (2, 1):
        axes.fill_between(
            x[:, 0],
            mean - width * deviation,
            mean + width * deviation,
            color="#0072B2",
            alpha=0.2,
            linewidth=0,
            label=f"± {width} standard deviation{'s' if width > 1 else ''} over masks",
        )
    axes.plot(x[:, 0], mean, color="#0072B2", label="mean over masks")
    axes.plot(*trained, "o", color="#D55E00", markersize=3, label="training set")
    axes.set_xlabel("input")
    axes.set_ylabel("output")
    axes.set_title(f"Monte Carlo dropout: {len(answers)} masks for each input")
    figure.legend(loc="outside lower center", ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, sample, print the spread by region and save the plot."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--p", type=float, default=0.05, help="probability that a hidden unit is dropped")
    parser.add_argument("--epochs", type=int, default=4000, help="number of training epochs")
    parser.add_argument("--samples", type=int, default=500, help="number of masks")
    parser.add_argument("--seed", type=int, default=0, help="seed of data, weights and masks")
    parser.add_argument("--output", type=Path, default=Path("monte_carlo.png"), help="file for the plot")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    trained = training_set(120, rng)
    network = make_network(arguments.p, rng)
    train(network, *trained, arguments.epochs)
    x = np.linspace(*SHOWN, 200, dtype=np.float32)[:, np.newaxis]
    answers = sample(network, x, arguments.samples)

    inputs, deviation = x[:, 0], answers.std(axis=0)
    in_gap = (inputs > GAP[0]) & (inputs < GAP[1])
    outside = (inputs < TRAINED[0]) | (inputs > TRAINED[1])
    for name, region in (
        ("on the training set", ~in_gap & ~outside),
        ("in its gap", in_gap),
        ("outside", outside),
    ):
        print(f"mean standard deviation {name}: {deviation[region].mean():.3f}")
    plot(x, answers, trained, arguments.output)
    print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
