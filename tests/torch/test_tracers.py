"""Tracers, quantisation, scripting, exporters, and the compiler beside `patch`."""

import sys
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from torch import nn

from tests.helpers.pytorch_support import MODULES, shape_for
from tests.helpers.support import run_python

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Please use quant_min and quant_max:UserWarning"),
    pytest.mark.filterwarnings("ignore:Exporting a model while it is in training mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning"),
]

NAMES = dict(
    zip(
        MODULES,
        ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"],
        strict=True,
    )
)


def replaced(kind: str, p: float = 0.5) -> nn.Module:
    module = getattr(nn, kind)(p)
    assert bitdrop.torch.replace_dropout(module) == 1
    return module


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_traced_model_follows_its_mode_and_its_p(kind: str, is_replaced: bool) -> None:
    model = nn.Sequential(nn.Identity(), replaced(kind) if is_replaced else getattr(bitdrop.torch, kind)(0.5))
    traced = torch.fx.symbolic_trace(model)
    (node,) = [node for node in traced.graph.nodes if node.target == "1"]
    assert node.op == "call_module"
    x = torch.ones(shape_for(NAMES[kind]))
    assert len(traced(x).unique()) == 2
    assert traced.eval()(x) is x
    traced.train().get_submodule("1").p = 0.0
    assert traced(x) is x


def test_models_prepared_for_quantisation_stop_dropping_in_eval() -> None:
    quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")
    from torch.ao.quantization import get_default_qat_qconfig_mapping  # noqa: PLC0415

    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 4))
    bitdrop.torch.replace_dropout(model)
    prepared = quantize_fx.prepare_qat_fx(
        model.train(), get_default_qat_qconfig_mapping("x86"), (torch.ones(2, 4),)
    )
    (node,) = [node for node in prepared.graph.nodes if node.target == "1"]
    assert node.op == "call_module"
    assert not prepared.eval().get_submodule("1").training


def test_copies_and_pickles_of_a_module_are_leaves_too() -> None:
    import copy  # noqa: PLC0415
    import pickle  # noqa: PLC0415

    module = bitdrop.torch.Dropout(0.5)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        traced = torch.fx.symbolic_trace(nn.Sequential(other))
        assert any(node.op == "call_module" for node in traced.graph.nodes)


@pytest.mark.parametrize("is_inner", [False, True])
def test_scripting_a_module_names_the_module_to_use(is_inner: bool) -> None:
    module = bitdrop.torch.Dropout2d(0.5)
    with pytest.raises(
        TypeError, match=r"torch\.jit\.script does not take bitdrop\.torch\.Dropout2d: .*torch\.nn\.Dropout2d"
    ):
        torch.jit.script(nn.Sequential(module) if is_inner else module)


@pytest.mark.parametrize("kind", MODULES)
def test_torchs_modules_can_be_scripted_under_a_patch_and_after_it(kind: str) -> None:
    code = (
        "import torch, bitdrop.torch\n"
        f"x = torch.ones({shape_for(NAMES[kind])})\n"
        f"def check():\n"
        f"    scripted = torch.jit.script(torch.nn.{kind}(0.5))\n"
        "    assert len(scripted(x).unique()) == 2\n"
        "    assert torch.equal(scripted.eval()(x), x)\n"
        "with bitdrop.torch.patch():\n    check()\n"
        "check()\n"
    )
    process = run_python("-W", "ignore", "-c", code)
    assert process.returncode == 0, process.stderr


PATCH_BEFORE_COMPILER = """
import torch, bitdrop.torch
from torch import nn
from bitdrop.torch import functional

def check(function, is_bitdrops):
    compiled, x = torch.compile(function, backend="eager", fullgraph=True), torch.ones(1000)
    torch.manual_seed(1)
    y = compiled(x)
    assert len(y.unique()) == 2
    torch.manual_seed(1)
    assert torch.equal(y, functional.dropout(x, 0.5)) == is_bitdrops, is_bitdrops

@bitdrop.torch.patch()
def under_patch():
    if COMPILED_UNDER_PATCH:
        check(lambda x: nn.functional.dropout(x, 0.5), True)
        check(nn.Dropout(0.5), True)

under_patch()
for _ in range(2):
    check(lambda x: functional.dropout(x, 0.5), True)
    check(lambda x: nn.functional.dropout(x, 0.5), False)
    check(nn.Dropout(0.5), False)
    with bitdrop.torch.patch():
        check(lambda x: nn.functional.dropout(x, 0.5), True)
        check(nn.Dropout(0.5), True)

from torch._dynamo import trace_rules

rules = trace_rules.get_torch_obj_rule_map()
for name in ("dropout", "dropout2d", "alpha_dropout"):
    assert getattr(nn.functional, name) in rules, name
    assert getattr(functional, name) not in rules, name
"""


@pytest.mark.parametrize("compiled_under_patch", [False, True])
def test_a_patch_before_the_first_compilation_changes_nothing_after_it(compiled_under_patch: bool) -> None:
    code = f"COMPILED_UNDER_PATCH = {compiled_under_patch}\n" + PATCH_BEFORE_COMPILER
    process = run_python("-W", "ignore", "-c", code)
    assert process.returncode == 0, process.stderr


def test_a_compiled_function_follows_the_patch() -> None:
    torch._dynamo.reset()
    x = torch.ones(1000)
    for function in (lambda x: nn.functional.dropout(x, 0.5), nn.Dropout(0.5)):
        compiled = torch.compile(function, backend="eager", fullgraph=True)
        for is_patched in (False, True, False, True):
            torch.manual_seed(1)
            if is_patched:
                with bitdrop.torch.patch():
                    y = compiled(x)
            else:
                y = compiled(x)
            torch.manual_seed(1)
            assert torch.equal(y, bitdrop.torch.functional.dropout(x, 0.5)) == is_patched


def test_a_compiled_module_follows_its_mode_and_its_p() -> None:
    torch._dynamo.reset()
    x = torch.ones(1000)
    for module in (bitdrop.torch.Dropout(0.5), replaced("Dropout")):
        compiled = torch.compile(nn.Sequential(module), backend="eager", fullgraph=True)
        assert len(compiled(x).unique()) == 2
        module.p = 0.9
        assert compiled(x).max() == pytest.approx(10.0)
        module.eval()
        assert torch.equal(compiled(x), x)


@pytest.mark.parametrize("mode", ["EVAL", "TRAINING"])
def test_models_are_exported_to_onnx_in_both_modes(mode: str) -> None:
    pytest.importorskip("onnxscript", reason="needs pip install onnxscript")
    model = nn.Sequential(nn.Linear(4, 4), bitdrop.torch.Dropout(0.5)).train(mode == "TRAINING")
    arguments: dict[str, Any] = {
        "dynamo": True,
        "verbose": False,
        "training": getattr(torch.onnx.TrainingMode, mode),
    }
    assert torch.onnx.export(model, (torch.ones(2, 4),), **arguments) is not None


def test_nothing_of_the_compiler_is_imported_with_the_package() -> None:
    process = run_python("-c", "import sys, bitdrop.torch; print('torch._dynamo' in sys.modules)")
    assert process.stdout.strip() == "False", sys.version
