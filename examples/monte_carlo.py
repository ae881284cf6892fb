"""Monte Carlo dropout: a network that says how sure it is, less so away from what it was trained on.

A regression network is trained with dropout. At inference dropout stays on, and the network is asked many
times, each time with another mask: the mean of the answers is the prediction, their spread tells how much the
network itself is in doubt (Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016).

All masks are drawn in one call: `np.broadcast_to` makes many samples of one array without copying it, and
dropout reads them as any other array.
"""

import argparse
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from network import Affine, Floats, Momentum, Network, ReLU

HIDDEN = 128
TRAINED = (-4.0, 4.0)  # inputs of the training set lie here, but for the gap
GAP = (-1.0, 1.5)
SHOWN = (-8.0, 8.0)


def training_set(points: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return inputs outside the gap, and noisy values of a curve there, as columns."""
    x = rng.uniform(*TRAINED, size=2 * points)
    x = x[(x < GAP[0]) | (x > GAP[1])][:points, np.newaxis]
    y = np.sin(1.2 * x) + 0.15 * x + 0.1 * rng.standard_normal(x.shape)
    return x.astype(np.float32), y.astype(np.float32)


def make_network(p: float, rng: np.random.Generator) -> Network:
    """Return a network of two hidden layers, with dropout behind each."""
    first = Affine(1, HIDDEN, rng)
    weights, bias = first.parameters
    bias[:] = -weights[0] * rng.uniform(*TRAINED, HIDDEN)  # so that the ReLUs bend at inputs all over
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
    for _ in range(epochs):
        error = network.forward(x, training=True) - y
        network.backward(2 * error / np.float32(len(x)))
        optimiser.step()


def sample(network: Network, x: Floats, samples: int) -> Floats:
    """Return the network's answers under `samples` masks, of shape (samples, len(x))."""
    # What comes before the first dropout is the same for all masks.
    hidden = Network(network.layers[:2]).forward(x, training=False)
    copies = np.broadcast_to(hidden, (samples, *hidden.shape))  # strides of 0: it is in memory once
    answers: Floats = Network(network.layers[2:]).forward(copies, training=True)
    return answers[..., 0]


def plot(x: Floats, answers: Floats, trained: tuple[Floats, Floats], path: Path) -> None:
    """Save the mean of the answers and their spread, with the training set."""
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
    parser.add_argument("--epochs", type=int, default=4000, help="of training")
    parser.add_argument("--samples", type=int, default=500, help="masks")
    parser.add_argument("--seed", type=int, default=0, help="of data, weights and masks")
    parser.add_argument("--output", type=Path, default=Path("monte_carlo.png"), help="the plot to write")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    trained = training_set(120, rng)
    network = make_network(arguments.p, rng)
    train(network, *trained, arguments.epochs)
    x = np.linspace(*SHOWN, 200, dtype=np.float32)[:, np.newaxis]
    answers = sample(network, x, arguments.samples)

    position, deviation = x[:, 0], answers.std(axis=0)
    in_gap = (position > GAP[0]) & (position < GAP[1])
    outside = (position < TRAINED[0]) | (position > TRAINED[1])
    for name, where in (
        ("on the training set", ~in_gap & ~outside),
        ("in its gap", in_gap),
        ("outside", outside),
    ):
        print(f"mean standard deviation {name}: {deviation[where].mean():.3f}")
    plot(x, answers, trained, arguments.output)
    print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
