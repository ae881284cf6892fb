"""Functions in C: the results of the ways in Python, for ordinary calls and for compiled graphs."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import _native, _passes, functional
from bitdrop.torch._settings import SCALE, SELECT, Setting
from torch import Tensor
from torch.autograd import forward_ad

from tests.helpers.pytorch_support import Quiet, compiled_fresh, for_all_dtypes

needs_passes = pytest.mark.skipif(not _native.HAS_PASSES, reason="needs DLPack's C exchange")
needs_kernels = pytest.mark.skipif(not _native.HAS_KERNELS, reason="needs PyTorch's stable C interface")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SHAPES: dict[str, Callable[[Tensor], Tensor]] = {  # of 6,000 elements, more than are generated again
    "C order": lambda x: x.view(5, 6, 10, 20),
    "channels_last": lambda x: x.view(5, 6, 10, 20).to(memory_format=torch.channels_last),
    "transposed": lambda x: x.view(60, 100).t(),
    "short axes": lambda x: x.view(20, 1, 300).transpose(0, 2),
    "sliced": lambda x: x.view(60, 100)[:, ::2],
    "one number": lambda x: x[7],
}
for_all_shapes = pytest.mark.parametrize("shape", SHAPES)


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "dropout": lambda x: functional.dropout(x, 0.4),
    "recomputed": lambda x: functional.dropout(x, 0.4, recompute=True),
    "alpha": lambda x: functional.alpha_dropout(x, 0.4, True),
    "shared": lambda x: functional.dropout(
        x, 0.4, noise_shape=[1] + [None] * (x.dim() - 1) if x.dim() else ()
    ),
    "gaussian": lambda x: functional.gaussian_dropout(x, 0.4),
    "zoneout": lambda x: functional.zoneout(x, x.detach() + 1, 0.4),
    "relu": lambda x: functional.fused_dropout(x - 1.5, 0.4, None, "relu"),
    "fused": lambda x: functional.fused_dropout(
        x, 0.4, x.detach()[..., :1] - 2 if x.dim() else None, "relu", x * 2
    ),
}


def results(call: Callable[[Tensor], Tensor], x: Tensor, gradient: str = "full") -> list[Tensor]:
    """Return result and gradient under one seed."""
    leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    if leaf.stride() != x.stride():
        leaf = x.detach().requires_grad_()
    torch.manual_seed(5)
    y = call(leaf)
    dy = (
        torch.arange(y.numel(), dtype=y.dtype).view(y.shape)
        if gradient == "full"
        else y.new_ones(()).expand(y.shape)
    )
    (dx,) = torch.autograd.grad(y, leaf, dy)
    return [y.detach(), dx]


@needs_passes
@for_all_shapes
@for_all_dtypes
@pytest.mark.parametrize("name", CALLS)
def test_passes_in_c_equal_those_in_python(
    name: str, shape: str, torch_dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = SHAPES[shape]((torch.rand(6000) + 1).to(torch_dtype))
    for gradient in ("full", "expanded"):
        found = results(CALLS[name], x, gradient)
        with monkeypatch.context() as patch:
            patch.setattr(_passes, "drop", lambda *_: NotImplemented)
            expected = results(CALLS[name], x, gradient)
        for result, reference in zip(found, expected, strict=True):
            assert torch.equal(result, reference)
            assert result.stride() == reference.stride()


@needs_passes
def test_gradients_of_bias_and_residual_equal_those_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(bias_shape: tuple[int, ...], needs: int) -> list[Tensor]:
        torch.manual_seed(2)
        tensors = [torch.randn(shape) for shape in ((70, 90), bias_shape, (70, 90))]
        for number, tensor in enumerate(tensors):
            tensor.requires_grad_(bool(needs >> number & 1))
        x, bias, residual = tensors
        y = functional.fused_dropout(x, 0.3, bias, "relu", residual)
        y.backward(torch.arange(6300.0).view(70, 90))
        return [y.detach(), *(tensor.grad for tensor in tensors if tensor.grad is not None)]

    for needs in range(1, 8):
        for shape in ((90,), (70, 1), (1,), ()):
            found = gradients(shape, needs)
            with monkeypatch.context() as patch:
                patch.setattr(_passes, "drop", lambda *_: NotImplemented)
                expected = gradients(shape, needs)
            assert len(found) == len(expected)
            assert all(map(torch.equal, found, expected))


def refused(x: Any) -> bool:
    setting = Setting(SCALE, 0.5, 2.0)
    return _passes.drop(x, None, None, setting.rule(0), setting, False) is NotImplemented


@needs_passes
def test_what_more_than_autograd_watches_takes_the_way_in_python() -> None:
    x = torch.ones(8)
    assert not refused(x)
    assert not refused(torch.nn.Parameter(x))
    for other in (
        torch._neg_view(x),  # dense: to DLPack a tensor like any other
        x.as_subclass(type("Named", (Tensor,), {})),
        x.to("meta"),
        x.to_sparse(),
        torch._efficientzerotensor(8),
        x.int(),
        x[:0],
        x.view(4, 2)[:, 0],
        [1.0],
    ):
        assert refused(other)
    with Quiet():
        assert refused(x)
    with forward_ad.dual_level():
        assert refused(x)
    answers = []
    torch.func.vmap(lambda row: (answers.append(refused(x)), row)[1])(x)
    torch.jit.trace(lambda x: (answers.append(refused(x)), x * 1)[1], (x,), check_trace=False)
    assert answers == [True, True]


@needs_passes
def test_keys_follow_the_default_generator_in_every_thread() -> None:
    x = torch.ones(2000)

    def draw(first_in_inference_mode: bool) -> None:
        with torch.inference_mode(first_in_inference_mode):
            drawn.append(functional.dropout(x, 0.5).clone())
        drawn.extend(functional.dropout(x, 0.5) for _ in range(2))

    for inference in (False, True):
        drawn: list[Tensor] = []
        torch.manual_seed(9)
        thread = threading.Thread(target=draw, args=(inference,))
        thread.start()
        thread.join()
        torch.manual_seed(9)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_passes, "drop", lambda *_: NotImplemented)
            expected = [functional.dropout(x, 0.5) for _ in range(3)]
        assert len(drawn) == 3
        assert all(map(torch.equal, drawn, expected))
        assert not torch.equal(drawn[0], drawn[1])


@needs_passes
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("size", [1000, 6000])
def test_gradients_have_gradients_batches_and_tangents(name: str, size: int) -> None:
    x = (torch.rand(size, dtype=torch.float64) + 1).requires_grad_()
    y = CALLS[name](x)
    dy = torch.rand(size, dtype=torch.float64, requires_grad=True)
    (dx,) = torch.autograd.grad(y, x, dy, create_graph=True)
    factor = (dx / dy).detach()
    (ddy,) = torch.autograd.grad(dx.sum(), dy)
    torch.testing.assert_close(ddy, factor)
    (rows,) = torch.autograd.grad(
        CALLS[name](x), x, torch.stack([dy, 2 * dy]).detach(), is_grads_batched=True
    )
    torch.testing.assert_close(rows[1], 2 * rows[0])
    y = CALLS[name](x)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(dy.detach(), torch.ones_like(dy))
        value, tangent = forward_ad.unpack_dual(torch.autograd.grad(y, x, dual)[0])
    torch.testing.assert_close(tangent * dy.detach(), value)


KEY = torch.tensor([1, -2])
BITS = torch.tensor([7, 200, 9], dtype=torch.uint8)
X = torch.arange(1.0, 21.0).view(4, 5)
BIAS = torch.tensor([-20.0, -4.0, 0.0, 1.0, -9.0])
NATIVE: dict[str, tuple[Any, ...]] = {
    "drop": (X, None, KEY, 0, 0.5, 2.0, 0.0, 0.0, 0, 1, 0.0, False, 0, 0x110, 0x110),
    "fused": (X, BIAS, X * 2, KEY, 0.5, 2.0, 1, 0, 0),
    "fused_backward": (X, BITS, 2.0, 0x110),
    "fused_backward_bias": (X, BITS, BIAS, 2.0, 0),
}


def native(name: str) -> Any:
    return getattr(torch.ops.bitdrop, f"native_{name}").default


def as_list(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@needs_kernels
@pytest.mark.parametrize("name", NATIVE)
def test_native_operators_equal_those_in_python(name: str) -> None:
    arguments = NATIVE[name]
    recorded = getattr(torch.ops.bitdrop, "drop" if name == "drop" else f"recorded_{name}").default
    with torch.no_grad():
        found = as_list(native(name)(*arguments))
    for result, reference in zip(found, as_list(recorded(*arguments)), strict=True):
        assert torch.equal(result, reference)
        assert result.stride() == reference.stride() or "bias" in name
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(native(name), arguments, test_utils=checks)


@needs_kernels
@pytest.mark.parametrize("name", NATIVE)
def test_native_operators_carry_gradients_and_tangents(name: str) -> None:
    x, *rest = NATIVE[name]
    leaf = x.clone().requires_grad_()
    y = as_list(native(name)(leaf, *rest))[0]
    (gradient,) = torch.autograd.grad(y.sum(), leaf)
    with forward_ad.dual_level(), torch.no_grad():
        dual = forward_ad.make_dual(x, torch.full_like(x, 3.0))
        value, tangent = forward_ad.unpack_dual(as_list(native(name)(dual, *rest))[0])
    assert torch.equal(value, y.detach())
    assert tangent is not None
    torch.testing.assert_close(tangent, 3 * gradient)
    assert set(gradient.unique().tolist()) == {0.0, 2.0}


@needs_kernels
@pytest.mark.parametrize(
    ("name", "place", "wrong"),
    [
        ("drop", 0, torch.ones(3, dtype=torch.int32)),
        ("drop", 0, torch.tensor(1.0)),
        ("drop", 1, torch.rand(4, 5)),
        ("drop", 2, torch.tensor([1, 2, 3])[::2]),
        ("drop", 2, torch.tensor([1.0, 2.0])),
        ("drop", 3, 4),
        ("drop", 3, SELECT),
        ("drop", 4, 1.5),
        ("drop", 8, 4),
        ("drop", 9, 0),
        ("drop", 13, 0x111),
        ("drop", 14, -1),
        ("fused", 1, torch.rand(4)),
        ("fused", 2, torch.rand(4, 5).double()),
        ("fused_backward", 1, torch.zeros(2, dtype=torch.uint8)),
        ("fused_backward_bias", 2, torch.rand(3, 4, 5)),
    ],
)
def test_native_operators_refuse_what_would_break_memory(name: str, place: int, wrong: Any) -> None:
    arguments = list(NATIVE[name])
    arguments[place] = wrong
    with torch.no_grad(), pytest.raises(ValueError, match=r" must "):
        native(name)(*arguments)


def operators_of(function: Callable[[Tensor], Tensor], x: Tensor) -> set[str]:
    """Return bitdrop's operators that a compiled function calls."""
    compiled = compiled_fresh(function, "aot_eager")
    compiled(x)
    with torch.profiler.profile() as profile:
        compiled(x)
    return {event.name for event in profile.events() if event.name.startswith("bitdrop::")}


def fused(x: Tensor) -> Tensor:
    return functional.fused_dropout(x, 0.4, x[0] - 2, "relu", x)


@needs_kernels
def test_compiled_passes_are_single_native_operators() -> None:
    x = torch.rand(30, 40) * 4
    for needs_gradient in (False, True):
        x.requires_grad_(needs_gradient)
        assert operators_of(fused, x) == {"bitdrop::draw_key", "bitdrop::native_fused"}
        names = operators_of(lambda x: functional.dropout(x, 0.5), x)
        assert names == {"bitdrop::draw_key", "bitdrop::native_drop"}


@needs_kernels
def test_graph_of_a_fused_pass_carries_tangents_that_it_was_not_recorded_with() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415

    x = torch.rand(30, 40) * 4
    key = torch.tensor([3, 4])

    def run(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.bitdrop.fused(x, None, None, key, 0.5, 2.0, 1, 0, 0)
        return y

    graph = make_fx(run)(x)
    assert any("native_fused" in str(node.target) for node in graph.graph.nodes)
    with forward_ad.dual_level():
        y, tangent = forward_ad.unpack_dual(graph(forward_ad.make_dual(x, x)))
    assert torch.equal(tangent, y)
    batched = torch.func.vmap(run)(torch.stack([x, x]))
    assert torch.equal(batched[1], y)
