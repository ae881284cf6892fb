"""Keys from the argument ``rng``, by Scientific Python's SPEC 7."""

from __future__ import annotations

import os

import numpy as np

from bitdrop import _core
from bitdrop._typing import Key, RNGLike

_process_generator: np.random.Generator | None = None


def _after_fork_in_child() -> None:
    global _process_generator  # noqa: PLW0603 - a fork must reset it
    _process_generator = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _generator(rng: RNGLike | None) -> np.random.Generator:
    if rng is None:
        global _process_generator  # noqa: PLW0603
        # No lock: an interrupt could leave it held. If two threads make one each, both have system entropy.
        generator = _process_generator
        if generator is None:
            generator = _process_generator = np.random.default_rng()
        return generator
    message = (
        "rng must be None, a non-negative int, a sequence of them, a SeedSequence, a BitGenerator or a "
        f"Generator, but got {rng!r}."
    )
    if isinstance(rng, (bool, np.bool_)):
        raise TypeError(message)
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(message) from error


def draw_key(rng: RNGLike | None) -> Key:
    """Draw the 128-bit key of a mask or a layer.

    Parameters
    ----------
    rng
        As in `bitdrop.dropout`. A Generator or BitGenerator is advanced.

    Returns
    -------
    tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    """
    generator = rng if type(rng) is np.random.Generator else _generator(rng)
    if type(generator) is np.random.Generator:
        return _core.draw_words(generator.bit_generator)
    k0, k1 = generator.integers(0, 2**64, size=2, dtype=np.uint64).tolist()  # a subclass may have its own
    return k0, k1
