"""Small models of timm and torchvision, for tests that need these libraries."""

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

RATE = 0.3


def load(library: str) -> Any:
    """Import timm or torchvision, and skip the test if it is not installed.

    A torchvision that is not a CPU build cannot load its C++ operators, and then does not find them. No model
    here calls one, so their declarations are enough.
    """
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}: pip install --no-deps {library}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(10):
            try:
                return importlib.import_module(library)
            except RuntimeError as error:
                missing = re.fullmatch(r"operator (torchvision::\w+) does not exist", str(error))
                if missing is None:
                    raise
                torch.library.define(missing[1], "(Tensor boxes, Tensor scores, float limit) -> Tensor")
    raise ImportError(f"too many operators of {library} are missing")


def _convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt  # noqa: PLC0415

    stages = [CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 1)]
    return ConvNeXt(stages, stochastic_depth_prob=RATE, layer_scale=0.5, num_classes=5)


def _swin() -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer  # noqa: PLC0415

    shapes = {
        "patch_size": [4, 4],
        "embed_dim": 16,
        "depths": [2, 1],
        "num_heads": [2, 2],
        "window_size": [4, 4],
    }
    rates = dict.fromkeys(("dropout", "attention_dropout", "stochastic_depth_prob"), RATE)
    return SwinTransformer(**shapes, **rates, num_classes=5)


def _vision_transformer() -> nn.Module:
    from torchvision.models import VisionTransformer  # noqa: PLC0415

    return VisionTransformer(32, 8, 2, 2, 32, 64, dropout=RATE, attention_dropout=RATE, num_classes=5)


def _drop_blocks() -> nn.Module:
    from torchvision.ops import DropBlock2d  # noqa: PLC0415

    convolutions = nn.Conv2d(3, 8, 3), DropBlock2d(RATE, 3), nn.GELU(), nn.Conv2d(8, 8, 3)
    return nn.Sequential(*convolutions, DropBlock2d(RATE, 5, inplace=True), nn.Flatten(), nn.LazyLinear(5))


def _torchvision(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: importlib.import_module("torchvision.models").get_model(name, num_classes=5, **options)


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    rates = {"drop_rate": RATE, "drop_path_rate": RATE}
    return lambda: importlib.import_module("timm").create_model(name, num_classes=5, **rates, **options)


MODELS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "torchvision ConvNeXt": ("torchvision", _convnext),
    "torchvision Swin": ("torchvision", _swin),
    "torchvision VisionTransformer": ("torchvision", _vision_transformer),
    "torchvision DropBlock2d": ("torchvision", _drop_blocks),
    "torchvision EfficientNet": (
        "torchvision",
        _torchvision("efficientnet_b0", dropout=RATE, stochastic_depth_prob=RATE),
    ),
    "torchvision MobileNetV3": ("torchvision", _torchvision("mobilenet_v3_small", dropout=RATE)),
    "torchvision SqueezeNet": ("torchvision", _torchvision("squeezenet1_1", dropout=RATE)),
    "timm ConvNeXt": ("timm", _timm("test_convnext", ls_init_value=0.5)),
    "timm VisionTransformer": (
        "timm",
        _timm("test_vit", img_size=32, attn_drop_rate=RATE, proj_drop_rate=RATE),
    ),
    "timm EfficientNet": ("timm", _timm("test_efficientnet")),
    # Branches of 0 at the start would put the last ReLU of a block at its kink, which has no gradient.
    "timm ResNet": ("timm", _timm("test_resnet", zero_init_last=False)),
    "timm ByobNet": ("timm", _timm("test_byobnet")),
}
"""By a name: the library, and a maker of the model."""
