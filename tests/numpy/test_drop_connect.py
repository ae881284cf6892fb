"""DropConnect: dropout of weights, by one mask for a batch or one for each sample.

The recipe is docs/how-to/drop-connect.md.
"""

from collections.abc import Callable

import bitdrop
import numpy as np
import pytest

from tests.helpers import oracle
from tests.helpers.support import Array, assert_identical, normal

SAMPLES, INPUTS, OUTPUTS = 5, 7, 4
FLOAT64 = np.dtype(np.float64)
KEY = (3, 4)
Pass = tuple[Array, Callable[[Array], tuple[Array, Array]]]


def of_batch(x: Array, weights: Array, mask: bitdrop.Mask) -> Pass:
    """Return the output by one mask for all samples, and what gives the gradients of input and weights."""
    dropped = mask.apply(weights)

    def gradients(dy: Array) -> tuple[Array, Array]:
        return dy @ dropped.T, mask.backward(x.T @ dy)

    return x @ dropped, gradients


def of_samples(x: Array, weights: Array, mask: bitdrop.Mask) -> Pass:
    """Return the same with a mask for each sample."""
    dropped = mask.apply(np.broadcast_to(weights, (len(x), *weights.shape)))

    def gradients(dy: Array) -> tuple[Array, Array]:
        of_each = x[:, :, np.newaxis] * dy[:, np.newaxis]
        return np.einsum("no,nio->ni", dy, dropped), mask.backward(of_each).sum(axis=0)

    return np.einsum("ni,nio->no", x, dropped), gradients


PASSES = {"batch": (of_batch, (INPUTS, OUTPUTS)), "samples": (of_samples, (SAMPLES, INPUTS, OUTPUTS))}
for_both = pytest.mark.parametrize("name", PASSES)


def operands() -> tuple[Array, Array, Array]:
    return (
        normal(FLOAT64, (SAMPLES, INPUTS), 1),
        normal(FLOAT64, (INPUTS, OUTPUTS), 2),
        normal(FLOAT64, (SAMPLES, OUTPUTS), 3),
    )


@for_both
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_gradients_equal_finite_differences(name: str, p: float) -> None:
    forward, shape = PASSES[name]
    x, weights, dy = operands()
    mask = bitdrop.Mask(shape, p, key=KEY)
    dx, dweights = forward(x, weights, mask)[1](dy)

    def loss(x: Array, weights: Array) -> float:
        return float(np.sum(forward(x, weights, mask)[0] * dy))

    for values, gradient in ((x, dx), (weights, dweights)):
        for index in np.ndindex(values.shape):
            value, step = values[index], 1e-6
            values[index] = value + step
            above = loss(x, weights)
            values[index] = value - step
            below = loss(x, weights)
            values[index] = value
            assert gradient[index] == pytest.approx((above - below) / (2 * step), abs=1e-7)


def test_each_sample_has_weights_of_its_own() -> None:
    x, weights, _ = operands()
    dropped, mask = bitdrop.dropout(np.broadcast_to(weights, (SAMPLES, INPUTS, OUTPUTS)), p=0.4, rng=0)
    keep = oracle.kept(mask.key, 0, 0.4, 0, mask.size).reshape(mask.shape)
    assert_identical(dropped, np.where(keep, weights * (1 / 0.6), 0.0))
    assert len({sample.tobytes() for sample in keep}) == SAMPLES
    y = np.stack([row @ sample for row, sample in zip(x, dropped, strict=True)])
    np.testing.assert_allclose(np.einsum("ni,nio->no", x, dropped), y, rtol=1e-12)


@for_both
def test_mean_over_masks_is_the_output_without_dropout(name: str) -> None:
    forward, shape = PASSES[name]
    x, weights, _ = operands()
    masks = (bitdrop.Mask(shape, 0.3, key=KEY, stream=stream) for stream in range(4000))
    outputs = np.array([forward(x, weights, mask)[0] for mask in masks])
    error = outputs.std(axis=0) / np.sqrt(len(outputs))
    assert np.all(np.abs(outputs.mean(axis=0) - x @ weights) < 5 * error)


def test_weights_of_samples_are_not_copied_before_they_are_dropped() -> None:
    weights = normal(np.dtype(np.float32), (INPUTS, OUTPUTS))
    copies = np.broadcast_to(weights, (SAMPLES, INPUTS, OUTPUTS))
    assert copies.strides[0] == 0
    expected, mask = bitdrop.dropout(copies.copy(), p=0.5, rng=0)
    assert_identical(bitdrop.dropout(copies, p=0.5, rng=0)[0], expected)
    assert_identical(mask.apply(copies), expected)
