"""Uncertainty of a classifier by Monte Carlo dropout: what the spread of its predictions is worth.

A network learns the digits 0 to 7 from few images. `bitdrop.torch.monte_carlo` runs it under 100 masks. The
example compares the mean of these predictions with the single prediction in eval mode:

- calibration: are the answers given with 80 % confidence right in 80 % of the cases?
- digits 8 and 9, which the network has never seen: does its uncertainty tell them from the others?

The entropy of the mean prediction is the whole uncertainty. The mutual information between prediction and
mask is the part on which the sub-networks disagree (Houlsby et al., "Bayesian active learning for
classification and preference learning", 2011).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import bitdrop.torch
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

KNOWN = 8  # classes that are trained
TRAINING_IMAGES = 200
BINS = 10


@dataclass
class Data:
    """Images for training and test, and of classes that the network never sees."""

    train_x: Tensor
    train_labels: Tensor
    test_x: Tensor
    test_labels: Tensor
    unknown_x: Tensor


def split_digits(seed: int) -> Data:
    """Return 200 images of the digits 0 to 7 for training, the others for test, and all images of 8 and 9."""
    digits = load_digits()
    x = torch.from_numpy((digits.data / 16).astype(np.float32))
    labels = torch.from_numpy(digits.target)
    known = torch.from_numpy(np.random.default_rng(seed).permutation(np.flatnonzero(digits.target < KNOWN)))
    train, test = known[:TRAINING_IMAGES], known[TRAINING_IMAGES:]
    return Data(x[train], labels[train], x[test], labels[test], x[labels >= KNOWN])


def trained(data: Data, p: float, epochs: int) -> nn.Module:
    """Return a network that was trained with dropout."""
    model = nn.Sequential(
        *(nn.Linear(64, 256), nn.ReLU(), bitdrop.torch.Dropout(p)),
        *(nn.Linear(256, 256), nn.ReLU(), bitdrop.torch.Dropout(p)),
        nn.Linear(256, KNOWN),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(TRAINING_IMAGES).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(data.train_x[batch]), data.train_labels[batch]).backward()
            optimiser.step()
    return model.eval()


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy along the last axis, in nats."""
    return -(probabilities * probabilities.clamp_min(1e-12).log()).sum(-1)


@dataclass
class Prediction:
    """Probabilities of the classes, and two measures of uncertainty for each image."""

    probabilities: Tensor
    entropy: Tensor
    disagreement: Tensor


def single(model: nn.Module, x: Tensor) -> Prediction:
    """Predict by one pass in eval mode."""
    with torch.no_grad():
        probabilities = model(x).softmax(-1)
    return Prediction(probabilities, entropy(probabilities), torch.zeros(len(x)))


def sampled(model: nn.Module, x: Tensor, samples: int) -> Prediction:
    """Predict by the mean over masks. The mutual information is what the mean adds to the entropy."""
    with torch.no_grad():
        each = bitdrop.torch.monte_carlo(model, x, samples).softmax(-1)
    mean = each.mean(0)
    return Prediction(mean, entropy(mean), entropy(mean) - entropy(each).mean(0))


@dataclass
class Score:
    """Results of one way of predicting on the test images, with a calibration curve."""

    accuracy: float
    log_loss: float
    calibration_error: float
    confidences: list[float]
    accuracies: list[float]


def score(prediction: Prediction, labels: Tensor) -> Score:
    """Compare a prediction with the labels."""
    confidence, answers = prediction.probabilities.max(-1)
    right = (answers == labels).float()
    log_loss = nn.functional.nll_loss(prediction.probabilities.clamp_min(1e-12).log(), labels)
    bins = (confidence * BINS).long().clamp_max(BINS - 1)
    curve, error = [], 0.0
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            mean, rate = float(confidence[inside].mean()), float(right[inside].mean())
            error += float(inside.float().mean()) * abs(mean - rate)
            curve.append((mean, rate))
    confidences, accuracies = map(list, zip(*curve, strict=True))
    return Score(float(right.mean()), float(log_loss), error, confidences, accuracies)


def detection(known: Tensor, unknown: Tensor) -> float:
    """Return how often an image of an unknown class is less certain than one of a known class."""
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    return float(roc_auc_score(truth, torch.cat([known, unknown]).numpy()))


def plot(curves: dict[str, list[Score]], path: Path) -> None:
    """Save the calibration curves of all seeds."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), "--", color="#999999", label="calibrated")
    for (name, scores), colour in zip(curves.items(), ("#D55E00", "#0072B2"), strict=True):
        for number, one in enumerate(scores):
            label = name if number == 0 else None
            axes.plot(one.confidences, one.accuracies, ".-", color=colour, alpha=0.6, label=label)
    axes.set(xlabel="confidence", ylabel="share of right answers", title="Digits 0 to 7, 200 training images")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Train, predict, print the tables and save the plot."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--p", type=float, default=0.5, help="probability that a hidden unit is dropped")
    parser.add_argument("--epochs", type=int, default=40, help="number of training epochs")
    parser.add_argument("--samples", type=int, default=100, help="number of masks")
    parser.add_argument("--seeds", type=int, default=5, help="number of networks")
    parser.add_argument("--output", type=Path, default=Path("uncertainty.png"), help="file for the plot")
    arguments = parser.parse_args()

    names = "one pass in eval mode", f"mean of {arguments.samples} masks"
    scores: dict[str, list[Score]] = {name: [] for name in names}
    found: dict[str, list[float]] = {}
    for seed in track(range(arguments.seeds), description="Training and predicting"):
        torch.manual_seed(seed)
        data = split_digits(seed)
        model = trained(data, arguments.p, arguments.epochs)
        known = single(model, data.test_x), sampled(model, data.test_x, arguments.samples)
        unknown = single(model, data.unknown_x), sampled(model, data.unknown_x, arguments.samples)
        for name, prediction in zip(names, known, strict=True):
            scores[name].append(score(prediction, data.test_labels))
        for name, (mine, others) in {
            "entropy, one pass": (known[0].entropy, unknown[0].entropy),
            "entropy of the mean": (known[1].entropy, unknown[1].entropy),
            "mutual information": (known[1].disagreement, unknown[1].disagreement),
        }.items():
            found.setdefault(name, []).append(detection(mine, others))

    console = Console()
    table = Table(title=f"Test images, mean ± standard deviation of {arguments.seeds} networks")
    for column in ("prediction", "accuracy (%)", "log loss", "calibration error"):
        table.add_column(column)
    for name, several in scores.items():
        rows = np.array([[100 * one.accuracy, one.log_loss, one.calibration_error] for one in several])
        table.add_row(name, *(f"{m:.3f} ± {d:.3f}" for m, d in zip(rows.mean(0), rows.std(0), strict=True)))
    console.print(table)
    table = Table(title="Digits 8 and 9 against 0 to 7: area under the ROC curve")
    table.add_column("measure")
    table.add_column("area")
    for name, areas in found.items():
        table.add_row(name, f"{np.mean(areas):.3f} ± {np.std(areas):.3f}")
    console.print(table)
    plot(scores, arguments.output)
    console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
