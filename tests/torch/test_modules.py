"""Modules of bitdrop.torch compared with torch.nn's."""

import copy
import pickle
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import MODULES, NAMES, outcome, pair, shape_for


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("arguments", [(), (0.1,), (0.1, True)], ids=str)
def test_modules_have_repr_type_and_attributes_of_torchs(kind: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(bitdrop.torch, kind)(*arguments), getattr(torch.nn, kind)(*arguments)
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    assert (ours.p, ours.inplace, ours.training) == (theirs.p, theirs.inplace, theirs.training)
    assert ours.state_dict() == theirs.state_dict()


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("p", [-0.1, 1.1, "a"], ids=repr)
def test_modules_refuse_p_as_in_torch(kind: str, p: Any) -> None:
    expected = outcome(lambda: getattr(torch.nn, kind)(p), None)
    assert expected.error is not None
    assert outcome(lambda: getattr(bitdrop.torch, kind)(p), None) == expected


@pytest.mark.parametrize(("kind", "name"), [*zip(MODULES, NAMES, strict=True)])
def test_modules_drop_in_training_only(kind: str, name: str) -> None:
    module, x = getattr(bitdrop.torch, kind)(0.5), torch.ones(shape_for(name))
    torch.manual_seed(5)
    y = module(x)
    torch.manual_seed(5)
    assert torch.equal(y, pair(name)[0](x, 0.5, True))
    assert len(y.unique()) == 2
    assert module.eval()(x) is x
    in_place = getattr(bitdrop.torch, kind)(0.5, inplace=True)
    assert in_place(x) is x


def test_repr_of_module_shows_recompute() -> None:
    assert repr(bitdrop.torch.Dropout(0.1, recompute=True)) == "Dropout(p=0.1, inplace=False, recompute=True)"


def test_copied_or_pickled_module_continues_identically() -> None:
    module = bitdrop.torch.Dropout(0.3, recompute=True, generator=torch.Generator().manual_seed(1))
    x = torch.ones(100)
    others = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    y = module(x)
    for other in others:
        assert repr(other) == repr(module)
        assert torch.equal(other(x), y)
