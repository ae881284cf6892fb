"""Fused passes beside the steps that they replace, float32, one thread unless told otherwise.

Every row is a ratio of medians of one run, in which the sides take turns. Each side writes into arrays that
exist already. `copies` is ``np.copyto`` of the same array.
"""

import argparse
from collections.abc import Mapping
from timeit import Timer

import bitdrop
import machine
import numpy as np
from timing import Array, Step, alternate

SIZES = (16 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20)
FEATURES = 1024  # elements of a row, and of a bias


class Case:
    """Arrays of a size, and the sides to compare."""

    def __init__(self, size: int, p: float) -> None:
        rng = np.random.default_rng(0)
        shape = (size // FEATURES, FEATURES)
        self.x = rng.standard_normal(shape, dtype=np.float32)
        self.residual = rng.standard_normal(shape, dtype=np.float32)
        self.bias = rng.standard_normal(FEATURES, dtype=np.float32)
        self.out, self.scratch = np.zeros_like(self.x), np.zeros_like(self.x)
        self.gradient = np.zeros_like(self.bias)
        self.layer = bitdrop.Dropout(p, rng=0)
        self.fused = bitdrop.FusedDropout(p, activation="relu", rng=0)

    def relu(self) -> Array:
        """ReLU and dropout, fused."""
        return self.fused.forward(self.x, out=self.out)

    def relu_in_steps(self) -> Array:
        """Do the same in two steps."""
        np.maximum(self.x, 0, out=self.scratch)
        return self.layer.forward(self.scratch, out=self.out)

    def all_four(self) -> Array:
        """Bias, ReLU, dropout and residual, fused."""
        return self.fused.forward(self.x, bias=self.bias, residual=self.residual, out=self.out)

    def all_in_steps(self) -> Array:
        """Do the same in four steps."""
        np.add(self.x, self.bias, out=self.scratch)
        np.maximum(self.scratch, 0, out=self.scratch)
        self.layer.forward(self.scratch, out=self.scratch)
        return np.add(self.residual, self.scratch, out=self.out)

    def backward(self) -> Array:
        """Backward with the gradient of the bias, in one pass."""
        dx: Array = self.fused.backward(self.x, out=self.out, bias_gradient=self.gradient)
        return dx

    def backward_in_steps(self) -> Array:
        """Backward, then a sum."""
        self.fused.backward(self.x, out=self.out)
        return np.sum(self.out, axis=0, out=self.gradient)

    def copy(self) -> None:
        """Copy x."""
        np.copyto(self.out, self.x)

    def check(self) -> None:
        """Check that the fused passes give what the steps give."""
        for fused, steps in ((self.relu, self.relu_in_steps), (self.all_four, self.all_in_steps)):
            self.layer, self.fused = (
                bitdrop.Dropout(self.layer.p, rng=1),
                bitdrop.FusedDropout(self.layer.p, activation="relu", rng=1),
            )
            expected = steps().copy()
            if not np.array_equal(fused(), expected):
                raise SystemExit("a fused pass differs from its steps")
        self.backward()
        if not np.allclose(self.gradient, self.out.sum(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-2):
            raise SystemExit("the gradient of the bias is wrong")


def ratio(sides: Mapping[str, Step], seconds: float) -> float:
    """Return the median of the first side in terms of the second."""
    first, second = sides
    timers = {name: Timer(step) for name, step in sides.items()}
    return alternate([timers], second, seconds)[first].ratio


def measure(size: int, p: float, seconds: float) -> list[float]:
    """Return the ratios of a size."""
    case = Case(size, p)
    case.check()
    pairs: list[tuple[Step, Step]] = [
        (case.relu, case.copy),
        (case.relu, case.relu_in_steps),
        (case.all_four, case.copy),
        (case.all_four, case.all_in_steps),
        (case.backward, case.copy),
        (case.backward, case.backward_in_steps),
    ]
    case.all_four()  # the mask of the backward passes has a bias
    ratios = []
    for fused, reference in pairs:
        if fused == case.backward:
            case.all_four()
        ratios.append(ratio({"fused": fused, "reference": reference}, seconds))
    return ratios


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of elements")
    parser.add_argument("--p", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each ratio")
    options = parser.parse_args()
    bitdrop.set_num_threads(options.threads)
    for fact, value in machine.facts().items():
        print(f"{fact}: {value}")
    print(f"\np = {options.p}, float32, rows of {FEATURES}, threads: {options.threads}\n")
    print(
        "| elements | ReLU, copies | ReLU / steps | all, copies | all / steps | backward, copies | / steps |"
    )
    print("|---|---|---|---|---|---|---|")
    for size in options.sizes:
        cells = " | ".join(f"{value:.2f}" for value in measure(size, options.p, options.seconds))
        print(f"| {size >> 10} Ki | {cells} |", flush=True)


if __name__ == "__main__":
    main()
