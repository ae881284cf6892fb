"""Functions beside the installed torch's: values, and arguments accepted, refused or left to torch."""

import inspect
import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import (
    assert_same_outcome,
    for_all_dtypes,
    for_all_functions,
    pair,
    shape_for,
)

Functional = bitdrop.torch.functional


@for_all_functions
def test_signature_is_torchs_plus_keyword_only_arguments(name: str) -> None:
    ours, theirs = (inspect.signature(function).parameters for function in pair(name))
    own = [p for p in ours.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in theirs.values()]
    additional = {"recompute", "generator"}
    if name in ("dropout", "alpha_dropout"):
        additional.add("noise_shape")
    assert set(ours) - set(theirs) == additional


@for_all_functions
@pytest.mark.parametrize("axes", range(7))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [0.5, 0.0, 1.0])
def test_number_of_axes_warns_or_fails_as_in_torch(name: str, axes: int, training: bool, p: float) -> None:
    without_samples = (name, axes) == ("dropout1d", 2) or (name == "dropout3d" and axes != 5)
    if without_samples and (not training or p == 0):
        pytest.skip("torch gives a view of the whole input back, bitdrop the input itself")
    assert_same_outcome(name, lambda: torch.ones((2, 3, 2, 2, 2, 2)[:axes]), p, training)


@for_all_functions
@pytest.mark.parametrize(
    "p",
    [-0.1, 1.5, math.nan, "0.5", None, 1, 0, True, np.float32(0.25), np.float64(0.25), 1j, [0.5]],
    ids=repr,
)
def test_p_is_accepted_or_refused_as_in_torch(name: str, p: Any) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), p, True)


@for_all_functions
def test_tensor_as_p_is_accepted_as_in_torch(name: str) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), torch.tensor(0.5), True)


@for_all_functions
@pytest.mark.parametrize("training", [1, 0, None, "yes", np.True_], ids=repr)
def test_training_is_accepted_or_refused_as_in_torch(name: str, training: Any) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), 0.5, training)


@pytest.mark.parametrize("x", [[1.0], 1.0, None, np.ones(3)], ids=["list", "float", "None", "array"])
def test_input_other_than_tensor_is_refused_as_in_torch(x: Any) -> None:
    assert_same_outcome("dropout", lambda: x)


@for_all_functions
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn], ids=str)
def test_other_dtypes_go_to_torch(name: str, dtype: torch.dtype) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)).to(dtype), 0.5, True)


def test_other_devices_and_layouts_go_to_torch() -> None:
    assert_same_outcome("dropout", lambda: torch.ones(3, device="meta"), 0.5)
    assert_same_outcome("dropout", lambda: torch.ones(2, 3).to_sparse(), 0.5)


def test_generator_is_refused_for_tensors_that_go_to_torch() -> None:
    with pytest.raises(ValueError, match="generator must be None"):
        Functional.dropout(torch.ones(3, device="meta"), 0.5, generator=torch.Generator())


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (0, 3, 2, 2)])
def test_empty_tensor_is_returned_as_in_torch(shape: tuple[int, ...]) -> None:
    for training in (True, False):
        assert_same_outcome("dropout", lambda: torch.ones(shape), 0.5, training)
    assert_same_outcome("feature_alpha_dropout", lambda: torch.ones(shape), 0.5, True)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors_go_to_torch_with_their_gradients(layout: torch.layout) -> None:
    for function in pair("dropout"):
        leaf = torch.nested.nested_tensor(
            [torch.ones(50, 2), torch.ones(70, 2)], requires_grad=True, layout=layout
        )
        y = function(leaf, 0.5, True)
        assert y.is_nested
        assert y.layout is layout
        dropped = torch.nested.to_padded_tensor(y, -1.0)
        assert set(dropped.unique().tolist()) == {-1.0, 0.0, 2.0}
        torch.nested.to_padded_tensor(y, 0.0).sum().backward()
        gradients = [gradient.unique().tolist() for gradient in leaf.grad.unbind()]
        assert gradients == [[0.0, 2.0]] * 2
    with pytest.raises(ValueError, match="generator must be None"):
        Functional.dropout(leaf, 0.5, generator=torch.Generator())


@for_all_functions
@for_all_dtypes
def test_kept_and_dropped_elements_have_the_values_of_torchs(name: str, torch_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape_for(name), dtype=torch_dtype)
    tolerance = {2: 2e-2, 4: 1e-6, 8: 1e-12}[torch_dtype.itemsize]
    for p in (0.25, 0.5, 0.75):
        mine, others = (
            torch.stack([function(x, p, True) for _ in range(100)]).double() for function in pair(name)
        )
        # In a hundred draws every element takes both of its values.
        for extreme in (torch.amin, torch.amax):
            torch.testing.assert_close(extreme(mine, 0), extreme(others, 0), rtol=tolerance, atol=tolerance)


MODULES = [
    module for name in bitdrop.torch.__all__ if issubclass(type(module := getattr(bitdrop.torch, name)), type)
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.__name__))
def test_unknown_argument_of_a_module_names_the_one_that_is_meant(module: Any) -> None:
    first = (torch.nn.Identity(),) if module is bitdrop.torch.ResidualPath else ()
    for name, value, meant in (
        ("rate", 0.1, "p=0.1"),
        ("keep_prob", 0.1, "p=1 - 0.1"),
        ("rng", 3, "generator=torch.Generator().manual_seed(3)"),
    ):
        sentence = f"{module.__name__} has no argument {name!r}: pass {meant}."
        with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
            module(*first, **{name: value})
    match = f"^{module.__name__} has no argument 'what': its arguments are .*p, "
    with pytest.raises(TypeError, match=match):
        module(*first, what=1)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.__name__))
def test_generator_of_a_module_must_be_one(module: Any) -> None:
    first = (torch.nn.Identity(),) if module is bitdrop.torch.ResidualPath else ()
    with pytest.raises(TypeError, match=r"^generator must be a torch\.Generator or None, but got 0\.$"):
        module(*first, generator=0)


def test_generator_of_thinned_dropouts_must_be_one() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(), torch.nn.Linear(3, 3))
    with pytest.raises(TypeError, match=r"^generator must be a torch\.Generator or None, but got 0\.$"):
        bitdrop.torch.thin_dropout(model, generator=0)  # type: ignore[arg-type]
    assert type(model) is torch.nn.Sequential


@pytest.mark.parametrize("model", [None, [torch.nn.Dropout()], {}, torch.nn.Dropout], ids=str)
def test_what_changes_models_takes_modules_alone(model: Any) -> None:
    for change in (
        bitdrop.torch.replace_dropout,
        bitdrop.torch.find_dropout,
        bitdrop.torch.fuse_dropout,
        bitdrop.torch.thin_dropout,
        partial(bitdrop.torch.monte_carlo, x=torch.ones(1)),
    ):
        with pytest.raises(TypeError, match=r"^model must be a torch\.nn\.Module, but got"):
            change(model)
