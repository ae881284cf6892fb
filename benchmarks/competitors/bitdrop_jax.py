"""bitdrop in JAX, compiled: `bitdrop.jax.dropout`, backward by `jax.vjp`."""

import importlib
from collections.abc import Mapping

import bitdrop
from timing import Array

from competitors.interface import Competitor, Steps, UnavailableError
from competitors.jax_dropout import make_steps


def _available() -> Mapping[str, str]:
    try:
        importlib.import_module("bitdrop.jax")
    except ImportError as error:
        raise UnavailableError(str(error)) from None
    return {"version": bitdrop.__version__}


def _make(x: Array, out: Array, p: float, threads: int) -> Steps:
    bitdrop.set_num_threads(threads)
    return make_steps(importlib.import_module("bitdrop.jax").dropout, x, p, threads)


COMPETITOR = Competitor(
    "bitdrop-jax",
    "bitdrop in JAX",
    "`bitdrop.jax.dropout`, jitted, new arrays; backward by `jax.vjp`, jitted.",
    _available,
    _make,
)
