"""Fused passes: special numbers, a residual of float32, and the order of the bias gradient's sum."""

from math import prod
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.contract.reference import arithmetic
from tests.helpers import oracle
from tests.helpers.support import DTYPES, Array, assert_identical, normal

FLOAT32 = np.dtype(np.float32)
Shape = tuple[int, ...]


def summed(dx: Array, bias: Shape) -> Array:
    """Return the bias gradient of a C-contiguous dx, by docs/reference/fused-passes.md alone."""
    number = arithmetic(dx.dtype)
    values = dx.ravel().astype(number)
    owner = np.broadcast_to(np.arange(prod(bias)).reshape(bias), dx.shape).ravel()
    chunk = max(65536, -(-32 * prod(bias) // 4096) * 4096)
    totals = np.zeros(prod(bias), np.float64)
    for first in range(0, values.size, chunk):
        sums, own = np.zeros(prod(bias), number), owner[first : first + chunk]
        ends = np.flatnonzero(np.diff(own)) + 1  # where the next element belongs to another sum
        spans = np.union1d(ends, np.arange(0, own.size, 1024))
        if spans.size == own.size:
            np.add.at(sums, own, values[first : first + chunk])
        else:
            for start, stop in zip(spans, [*spans[1:], own.size], strict=True):
                sums[own[start]] += in_lanes(values[first + start : first + stop])
        totals += sums
    return totals.astype(number).astype(dx.dtype).reshape(bias)


def in_lanes(span: Array) -> Any:
    """Return the sum of a span: 32 lanes, each in order, then halved."""
    lanes = np.zeros((-(-span.size // 32), 32), span.dtype)
    lanes.ravel()[: span.size] = span
    total = np.zeros(32, span.dtype)
    for row in lanes:
        total = total + row
    for half in (16, 8, 4, 2, 1):
        total = total[:half] + total[half:]
    return total[0]


CASES: list[tuple[Shape, Shape]] = [
    *(((700, 300), (300,)), ((3, 40000), (40000,)), ((20, 16, 30, 31), (16, 1, 1))),
    *(((20, 16, 30, 32), (1, 16, 1, 1)), ((500, 400), (1,)), ((500, 400), ()), ((500, 400), (500, 1))),
    *(((50, 40), (50, 40)), ((400, 7, 7, 9), (7, 1, 9)), ((3, 2500), (3, 1)), ((0, 3), (3,)), ((5,), ())),
]


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize(("shape", "bias"), CASES)
def test_bias_gradient_is_the_sum_of_the_document(dtype: np.dtype[Any], shape: Shape, bias: Shape) -> None:
    x, dy = normal(dtype, shape), normal(dtype, shape, 1)
    _, mask = bitdrop.fused_dropout(x, 0.5, bias=np.zeros(bias, dtype), activation="relu", rng=0)
    dx = mask.backward(dy)
    expected = summed(dx, bias)
    for isa in _core.isas():
        _core.set_isa(isa)
        for threads in (1, 2, 3):
            bitdrop.set_num_threads(threads)
            _core.set_non_temporal_threshold(0 if threads == 2 else 2**60)
            gradient = np.full(bias, np.nan).astype(dtype)
            assert_identical(mask.backward(dy, bias_gradient=gradient), dx)
            assert_identical(gradient, expected, f"{isa}, {threads} threads")
    axes = tuple(i for i, n in enumerate((1,) * (len(shape) - len(bias)) + bias) if n == 1 and shape[i] != 1)
    exact, size = dx.astype(np.float64), np.abs(dx.astype(np.float64)).sum(axis=axes).reshape(bias)
    unit = {2: 2.0**-8 if dtype.name == "bfloat16" else 2.0**-11, 4: 2.0**-22, 8: 2.0**-50}[dtype.itemsize]
    error = np.abs(expected.astype(np.float64) - exact.sum(axis=axes).reshape(bias))
    assert (error <= unit * np.maximum(np.abs(exact.sum(axis=axes)).reshape(bias), size / 2)).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_bias_gradient_of_strided_arrays(order: Any) -> None:
    dy = np.asarray(normal(FLOAT32, (60, 50)), order=order)
    _, mask = bitdrop.fused_dropout(dy, 0.5, bias=np.zeros(50, np.float32), rng=0)
    memory = np.zeros(100, np.float32)
    dx = mask.backward(dy, out=dy, bias_gradient=memory[::2])
    assert dx is dy
    assert np.allclose(memory[::2], dx.sum(axis=0, dtype=np.float64), atol=1e-5)
    assert not memory[1::2].any()


@pytest.mark.parametrize("half", DTYPES[:2], ids=lambda half: half.name)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("training", [True, False])
def test_residual_may_be_of_float32_beside_halves(
    half: np.dtype[Any], activation: Any, training: bool
) -> None:
    """As Megatron keeps it: the stream of residuals is of float32, the branch of a half type."""
    x, bias = normal(half, (40, 70)), normal(half, (70,), 1)
    residual, dy = normal(FLOAT32, (40, 70), 2), normal(FLOAT32, (40, 70), 3)
    options: dict[str, Any] = {"activation": activation, "training": training}
    layer = bitdrop.FusedDropout(0.3, activation=activation, rng=0)
    y, mask = bitdrop.fused_dropout(x, 0.3, bias=bias, residual=residual, rng=0, **options)
    kept = oracle.kept(mask.key, 0, 0.3, 0, x.size).reshape(x.shape) if training else np.ones(x.shape, bool)
    scale = np.float32(1 / 0.7 if training else 1)
    h = x.astype(np.float32) + bias.astype(np.float32)
    passes = kept & (h > 0) if activation else kept
    assert_identical(
        y, residual + np.where(kept, (np.maximum(h, 0) if activation else h) * scale, np.float32(0))
    )
    assert_identical(layer(x, training, bias=bias, residual=residual), y)
    out = residual.copy()
    assert bitdrop.fused_dropout(x, 0.3, bias=bias, residual=out, out=out, rng=0, **options)[0] is out
    assert_identical(out, y)
    gradient = np.empty(70, half)
    dx = mask.backward(dy, bias_gradient=gradient)
    assert_identical(dx, np.where(passes, dy * scale, np.float32(0)).astype(half))  # rounded once
    assert_identical(gradient, summed(dx, (70,)))
    for owner in (layer, mask, mask.part((0, 0), (40, 70))):
        assert_identical(owner.backward(dy), dx)
    assert_identical(mask.part((3, 5), (20, 60)).backward(dy[3:23, 5:65]), dx[3:23, 5:65])
