"""Networks that compute kept units alone, compared with the dense computation under the same masks."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import itertools

import bitdrop.torch
import torch
from bitdrop.torch import _thin, functional, thin_dropout
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.helpers.thinned import assert_same_and_zeros, dense, dropped, results

BEFORE = (nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid, nn.Softplus, nn.Identity)
AFTER = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.SiLU, nn.ELU, nn.PReLU)
CONVOLUTIONS = {
    1: (nn.Conv1d, nn.Dropout1d, nn.MaxPool1d, nn.AvgPool1d),
    2: (nn.Conv2d, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d),
    3: (nn.Conv3d, nn.Dropout3d, nn.MaxPool3d, nn.AvgPool3d),
}


@pytest.fixture(autouse=True)
def _always_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thin small networks too."""
    monkeypatch.setattr(_thin, "_LEAST_ROWS", 0)
    monkeypatch.setattr(_thin, "_LEAST_PRODUCTS", 0)


def mlp(*widths: int, p: float = 0.5, dropout: Any = nn.Dropout) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        modules += [nn.Linear(inputs, outputs), nn.ReLU(), dropout(p)]
    return nn.Sequential(*modules[:-2])


@st.composite
def perceptrons(draw: st.DrawFn) -> tuple[nn.Sequential, int]:
    """Return a random network of linear layers, some in a nested `Sequential`, and its dropouts' number."""
    widths = draw(st.lists(st.integers(1, 20), min_size=3, max_size=6))
    modules: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        modules.append(nn.Linear(inputs, outputs, bias=draw(st.booleans())))
        kinds = st.lists(st.sampled_from(BEFORE), max_size=2)
        modules += [kind() for kind in draw(st.just([lambda: nn.ReLU(inplace=True)]) | kinds)]
        modules.append(draw(st.sampled_from((nn.Dropout, bitdrop.torch.Dropout)))(draw(st.floats(0, 1))))
        modules += [kind() for kind in draw(st.lists(st.sampled_from(AFTER), max_size=1))]
    modules.append(nn.Linear(widths[-1], 2))
    cut = draw(st.integers(0, len(modules)))
    return nn.Sequential(nn.Sequential(*modules[:cut]), *modules[cut:]), len(widths) - 1


@given(
    network=perceptrons(),
    shape=st.sampled_from([(), (1,), (7,), (12,), (5, 3)]),
    groups=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_linear_chains_equal_dense_networks(
    network: tuple[nn.Sequential, int], shape: tuple[int, ...], groups: int, dtype: torch.dtype, seed: int
) -> None:
    model, dropouts = network
    model.to(dtype)
    assert thin_dropout(model, groups) == dropouts
    first = next(module for module in model.modules() if isinstance(module, nn.Linear))
    x = torch.randn(*shape, first.in_features, generator=torch.Generator().manual_seed(1)).to(dtype)
    rows = x if shape else x[None]

    def reference(leaf: Tensor) -> Tensor:
        y = dense(model, leaf if shape else leaf[None], groups)
        return y if shape else y[0]

    assert rows.dim() > 1
    if dtype is torch.bfloat16:  # compared with float32, from which both differ by rounding
        expected = [tensor.to(dtype) for tensor in results(reference, model.float(), x.float(), seed)]
        model.to(dtype)
    else:
        expected = results(reference, model, x, seed)
    assert_same_and_zeros(results(model, model, x, seed), expected)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Sequential, Tensor]:
    """Return a random network of convolutions with three dropouts, and an input."""
    axes = draw(st.sampled_from((1, 2, 3)))
    convolution, dropout, *pools = CONVOLUTIONS[axes]
    channels = draw(st.lists(st.integers(1, 6), min_size=5, max_size=5))
    modules: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(channels):
        padding_mode = draw(st.sampled_from(("zeros", "reflect", "circular")))
        dilation = draw(st.integers(1, 2))
        modules.append(
            convolution(inputs, outputs, 3, padding=dilation, dilation=dilation, padding_mode=padding_mode)
        )
        modules.append(draw(st.sampled_from(BEFORE))())
        modules += [kind(2) for kind in draw(st.lists(st.sampled_from(pools), max_size=1))][
            : len(modules) < 6
        ]
        modules += [dropout(draw(st.floats(0, 1))), draw(st.sampled_from(AFTER))()]
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(draw(st.integers(1, 5)), channels[0], *[16] + [8] * (axes - 1), generator=generator)
    return nn.Sequential(*modules[:-2]), x.double()


@given(network=convolutions(), groups=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_chains_of_convolutions_equal_dense_networks(
    network: tuple[nn.Sequential, Tensor], groups: int, seed: int
) -> None:
    model, x = network
    model.double()
    assert thin_dropout(model, groups) == 3
    assert_same_and_zeros(
        results(model, model, x, seed), results(lambda leaf: dense(model, leaf, groups), model, x, seed)
    )


@given(
    shape=st.sampled_from([(6,), (4, 3)]),
    hidden=st.integers(1, 30),
    p=st.floats(0, 1),
    biases=st.tuples(st.booleans(), st.booleans()),
    activation=st.sampled_from(["relu", "gelu", "tanh", torch.sigmoid]),
    groups=st.integers(1, 3),
)
def test_thinned_mlp_equals_dense_computation(
    shape: tuple[int, ...],
    hidden: int,
    p: float,
    biases: tuple[bool, bool],
    activation: Any,
    groups: int,
) -> None:
    first, second = nn.Linear(5, hidden, bias=biases[0]), nn.Linear(hidden, 3, bias=biases[1])
    model = nn.ModuleList([first, second]).double()
    function = getattr(nn.functional, activation) if isinstance(activation, str) else activation

    def thinned(x: Tensor) -> Tensor:
        layers = first.weight, first.bias, second.weight, second.bias
        return functional.thinned_mlp(x, *layers, p, activation, True, groups)

    def reference(x: Tensor) -> Tensor:
        h = function(first(x))
        return second(dropped(h, p, groups, h.dim() - 1) if p else h)

    x = torch.randn(*shape, 5, dtype=torch.float64)
    assert_same_and_zeros(results(thinned, model, x), results(reference, model, x))
    layers = first.weight, first.bias, second.weight, second.bias
    torch.testing.assert_close(
        functional.thinned_mlp(x, *layers, p, activation, training=False), second(function(first(x)))
    )


def products(model: Callable[[Tensor], Tensor], x: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the shapes of the weights that linear layers are computed with."""
    shapes, linear = [], nn.functional.linear

    def recorder(x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
        shapes.append(tuple(weight.shape))
        return linear(x, weight, bias)

    with monkeypatch.context() as patched:
        patched.setattr(nn.functional, "linear", recorder)
        model(x)
    return shapes


def test_middle_layers_are_thinned_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp(8, 60, 70, 80, 4)
    thin_dropout(model)
    torch.manual_seed(5)
    kept = [int(functional.dropout(torch.ones(n), 0.5).count_nonzero()) for n in (60, 70, 80)]
    torch.manual_seed(5)
    shapes = products(model, torch.ones(9, 8), monkeypatch)
    assert shapes == [(kept[0], 8), (kept[1], kept[0]), (kept[2], kept[1]), (4, kept[2])]


def test_small_layers_and_rare_drops_are_computed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for width, p, rows, is_thinned in ((512, 0.5, 64, True), (512, 0.2, 64, False), (32, 0.5, 64, False)):
        model = mlp(width, width, width, p=p)
        thin_dropout(model)
        (rows_of_first, _), _ = products(model, torch.ones(rows, width), monkeypatch)
        assert (rows_of_first < width) == is_thinned
        torch.manual_seed(0)
        y = model(torch.ones(rows, width))
        torch.manual_seed(0)
        torch.testing.assert_close(y, dense(model, torch.ones(rows, width)))


class Custom(nn.Linear):
    """A subclass, which may do something of its own."""


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda *_: None)
    return module


def shared_layer() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Dropout(), layer)


def shared_dropout() -> nn.Module:
    dropout = nn.Dropout()
    return nn.Sequential(nn.Linear(4, 4), dropout, nn.Linear(4, 4), nn.LayerNorm(4), dropout)


LEFT_ALONE: dict[str, Callable[[], nn.Module]] = {
    "normalisation": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Dropout(), nn.Linear(4, 4)),
    "batch norm": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout2d(), nn.Conv2d(4, 4, 1)
    ),
    "softmax": lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1), nn.Dropout(), nn.Linear(4, 4)),
    "0 to 1/2": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Sigmoid(), nn.Linear(4, 4)),
    "random": lambda: nn.Sequential(nn.Linear(4, 4), nn.RReLU(), nn.Dropout(), nn.Linear(4, 4)),
    "two dropouts": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Dropout(), nn.Linear(4, 4)),
    "no next layer": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout()),
    "no layer before": lambda: nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Linear(4, 4)),
    "alpha dropout": lambda: nn.Sequential(nn.Linear(4, 4), nn.AlphaDropout(), nn.Linear(4, 4)),
    "elements of images": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(), nn.Conv2d(4, 4, 1)),
    "other axes": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout3d(), nn.Conv2d(4, 4, 1)),
    "flattened": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout2d(), nn.Flatten(), nn.Linear(4, 4)),
    "grouped": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout2d(), nn.Conv2d(4, 4, 1, groups=2)),
    "subclass": lambda: nn.Sequential(Custom(4, 4), nn.Dropout(), nn.Linear(4, 4)),
    "parametrised": lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Dropout(), nn.Linear(4, 4)
    ),
    "noise_shape": lambda: nn.Sequential(
        nn.Linear(4, 4), bitdrop.torch.Dropout(noise_shape=(None, 1)), nn.Linear(4, 4)
    ),
    "hooked": lambda: nn.Sequential(nn.Linear(4, 4), hooked(nn.Dropout()), nn.Linear(4, 4)),
    "hooked layer": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), hooked(nn.Linear(4, 4))),
    "shared layer": shared_layer,
    "shared dropout": shared_dropout,
    "indices": lambda: nn.Sequential(
        nn.Conv1d(4, 4, 1), nn.MaxPool1d(2, return_indices=True), nn.Dropout1d(), nn.Conv1d(4, 4, 1)
    ),
    "no Sequential": lambda: nn.ModuleList([nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 4)]),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_unknown_chains_are_left_alone(name: str) -> None:
    model = LEFT_ALONE[name]()
    before = [type(module) for module in model.modules()]
    assert thin_dropout(model) == 0
    assert [type(module) for module in model.modules()] == before


def test_tied_parameters_get_the_sum_of_gradients() -> None:
    model = mlp(6, 6, 6, 6).double()
    model[3].weight = model[0].weight
    thin_dropout(model)
    x = torch.randn(5, 6, dtype=torch.float64)
    assert_same_and_zeros(results(model, model, x), results(lambda leaf: dense(model, leaf), model, x))


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2", None])
def test_bad_groups_change_nothing(bad: Any) -> None:
    model = mlp(4, 4, 4)
    with pytest.raises((TypeError, ValueError), match="groups must be"):
        thin_dropout(model, bad)
    assert type(model) is nn.Sequential
    with pytest.raises((TypeError, ValueError), match="groups must be"):
        functional.thinned_mlp(torch.ones(1, 2), torch.ones(2, 2), None, torch.ones(2, 2), None, groups=bad)


@pytest.mark.parametrize("options", [{"p": 1.5}, {"p": float("nan")}, {"activation": "nothing"}])
def test_bad_arguments_of_thinned_mlp_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"dropout probability|activation must be"):
        functional.thinned_mlp(torch.ones(1, 2), torch.ones(2, 2), None, torch.ones(2, 2), None, **options)


@pytest.mark.parametrize("dropout", [nn.Dropout, bitdrop.torch.Dropout])
def test_modules_stay_dropouts_with_their_state(dropout: Any) -> None:
    plain = mlp(5, 30, 30, 2, p=0.3, dropout=dropout)
    plain[2].eval()
    model = copy.deepcopy(plain)
    thin_dropout(model, groups=3)
    thin_dropout(model, groups=2)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert bitdrop.torch.find_dropout(model) == [(name, "ThinnedDropout", True) for name in ("2", "5")]
    assert isinstance(model, nn.Sequential)
    assert all(isinstance(module, nn.Dropout) and module.p == 0.3 for module in (model[2], model[5]))
    assert repr(model[5]) == "ThinnedDropout(p=0.3, inplace=False, groups=2)"
    assert [module.training for module in (model[2], model[5])] == [False, True]
    x = torch.randn(7, 5)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.load_state_dict(plain.state_dict())
        plain.load_state_dict(other.state_dict())
        assert_same_and_zeros(results(other, other, x), results(model, model, x))
        assert_same_and_zeros(results(other, other, x), results(lambda leaf: dense(model, leaf, 2), model, x))
    assert torch.equal(model.eval()(x), plain.eval()(x))


def test_modules_may_be_exchanged_and_hooks_added_later() -> None:
    model = mlp(5, 30, 30, 2)
    thin_dropout(model)
    seen: list[tuple[int, ...]] = []
    model[1].register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape)))
    x = torch.randn(7, 5)
    assert_same_and_zeros(results(model, model, x), results(lambda leaf: dense(model, leaf), model, x))
    assert seen == [(7, 30)] * 2
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _inputs, output: seen.append(tuple(output.shape))
    )
    model(x)
    handle.remove()
    assert seen[2:] == [(7, 30), *[(7, 30)] * 6, (7, 2), (7, 2)]
    model[2] = nn.Identity()
    assert_same_and_zeros(results(model, model, x), results(lambda leaf: dense(model, leaf), model, x))
    model[5].p = 0.0
    torch.testing.assert_close(model(x), model.eval()(x))
    torch.testing.assert_close(model[:3](x), model[1](model[0](x)))


def test_dropout_in_a_sequential_in_eval_mode_still_draws() -> None:
    model = mlp(5, 30, 2)
    thin_dropout(model)
    model.eval()[2].train()
    x = torch.randn(7, 5)
    assert_same_and_zeros(results(model, model, x), results(lambda leaf: dense(model, leaf), model, x))


def test_different_groups_in_one_chain_are_computed_in_full() -> None:
    model = nn.Sequential(*mlp(5, 30, 30, 2).double())
    first = nn.Sequential(*model[:4])
    thin_dropout(first, groups=2)
    model = nn.Sequential(*first, *model[4:])
    model[5] = copy.deepcopy(model[2])
    model[5].groups = 3
    model.__class__ = type(first)
    x = torch.randn(7, 5, dtype=torch.float64)

    def reference(leaf: Tensor) -> Tensor:
        h = dense(nn.Sequential(*model[:3]), leaf, 2)
        return dense(nn.Sequential(*model[3:]), h, 3)

    assert_same_and_zeros(results(model, model, x), results(reference, model, x))


@pytest.mark.parametrize("inplace", [False, True])
def test_thinned_dropout_alone_shares_masks(inplace: bool) -> None:
    model = mlp(5, 30, 2)
    thin_dropout(model, groups=2)
    dropout = model[2]
    dropout.inplace = inplace
    x = torch.ones(6, 4, 30)
    y = dropout(x)
    assert (y is x) == inplace
    assert len(y.flatten(0, 1)[:12].unique(dim=0)) == len(y.flatten(0, 1)[12:].unique(dim=0)) == 1
    assert not torch.equal(y[0], y[5])
    assert dropout.eval()(x) is x


def test_generators_and_locks_decide_the_masks() -> None:
    model = mlp(5, 60, 2)
    generator = torch.Generator().manual_seed(3)
    thin_dropout(model, generator=generator)
    x = torch.randn(7, 5)
    state = torch.get_rng_state()
    first, second = model(x), model(x)
    assert torch.equal(torch.get_rng_state(), state)
    generator.manual_seed(3)
    assert torch.equal(model(x), first)
    assert not torch.equal(second, first)
    with model[2].locked():
        assert torch.equal(model(x), model(x))
