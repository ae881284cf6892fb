"""Stochastic depth: bitdrop's module and function, and the modules of timm and torchvision."""

import copy
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import DropPath, find_dropout, functional, replace_dropout
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_nothing_is_dropped_in_eval_or_for_p_0_and_all_for_p_1() -> None:
    x = torch.ones(4, 3)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath()(x) is x
    assert functional.drop_path(x, 0.5, False) is x
    assert (DropPath(1.0)(x) == 0).all()
    assert functional.drop_path(x[:0], 0.5).shape == (0, 3)


def test_module_says_what_it_is_and_can_be_copied() -> None:
    module = DropPath(0.25, False, "batch", generator=torch.Generator().manual_seed(1))
    assert repr(module) == "DropPath(p=0.25, scale_by_keep=False, mode='batch')"
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(other) == repr(module)
    assert not module.state_dict()


@pytest.mark.parametrize(("p", "mode"), [(-0.1, "row"), (1.1, "row"), (float("nan"), "row"), (0.5, "column")])
def test_bad_arguments_are_refused(p: float, mode: str) -> None:
    for call in (lambda: DropPath(p, mode=mode), lambda: functional.drop_path(torch.ones(3), p, mode=mode)):
        with pytest.raises(ValueError, match="has to be"):
            call()


def test_an_input_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="input must have an axis of samples"):
        functional.drop_path(torch.tensor(1.0), 0.5)
    assert functional.drop_path(torch.tensor(1.0), 1.0, mode="batch").item() == 0.0


def test_other_tensors_are_dropped_by_torch() -> None:
    y = functional.drop_path(torch.ones(300, 2, dtype=torch.complex64), 0.5)
    assert set(y.real.flatten().tolist()) == {0.0, 2.0}
    assert (y == y[:, :1]).all()
    assert functional.drop_path(torch.ones(3, 2, device="meta"), 0.5, mode="batch").shape == (3, 2)
    unscaled = functional.drop_path(torch.ones(300, 2, dtype=torch.complex64), 0.5, scale_by_keep=False)
    assert set(unscaled.real.flatten().tolist()) == {0.0, 1.0}
    with pytest.raises(ValueError, match="generator must be None"):
        functional.drop_path(torch.ones(3, device="meta"), 0.5, generator=torch.Generator())


class StandIn(nn.Module):
    """A module of another library, whose own forward must not be called."""

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("not replaced")


class TimmsDropPath(StandIn):
    """Stand-in for timm's class."""

    def __init__(self, drop_prob: float | None = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.drop_prob, self.scale_by_keep = drop_prob, scale_by_keep


class TorchvisionsStochasticDepth(StandIn):
    """Stand-in for torchvision's class."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode


class TorchvisionsDropBlock2d(StandIn):
    """Stand-in for torchvision's class."""

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Stand in for the two libraries."""
    from bitdrop.torch import _foreign  # noqa: PLC0415

    for name, attribute, made in (
        ("timm.layers.drop", "DropPath", TimmsDropPath),
        ("torchvision.ops.stochastic_depth", "StochasticDepth", TorchvisionsStochasticDepth),
        ("torchvision.ops.drop_block", "DropBlock2d", TorchvisionsDropBlock2d),
    ):
        module = types.ModuleType(name)
        setattr(module, attribute, made)
        monkeypatch.setitem(sys.modules, name, module)
        for parent in (name.rpartition(".")[0], name.partition(".")[0]):
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    _foreign._make.cache_clear()
    yield TimmsDropPath, TorchvisionsStochasticDepth
    _foreign._make.cache_clear()


def test_modules_of_timm_and_torchvision_are_replaced_and_keep_what_they_were(
    libraries: tuple[Any, Any],
) -> None:
    timms, torchvisions = libraries
    model = nn.Sequential(
        timms(0.5, False), torchvisions(0.5, "batch"), nn.Sequential(timms(None), timms(1.0))
    )
    hooked: list[int] = []
    model[0].register_forward_hook(lambda *_: hooked.append(1))
    assert [entry[2] for entry in find_dropout(model)] == [False] * 4
    assert replace_dropout(model) == 4
    assert find_dropout(model) == [
        ("0", "DropPath", True),
        ("1", "StochasticDepth", True),
        ("2.0", "DropPath", True),
        ("2.1", "DropPath", True),
    ]
    assert isinstance(model[0], timms)
    assert isinstance(model[1], torchvisions)
    x = torch.ones(100, 3)
    assert model[0](x).unique().tolist() == [0.0, 1.0]
    assert hooked == [1]
    assert model[1](x).unique().tolist() in ([0.0], [2.0])
    assert model[2][0](x) is x
    assert (model[2][1](x) == 0).all()
    model[0].drop_prob = 1.0  # a schedule
    assert (model[0](x) == 0).all()
    assert model.eval()(x) is x
    model[0]._forward_hooks.clear()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert find_dropout(other) == find_dropout(model)
    assert replace_dropout(model) == 0
    for module in (model[0], model[1], model[2][1]):
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.5
        module.generator = torch.Generator().manual_seed(1)
        with module.locked():
            y = module.train()(x)
            assert torch.equal(module(x), y)
        module.generator.manual_seed(1)
        assert torch.equal(module(x), y)
        module.generator = None
    assert replace_dropout(model, undo=True) == 4
    assert [type(module) for module in (model[0], model[1])] == [timms, torchvisions]


@pytest.mark.usefixtures("libraries")
def test_blocks_of_torchvision_are_replaced() -> None:
    model = nn.Sequential(TorchvisionsDropBlock2d(0.3, 3))
    assert replace_dropout(model) == 1
    x = torch.ones(4, 3, 12, 13)
    torch.manual_seed(1)
    y = model(x)
    torch.manual_seed(1)
    assert torch.equal(y, functional.drop_block2d(x, 0.3, 3))
    assert model.eval()(x) is x
    assert replace_dropout(model, undo=True) == 1
    assert type(model[0]) is TorchvisionsDropBlock2d


def test_their_subclasses_are_left_alone_and_found(libraries: tuple[Any, Any]) -> None:
    made = type("OtherDropPath", (libraries[0],), {})
    model = nn.Sequential(made(0.5))
    assert replace_dropout(model) == 0
    assert find_dropout(model) == [("0", "OtherDropPath", False)]


def test_find_dropout_lists_what_drops() -> None:
    class MyDropout(nn.Dropout):
        pass

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention_dropout, self.dropout = 0.1, nn.Dropout(0.1)

    shared = bitdrop.torch.Dropout2d(0.3)
    model = nn.ModuleDict(
        {
            "a": shared,
            "b": shared,
            "c": nn.Dropout(0.1),
            "d": MyDropout(0.1),
            "e": nn.LSTM(3, 3, 2, dropout=0.1),
            "f": nn.LSTM(3, 3, 2),
            "g": nn.MultiheadAttention(4, 2, dropout=0.1),
            "h": Block(),
            "i": nn.Linear(2, 2),
            "j": DropPath(0.1),
        }
    )
    rows = {name: (kind, served) for name, kind, served in find_dropout(model)}
    assert rows == {
        "a": ("Dropout2d", True),
        "c": ("Dropout", False),
        "d": ("MyDropout", False),
        "e": ("LSTM", False),
        "g": ("MultiheadAttention", False),
        "h": ("Block", False),
        "h.dropout": ("Dropout", False),
        "j": ("DropPath", True),
    }
    with bitdrop.torch.patch():
        served = {name for name, _, is_served in find_dropout(model) if is_served}
    assert served == {"a", "c", "g", "h.dropout", "j"}
    assert find_dropout(nn.Dropout()) == [("", "Dropout", False)]
