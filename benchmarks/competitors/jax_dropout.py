"""JAX, compiled: `jax.random.bernoulli` with the default generator (threefry), backward by `jax.vjp`."""

import importlib
import itertools
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from timing import Array

from competitors.interface import Competitor, Steps, UnavailableError, inverted_scale


def _available() -> Mapping[str, str]:
    try:
        jax = importlib.import_module("jax")
    except ImportError as error:
        raise UnavailableError(str(error)) from None
    return {"version": jax.__version__, "generator": jax.config.jax_default_prng_impl}


@cache
def start(threads: int) -> Any:
    """Start the backend on this many CPUs, because it creates one thread per CPU at its start."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    jax = importlib.import_module("jax")
    if hasattr(os, "sched_setaffinity"):
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(cpus)[:threads])
        try:
            jax.devices()
        finally:
            os.sched_setaffinity(0, cpus)
    return jax


def jax_dropout(x: Any, p: float, key: Any) -> Any:
    """Drop elements as Flax and Equinox do."""
    jax = importlib.import_module("jax")
    keep = jax.random.bernoulli(key, 1 - p, x.shape)
    return jax.numpy.where(keep, x / (1 - p), 0)


@cache
def _compiled(dropout: Callable[..., Any], p: float, threads: int) -> tuple[Any, Any]:
    jax = start(threads)

    def forward(x: Any, key: Any, step: int) -> Any:
        return jax.vjp(lambda x: dropout(x, p, key=jax.random.fold_in(key, step)), x)

    return jax.jit(forward), jax.jit(lambda vjp, dy: vjp(dy)[0])


def make_steps(dropout: Callable[..., Any], x: Array, p: float, threads: int) -> Steps:
    """Return forward and backward of a function of JAX arrays, jitted."""
    compiled_forward, compiled_backward = _compiled(dropout, p, threads)
    jax = start(threads)
    array, key, steps = jax.numpy.asarray(x), jax.random.key(0), itertools.count()
    vjp: Any = None

    def forward() -> Any:
        nonlocal vjp
        y, vjp = compiled_forward(array, key, next(steps))
        return y.block_until_ready()

    def backward() -> Any:
        return compiled_backward(vjp, array).block_until_ready()

    return Steps(forward, backward, inverted_scale(p))


COMPETITOR = Competitor(
    "jax",
    "JAX",
    "`jax.random.bernoulli` and `where`, jitted, default generator; backward by `jax.vjp`, jitted.",
    _available,
    lambda x, out, p, threads: make_steps(jax_dropout, x, p, threads),
)
