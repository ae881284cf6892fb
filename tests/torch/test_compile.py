"""torch.compile: one graph, the values of eager mode, a mask for each dropout."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import functional
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tests.helpers.pytorch_support import NAMES, compiled_fresh, pair, shape_for

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="the inductor backend needs a C++ compiler"
)
BACKENDS = ["eager", "aot_eager", pytest.param("inductor", marks=needs_compiler)]
# The compiler of PyTorch itself warns.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def run(function: Callable[[Tensor], Any], x: Tensor, requires_grad: bool) -> list[Tensor]:
    """Return results and gradient under one seed."""
    leaf = x.detach().requires_grad_(requires_grad)
    torch.manual_seed(3)
    results = function(leaf)
    results = list(results) if isinstance(results, tuple) else [results]
    if requires_grad:
        sum(((number + 1) * y).sum() for number, y in enumerate(results)).backward()
        assert leaf.grad is not None
        return [*(y.detach() for y in results), leaf.grad]
    return results


def twice(x: Tensor) -> tuple[Tensor, Tensor]:
    return functional.dropout(x, 0.5), functional.dropout(x, 0.5)


def network(x: Tensor) -> Tensor:
    a, b = functional.dropout(x, 0.5), functional.dropout(x, 0.5, recompute=True)
    c = functional.feature_alpha_dropout(x.relu(), 0.3, True)
    return (a * 2 + b * c).sin()


def in_place(x: Tensor) -> Tensor:
    y = x * 2
    functional.dropout(y, 0.4, True, True)
    functional.alpha_dropout(y[0], 0.4, True, True)
    return y + 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_compiled_dropouts_differ_from_each_other_and_equal_eager(backend: str, requires_grad: bool) -> None:
    x = torch.rand(20, 30) + 1
    compiled = compiled_fresh(twice, backend)
    for _ in range(2):  # compiling, then running the compiled code
        results = run(compiled, x, requires_grad)
        assert not torch.equal(results[0], results[1])
        for result, expected in zip(results, run(twice, x, requires_grad), strict=True):
            assert torch.equal(result, expected)
    assert not torch.equal(compiled(x)[0], compiled(x)[0])


LAYOUTS = {
    "contiguous": torch.ones(2, 3, 4, 5),
    "channels_last": torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "strided": torch.ones(5, 2, 8, 3).transpose(0, 3)[:, :, ::2],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("function", [network, in_place])
def test_compiled_layouts_and_dynamic_shapes_equal_eager(
    backend: str, layout: str, dynamic: bool | None, function: Callable[[Tensor], Tensor]
) -> None:
    x = torch.rand(LAYOUTS[layout].shape) * LAYOUTS[layout]
    compiled = compiled_fresh(function, backend, dynamic=dynamic)
    for requires_grad in (False, True):
        found, expected = run(compiled, x, requires_grad), run(function, x, requires_grad)
        for result, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(result, reference)
            assert result.stride() == reference.stride()


@pytest.mark.parametrize("name", NAMES)
def test_every_compiled_function_equals_eager(name: str) -> None:
    x = torch.rand(shape_for(name))

    def call(x: Tensor) -> Tensor:
        return pair(name)[0](x, 0.3, True)

    for result, expected in zip(
        run(compiled_fresh(call, "aot_eager"), x, True), run(call, x, True), strict=True
    ):
        assert torch.equal(result, expected)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=needs_compiler)])
@pytest.mark.parametrize("dynamic", [None, True])
def test_compiled_model_trains_like_eager(backend: str, dynamic: bool | None) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), bitdrop.torch.Dropout(0.5), torch.nn.Linear(16, 2))
    compiled = compiled_fresh(model, backend, dynamic=dynamic)
    x = torch.randn(5, 8)
    for mode in (True, False):
        model.train(mode)
        found, expected = run(compiled, x, True), run(model, x, True)
        for result, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(result, reference)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=needs_compiler)])
def test_checkpoint_inside_compiled_function_repeats_masks(backend: str) -> None:
    def block(x: Tensor) -> Tensor:
        return functional.dropout(x.sin(), 0.4).sin() * functional.dropout(x, 0.2)

    def function(x: Tensor) -> Tensor:
        result: Tensor = checkpoint(block, x, use_reentrant=False)
        return result

    x = torch.randn(100)
    found, expected = run(compiled_fresh(function, backend), x, True), run(block, x, True)
    for result, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(result, reference)


def test_recorded_draws_differ_in_their_arguments() -> None:
    """Equal calls of one operator would be merged."""
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415

    graph = make_fx(twice)(torch.ones(10)).graph
    draws = [(node.args, node.kwargs) for node in graph.nodes if "draw_key" in str(node.target)]
    assert len(draws) == 2
    assert draws[0] != draws[1]


def test_generator_and_transforms_run_eagerly_or_fail_in_full_graph() -> None:
    x = torch.ones(3, 50)
    generator = torch.Generator()
    torch._dynamo.reset()

    def drawn(x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5, generator=generator)

    def mapped(x: Tensor) -> Tensor:
        result: Tensor = torch.func.vmap(lambda row: functional.dropout(row, 0.5), randomness="different")(x)
        return result

    compiled = torch.compile(drawn, backend="aot_eager")
    generator.manual_seed(1)
    y = compiled(x)
    generator.manual_seed(1)
    assert torch.equal(drawn(x), y)
    assert len(torch.compile(mapped, backend="aot_eager")(x).unique(dim=0)) == 3
    # The compiler of 2.8 names the exception alone.
    is_named = torch.__version__.startswith("2.8.")
    message = "<class 'NotImplementedError'>" if is_named else r"bitdrop\.torch cannot be compiled"
    for function in (drawn, mapped):
        with pytest.raises(torch._dynamo.exc.Unsupported, match=message):
            compiled_fresh(function, "aot_eager")(x)


@needs_compiler
def test_the_wrapper_in_cpp_calls_the_operators() -> None:
    from torch._inductor import config  # noqa: PLC0415

    def function(x: Tensor) -> Tensor:
        return functional.dropout(x.sin(), 0.5) * 2

    x = torch.rand(64)
    with config.patch(cpp_wrapper=True):
        found, expected = (run(f, x, False) for f in (compiled_fresh(function, "inductor"), function))
    torch.testing.assert_close(found, expected)


@needs_compiler
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_package_of_aot_inductor_drops_by_torchs_operators() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 50), bitdrop.torch.Dropout(0.5))
    program = torch.export.export(model, (torch.ones(8, 4),))
    package = torch._inductor.aoti_load_package(torch._inductor.aoti_compile_and_package(program))
    dropped = (package(torch.ones(8, 4)) == 0).float().mean()
    assert 0.3 < dropped < 0.7
