"""Replacement of torch's dropout in existing models, and patching."""

import threading
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import functional, patch, replace_dropout
from torch import nn

from tests.helpers.pytorch_support import MODULES, NAMES, TORCHS_OWN, shape_for


@pytest.mark.parametrize(("kind", "name"), [*zip(MODULES, NAMES, strict=True)])
def test_replaced_module_keeps_attributes_and_hooks(kind: str, name: str) -> None:
    old = getattr(nn, kind)(0.3, inplace=True)
    model = nn.Sequential(nn.Identity(), old, nn.Sequential(getattr(nn, kind)(0.1).eval()))
    calls = []
    old.register_forward_hook(lambda *_: calls.append("hook"))
    before, keys = repr(model), list(model.state_dict())
    assert replace_dropout(model) == 2
    assert type(model[1]) is getattr(bitdrop.torch, kind)
    assert repr(model) == before
    assert list(model.state_dict()) == keys
    assert (model[1].p, model[1].inplace, model[1].training) == (0.3, True, True)
    assert not model[2][0].training
    x = torch.ones(shape_for(name))
    assert model(x) is x
    assert calls == ["hook"]
    assert replace_dropout(model) == 0


def test_shared_module_stays_shared_and_counts_once() -> None:
    shared = nn.Dropout(0.5)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared)})
    model.elsewhere = [shared]  # type: ignore[assignment]
    assert replace_dropout(model) == 1
    assert model["a"] is model["b"][0] is model.elsewhere[0] is shared  # type: ignore[index]
    assert type(shared) is bitdrop.torch.Dropout


def test_patch_replaces_functions_until_block_exits() -> None:
    with patch():
        for name in NAMES:
            assert getattr(nn.functional, name) is getattr(functional, name)
    for name in NAMES:
        assert getattr(nn.functional, name) is TORCHS_OWN[name]


def test_patch_ends_after_exception() -> None:
    with pytest.raises(ZeroDivisionError), patch():
        raise ZeroDivisionError
    assert nn.functional.dropout is TORCHS_OWN["dropout"]


def test_nested_patches_end_with_outer_block() -> None:
    with patch():
        with patch():
            pass
        assert nn.functional.dropout is functional.dropout
    assert nn.functional.dropout is TORCHS_OWN["dropout"]


def test_blocks_of_threads_end_in_any_order() -> None:
    first, second = patch(), patch()
    for enter in (first.__enter__, second.__enter__):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    first.__exit__(None, None, None)
    assert nn.functional.dropout is functional.dropout
    second.__exit__(None, None, None)
    assert nn.functional.dropout is TORCHS_OWN["dropout"]


def test_undo_puts_torchs_modules_back() -> None:
    model = nn.Sequential(
        nn.ReLU(), nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.AlphaDropout(0.2, inplace=True).eval())
    )
    hooked: list[int] = []
    model[1].register_forward_hook(lambda *_: hooked.append(1))
    before, children = repr(model), list(model.modules())
    assert replace_dropout(model) == 2
    bitdrop.torch.fuse_dropout(model)
    with model[1].locked():  # type: ignore[operator]
        model(torch.ones(3, 2))
    assert replace_dropout(model, undo=True) == 2
    assert repr(model) == before
    assert all(now is then for now, then in zip(model.modules(), children, strict=True))
    assert type(model[1]) is nn.Dropout
    assert type(model) is nn.Sequential
    assert not vars(model[1]).keys() - vars(nn.Dropout(0.1)).keys()
    model(torch.ones(3, 2))
    assert hooked == [1, 1]
    assert replace_dropout(model, undo=True) == 0


def test_undo_names_modules_that_stay() -> None:
    model = nn.ModuleDict(
        {
            "shaped": bitdrop.torch.Dropout(0.1, noise_shape=(None, 1)),
            "seeded": bitdrop.torch.Dropout2d(0.1, generator=torch.Generator()),
            "noise": bitdrop.torch.GaussianDropout(0.1),
            "plain": bitdrop.torch.Dropout(0.1),
        }
    )
    with pytest.warns(UserWarning, match=r"stay bitdrop's: \['shaped', 'seeded', 'noise'\]"):
        assert replace_dropout(model, undo=True) == 1
    assert type(model["plain"]) is nn.Dropout
    assert type(model["shaped"]) is bitdrop.torch.Dropout


def test_patch_restores_function_set_by_another_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: Any) -> None: ...

    monkeypatch.setattr(nn.functional, "dropout", other)
    with patch():
        assert nn.functional.dropout is functional.dropout
    assert nn.functional.dropout is other


def test_tensors_left_to_torch_reach_it_while_patched() -> None:
    with patch():
        assert nn.functional.dropout(torch.ones(3, device="meta"), 0.5).shape == (3,)
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got 2"):
            nn.functional.dropout(torch.ones(3), 2)
