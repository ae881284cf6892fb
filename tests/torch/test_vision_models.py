"""Models of timm and torchvision train after replacement, in both memory formats of images."""

import copy

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import find_dropout, replace_dropout
from torch import Tensor, nn

from tests.helpers.vision_models import MODELS, load

for_all_models = pytest.mark.parametrize("name", MODELS)
for_both_formats = pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning"),
]


def make(name: str, memory_format: torch.memory_format, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    """Return a model of a library with its own dropout, and four images."""
    library, maker = MODELS[name]
    load(library)
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32, dtype=dtype).to(memory_format=memory_format)
    model = maker().to(dtype)
    model.eval()(x)  # lazy modules
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():  # a head of zeros has one loss
            nn.init.normal_(layer.weight, std=0.02)
    return model.to(memory_format=memory_format).train(), x


def loss_of(model: nn.Module, x: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    loss: Tensor = nn.functional.cross_entropy(model(x), torch.arange(len(x)))
    return loss


@for_all_models
def test_all_dropout_of_the_model_is_replaced_and_its_inference_kept(name: str) -> None:
    model, x = make(name, torch.channels_last, torch.float32)
    expected = model.eval()(x)
    names = [name for name, _, _ in find_dropout(model)]
    assert replace_dropout(model)
    assert [name for name, _, _ in find_dropout(model)] == names
    # Modules with others inside call functions of torch with a rate of their own: `patch` serves these.
    left = [name for name, _, is_served in find_dropout(model) if not is_served]
    assert [name for name in left if not list(model.get_submodule(name).children())] == []
    assert torch.equal(model(x), expected)
    losses = {loss_of(model.train(), x, seed).item() for seed in range(5)}
    assert len(losses) > 1


@for_all_models
@for_both_formats
def test_gradients_are_those_of_the_loss(name: str, memory_format: torch.memory_format) -> None:
    model, x = make(name, memory_format, torch.float64)
    replace_dropout(model)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # variances of four values are too steep for differences
            layer.eval()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss_of(model, x, 3), weights)
    directions = [torch.randn_like(weight) for weight in weights]
    slope = sum((gradient * d).sum() for gradient, d in zip(gradients, directions, strict=True))
    step, losses = 1e-7, []  # with 1e-6 a ReLU of timm's ResNet crosses its kink
    for factor in (step, -2 * step):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(direction, alpha=factor)
            losses.append(loss_of(model, x, 3))
    torch.testing.assert_close((losses[0] - losses[1]) / (2 * step), slope, rtol=1e-4, atol=1e-6)


@for_all_models
@for_both_formats
def test_training_lowers_the_loss_with_gradients_laid_out_as_torchs(
    name: str, memory_format: torch.memory_format
) -> None:
    model, x = make(name, memory_format, torch.float32)
    strides = []
    for each in (copy.deepcopy(model), model):
        if each is model:
            replace_dropout(model)
        output = each(x)
        output.sum().backward()
        gradients = [weight.grad for weight in each.parameters() if weight.grad is not None]
        strides.append([gradient.stride() for gradient in (output, *gradients)])
    assert strides[0] == strides[1]
    # At 2e-3 the ReLU at SqueezeNet's end dies, without dropout too: the loss becomes log 5.
    optimizer = torch.optim.Adam(model.parameters(), 5e-4 if "SqueezeNet" in name else 2e-3)
    losses = []
    for seed in range(30):
        optimizer.zero_grad()
        loss = loss_of(model, x, seed)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
