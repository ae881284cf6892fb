"""Fused passes, compared with torch's operations and bitdrop's dropout one by one."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import _fused, functional
from torch import Tensor, nn

from tests.helpers.pytorch_support import DTYPES

CASES = [
    ("bias and residual", True, True, "relu"),
    ("bias", True, False, "relu"),
    ("residual", False, True, None),
    ("relu", False, False, "relu"),
    ("dropout", False, False, None),
    ("linear", True, True, None),
]
for_all_cases = pytest.mark.parametrize(
    ("with_bias", "with_residual", "activation"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
for_all_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
MEMORY = {
    "contiguous": lambda x: x.contiguous(),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(1, 3).contiguous().transpose(1, 3),
    "strided": lambda x: torch.stack([x, x], -1)[..., 0],
}


def inputs(shape: tuple[int, ...], dtype: torch.dtype, bias: bool, residual: bool) -> list[Any]:
    """Return x, bias and residual that require gradients, or None."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(3, *shape, generator=generator, dtype=torch.float64).to(dtype)
    x, r = (numbers[i].clone().requires_grad_() for i in (0, 2))
    channels = numbers[1].flatten()[: shape[1]].reshape(shape[1], *[1] * (len(shape) - 2)).clone()
    return [x, channels.requires_grad_() if bias else None, r if residual else None]


def in_steps(x: Tensor, p: float, bias: Any, activation: Any, residual: Any, training: bool = True) -> Tensor:
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    h = x.to(wide)
    h = h if bias is None else h + bias
    h = torch.relu(h) if activation else h
    h = functional.dropout(h, p, training)
    h = h if residual is None else residual + h
    return h.to(x.dtype)


def gradients(y: Tensor, sources: list[Any]) -> list[Tensor]:
    given = [source for source in sources if source is not None]
    return list(torch.autograd.grad(y, given, torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)))


@for_all_dtypes
@for_all_cases
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_fused_equals_steps(
    dtype: torch.dtype, with_bias: bool, with_residual: bool, activation: Any, p: float
) -> None:
    x, bias, residual = sources = inputs((8, 6, 9, 5), dtype, with_bias, with_residual)
    torch.manual_seed(1)
    y = functional.fused_dropout(x, p, bias, activation, residual)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    expected = in_steps(x, p, bias, activation, residual)
    assert torch.equal(y, expected)
    assert torch.equal(torch.get_rng_state(), state)
    tolerance = {torch.float16: 4e-3, torch.bfloat16: 3e-2}.get(dtype, 1e-5)
    for got, want in zip(gradients(y, sources), gradients(expected, sources), strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance * 30)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("memory", MEMORY)
def test_results_strides_and_gradients_of_every_memory_format_are_those_of_the_steps(
    memory: str, with_bias: bool
) -> None:
    x, bias, residual = inputs((4, 6, 7, 8), torch.float32, with_bias, True)
    x = MEMORY[memory](x.detach()).requires_grad_()
    for other in (residual, residual.detach().mT.contiguous().mT.requires_grad_()):
        torch.manual_seed(2)
        y = functional.fused_dropout(x, 0.5, bias, "relu", other)
        torch.manual_seed(2)
        expected = in_steps(x, 0.5, bias, "relu", other)
        assert torch.equal(y, expected)
        assert y.stride() == expected.stride()
        sources = [x, bias, other]
        for got, want in zip(gradients(y, sources), gradients(expected, sources), strict=True):
            torch.testing.assert_close(got, want)


@for_all_cases
def test_inference_keeps_everything(with_bias: bool, with_residual: bool, activation: Any) -> None:
    x, bias, residual = inputs((8, 6, 9), torch.float32, with_bias, with_residual)
    state = torch.get_rng_state()
    y = functional.fused_dropout(x, 0.5, bias, activation, residual, training=False)
    assert torch.equal(y, in_steps(x, 0.5, bias, activation, residual, False))
    assert torch.equal(torch.get_rng_state(), state)
    if not (with_bias or with_residual or activation):
        assert y is x


@for_all_cases
def test_gradients_and_second_gradients(with_bias: bool, with_residual: bool, activation: Any) -> None:
    sources = inputs((3, 4, 2), torch.float64, with_bias, with_residual)
    given = tuple(source for source in sources if source is not None)

    def call(*tensors: Tensor) -> Tensor:
        rest = iter(tensors)
        x, bias, residual = (None if source is None else next(rest) for source in sources)
        torch.manual_seed(3)
        assert x is not None
        return functional.fused_dropout(x, 0.5, bias, activation, residual) ** 2

    torch.autograd.gradcheck(call, given, check_batched_grad=True)
    torch.autograd.gradgradcheck(call, given)


def test_autocast_and_mixed_dtypes_take_steps() -> None:
    x, bias = torch.randn(4, 6).bfloat16(), torch.randn(6)
    assert functional.fused_dropout(x, 0.5, bias, "relu").dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"bias": torch.ones(4)}, "bias must broadcast"),
        ({"bias": torch.ones(2, 3, 6)}, "bias must broadcast"),
        ({"residual": torch.ones(6)}, "residual must have x's shape"),
        ({"activation": "gelu"}, "activation must be None or 'relu'"),
        ({"p": 1.5}, "dropout probability has to be between 0 and 1"),
    ],
)
def test_bad_input_draws_nothing(arguments: dict[str, Any], match: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=match):
        functional.fused_dropout(torch.ones(3, 6), **arguments)
    assert torch.equal(torch.get_rng_state(), state)


def test_module() -> None:
    module = bitdrop.torch.FusedDropout(0.25, "relu")
    assert repr(module) == "FusedDropout(p=0.25, activation='relu')"
    assert not module.state_dict()
    x = torch.randn(50, 40)
    assert torch.equal(module.eval()(x), torch.relu(x))
    with pytest.raises(ValueError, match="between 0 and 1"):
        bitdrop.torch.FusedDropout(2.0)


class Bottleneck(nn.Sequential):
    """A subclass with the forward of its parent."""


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
    )


def test_fuse_dropout_changes_no_module_but_the_sequential() -> None:
    model = network()
    model[2].eval()
    keys, children = list(model.state_dict()), list(model)
    assert bitdrop.torch.fuse_dropout(model) == 1
    assert list(model.state_dict()) == keys
    assert all(now is then for now, then in zip(model, children, strict=True))
    assert type(model[2]) is bitdrop.torch.Dropout
    assert (model[2].p, model[2].training) == (0.3, False)
    assert isinstance(model, nn.Sequential)
    assert bitdrop.torch.fuse_dropout(model) == 0


@pytest.fixture
def fused_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one for each fused pass."""
    passes: list[int] = []
    original = _fused.fused
    monkeypatch.setattr(_fused, "fused", lambda *args: passes.append(1) or original(*args))
    return passes


def test_fused_network_trains_as_the_unfused() -> None:
    model, x = network(), torch.randn(20, 6)
    bitdrop.torch.replace_dropout(model)
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        model.zero_grad()
        y = model(x)
        y.square().sum().backward()
        results.append([y, *(weights.grad.clone() for weights in model.parameters())])
        bitdrop.torch.fuse_dropout(model)
    for before, after in zip(*results, strict=True):
        assert torch.equal(before, after)


class Subclass(nn.ReLU):
    """A ReLU that may do something of its own."""


def set_forward(model: Any, at: int) -> None:
    model[at].forward = lambda x: x.relu() + 1


APART: dict[str, Callable[[Any], Any]] = {
    "eval": lambda model: model[2].eval(),
    "hook of the ReLU": lambda model: model[1].register_forward_hook(lambda *_: None),
    "hook of the dropout": lambda model: model[2].register_forward_pre_hook(lambda *_: None),
    "backward hook": lambda model: model[2].register_full_backward_hook(lambda *_: None),
    "forward of its own": lambda model: set_forward(model, 2),
    "subclass": lambda model: model.__setitem__(1, Subclass()),
    "recompute": lambda model: setattr(model[2], "recompute", True),
    "removed": lambda model: model.__setitem__(2, nn.Identity()),
    "torch's": lambda model: model.__setitem__(2, nn.Dropout(0.3)),
}


@pytest.mark.parametrize("reason", APART)
def test_pairs_that_change_run_one_after_the_other(reason: str, fused_passes: list[int]) -> None:
    model, x = network(), torch.randn(20, 6)
    bitdrop.torch.fuse_dropout(model)
    model(x)
    assert len(fused_passes) == 1
    APART[reason](model)
    plain = nn.Sequential(*model)
    results = []
    for each in (model, plain):
        torch.manual_seed(1)
        results.append(each(x))
    assert torch.equal(*results)
    assert len(fused_passes) == 1


TOGETHER: dict[str, dict[str, Any]] = {
    "noise_shape": {"noise_shape": (1, None)},
    "generator": {"generator": torch.Generator()},
}


@pytest.mark.parametrize("option", [*TOGETHER, "locked"])
def test_options_of_a_dropout_hold_in_its_fused_pass(option: str, fused_passes: list[int]) -> None:
    dropout = bitdrop.torch.Dropout(0.5, **TOGETHER.get(option, {}))
    model, x = nn.Sequential(nn.ReLU(), dropout), torch.ones(30, 40)
    bitdrop.torch.fuse_dropout(model)
    results = []
    for each in (model, nn.Sequential(*model)):
        torch.manual_seed(1)
        if dropout.generator is not None:
            dropout.generator.manual_seed(1)
        if option != "locked":
            results.append(each(x))
            continue
        with dropout.locked():
            results += [each(x), each(x)]
    assert all(torch.equal(results[0], result) for result in results)
    assert fused_passes


@pytest.mark.parametrize("base", [nn.Sequential, Bottleneck])
def test_fused_sequentials_can_be_copied_pickled_and_cut(base: type[nn.Sequential]) -> None:
    model, x = base(*network()), torch.randn(20, 6)
    bitdrop.torch.fuse_dropout(model)
    assert isinstance(model, base)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is type(model)
        torch.manual_seed(1)
        y = other(x)
        torch.manual_seed(1)
        assert torch.equal(y, model(x))
    assert torch.equal(model[:2](x), torch.relu(model[0](x)))


def test_a_relu_in_place_on_the_input_of_all_is_seen_outside() -> None:
    model, x = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.5)), torch.full((4,), -1.0)
    bitdrop.torch.fuse_dropout(model)
    model(x)
    assert (x == 0).all()


def test_sequential_used_twice_is_fused_once() -> None:
    inner = network()
    model = nn.ModuleList([inner, inner])
    assert bitdrop.torch.fuse_dropout(model) == 1


def test_patch_leaves_torchs_functions_without_new_names() -> None:
    with bitdrop.torch.patch():
        assert not hasattr(nn.functional, "fused_dropout")
    assert not hasattr(nn.functional, "fused_dropout")
