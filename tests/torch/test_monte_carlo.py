"""Predictions of many sub-networks: their masks, the work they share, and the modes of the model."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import DropPath, FusedDropout, ResidualPath, functional, monte_carlo, thin_dropout
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")


class Counting(nn.Module):
    """Identity that counts its calls, and those with a tensor of all samples."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.batched = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.batched += torch._C._functorch.is_batchedtensor(x)
        return x * 1


class Functional(nn.Module):
    """A model that calls functions, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(60), nn.Linear(60, 60)
        self.rate = 0.5

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.layer(self.norm(x)), self.rate, self.training)


class Branching(nn.Module):
    """A model whose control flow depends on values, which vmap cannot follow."""

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(x)
        return y if y.sum() > -1e9 else -y


class Residual(nn.Module):
    """Dropout in a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(x.sin())


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(60, 2, 64, dropout=0.5, batch_first=True)


def thinned(groups: int = 1) -> nn.Module:
    model = nn.Sequential(nn.Linear(60, 60), nn.ReLU(), nn.Dropout(), nn.Linear(60, 60))
    thin_dropout(model, groups)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "torch": lambda: nn.Sequential(nn.Linear(60, 60), nn.Dropout(0.5)),
    "in place": lambda: nn.Sequential(nn.Linear(60, 60), nn.Dropout(0.5, inplace=True)),
    "bitdrop": lambda: nn.Sequential(nn.Linear(60, 60), bitdrop.torch.Dropout(0.5, inplace=True)),
    "generator": lambda: bitdrop.torch.Dropout(0.5, generator=torch.Generator().manual_seed(1)),
    "two": lambda: nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(60), bitdrop.torch.AlphaDropout(0.5)),
    "fused": lambda: FusedDropout(0.5, "relu"),
    "residual": Residual,
    "branching": lambda: Branching(nn.Dropout(0.5)),
    "branching, bitdrop": lambda: Branching(bitdrop.torch.Dropout(0.5)),
}
SHARING: dict[str, Callable[[], nn.Module]] = {
    "thinned": thinned,
    "noise_shape": lambda: bitdrop.torch.Dropout(0.5, noise_shape=(1, None)),
    "branching, noise_shape": lambda: Branching(bitdrop.torch.Dropout(0.5, noise_shape=(1, None))),
    "branching, thinned": lambda: nn.Sequential(thinned(), Branching(nn.Identity())),
}
EVERY = MODELS | SHARING
OTHERS: dict[str, Callable[[], nn.Module]] = {"encoder": encoder, "functional": Functional}
OPTIONS: list[dict[str, Any]] = [{}, {"chunk": 3}, {"same_for_batch": True}, {"chunk": 1, "functional": True}]


def modes(model: nn.Module) -> list[Any]:
    return [(module.training, getattr(module, "inplace", None)) for module in model.modules()]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_each_sample_has_masks_of_its_own(name: str, options: dict[str, Any]) -> None:
    model = EVERY[name]().eval()
    torch.manual_seed(0)
    x = (torch.rand(4, 60) + 0.5).requires_grad_()
    y = monte_carlo(model, x, 8, **options)
    assert y.shape == (8, *model(x).shape)
    assert len(y.detach().flatten(1).unique(dim=0)) == 8
    assert len(y.detach()[:, 0].unique(dim=0)) == 8
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("same", [False, True])
def test_samples_of_a_batch_share_masks_on_demand(name: str, same: bool) -> None:
    x = (torch.rand(1, 60) + 0.5).expand(4, -1)
    y = monte_carlo(MODELS[name]().eval(), x, 6, same_for_batch=same).detach()
    assert all((len(sample.unique(dim=0)) == 1) == same for sample in y)


@pytest.mark.parametrize("name", EVERY)
def test_mean_of_samples_is_that_of_single_passes(name: str) -> None:
    torch.manual_seed(1)
    model = EVERY[name]().eval()
    x = torch.rand(3, 60) + 0.5
    with torch.no_grad():
        y = monte_carlo(model, x, 400)
        for module in model.modules():
            module.training = not isinstance(module, nn.BatchNorm1d)
        passes = torch.stack([model(x) for _ in range(400)])
    spread = (y.var(0) + passes.var(0)).div(400).sqrt()
    assert ((y.mean(0) - passes.mean(0)).abs() <= 6 * spread + 1e-5).all()
    torch.testing.assert_close(y.std(0).mean(), passes.std(0).mean(), rtol=0.1, atol=0)


@pytest.mark.parametrize(("chunk", "calls"), [(None, 1), (20, 3)])
def test_what_precedes_the_first_dropout_is_computed_once_a_chunk(chunk: int | None, calls: int) -> None:
    for dropout in (nn.Dropout(), bitdrop.torch.Dropout(), FusedDropout()):
        prefix, suffix = Counting(), Counting()
        model = nn.Sequential(nn.Linear(5, 8), prefix, dropout, nn.Linear(8, 4), suffix).eval()
        monte_carlo(model, torch.ones(3, 5), 50, chunk=chunk)
        assert (prefix.calls, prefix.batched) == (calls, 0)
        assert (suffix.calls, suffix.batched) == (calls, calls)


def test_what_precedes_the_first_shared_mask_is_computed_once() -> None:
    for change in (bitdrop.torch.replace_dropout, thin_dropout):
        prefix, suffix = Counting(), Counting()
        chain = nn.Linear(8, 60), nn.ReLU(), nn.Dropout(), nn.Linear(60, 4)
        model = nn.Sequential(nn.Linear(5, 8), prefix, *chain, suffix).eval()
        assert change(model) == 1
        y = monte_carlo(model, torch.ones(3, 5), 50, same_for_batch=True)
        assert prefix.calls == suffix.calls == 1
        assert len(y.detach()[:, 0].unique(dim=0)) == 50


def test_groups_of_thinned_dropouts_do_not_split_a_shared_mask() -> None:
    x = torch.ones(1, 60).expand(6, -1)
    y = monte_carlo(thinned(groups=3).eval(), x, 5, same_for_batch=True).detach()
    torch.testing.assert_close(y, y[:, :1].expand_as(y))
    assert len(y[:, 0].unique(dim=0)) == 5


def test_draws_for_the_batch_are_drawn_for_each_sample() -> None:
    for model in (DropPath(0.5, mode="batch"), Branching(DropPath(0.5, mode="batch"))):
        y = monte_carlo(model.eval(), torch.ones(3, 4), 40)
        assert all(len(sample.unique()) == 1 for sample in y)
        assert len(y.unique()) == 2


@pytest.mark.parametrize("name", EVERY | OTHERS)
@pytest.mark.parametrize("fails", [False, True])
def test_modes_are_put_back(name: str, fails: bool) -> None:
    model = (EVERY | OTHERS)[name]()
    for number, module in enumerate(model.modules()):
        module.training = bool(number % 2)
    before = modes(model), torch.backends.mha.get_fastpath_enabled()
    x = torch.ones(3, 4, 60) if name == "encoder" else torch.ones(3, 60)
    if fails:
        model.register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            monte_carlo(model, x, 2, functional=True)
    else:
        monte_carlo(model, x, 2, functional=True)
    assert (modes(model), torch.backends.mha.get_fastpath_enabled()) == before


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_batch_norm_stays_in_eval_mode() -> None:
    for model in (nn.Sequential(nn.BatchNorm1d(60), nn.Dropout()), Functional()):
        before = copy.deepcopy(dict(model.named_buffers()))
        y = monte_carlo(model.train(), torch.rand(4, 60), 5, functional=True)
        assert len(y.detach().flatten(1).unique(dim=0)) == 5
        for name, buffer in model.named_buffers():
            assert torch.equal(buffer, before[name])


def test_encoder_layers_drop_although_pytorch_has_a_fast_path() -> None:
    with torch.no_grad():
        y = monte_carlo(encoder().eval(), torch.rand(2, 3, 60), 5)
    assert len(y.flatten(1).unique(dim=0)) == 5


class Attentive(nn.Module):
    """A layer, and attention with dropout."""

    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.first, self.need_weights = nn.Linear(60, 60), need_weights
        self.attention = nn.MultiheadAttention(60, 2, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y: Tensor = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return y


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_what_precedes_dropout_of_attention_is_computed_once(need_weights: bool, same: bool) -> None:
    model, rows = Attentive(need_weights).eval(), []
    model.first.register_forward_hook(lambda _, args, __: rows.append(len(args[0])))
    torchs = nn.functional.scaled_dot_product_attention
    with torch.no_grad():
        y = monte_carlo(model, torch.rand(3, 5, 60), 8, same_for_batch=same)
    assert len(y.flatten(1).unique(dim=0)) == 8
    assert rows[-1] == (1 if same else 3)  # the last attempt is the one whose result is returned
    assert nn.functional.scaled_dot_product_attention is torchs


def test_skipped_branches_are_sampled() -> None:
    y = monte_carlo(ResidualPath(nn.Linear(60, 60), p=0.5).eval(), torch.ones(3, 60), 40)
    assert len(y.detach()[:, 0].unique(dim=0)) == 2


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("same", [False, True])
def test_generators_decide_all_samples_and_nothing_else_changes(name: str, same: bool) -> None:
    model, x = EVERY[name]().eval(), torch.rand(3, 60) + 0.5
    generator = torch.Generator().manual_seed(1)
    state = torch.get_rng_state()
    first = monte_carlo(model, x, 4, same_for_batch=same, generator=generator)
    second = monte_carlo(model, x, 4, same_for_batch=same, generator=generator)
    generator.manual_seed(1)
    assert torch.equal(monte_carlo(model, x, 4, same_for_batch=same, generator=generator), first)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_models_without_dropout_are_refused() -> None:
    with pytest.raises(ValueError, match=r"model has no dropout module.*functional=True"):
        monte_carlo(nn.Linear(3, 3), torch.ones(1, 3))


class OnAnotherDevice(torch.Generator):
    """A generator of the CPU that says it is of another device."""

    device = torch.device("cuda")

    def __str__(self) -> str:
        """Return the same text in each process, for the names of tests."""
        return "on cuda"

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"samples": 0}),
        (ValueError, {"chunk": 0}),
        (TypeError, {"samples": 2.0}),
        (TypeError, {"chunk": True}),
        (ValueError, {"generator": OnAnotherDevice()}),
        (TypeError, {"generator": 0}),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(error: type[Exception], options: dict[str, Any]) -> None:
    with pytest.raises(error, match=r"samples must|chunk must|generator must"):
        monte_carlo(nn.Dropout(), torch.ones(1, 3), **options)


def test_errors_of_the_model_are_its_own() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        monte_carlo(nn.Sequential(nn.Dropout(), nn.Linear(3, 3)), torch.ones(1, 4))
    with pytest.raises(ValueError, match="batch along the first axis"):
        monte_carlo(nn.Sequential(Branching(nn.Dropout()), nn.Flatten(0)), torch.ones(2, 4))


def test_functional_dropout_of_bitdrop_is_reached() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5, self.training)

    y = monte_carlo(Model().eval(), torch.ones(2, 50), 6, functional=True)
    assert len(y.flatten(1).unique(dim=0)) == 6
