"""`bitdrop.Dropout`: modes, forward, backward and constructor arguments."""

import inspect
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers import oracle
from tests.helpers.support import Array, assert_identical, normal

X = normal(np.dtype(np.float32), (13, 17))


def mask_of(layer: bitdrop.Dropout) -> bitdrop.Mask:
    assert layer.mask is not None
    return layer.mask


def test_backward_in_training_drops_and_scales_like_forward(dtype: np.dtype[Any]) -> None:
    layer = bitdrop.Dropout(p=0.4, rng=0)
    x, dy = normal(dtype, (30, 40)), normal(dtype, (30, 40), seed=1)
    y = layer(x)
    keep = oracle.kept(tuple(layer.state["key"]), 0, 0.4, 0, x.size).reshape(x.shape)
    assert_identical(y, oracle.applied(x, keep, 1 / (1 - 0.4)))
    assert_identical(layer.backward(dy), oracle.applied(dy, keep, 1 / (1 - 0.4)))
    assert_identical(layer.backward(dy), oracle.applied(dy, keep, 1 / (1 - 0.4)))  # backward may be repeated


def test_new_layer_trains_with_p_of_one_half_and_no_mask() -> None:
    layer = bitdrop.Dropout()
    assert layer.training
    assert layer.p == 0.5
    assert layer.mask is None


def test_train_and_eval_return_layer() -> None:
    layer = bitdrop.Dropout()
    assert layer.eval() is layer
    assert layer.training is False
    assert layer.train() is layer
    assert layer.training is True
    assert layer.train(False) is layer
    assert layer.training is False


def test_evaluation_returns_x_itself_and_gradient_unchanged() -> None:
    layer = bitdrop.Dropout(rng=0).eval()
    assert layer(X) is X
    assert mask_of(layer) == bitdrop.Mask(X.shape, 0.0, key=(0, 0), scale=1.0)
    assert_identical(layer.backward(X), X)


def test_vanilla_layer_scales_at_evaluation_only() -> None:
    layer = bitdrop.Dropout(0.3, scaling="vanilla", rng=0)
    y = layer(X)
    keep = np.asarray(layer.mask)
    assert_identical(y, oracle.applied(X, keep, 1.0))
    assert_identical(layer.backward(X), y)
    everything = np.ones(X.shape, bool)
    assert_identical(layer.eval()(X), oracle.applied(X, everything, 1 - 0.3))
    assert_identical(layer.backward(X), oracle.applied(X, everything, 1 - 0.3))


def test_training_argument_overrides_mode_for_one_call() -> None:
    layer = bitdrop.Dropout(rng=0)
    assert layer(X, False) is X
    assert layer.forward(X, training=False) is X
    assert layer.training
    layer.eval()
    assert (layer(X, True) == 0).any()
    assert (layer.forward(X, True) == 0).any()
    assert not layer.training
    assert layer(X) is X


def test_out_is_written_and_returned() -> None:
    layer, other = bitdrop.Dropout(rng=0), bitdrop.Dropout(rng=0)
    out = np.empty_like(X)
    assert layer(X, out=out) is out
    assert_identical(out, other(X))
    assert layer.backward(X, out=out) is out
    assert_identical(out, other.backward(X))
    assert layer.forward(X, False, out=out) is out
    assert_identical(out, X)


def test_keep_prob_sets_p_to_1_minus_itself_in_float64() -> None:
    assert bitdrop.Dropout(keep_prob=0.9).p == 1 - 0.9 != 0.1
    assert bitdrop.Dropout(keep_prob=0).p == 1.0
    assert bitdrop.Dropout(keep_prob=np.float64(1)).p == 0.0


@pytest.mark.parametrize("p", [0.5, 0.1])
def test_p_and_keep_prob_exclude_each_other(p: float) -> None:
    with pytest.raises(TypeError, match="p and keep_prob exclude each other"):
        bitdrop.Dropout(p, keep_prob=0.5)


def test_parameters_but_p_and_x_are_keyword_only() -> None:
    expected: list[tuple[Any, list[str], set[str]]] = [
        (bitdrop.Dropout, ["p"], {"keep_prob", "scaling", "inplace", "recompute", "rng"}),
        (bitdrop.dropout, ["x", "p"], {"training", "scaling", "rng", "out"}),
        (bitdrop.Mask, ["shape", "p"], {"key", "stream", "scale"}),
    ]
    for function, by_place, by_name in expected:
        parameters = inspect.signature(function).parameters.values()
        assert [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD] == by_place
        assert {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} >= by_name
    assert float(inspect.signature(bitdrop.Dropout).parameters["p"].default) == 0.5


def test_inplace_layer_writes_into_x_in_forward_only() -> None:
    layer, other = bitdrop.Dropout(0.4, inplace=True, rng=0), bitdrop.Dropout(0.4, rng=0)
    x, dy = X.copy(), X.copy()
    expected = other(x)
    assert layer(x) is x
    assert_identical(x, expected)
    assert_identical(layer.backward(dy), other.backward(dy))
    assert_identical(dy, X)
    layer.eval()
    assert layer(x) is x
    assert_identical(x, expected)


def test_inplace_vanilla_layer_scales_x_at_evaluation() -> None:
    x = X.copy()
    y = bitdrop.Dropout(0.25, inplace=True, scaling="vanilla").eval()(x)
    assert y is x
    assert_identical(x, X * np.float32(0.75))


def test_recompute_holds_no_bits_and_gives_same_results() -> None:
    stored, recomputed = bitdrop.Dropout(0.1, rng=3), bitdrop.Dropout(0.1, rng=3, recompute=True)
    for shape in [(5,), (100, 1000), ()]:
        x = normal(np.dtype(np.float64), shape)
        assert_identical(np.asarray(stored(x)), np.asarray(recomputed(x)))
        assert_identical(stored.backward(x), recomputed.backward(x))
        assert mask_of(stored) == mask_of(recomputed)
        assert mask_of(stored).nbytes == (x.size + 7) // 8
        assert mask_of(recomputed).nbytes == 0


def test_changed_p_applies_to_later_masks_only() -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    y = layer(X)
    layer.p = 0.9
    assert layer.p == 0.9
    assert mask_of(layer).p == 0.3
    assert_identical(layer.backward(X), y)
    layer(X)
    assert (mask_of(layer).p, mask_of(layer).scale) == (0.9, 1 / (1 - 0.9))


def test_mask_of_earlier_call_repeats_that_call_in_backward() -> None:
    layer = bitdrop.Dropout(rng=0)
    passes = [(layer(X), mask_of(layer)) for _ in range(4)]
    for y, mask in passes:
        assert_identical(mask.backward(X), y)


def test_backward_before_forward_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match=r"backward needs .* forward pass.*\.$"):
        bitdrop.Dropout().backward(X)


def test_repr_shows_constructor_arguments() -> None:
    layer = bitdrop.Dropout(0.25, scaling="vanilla", inplace=True, recompute=True, rng=0)
    assert repr(layer) == "Dropout(p=0.25, scaling='vanilla', inplace=True, recompute=True)"


def test_subclass_may_override_forward() -> None:
    class Noisy(bitdrop.Dropout):
        def forward(self, x: Any, training: bool | None = None, **options: Any) -> Array:
            return super().forward(x, True, **options)

    layer = Noisy(0.3, rng=0).eval()
    assert_identical(layer(X), bitdrop.Dropout(0.3, rng=0)(X))
    assert repr(layer).startswith("Noisy(")


def test_mask_asked_for_twice_is_one_object_until_next_forward() -> None:
    layer, x = bitdrop.Dropout(rng=0), np.ones((3, 4))
    layer(x)
    first = layer.mask
    assert first is not None
    assert layer.mask is first
    layer(x)
    second = layer.mask
    assert second is not None
    assert second is not first
    assert (first.stream, second.stream) == (0, 1)
    layer.eval()(x)
    assert layer.mask is not None
    assert layer.mask.p == 0


@pytest.mark.parametrize("recompute", [False, True])
def test_mask_holds_bits_unless_they_are_recomputed(recompute: bool) -> None:
    layer = bitdrop.Dropout(rng=0, recompute=recompute)
    for p in (0.5, 0.25):
        layer.p = p
        layer(np.ones(100))
        assert layer.mask is not None
        assert layer.mask.nbytes == (0 if recompute else 13)
