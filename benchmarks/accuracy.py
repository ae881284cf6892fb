"""Test accuracy against seconds of training: no dropout, usual dropout, and thinned dropout.

A mask that a batch shares makes a step cheaper and its gradient noisier. This measures what is left of the
gain on four data sets, with masks in 1, 2, 4 and 8 groups of a batch. The p and the learning rate of each
setting are those of the best validation accuracy in a small grid, with a seed of its own. Then networks of
several seeds are trained. The time is that of the process on the CPU, so that other work of the machine
counts little, and includes nothing but training steps.
"""

import argparse
import itertools
import json
import math
import pydoc_data.topics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bitdrop
import bitdrop.torch
import machine
import numpy as np
import report
import torch
from accuracy_plot import plot
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn

NONE, USUAL = "no dropout", "usual dropout"
GROUPS = {f"thinned, groups={n}": n for n in (1, 2, 4, 8)}
SETTINGS = (NONE, USUAL, *GROUPS)
WIDTH = 1024
PROBABILITIES = (0.2, 0.5)
RATES = (3e-4, 1e-3)
EVALUATIONS = 12
CONTEXT = 10  # characters from which the next one is predicted


@dataclass(frozen=True)
class Data:
    """Inputs and labels for training, validation and test, with the batch size and number of steps."""

    inputs: tuple[Tensor, Tensor, Tensor]
    labels: tuple[Tensor, Tensor, Tensor]
    batch: int
    steps: int


def split(x: Any, labels: Any, sizes: tuple[int, int], batch: int, steps: int, wrong: float = 0.0) -> Data:
    """Return shuffled data, standardised by the training part, in which a share of the labels is wrong."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    parts = np.split(order, np.cumsum(sizes))
    mean, deviation = x[parts[0]].mean(0), x[parts[0]].std(0) + 1e-6
    inputs = [torch.from_numpy(((x[part] - mean) / deviation).astype(np.float32)) for part in parts]
    targets = [torch.from_numpy(labels[part].astype(np.int64)) for part in parts]
    classes = int(labels.max()) + 1
    is_wrong = torch.from_numpy(rng.random(sizes[0]) < wrong)
    shift = torch.from_numpy(rng.integers(1, classes, sizes[0]))
    targets[0] = torch.where(is_wrong, (targets[0] + shift) % classes, targets[0])
    return Data(tuple(inputs), tuple(targets), batch, steps)


def digits(wrong: float, steps: int) -> Data:
    """Return images of digits: 1,000 for training."""
    data = load_digits()
    return split(data.data, data.target, (1000, 397), 100, steps, wrong)


def tumours() -> Data:
    """Return 30 measurements of tumours, benign or malignant: 250 for training."""
    data = load_breast_cancer()
    return split(data.data, data.target, (250, 150), 125, 200)


def text() -> Data:
    """Return characters of Python's help topics as one-hot vectors, and the characters that follow them."""
    whole = "".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))[:16_000]
    characters = sorted(set(whole))
    codes = np.array([characters.index(character) for character in whole])
    # Blocks of text are shuffled, not windows: those of the training part must not reach into the test part.
    blocks = np.random.default_rng(0).permutation(codes.reshape(40, 400))
    windows = np.lib.stride_tricks.sliding_window_view(blocks, CONTEXT + 1, axis=1)[:, ::2]
    parts = [part.reshape(-1, CONTEXT + 1) for part in np.split(windows, (25, 32))]
    one_hot = np.eye(len(characters), dtype=np.float32)
    inputs = [torch.from_numpy(one_hot[part[:, :-1]].reshape(len(part), -1)) for part in parts]
    labels = [torch.from_numpy(part[:, -1].copy()) for part in parts]
    return Data(tuple(inputs), tuple(labels), 200, 300)


DATA: dict[str, Callable[[], Data]] = {
    "digits": lambda: digits(0.0, 300),
    "digits, 30 % of the labels wrong": lambda: digits(0.3, 600),
    "tumours": tumours,
    "text": text,
}


@dataclass
class Curve:
    """Seconds of training, and accuracies in percent, at the evaluations of one network."""

    seconds: list[float]
    validation: list[float]
    test: list[float]


def build(setting: str, data: Data, p: float) -> nn.Sequential:
    """Return a network of two hidden layers."""
    inputs, classes = data.inputs[0].shape[1], int(max(labels.max() for labels in data.labels)) + 1
    model = nn.Sequential(
        *(nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Dropout(0.0 if setting == NONE else p)),
        *(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Dropout(0.0 if setting == NONE else p)),
        nn.Linear(WIDTH, classes),
    )
    if setting in GROUPS:
        bitdrop.torch.thin_dropout(model, GROUPS[setting])
    else:
        bitdrop.torch.replace_dropout(model)
    return model


def accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    """Return the share of right answers in percent."""
    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(1) == labels).float().mean()
    model.train()
    return 100 * float(right)


def train(setting: str, data: Data, p: float, rate: float, seed: int) -> Curve:
    """Train one network."""
    torch.manual_seed(seed)
    model = build(setting, data, p)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    batches = torch.Generator().manual_seed(seed)  # the same for all settings
    at = {math.ceil(data.steps * (n / EVALUATIONS) ** 1.5) for n in range(1, EVALUATIONS + 1)}
    curve, seconds = Curve([], [], []), 0.0
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, data.steps + 1):
        if len(order) < data.batch:
            order = torch.randperm(len(data.inputs[0]), generator=batches)
        rows, order = order[: data.batch], order[data.batch :]
        begun = time.process_time()
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.inputs[0][rows]), data.labels[0][rows]).backward()
        optimiser.step()
        seconds += time.process_time() - begun
        if step in at:
            curve.seconds.append(seconds)
            curve.validation.append(accuracy(model, data.inputs[1], data.labels[1]))
            curve.test.append(accuracy(model, data.inputs[2], data.labels[2]))
    return curve


def choose(setting: str, data: Data) -> tuple[float, float]:
    """Return the p and the learning rate of the best validation accuracy: the mean of the best three."""
    grid = itertools.product(PROBABILITIES if setting != NONE else PROBABILITIES[:1], RATES)

    def score(pair: tuple[float, float]) -> float:
        return float(np.sort(train(setting, data, *pair, seed=1000).validation)[-3:].mean())

    return max(grid, key=score)


def measure(data: Data, seeds: int) -> dict[str, dict[str, Any]]:
    """Return the results of all settings: means and standard deviations over seeds at each evaluation."""
    chosen = {setting: choose(setting, data) for setting in SETTINGS}
    curves: dict[str, list[Curve]] = {setting: [] for setting in SETTINGS}
    for seed in range(seeds):
        for setting in SETTINGS:  # in turns, so that a drift of the machine favours none
            curves[setting].append(train(setting, data, *chosen[setting], seed))
    return {setting: summary(setting, *chosen[setting], curves[setting]) for setting in SETTINGS}


def summary(setting: str, p: float, rate: float, curves: Sequence[Curve]) -> dict[str, Any]:
    """Return the results of a setting."""
    test = np.array([curve.test for curve in curves])
    stopped = [curve.test[int(np.argmax(curve.validation))] for curve in curves]
    return {
        "p": 0.0 if setting == NONE else p,
        "learning rate": rate,
        "seconds": np.median([curve.seconds for curve in curves], axis=0).round(3).tolist(),
        "test": test.mean(0).round(2).tolist(),
        "deviation": test.std(0).round(2).tolist(),
        "at best validation": round(float(np.mean(stopped)), 2),
    }


def time_to(result: dict[str, Any], goal: float) -> str:
    """Return the seconds after which the mean test accuracy first reaches a goal."""
    times = (s for s, a in zip(result["seconds"], result["test"], strict=True) if a >= goal)
    return next((f"{seconds:.2f}" for seconds in times), "never")


def print_results(results: dict[str, dict[str, Any]]) -> None:
    """Print a table for each data set."""
    for name, settings in results.items():
        goal = max(settings[NONE]["test"])
        given = settings[NONE]["seconds"][-1] / 2
        columns = (
            *("setting", "p", "learning rate", "last (%)", "best (%)", "at best validation (%)"),
            *(f"after {given:.1f} s (%)", f"seconds to {goal:.1f} %", "seconds in all"),
        )
        rows = [
            (
                *(setting, str(r["p"]), str(r["learning rate"])),
                *(f"{r['test'][-1]:.1f} ± {r['deviation'][-1]:.1f}", f"{max(r['test']):.1f}"),
                f"{r['at best validation']:.1f}",
                f"{np.interp(given, r['seconds'], r['test']):.1f}",
                *(time_to(r, goal), f"{r['seconds'][-1]:.2f}"),
            )
            for setting, r in settings.items()
        ]
        report.print_table(name, columns, rows)


def parsed() -> argparse.Namespace:
    """Return the command-line arguments."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of networks of each setting")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), help="data sets")
    parser.add_argument("--steps", type=int, help="steps of each network; None: as the data set says")
    parser.add_argument("--output", type=Path, default=Path("accuracy.json"), help="file for the results")
    parser.add_argument("--read", action="store_true", help="print and plot the results of that file again")
    return parser.parse_args()


def run(names: Sequence[str], seeds: int, steps: int | None, output: Path) -> None:
    """Measure all settings on data sets, and write the results after each of them."""
    facts = machine.facts() | {"PyTorch": torch.__version__, "threads": 1, "seeds": seeds}
    results: dict[str, Any] = {}
    with report.progress() as progress:
        for name in progress.track(names, description="training"):
            data = DATA[name]()
            results[name] = measure(replace(data, steps=steps or data.steps), seeds)
            output.write_text(json.dumps({"machine": facts, "results": results}, indent=1) + "\n")


def main() -> None:
    """Train, print the tables and write results and plot."""
    arguments = parsed()
    torch.set_num_threads(1)
    bitdrop.set_num_threads(1)
    if not arguments.read:
        run(arguments.data, arguments.seeds, arguments.steps, arguments.output)
    found = json.loads(arguments.output.read_text())
    report.print_facts(found["machine"])
    print_results(found["results"])
    picture = arguments.output.with_suffix(".png")
    plot(found["results"], picture, f"{found['machine']['processor']}, one thread")
    report.console.print(f"\nPlot: {picture}")


if __name__ == "__main__":
    main()
