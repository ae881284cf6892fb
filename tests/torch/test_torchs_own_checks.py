"""PyTorch's own checks of operators, with the samples that it has for dropout."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
pytest.importorskip(
    "torch.testing._internal.opinfo", reason="needs PyTorch's own test files", exc_type=ImportError
)
pytest.importorskip("expecttest", reason="PyTorch's own test files need pip install expecttest")

import torch
from bitdrop.torch import functional
from bitdrop.torch._settings import AFFINE, NOISE, SCALE, SELECT, Setting
from torch import Tensor
from torch.testing._internal import common_methods_invocations as common
from torch.testing._internal import composite_compliance

from tests.helpers.pytorch_support import NAMES

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:dropout[23]d. Received a:UserWarning"),
]

INFOS = [
    info
    for info in common.op_db
    if info.name.rpartition(".")[2] in NAMES and info.name.startswith("nn.functional.")
]
for_all_samples = pytest.mark.parametrize("info", INFOS, ids=lambda info: info.formatted_name)
Samples = Iterator[tuple[Callable[..., Tensor], Any]]


def seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the same mask in every call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return function(*args, **kwargs)

    return call


def samples(info: Any, dtype: torch.dtype, requires_grad: bool = False) -> Samples:
    """Yield bitdrop's function, and the input and arguments of each sample."""
    function = getattr(functional, info.name.rpartition(".")[2])
    found = 0
    for sample in info.sample_inputs("cpu", dtype, requires_grad=requires_grad):
        found += 1
        yield seeded(function), sample
    assert found


def test_pytorch_has_samples_for_every_function_but_dropout1d() -> None:
    assert {info.name.rpartition(".")[2] for info in INFOS} >= set(NAMES) - {"dropout1d"}


@for_all_samples
def test_subclasses_and_modes_that_wrap_every_result_are_complied_with(info: Any) -> None:
    for function, sample in samples(info, torch.float32):
        arguments = [sample.input, *sample.args], sample.kwargs
        composite_compliance.check_with_mode(function, *arguments, torch.testing.assert_close)
        composite_compliance.check_all_permutations(function, *arguments, torch.testing.assert_close)


@for_all_samples
def test_derivatives_comply_with_subclasses(info: Any) -> None:
    for function, sample in samples(info, torch.float32, requires_grad=True):
        arguments = [sample.input, *sample.args], sample.kwargs
        composite_compliance.check_backward_formula(
            function,
            *arguments,
            sample.output_process_fn_grad,
            info.gradcheck_wrapper,
            torch.testing.assert_close,
        )
        composite_compliance.check_forward_ad_formula(
            function, *arguments, info.gradcheck_wrapper, torch.testing.assert_close
        )


SETTINGS = {
    "dropout": Setting(SCALE, 0.5, 2.0),
    "transposed": Setting(SCALE, 0.5, 2.0, order=(1, 0), result_order=(1, 0)),
    "alpha": Setting(AFFINE, 0.5, 2.0, 1.0, -1.0),
    "shared": Setting(SCALE, 0.5, 2.0, shared=(1,)),
    "zoneout": Setting(SELECT, 0.5),
    "noise": Setting(NOISE, 0.5),
    "blocks": Setting(SCALE, 0.5, block_ndim=2, block_size=2, eps=1e-6),
}


# opcheck of PyTorch 2.14 itself reads it.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", SETTINGS)
def test_the_operators_pass_opcheck(name: str) -> None:
    x, previous = (torch.rand((4, 5), requires_grad=True) for _ in range(2))
    setting, key = SETTINGS[name], torch.tensor([1, -2])
    second = previous if setting.operation == SELECT else None
    torch.library.opcheck(torch.ops.bitdrop.drop.default, (x, second, key, *setting.arguments()))


def test_the_draw_passes_opcheck() -> None:
    torch.library.opcheck(
        torch.ops.bitdrop.draw_key.default, (), test_utils=("test_schema", "test_autograd_registration")
    )
