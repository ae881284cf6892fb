"""Scaled dot product attention: torch's results, gradients and errors, with bitdrop's mask on the weights."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import _calls, functional
from torch import Tensor, nn

from tests.helpers.pytorch_support import DTYPES, compiled_fresh, outcome

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ours: Callable[..., Any] = functional.scaled_dot_product_attention
theirs: Callable[..., Any] = nn.functional.scaled_dot_product_attention

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "scale": {"scale": 0.3},
    "negative scale": {"scale": -0.3},
    "additive mask": {"attn_mask": torch.linspace(-2, 2, 35).view(5, 7)},
    "bool mask": {"attn_mask": torch.arange(35).view(5, 7) % 3 > 0},
    "mask of whole rows": {"attn_mask": torch.arange(5).view(5, 1).expand(5, 7) > 1},
    "grouped queries": {"enable_gqa": True},
}


def tensors(dtype: torch.dtype = torch.float32, heads: int = 4) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    shapes = (2, 4, 5, 8), (2, heads, 7, 8), (2, heads, 7, 6)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


def gradients(y: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * torch.arange(1, y.numel() + 1).view_as(y).to(y.dtype)).sum() / 50, leaves)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the masks of the weights that are dropped, in order."""
    masks: list[Tensor] = []
    original = _calls.drop

    def drop(kind: Any, weights: Tensor, *rest: Any) -> Tensor:
        y = original(kind, weights, *rest)
        masks.append((y != 0) | (weights == 0))
        return y

    monkeypatch.setattr(_calls, "drop", drop)
    return masks


@pytest.mark.filterwarnings("ignore:Dropout mask should only be used for testing:UserWarning")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("option", OPTIONS)
def test_result_and_gradients_are_torchs_for_the_same_mask(
    option: str, dtype: torch.dtype, kept: list[Tensor]
) -> None:
    options = dict(OPTIONS[option])
    if option == "additive mask":
        options["attn_mask"] = options["attn_mask"].to(dtype)
    leaves = tensors(dtype, heads=2 if "enable_gqa" in options else 4)
    y = ours(*leaves, dropout_p=0.3, **options)
    (mask,) = kept
    assert 0 < mask.double().mean() < 1
    added = options.pop("attn_mask", None)
    if added is not None and added.dtype is torch.bool:  # torch's function does so too
        added = torch.zeros(added.shape, dtype=dtype).masked_fill(~added, -torch.inf)
    expected, _ = torch.ops.aten._scaled_dot_product_attention_math(
        *leaves, added, 0.3, dropout_mask=mask, **options
    )
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype.itemsize > 2 else {"rtol": 2e-2, "atol": 1e-2}
    torch.testing.assert_close(y, expected, **tolerance)
    assert y.stride() == theirs(*leaves, dropout_p=0.3, **OPTIONS[option] | options).stride()
    for mine, other in zip(gradients(y, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(mine, other, **tolerance)


def test_the_mask_is_that_of_dropout_on_the_weights(kept: list[Tensor]) -> None:
    torch.manual_seed(5)
    ours(*tensors(), dropout_p=0.4)
    torch.manual_seed(5)
    assert torch.equal(kept[0], functional.dropout(torch.ones(2, 4, 5, 7), 0.4) != 0)


MISUSES: dict[str, Callable[[Any], Any]] = {
    "p above 1": lambda f: f(*tensors(), dropout_p=1.5),
    "mask and causal": lambda f: f(*tensors(), torch.zeros(5, 7), dropout_p=0.5, is_causal=True),
    "one axis": lambda f: f(torch.ones(3), torch.ones(3), torch.ones(3), dropout_p=0.5),
    "dtypes": lambda f: f(tensors()[0], tensors(torch.float64)[1], tensors()[2], dropout_p=0.5),
    "features": lambda f: f(torch.ones(1, 2, 3), torch.ones(1, 2, 4), torch.ones(1, 2, 3), dropout_p=0.5),
    "mask shape": lambda f: f(*tensors(), torch.zeros(3, 3), dropout_p=0.5),
    "mask dtype": lambda f: f(*tensors(), torch.zeros(5, 7, dtype=torch.float64), dropout_p=0.5),
    "integers": lambda f: f(*(t.detach().long() for t in tensors()), dropout_p=0.5),
    "no tensor": lambda f: f(1.0, *tensors()[1:], dropout_p=0.5),
    "heads": lambda f: f(*tensors(heads=3), dropout_p=0.5),
    "groups": lambda f: f(*tensors(heads=3), dropout_p=0.5, enable_gqa=True),
    "length of values": lambda f: f(*tensors()[:2], torch.ones(2, 4, 6, 6), dropout_p=0.5),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_errors_are_torchs(misuse: str) -> None:
    found, expected = (outcome(partial(MISUSES[misuse], f), None) for f in (ours, theirs))
    assert found == expected
    assert expected.error is not None


@pytest.mark.parametrize("p", [0.0, 0, 1, True, -0.5])
def test_other_probabilities_are_taken_as_by_torch(p: Any) -> None:
    assert outcome(lambda: ours(*tensors(), dropout_p=p), None) == outcome(
        lambda: theirs(*tensors(), dropout_p=p), None
    )


def test_without_the_math_backend_torch_decides() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: PLC0415

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = (outcome(partial(f, *tensors(), dropout_p=0.5), None) for f in (ours, theirs))
    assert found.error == expected.error


def test_other_devices_and_nested_tensors_go_to_torch(kept: list[Tensor]) -> None:
    meta = [tensor.to("meta") for tensor in tensors()]
    assert ours(*meta, dropout_p=0.5).shape == (2, 4, 5, 6)
    nested = [torch.nested.nested_tensor([torch.randn(4, 3, 8)], layout=torch.jagged)] * 3
    assert type(ours(*nested, dropout_p=0.5)) is type(nested[0])
    assert not kept


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_attention_equals_eager(backend: str) -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ours(q, k, v, dropout_p=0.3, is_causal=True)

    leaves, results = tensors(), []
    for function in (attend, compiled_fresh(attend, backend)):
        torch.manual_seed(2)
        y = function(*leaves)
        results.append((y, *gradients(y, leaves)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_subclasses_take_torchs_function_over_and_modes_bitdrops(kept: list[Tensor]) -> None:
    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func

    query, key, value = tensors()
    assert ours(query.as_subclass(Watching), key, value, dropout_p=0.5) is theirs
    with torch.device("cpu"):
        ours(query, key, value, dropout_p=0.5)
    assert len(kept) == 1


@pytest.mark.parametrize("compiles", [False, True])
def test_autocast_computes_in_the_dtype_that_torch_takes(compiles: bool) -> None:
    torch._dynamo.reset()
    function = torch.compile(ours, backend="aot_eager", fullgraph=True) if compiles else ours
    for dtype in (torch.float32, torch.float64):
        leaves = [leaf.detach() for leaf in tensors(dtype)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for mask in (None, torch.zeros(5, 7, dtype=dtype), torch.ones(5, 7, dtype=torch.bool)):
                y, expected = (f(*leaves, mask, dropout_p=0.5) for f in (function, theirs))
                assert (y.dtype, y.shape) == (expected.dtype, expected.shape)


class Attention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return y


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kind", ["weights", "no weights", "encoder layer"])
def test_modules_compiled_under_patch_have_the_masks_of_eager_mode(kind: str, backend: str) -> None:
    module: nn.Module = Attention(kind == "weights")
    if kind == "encoder layer":
        module = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    x, results = torch.randn(2, 6, 8), []
    with bitdrop.torch.patch():
        for function in (module, compiled_fresh(module, backend)):
            torch.manual_seed(1)
            results.append(function(x))
    torch.testing.assert_close(*results)
