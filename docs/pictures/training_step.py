"""Picture of a training step by its parts: `python docs/pictures/training_step.py`, on an idle machine.

A network of three hidden layers in NumPy trains on random numbers, on one thread, without dropout, with a
textbook's dropout and with bitdrop. Each call of a layer is timed.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import bitdrop
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from network import Affine, Layer, Momentum, Network, ReLU, SoftmaxLoss

BATCH, INPUTS, UNITS, OUTPUTS, P = 256, 64, 256, 10, 0.5
STEPS = 200
COLOURS = {"products": "#999999", "ReLU": "#56B4E9", "dropout": "#D55E00", "loss, update": "#CCCCCC"}


class TextbookDropout:
    """Dropout of most introductions: a random number for each element, a mask of bytes."""

    def forward(self, x: Any, training: bool) -> Any:
        """Drop in training; scale at inference."""
        if not training:
            return x * (1 - P)
        self._mask = np.random.rand(*x.shape) > P  # noqa: NPY002 - as the textbooks write it
        return x * self._mask

    def backward(self, dy: Any) -> Any:
        """Pass the gradient through the kept units."""
        return dy * self._mask


class Timed:
    """A layer that adds the times of its calls to a dict, under the name of its part."""

    def __init__(self, layer: Layer, part: str, times: dict[str, float]) -> None:
        self.layer, self._part, self._times = layer, part, times

    def forward(self, x: Any, training: bool) -> Any:
        """Call and time the layer's forward."""
        begun = perf_counter()
        y = self.layer.forward(x, training)
        self._times[self._part] += perf_counter() - begun
        return y

    def backward(self, dy: Any) -> Any:
        """Call and time the layer's backward."""
        begun = perf_counter()
        dx = self.layer.backward(dy)
        self._times[self._part] += perf_counter() - begun
        return dx


def build(dropout: type | None, times: dict[str, float]) -> Network:
    """Return a network of timed layers."""
    rng, layers, inputs = np.random.default_rng(0), [], INPUTS
    for number in range(3):
        layers += [Timed(Affine(inputs, UNITS, rng), "products", times), Timed(ReLU(), "ReLU", times)]
        if dropout is TextbookDropout:
            layers.append(Timed(TextbookDropout(), "dropout", times))
        elif dropout is bitdrop.Dropout:
            layers.append(Timed(bitdrop.Dropout(P, rng=number), "dropout", times))
        inputs = UNITS
    return Network([*layers, Timed(Affine(inputs, OUTPUTS, rng), "products", times)])


def measure(dropout: type | None) -> dict[str, float]:
    """Return the milliseconds of each part of a step: the median over the steps."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((BATCH, INPUTS), dtype=np.float32)
    labels = rng.integers(0, OUTPUTS, BATCH)
    times: dict[str, float] = defaultdict(float)
    network = build(dropout, times)
    optimiser = Momentum(Network([layer.layer for layer in network.layers]), learning_rate=0.01)  # type: ignore[attr-defined]
    loss, steps = SoftmaxLoss(), []
    for _ in range(STEPS):
        times.clear()
        begun = perf_counter()
        loss.forward(network.forward(x, training=True), labels)
        network.backward(loss.backward())
        optimiser.step()
        whole = perf_counter() - begun
        steps.append({**times, "loss, update": whole - sum(times.values())})
    return {part: 1e3 * median(step.get(part, 0.0) for step in steps) for part in COLOURS}


def main() -> None:
    """Measure, print a table and draw the bars."""
    bitdrop.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        sides = {"no dropout": None, "textbook dropout": TextbookDropout, "bitdrop": bitdrop.Dropout}
        results = {name: measure(dropout) for name, dropout in sides.items()}
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axes = figure.subplots()
    for row, (name, parts) in enumerate(results.items()):
        print(f"{name:18}" + "".join(f"{part} {ms:6.2f} ms   " for part, ms in parts.items()))
        left = 0.0
        for part, ms in parts.items():
            label = part if name == "no dropout" else None
            axes.barh(name, ms, left=left, color=COLOURS[part], label=label)
            left += ms
        axes.text(left, row, f" {left:.1f} ms", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(f"milliseconds per training step, {BATCH} samples, 3 hidden layers of {UNITS} units")
    axes.legend(ncols=len(COLOURS), loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
