"""Forward passes over NumPy arrays, shared by the function and the layers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bitdrop import _engine
from bitdrop._affine import IDENTITY, Affine
from bitdrop._arrays import ALL_CODES, REAL_CODES, as_admitted, as_array, as_output
from bitdrop._bit_layout import Shard
from bitdrop._plan import KEEP_ALL, new_plan
from bitdrop._typing import Array, Key, MaskValues
from bitdrop._units import ELEMENTS, Units
from bitdrop.noise import Noise, multiply

Draw = Callable[[], tuple[Key, int]]
"""A layer's counter, or a function that returns key and stream number."""


class Rule(NamedTuple):
    """A front-end's validated arguments: what is dropped, and what becomes of an element.

    Attributes
    ----------
    p : float
        Probability that a unit is dropped.
    affine : Affine
        What becomes of an element in training.
    at_inference : Affine
        What becomes of every element at inference.
    units : Units
        The axes that own a draw.
    accept_complex : bool
        True if x may be complex: both parts of a number share a draw.
    store_bits : bool
        Whether the mask holds its bits.
    """

    p: float
    affine: Affine
    at_inference: Affine = IDENTITY
    units: Units = ELEMENTS
    accept_complex: bool = True
    store_bits: bool = True


def drop(
    x: ArrayLike,
    out: Array | None,
    rule: Rule,
    draw: Draw,
    shard: Shard | None = None,
) -> tuple[Array, MaskValues]:
    """Drop units of x in training.

    `draw` gives key and stream number. It is used once nothing can fail any more, so that an error uses up
    neither a draw of the user's generator nor a stream number.
    """
    _, _, _, units, accept_complex, _ = rule
    layout = None
    if units is not ELEMENTS or shard is not None:
        x, _ = as_array(x, "x", accept_complex)
        layout = units.layout(x.shape, shard)
    done = _engine.forward(ALL_CODES if accept_complex else REAL_CODES, x, out, rule, layout, draw)
    if done is None:
        return drop(as_admitted(x, out, accept_complex), out, rule, draw, shard)
    return done


def keep_all(x: ArrayLike, out: Array | None, rule: Rule) -> tuple[Array, MaskValues]:
    """Keep all elements of x, as at inference, scaled if the rule scales there."""
    _, _, affine, units, accept_complex, _ = rule
    values, dtype = as_array(x, "x", accept_complex)
    if units is not ELEMENTS:
        units.check(values.shape)
    mask = values.shape, KEEP_ALL, None, affine, None
    if affine is IDENTITY or affine == IDENTITY:
        return unchanged(values, out), mask
    y = as_output(out, values)
    _engine.drop((dtype, (y, values)), affine, KEEP_ALL)
    return y, mask


def multiply_noise(
    x: ArrayLike,
    out: Array | None,
    rule: Rule,
    draw: Draw,
    shard: Shard | None = None,
) -> tuple[Array, Noise]:
    """Multiply x by Gaussian noise in training. The arguments are those of `drop`."""
    values, dtype = as_array(x)
    layout = None if rule.units is ELEMENTS and shard is None else rule.units.layout(values.shape, shard)
    y = as_output(out, values)
    plan = new_plan((*draw(), rule.p))
    multiply((dtype, (y, values)), plan, layout)
    return y, Noise._of(values.shape, plan, layout)


def without_noise(x: ArrayLike, out: Array | None, rule: Rule) -> tuple[Array, Noise]:
    """Leave x as it is."""
    values, _ = as_array(x)
    rule.units.check(values.shape)
    return unchanged(values, out), Noise._of(values.shape, KEEP_ALL, None)


def unchanged(x: Array, out: Array | None) -> Array:
    """Return x itself, or `out` with a copy of it."""
    if out is None:
        return x
    y = as_output(out, x)
    np.copyto(y, x)
    return y
