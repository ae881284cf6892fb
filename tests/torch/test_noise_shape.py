"""`noise_shape=`: elements that share a draw."""

from typing import Any

import bitdrop
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import functional

from tests.helpers.pytorch_support import next_key

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SHAPE = (4, 5, 6, 7)
NOISE_SHAPES: list[tuple[int | None, ...]] = [
    (None, 1, None, 1),
    (1, 5, 1, 7),
    (1, 1, 1, 1),
    (4, None, 1, 1),
    (None, None, 1, 1),
    (1, 1, 1, 7),
]


def layouts() -> list[torch.Tensor]:
    x = torch.rand(SHAPE) + 1
    return [x, x.to(memory_format=torch.channels_last), x.movedim(0, -1).contiguous().movedim(-1, 0)]


@pytest.mark.parametrize("noise_shape", NOISE_SHAPES)
def test_values_and_gradients_in_every_layout_have_numpys_mask(noise_shape: tuple[int | None, ...]) -> None:
    for layout in layouts():
        leaf = layout.requires_grad_()
        torch.manual_seed(4)
        mask = bitdrop.Mask(SHAPE, 0.5, key=next_key(), noise_shape=noise_shape)
        torch.manual_seed(4)
        y = functional.dropout(leaf, 0.5, noise_shape=noise_shape)
        (dx,) = torch.autograd.grad(y, leaf, torch.full(SHAPE, 3.0))
        kept = torch.tensor(np.asarray(mask))
        assert torch.equal(y, torch.where(kept, 2 * layout, 0.0))
        assert torch.equal(dx, torch.where(kept, 6.0, 0.0))
        assert y.stride() == layout.stride()
        if noise_shape == (None, None, 1, 1):
            torch.manual_seed(4)
            assert torch.equal(functional.dropout2d(layout, 0.5), y)


def test_in_place_and_the_module() -> None:
    module = bitdrop.torch.Dropout(0.5, inplace=True, noise_shape=[None, 1, None])
    assert repr(module) == "Dropout(p=0.5, inplace=True, noise_shape=(None, 1, None))"
    x = torch.ones(20, 3, 4)
    assert module(x) is x
    assert (x == x[:, :1]).all()
    assert len(x.unique()) == 2
    assert module.eval()(x) is x


@pytest.mark.parametrize(
    ("noise_shape", "error", "message"),
    [
        ((1, 2), ValueError, "noise_shape must have an entry for each axis"),
        ((1, 2, 3), ValueError, "noise_shape must be 1, None or x's length"),
        ("ab", TypeError, "noise_shape must be None or a sequence of non-negative ints and None"),
        ((1.5, None, None), TypeError, r"ints and None, but got \(1.5, None, None\)"),
        (7, TypeError, "noise_shape must be None or a sequence"),
    ],
)
def test_bad_noise_shapes_are_refused_before_anything_is_drawn_or_written(
    noise_shape: Any, error: type[Exception], message: str
) -> None:
    x, state = torch.ones(3, 4, 5), torch.random.get_rng_state()
    with pytest.raises(error, match=message):
        functional.dropout(x, 0.5, True, True, noise_shape=noise_shape)
    assert (x == 1).all()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_other_tensors_share_torchs_draws() -> None:
    x = torch.ones(200, 3, device="meta")
    assert functional.dropout(x, 0.5, noise_shape=(None, 1)).shape == (200, 3)
    with pytest.raises(ValueError, match="generator must be None"):
        functional.dropout(x, 0.5, noise_shape=(None, 1), generator=torch.Generator())
    with pytest.raises(ValueError, match="noise_shape must be 1, None"):
        functional.dropout(x, 0.5, noise_shape=(None, 2))


def test_complex_numbers_share_draws() -> None:
    x = torch.ones(200, 3, dtype=torch.complex64, requires_grad=True)
    y = functional.dropout(x, 0.5, noise_shape=(None, 1))
    assert set(y.real.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(y, y[:, :1].expand(200, 3))
    y.real.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_over_every_axis(randomness: str) -> None:
    for axis in range(3):
        x = torch.ones(8, 8, 8)
        y = torch.func.vmap(
            lambda one: functional.dropout(one, 0.5, noise_shape=(None, 1)), axis, axis, randomness=randomness
        )(x).movedim(axis, 0)
        assert (y == y[:, :, :1]).all()
        assert len(y.flatten(1).unique(dim=0)) == (1 if randomness == "same" else 8)
