"""Bias, ReLU, dropout and residual, forward and backward, by each library: rows of compare.py."""

import importlib
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bitdrop
import numpy as np
from bitdrop import _core
from timing import Array

from competitors import jax_dropout, torch_dropout
from competitors.interface import Steps, UnavailableError, WrongAnswerError, inverted_scale

FEATURES = 1024  # elements of a row, and of the bias


@dataclass(frozen=True)
class Operands:
    """Arrays of one problem, float32. `out` and `scratch` are for libraries that write into given memory."""

    x: Array
    bias: Array
    residual: Array
    out: Array
    scratch: Array


@dataclass(frozen=True)
class Form:
    """A way to compute it. `make` returns the steps for operands, p and a thread count."""

    name: str
    label: str
    about: str
    available: Callable[[], Mapping[str, str]]
    make: Callable[[Operands, float, int], Steps]


def operands(size: int) -> Operands:
    """Return operands of this many elements, in rows."""
    rng = np.random.default_rng(0)
    shape = (max(size // FEATURES, 1), min(size, FEATURES))
    x, residual = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    bias = rng.standard_normal(shape[-1], dtype=np.float32)
    return Operands(x, bias, residual, np.zeros_like(x), np.zeros_like(x))


def check(steps: Steps, given: Operands, p: float) -> None:
    """Raise `WrongAnswerError` unless the steps compute it: values, rate, gradient, a new mask per call."""
    active = given.x + given.bias > 0.01  # less might be lost in the sum with the residual
    full = given.residual + np.maximum(given.x + given.bias, 0) * np.float32(inverted_scale(p))
    y = np.array(steps.forward())
    dx = np.array(steps.backward())
    kept = np.isclose(y, full, rtol=1e-5, atol=1e-5)
    if not (kept | np.isclose(y, given.residual)).all():
        raise WrongAnswerError("an element is neither kept nor dropped")
    rate = 1.0 - kept[active].mean()
    if abs(rate - p) > 6 * np.sqrt(p * (1 - p) / active.sum()) + 1e-3:
        raise WrongAnswerError(f"the share of dropped elements is {rate:.5f}, not {p}")
    if not np.allclose(dx[active], np.where(kept, given.x * inverted_scale(p), 0)[active], rtol=1e-5):
        raise WrongAnswerError("backward does not use the mask and scale of forward")
    if np.array_equal(np.array(steps.forward()), y):
        raise WrongAnswerError("two forward passes have the same mask")


def _bitdrop(given: Operands, p: float, threads: int) -> Steps:
    bitdrop.set_num_threads(threads)
    layer = bitdrop.FusedDropout(p, activation="relu", rng=0)
    gradient = np.empty_like(given.bias)
    return Steps(
        lambda: layer.forward(given.x, bias=given.bias, residual=given.residual, out=given.out),
        lambda: layer.backward(given.x, out=given.out, bias_gradient=gradient),
        inverted_scale(p),
    )


def _numpy(given: Operands, p: float, threads: int) -> Steps:
    rng = np.random.Generator(np.random.SFC64(0))
    random, scale = np.empty_like(given.x), np.float32(inverted_scale(p))
    gradient = np.empty_like(given.bias)
    factors = np.empty_like(given.x)

    def forward() -> Array:
        np.add(given.x, given.bias, out=given.scratch)
        np.maximum(given.scratch, 0, out=given.scratch)
        rng.random(out=random, dtype=np.float32)
        np.multiply(random >= p, scale, out=factors)
        np.multiply(given.scratch, factors, out=given.out)
        return np.add(given.residual, given.out, out=given.out)

    def backward() -> Array:
        np.multiply(given.scratch > 0, factors, out=given.out)
        np.multiply(given.x, given.out, out=given.out)
        np.sum(given.out, axis=0, out=gradient)
        return given.out

    return Steps(forward, backward, float(scale))


def _torch(compiled: bool) -> Callable[[Operands, float, int], Steps]:
    def make(given: Operands, p: float, threads: int) -> Steps:
        torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        functional = torch.nn.functional

        def steps(x: Any, bias: Any, residual: Any) -> Any:
            return residual + functional.dropout(functional.relu(x + bias), p, training=True)

        call = torch.compile(steps) if compiled else steps
        dy = torch.from_numpy(given.x)
        x, bias = (torch.from_numpy(array).detach().requires_grad_() for array in (given.x, given.bias))
        residual = torch.from_numpy(given.residual)
        y: Any = None

        def forward() -> Any:
            nonlocal y
            y = call(x, bias, residual)
            return y.detach()

        return Steps(
            forward,
            lambda: torch.autograd.grad(y, (x, bias), dy)[0],
            inverted_scale(p),  # once a forward
        )

    return make


def _jax(given: Operands, p: float, threads: int) -> Steps:
    jax = jax_dropout.start(threads)
    numpy = jax.numpy

    def steps(x: Any, bias: Any, residual: Any, key: Any) -> Any:
        keep = jax.random.bernoulli(key, 1 - p, x.shape)
        return residual + numpy.where(keep, jax.nn.relu(x + bias) / (1 - p), 0)

    def run(x: Any, bias: Any, residual: Any, key: Any, step: int) -> Any:
        return jax.vjp(lambda x, b: steps(x, b, residual, jax.random.fold_in(key, step)), x, bias)

    forward_run, backward_run = jax.jit(run), jax.jit(lambda vjp, dy: vjp(dy))
    arrays = [numpy.asarray(array) for array in (given.x, given.bias, given.residual)]
    key, numbers = jax.random.key(0), itertools.count()
    vjp: Any = None

    def forward() -> Any:
        nonlocal vjp
        y, vjp = forward_run(*arrays, key, next(numbers))
        return y.block_until_ready()

    def backward() -> Any:
        return backward_run(vjp, arrays[0])[0].block_until_ready()

    return Steps(forward, backward, inverted_scale(p))


def _compiler() -> Mapping[str, str]:
    facts = dict(torch_dropout.COMPETITOR.available())
    if os.name == "nt":
        raise UnavailableError("torch.compile on the CPU needs a compiler that is seldom there on Windows")
    return facts


FORMS = (
    Form(
        "bitdrop-fused",
        "bitdrop, fused",
        "`bitdrop.FusedDropout` with `out=` and `bias_gradient=`.",
        lambda: {"version": bitdrop.__version__, "instruction set": _core.get_isa()},
        _bitdrop,
    ),
    Form(
        "numpy-steps",
        "NumPy, four steps",
        "`add`, `maximum`, a product with random factors (SFC64), `add`, all with `out=`.",
        lambda: {"version": np.__version__},
        _numpy,
    ),
    Form(
        "torch-steps",
        "PyTorch, four steps",
        "`residual + F.dropout(F.relu(x + bias))`, backward by autograd.",
        torch_dropout.COMPETITOR.available,
        _torch(False),
    ),
    Form(
        "torch-compiled",
        "PyTorch, torch.compile",
        "The same function, compiled by inductor.",
        _compiler,
        _torch(True),
    ),
    Form(
        "jax-jitted",
        "JAX, jitted",
        "`jax.random.bernoulli`, `relu` and `where` in one jitted function; backward by `jax.vjp`.",
        jax_dropout.COMPETITOR.available,
        _jax,
    ),
)
