"""The value that decides random bits."""

from functools import partial
from typing import NamedTuple

from bitdrop._typing import Key


class Plan(NamedTuple):
    """Arguments of mask format 1: with an element's index they decide its bit.

    Attributes
    ----------
    key : tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    stream : int
        Number of the call under that key, in [0, 2**64).
    p : float
        Probability that an element is dropped, in [0, 1].
    """

    key: Key
    stream: int
    p: float


new_plan = partial(tuple.__new__, Plan)
"""``Plan(*fields)`` of a tuple of fields, in half the time."""

KEEP_ALL = Plan((0, 0), 0, 0.0)
"""The plan of inference."""
