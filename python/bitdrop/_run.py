"""The way of a function through a pass: a rule, inputs, a generator."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._core import Pass, Rule
from bitdrop._random import draw_key
from bitdrop._shard import Shard
from bitdrop._typing import Array, RNGLike


def run(
    rule: Rule,
    inputs: tuple[ArrayLike | None, ...],
    out: Array | None,
    training: bool,
    rng: RNGLike | None,
    shard: Shard | None,
) -> tuple[Array, Any | Pass]:
    """Do a pass, and return its result and the pass.

    The generator is advanced once nothing can fail any more, so that an error uses up no draw of it.
    """
    random = _validate.as_flag(training, "training")
    return rule.run(inputs, out, partial(draw_key, rng), random, shard)
