"""What every competitor provides, and the checks that it must pass before it is timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from timing import Array


class UnavailableError(Exception):
    """A competitor cannot run here; the message says why."""


class WrongAnswerError(Exception):
    """A competitor does not compute dropout."""


@dataclass(frozen=True)
class Steps:
    """One dropout, ready to be called on fixed buffers.

    `forward` draws a new mask and returns y; `backward` returns the gradient through the last mask, with x as
    the gradient that arrives; `scale` is the factor of kept elements.
    """

    forward: Callable[[], Any]
    backward: Callable[[], Any]
    scale: float

    def both(self) -> None:
        """Do a forward and a backward pass."""
        self.forward()
        self.backward()


@dataclass(frozen=True)
class Competitor:
    """A way to compute dropout.

    `name` is for the command line; `label` for tables; `about` says what it really is. `available` returns
    facts such as versions, or raises `UnavailableError`; `make(x, out, p, threads)` returns the steps for 1-D
    float32 arrays, of which a competitor that allocates its results ignores `out`.
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
    """Raise `WrongAnswerError` unless the steps compute dropout: rate, scale, gradient, a new mask each time.

    x must have no zeros, so that a zero in the result is a dropped element.
    """
    y = np.array(steps.forward())
    dx = np.array(steps.backward())
    kept = y != 0
    dropped = 1.0 - np.count_nonzero(kept) / x.size
    if abs(dropped - p) > 6 * np.sqrt(p * (1 - p) / x.size):
        raise WrongAnswerError(f"a share of {dropped:.5f} is dropped, not {p}")
    if not np.allclose(y, np.where(kept, x * np.float32(steps.scale), 0), rtol=1e-6, atol=0):
        raise WrongAnswerError(f"kept elements are not multiplied by {steps.scale}")
    if not np.allclose(dx, y, rtol=1e-6, atol=0):
        raise WrongAnswerError("backward does not go through the mask of forward")
    if x.size >= 64 and np.array_equal(np.array(steps.forward()) != 0, kept):
        raise WrongAnswerError("two passes have the same mask")
