"""Subclasses, tracing, default devices and negated views, as in the installed torch."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import pair

Functional = bitdrop.torch.functional


def test_negated_view_is_read_with_its_sign() -> None:
    numbers = torch.complex(torch.ones(100), torch.ones(100)).conj()
    assert numbers.imag.is_neg()
    assert set(Functional.dropout(numbers.imag, 0.5).tolist()) == {0.0, -2.0}
    Functional.dropout(numbers.imag, 0.5, True, True)
    assert set(numbers.imag.tolist()) == {0.0, -2.0}


def test_tracing_records_torchs_function() -> None:
    traced = torch.jit.trace(lambda x: Functional.dropout(x, 0.5), torch.ones(100), check_trace=False)
    y = traced(torch.full((100,), 3.0))
    assert set(y.tolist()) == {0.0, 6.0}
    assert not torch.equal(y, traced(torch.full((100,), 3.0)))


def test_default_device_does_not_change_cpu_tensors() -> None:
    with torch.device("meta"):
        x = torch.ones(3, device="cpu", requires_grad=True)
        y = Functional.dropout(x, 0.5)
        y.backward(torch.ones(3, device="cpu"))
    assert x.grad is not None
    assert torch.equal(x.grad, y)


def test_subclass_of_tensor_is_kept_as_in_torch() -> None:
    class Named(torch.Tensor):
        pass

    x = torch.ones(100).as_subclass(Named)
    assert type(Functional.dropout(x, 0.5)) is type(pair("dropout")[1](x, 0.5)) is Named
    parameter = torch.nn.Parameter(torch.ones(100))
    assert type(Functional.dropout(parameter, 0.5)) is torch.Tensor


def test_torch_function_of_subclass_is_called() -> None:
    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func, kwargs

    function, arguments = Functional.dropout(torch.ones(3).as_subclass(Watching), 0.3)  # type: ignore[misc]
    assert function is Functional.dropout
    assert arguments["p"] == 0.3
