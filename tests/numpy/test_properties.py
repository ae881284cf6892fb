"""Properties of all inputs, tested by hypothesis."""

import pickle
from typing import Any

import bitdrop
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.helpers import oracle
from tests.helpers.strategies import PROBABILITIES, SEEDS, SHAPES, WORDS, arrays, views
from tests.helpers.support import Array, assert_identical, normal

FLOAT64 = np.dtype(np.float64)


def reference(x: Array, mask: bitdrop.Mask) -> Array:
    keep = oracle.kept(mask.key, mask.stream, mask.p, 0, x.size)
    return oracle.applied(x, keep.reshape(x.shape), mask.scale)


@settings(max_examples=300)
@given(st.data(), arrays(), PROBABILITIES, st.sampled_from(["inverted", "vanilla"]), st.integers(0, 2**130))
def test_dropout_equals_oracle(data: st.DataObject, x: Array, p: float, scaling: Any, seed: int) -> None:
    before = x.copy()
    k0, k1 = np.random.default_rng(seed).integers(0, 2**64, 2, dtype=np.uint64).tolist()
    key = (k0, k1)
    scale = 1.0 if scaling == "vanilla" else 0.0 if p == 1 else 1 / (1 - p)
    expected = reference(x, bitdrop.Mask(x.shape, p, key=key, scale=scale))
    y, mask = bitdrop.dropout(x, p, scaling=scaling, rng=seed)
    assert mask == bitdrop.Mask(x.shape, p, key=key, scale=scale)
    assert_identical(y, expected)
    assert_identical(x, before)
    out = data.draw(views(x.shape, x.dtype, writable=True))
    assert bitdrop.dropout(x, p, scaling=scaling, rng=seed, out=out)[0] is out
    assert_identical(out, expected)
    if x.flags.writeable:
        bitdrop.dropout(x, p, scaling=scaling, rng=seed, out=x)
        assert_identical(x, expected)


@settings(max_examples=200)
@given(arrays(), PROBABILITIES, st.tuples(WORDS, WORDS), WORDS, st.floats(-1e6, 1e6))
def test_mask_of_any_parameters_equals_oracle(
    x: Array, p: float, key: tuple[int, int], stream: int, scale: float
) -> None:
    mask = bitdrop.Mask(x.shape, p, key=key, stream=stream, scale=scale)
    keep = oracle.kept(key, stream, p, 0, x.size)
    assert np.array_equal(np.asarray(mask), keep.reshape(x.shape))
    assert np.array_equal(mask.bits, np.packbits(keep, bitorder="little"))
    assert_identical(mask.apply(x), reference(x, mask))
    assert pickle.loads(pickle.dumps(mask)) == mask


@settings(max_examples=200)
@given(arrays(), st.floats(0, 1), SEEDS)
def test_vanilla_inference_multiplies_everything_by_kept_share(x: Array, p: float, seed: int) -> None:
    everything = np.ones(x.shape, bool)
    y, mask = bitdrop.dropout(x, p, training=False, scaling="vanilla")
    assert_identical(np.asarray(y), oracle.applied(x, everything, 1 - p))
    assert_identical(mask.backward(x), oracle.applied(x, everything, 1 - p))
    assert bitdrop.dropout(x, p, training=False)[0] is x


@settings(max_examples=100)
@given(
    array_shapes(max_side=30),
    st.floats(0, 0.99),
    st.sampled_from(["inverted", "vanilla"]),
    SEEDS,
    st.booleans(),
)
def test_backward_is_derivative_of_forward(
    shape: tuple[int, ...], p: float, scaling: Any, seed: int, training: bool
) -> None:
    layer = bitdrop.Dropout(p, scaling=scaling, rng=seed)
    x, weights, direction = (normal(FLOAT64, shape, seed + n) for n in range(3))
    start = layer.state

    def loss(at: Array) -> float:
        layer.state = start  # to draw the same mask
        return float(np.sum(weights * layer(at, training)))

    step = 2.0**-10
    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    gradient = layer.backward(weights)
    tolerance = 1e-9 * float(np.sum(np.abs(weights)) + 1) / (1 - p)
    assert abs(slope - float(np.sum(gradient * direction))) <= tolerance


@settings(max_examples=100)
@given(SHAPES, st.floats(0, 0.99), st.tuples(WORDS, WORDS), SEEDS, st.floats(-8, 8), st.floats(-8, 8))
def test_backward_is_linear(
    shape: tuple[int, ...], p: float, key: tuple[int, int], seed: int, a: float, b: float
) -> None:
    mask = bitdrop.Mask(shape, p, key=key)
    u, v = normal(FLOAT64, shape, seed), normal(FLOAT64, shape, seed + 1)
    together = mask.backward(a * u + b * v)
    np.testing.assert_allclose(
        together, a * mask.backward(u) + b * mask.backward(v), rtol=1e-12, atol=1e-12 / (1 - p)
    )
    assert_identical(mask.backward(-u) + 0.0, -mask.backward(u) + 0.0)  # + 0.0 because -0.0 is not +0.0
    assert_identical(mask.backward(4 * u), 4 * mask.backward(u))


@settings(max_examples=150)
@given(arrays(), PROBABILITIES, SEEDS)
def test_recomputed_masks_equal_stored_ones(x: Array, p: float, seed: int) -> None:
    stored, recomputed = bitdrop.Dropout(p, rng=seed), bitdrop.Dropout(p, rng=seed, recompute=True)
    for _ in range(3):
        assert_identical(recomputed(x), stored(x))
        assert_identical(recomputed.backward(x), stored.backward(x))
        assert recomputed.mask == stored.mask
        assert recomputed.mask is not None
        assert recomputed.mask.nbytes == 0


@pytest.mark.parametrize("scaling", ["inverted", "vanilla"])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_training_and_inference_have_same_mean(p: float, scaling: Any) -> None:
    """The probability that any of the 512 deviations of the eight cases exceeds 5 sigma is 3e-4."""
    layer = bitdrop.Dropout(p, scaling=scaling, rng=2024)
    x = normal(FLOAT64, 64)
    masks = 5000
    mean = sum(layer(x) for _ in range(masks)) / masks
    scale = 1.0 if scaling == "vanilla" else 1 / (1 - p)
    sigma = np.abs(x) * scale * np.sqrt(p * (1 - p) / masks)
    assert np.max(np.abs(mean - layer.eval()(x)) / sigma) < 5


class LayerMachine(RuleBasedStateMachine):
    """Layer under any sequence of calls, compared with a model: key, position, p, mode, last mask."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = bitdrop.Dropout(0.25, rng=9)
        self.key = tuple(self.layer.state["key"])
        self.position, self.p, self.training = 0, 0.25, True
        self.last: bitdrop.Mask | None = None

    @rule(n=st.integers(0, 3000), override=st.sampled_from([None, True, False]))
    def forward(self, n: int, override: bool | None) -> None:
        x = normal(np.dtype(np.float32), n)
        y = self.layer(x, override)
        if self.training if override is None else override:
            self.last = bitdrop.Mask(n, self.p, key=self.key, stream=self.position)
            self.position += 1
        else:
            self.last = bitdrop.Mask(n, 0.0, key=(0, 0))
        assert_identical(y, reference(x, self.last))

    @rule(bad=st.sampled_from([[1], None, np.ones(3, int), "x"]))
    def forward_of_bad_input(self, bad: Any) -> None:
        with pytest.raises(TypeError):
            self.layer(bad)

    @rule()
    def forward_into_output_of_wrong_shape(self) -> None:
        with pytest.raises(ValueError, match="shape"):
            self.layer(np.ones(4), out=np.ones(5))

    @precondition(lambda self: self.last is not None)
    @rule()
    def backward(self) -> None:
        assert self.last is not None
        dy = normal(FLOAT64, self.last.shape, seed=1)
        assert_identical(self.layer.backward(dy), reference(dy, self.last))

    @rule(p=st.sampled_from([0.0, 0.25, 1.0]))
    def set_p(self, p: float) -> None:
        self.layer.p = self.p = p

    @rule(p=st.sampled_from([-1.0, 2.0, float("nan")]))
    def set_p_to_invalid_probability(self, p: float) -> None:
        with pytest.raises(ValueError, match="p must be"):
            self.layer.p = p

    @rule(mode=st.booleans())
    def train(self, mode: bool) -> None:
        self.layer.train(mode)
        self.training = mode

    @rule()
    def pickle(self) -> None:
        self.layer = pickle.loads(pickle.dumps(self.layer))

    @rule(key=st.tuples(WORDS, WORDS), position=st.integers(0, 2**63))
    def set_state(self, key: tuple[int, int], position: int) -> None:
        self.layer.state = {"format": 1, "key": list(key), "position": position}
        self.key, self.position = key, position

    @rule()
    def restore_in_new_layer(self) -> None:
        restored = bitdrop.Dropout(self.p).train(self.training)
        restored.state = self.layer.state
        self.layer, self.last = restored, None

    @invariant()
    def equals_model(self) -> None:
        assert self.layer.state == {"format": 1, "key": list(self.key), "position": self.position}
        assert (self.layer.p, self.layer.training) == (self.p, self.training)
        assert self.layer.mask == self.last


LayerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLayerUnderAnyUse = LayerMachine.TestCase
