"""One network, trained in NumPy, PyTorch and JAX with equal masks: equal losses, step by step."""

from typing import Any

import pytest

pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

import bitdrop
import bitdrop.jax
import jax
import jax.numpy as jnp
import numpy as np
from bitdrop import Mask

from tests.helpers.support import Array

P, STEPS, RATE = 0.25, 12, 0.1
KEYS = [jax.random.fold_in(jax.random.key(2), step) for step in range(STEPS)]
MASKS = [Mask((32, 50), P, key=bitdrop.jax.mask_key(key)) for key in KEYS]


def data() -> tuple[Array, Array, Array, Array]:
    """Return inputs, targets and the two matrices before training."""
    rng = np.random.default_rng(0)
    return (
        rng.standard_normal((32, 10)),
        rng.standard_normal((32, 3)),
        rng.standard_normal((10, 50)) / 4,
        rng.standard_normal((50, 3)) / 8,
    )


def losses_of_numpy() -> list[float]:
    x, target, w1, w2 = data()
    losses = []
    for mask in MASKS:
        hidden = x @ w1
        dropped = mask.apply(np.maximum(hidden, 0))
        error = dropped @ w2 - target
        losses.append(float((error**2).mean()))
        d_output = 2 * error / error.size
        d_hidden = mask.backward(d_output @ w2.T) * (hidden > 0)
        w1, w2 = w1 - RATE * (x.T @ d_hidden), w2 - RATE * (dropped.T @ d_output)
    return losses


def losses_of_jax(fused: bool) -> list[float]:
    x, target, w1, w2 = map(jnp.asarray, data())

    def loss(weights: Any, key: Any) -> Any:
        w1, w2 = weights
        if fused:
            dropped = bitdrop.jax.fused_dropout(x @ w1, P, key=key, activation="relu")
        else:
            dropped = bitdrop.jax.dropout(jax.nn.relu(x @ w1), P, key=key)
        return ((dropped @ w2 - target) ** 2).mean()

    step = jax.jit(jax.value_and_grad(loss))
    weights: Any = w1, w2
    losses = []
    for key in KEYS:
        value, gradients = step(weights, key)
        weights = jax.tree.map(lambda w, g: w - RATE * g, weights, gradients)
        losses.append(float(value))
    return losses


def losses_of_torch(torch: Any) -> list[float]:
    class FromMask(torch.autograd.Function):  # type: ignore[name-defined]
        """The dropout of a given mask."""

        @staticmethod
        def forward(context: Any, x: Any, mask: Mask) -> Any:
            context.mask = mask
            return torch.from_numpy(mask.apply(x.detach().numpy()))

        @staticmethod
        def backward(context: Any, *dy: Any) -> Any:
            return torch.from_numpy(context.mask.backward(dy[0].numpy())), None

    x, target, w1, w2 = map(torch.from_numpy, data())
    losses = []
    for mask in MASKS:
        w1, w2 = w1.detach().requires_grad_(), w2.detach().requires_grad_()
        dropped = FromMask.apply(torch.relu(x @ w1), mask)
        loss = ((dropped @ w2 - target) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            w1, w2 = w1 - RATE * w1.grad, w2 - RATE * w2.grad
    return losses


def test_network_has_equal_losses_in_every_library() -> None:
    expected = losses_of_numpy()
    assert expected[-1] < 0.9 * expected[0]
    np.testing.assert_allclose(losses_of_jax(fused=False), expected, rtol=1e-9)
    np.testing.assert_allclose(losses_of_jax(fused=True), expected, rtol=1e-9)
    torch = pytest.importorskip("torch", reason="losses of NumPy and JAX agree; PyTorch is not installed")
    np.testing.assert_allclose(losses_of_torch(torch), expected, rtol=1e-9)
