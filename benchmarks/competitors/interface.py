"""Interface of the competitors, and the checks that each must pass before it is timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from timing import Array


class UnavailableError(Exception):
    """Raised if a competitor cannot run here; the message gives the reason."""


class WrongAnswerError(Exception):
    """Raised if a competitor does not compute dropout."""


@dataclass(frozen=True)
class Steps:
    """Forward and backward passes of one dropout on fixed buffers.

    Attributes
    ----------
    forward : callable
        Draws a new mask and returns y.
    backward : callable
        Returns the gradient through the last mask; x is the incoming gradient.
    scale : float
        Factor of the kept elements.
    """

    forward: Callable[[], Any]
    backward: Callable[[], Any]
    scale: float

    def both(self) -> None:
        """Run a forward and a backward pass."""
        self.forward()
        self.backward()


@dataclass(frozen=True)
class Competitor:
    """A way to compute dropout.

    Attributes
    ----------
    name : str
        Name on the command line.
    label : str
        Name in tables and plots.
    about : str
        Description of the implementation.
    available : callable
        Returns facts such as versions, or raises `UnavailableError`.
    make : callable
        ``make(x, out, p, threads)`` returns the steps for 1-D float32 arrays. A competitor that allocates its
        results ignores `out`.
    """

    name: str
    label: str
    about: str
    available: Callable[[], Mapping[str, str]]
    make: Callable[[Array, Array, float, int], Steps]


def inverted_scale(p: float) -> float:
    """Return the factor that keeps the mean."""
    return 1.0 / (1.0 - p)


def check(steps: Steps, x: Array, p: float) -> None:
    """Raise `WrongAnswerError` unless the steps compute dropout: rate, scale, gradient, a new mask per call.

    x must contain no zeros, so that a zero in the result is a dropped element.
    """
    y = np.array(steps.forward())
    dx = np.array(steps.backward())
    kept = y != 0
    dropped = 1.0 - np.count_nonzero(kept) / x.size
    if abs(dropped - p) > 6 * np.sqrt(p * (1 - p) / x.size):
        raise WrongAnswerError(f"the share of dropped elements is {dropped:.5f}, not {p}")
    if not np.allclose(y, np.where(kept, x * np.float32(steps.scale), 0), rtol=1e-6, atol=0):
        raise WrongAnswerError(f"kept elements are not multiplied by {steps.scale}")
    if not np.allclose(dx, y, rtol=1e-6, atol=0):
        raise WrongAnswerError("backward does not use the mask and scale of forward")
    if x.size >= 64 and np.array_equal(np.array(steps.forward()) != 0, kept):
        raise WrongAnswerError("two forward passes have the same mask")
