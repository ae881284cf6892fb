"""Coefficients of noise format 1: two rational functions, fitted to the normal quantile function.

    python tools/fit_noise_format.py

prints the coefficients of docs/reference/noise-format.md and cpp/format/noise_format.h, with the error of
each fit. It needs mpmath. Each fit is a minimax approximation by the Remez exchange algorithm, in 60 decimal
digits. The coefficients are then rounded to float32. tests/engine/test_noise_format.py compares them with
those in use.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from mpmath import erfinv, exp, linspace, log, lu_solve, matrix, mp, mpf, polyval, root, sqrt

mp.dps = 60

Function = Callable[[mpf], mpf]

SPLIT = mpf(2) ** -9  # tail probability at which the two functions meet
SMALLEST = mpf(2) ** -32  # smallest tail probability


def float32(x: mpf) -> float:
    """Return the nearest float32."""
    value: float = struct.unpack("f", struct.pack("f", float(x)))[0]
    return value


CENTRE = mpf(float32(sqrt(2 * mp.pi)))  # z/q at q = 0


class Fit(NamedTuple):
    """A rational function: coefficients in rising order, the denominator's last one 1; the largest error."""

    numerator: list[mpf]
    denominator: list[mpf]
    error: mpf


def product(tail: mpf) -> mpf:
    """Return t * (1 - t)."""
    return tail * (1 - tail)


def ratio(r: mpf) -> mpf:
    """Return z/q for r = t * (1 - t) = 1/4 - q * q."""
    q = sqrt(mpf(1) / 4 - r)
    return sqrt(2) * erfinv(2 * q) / q


def central() -> Fit:
    """Fit R in ``z = q * (c + q*q * R(v))``, v = sqrt(r), by the relative error of z."""

    def square(v: mpf) -> mpf:
        return mpf(1) / 4 - v * v

    return remez(
        lambda v: (ratio(v * v) - CENTRE) / square(v),
        lambda v: ratio(v * v) / square(v),
        (sqrt(product(SPLIT)), sqrt(mpf(1) / 4 - mpf(2) ** -24)),
        (3, 4),
    )


def tails() -> Fit:
    """Fit R in ``z = q * R(u)``, u = r ** (1/8), by the relative error of z."""

    def of_root(u: mpf) -> mpf:
        return ratio(u**8)

    return remez(of_root, of_root, (root(product(SMALLEST), 8), root(product(SPLIT), 8)), (4, 5))


def remez(f: Function, weight: Function, interval: tuple[mpf, mpf], degrees: tuple[int, int]) -> Fit:
    """Return the function P/Q of these degrees that minimises the maximum of ``|P/Q - f| / weight``."""
    grid = chebyshev(interval, 1200)
    values, weights = [f(x) for x in grid], [weight(x) for x in grid]
    unknowns = sum(degrees) + 1
    nodes = [(len(grid) * (2 * k + 1)) // (2 * unknowns) for k in range(unknowns)]
    p, q = interpolated([grid[k] for k in nodes], [values[k] for k in nodes], degrees)
    for _ in range(40):
        errors = [(rational(p, q, x) - value) / w for x, value, w in zip(grid, values, weights, strict=True)]
        extrema = alternation(errors, unknowns + 1)
        largest = max(abs(e) for e in errors)
        if min(abs(errors[k]) for k in extrema) > largest * mpf("0.9999"):
            return Fit([c / q[-1] for c in p], [c / q[-1] for c in q], largest)
        level = largest if errors[extrema[0]] > 0 else -largest
        points = [(grid[k], values[k], weights[k] * (-1) ** i) for i, k in enumerate(extrema)]
        p, q = levelled(points, p, q, level)
    raise ArithmeticError("The exchange did not converge.")


def chebyshev(interval: tuple[mpf, mpf], count: int) -> list[mpf]:
    """Return points of an interval, dense at its ends, on a logarithmic scale for the singularity at 0."""
    low, high = (log(end) for end in interval)
    return [exp((low + high - (high - low) * mp.cos(angle)) / 2) for angle in linspace(0, mp.pi, count)]


def rational(p: list[mpf], q: list[mpf], x: mpf) -> mpf:
    """Return P(x) / Q(x)."""
    return polyval(p[::-1], x) / polyval(q[::-1], x)


def interpolated(xs: list[mpf], values: list[mpf], degrees: tuple[int, int]) -> tuple[list[mpf], list[mpf]]:
    """Return P and Q, with Q(0) = 1, such that P/Q has these values."""
    above, below = degrees
    system = matrix(len(xs), len(xs))
    for i, (x, value) in enumerate(zip(xs, values, strict=True)):
        for j in range(above + 1):
            system[i, j] = x**j
        for j in range(1, below + 1):
            system[i, above + j] = -value * x**j
    solution = list(lu_solve(system, matrix(values)))
    return solution[: above + 1], [mpf(1), *solution[above + 1 :]]


def alternation(errors: list[mpf], count: int) -> list[int]:
    """Return the positions of the largest errors between changes of sign."""
    runs = [[0]]
    for k in range(1, len(errors)):
        if (errors[k] > 0) == (errors[k - 1] > 0):
            runs[-1].append(k)
        else:
            runs.append([k])
    extrema = [max(run, key=lambda k: abs(errors[k])) for run in runs]
    while len(extrema) > count:
        extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
    if len(extrema) < count:
        raise ArithmeticError("The error alternates too seldom.")
    return extrema


def levelled(
    points: list[tuple[mpf, mpf, mpf]], p: list[mpf], q: list[mpf], level: mpf
) -> tuple[list[mpf], list[mpf]]:
    """Solve ``P(x)/Q(x) = value + level * weight`` at all points for P, Q and level, by Newton's method."""
    p, q, size = list(p), list(q), len(points)
    for _ in range(20):
        jacobian, residual = matrix(size, size), matrix(size, 1)
        for i, (x, value, weight) in enumerate(points):
            target, below = value + level * weight, polyval(q[::-1], x)
            residual[i] = target * below - polyval(p[::-1], x)
            row = (
                [x**j for j in range(len(p))] + [-target * x**j for j in range(1, len(q))] + [-weight * below]
            )
            for j, entry in enumerate(row):
                jacobian[i, j] = entry
        change = list(lu_solve(jacobian, residual))
        p = [c + d for c, d in zip(p, change, strict=False)]
        q = [q[0], *(c + d for c, d in zip(q[1:], change[len(p) :], strict=False))]
        level += change[-1]
        if abs(change[-1]) < abs(level) * mpf("1e-20"):
            break
    return p, q


def shown(coefficient: mpf) -> str:
    """Return a float32 as C++ and Python write it."""
    digits, exponent = float32(coefficient).hex().split("p")
    return f"{digits.rstrip('0').rstrip('.')}p{exponent}"


def main() -> None:
    """Print the coefficients."""
    print("C ", shown(CENTRE))
    for names, fit in (("PQ", central()), ("AB", tails())):
        for name, coefficients in zip(names, (fit.numerator, fit.denominator), strict=True):
            print(name, " " + ", ".join(shown(c) for c in coefficients))
        print(f"   relative error of z before rounding: {float(fit.error):.2e}")


if __name__ == "__main__":
    main()
