"""Block dropout against the operations of torchvision's function, with the same seeds."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop
import numpy as np
import torch

EPS = 1e-6
POOL: dict[int, Any] = {2: torch.nn.functional.max_pool2d, 3: torch.nn.functional.max_pool3d}


def reference(x: Any, seeds: Any, size: int) -> Any:
    """Return x after block dropout: pad the seeds, spread them by pooling, scale what is left."""
    ndim = x.ndim - 2
    padded = torch.nn.functional.pad(seeds, [size // 2] * (2 * ndim))
    keep = 1 - POOL[ndim](padded, kernel_size=(size,) * ndim, stride=(1,) * ndim, padding=size // 2)
    return x * keep * (keep.numel() / (EPS + keep.sum()))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(bitdrop.DropBlock2d, (4, 3, 17, 14)), (bitdrop.DropBlock3d, (3, 2, 9, 8, 10))],
    ids=["2d", "3d"],
)
@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("p", [0.05, 0.4, 1.0])
def test_values_and_gradient_are_those_of_torchvision(
    kind: Any, shape: tuple[int, ...], size: int, p: float
) -> None:
    layer = kind(p, size, rng=0)
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    y, mask = layer(x), layer.mask
    dx = layer.backward(dy)

    lengths = shape[2:]
    gamma = p * np.prod(lengths) / (size ** len(lengths) * np.prod([length - size + 1 for length in lengths]))
    assert mask.gamma == pytest.approx(gamma, rel=1e-14)
    leaf = torch.tensor(x, requires_grad=True)
    expected = reference(leaf, torch.tensor(~np.asarray(mask.seeds), dtype=torch.float64), size)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-14, atol=1e-14)
