"""Masks that are computed again in the backward pass: checkpoints, and recomputation by the compiler."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import functional
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="the inductor backend needs a C++ compiler"
)
INDUCTOR = pytest.param("inductor", marks=needs_compiler)
BACKENDS = ["eager", "aot_eager", "aot_eager_decomp_partition", INDUCTOR]
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's own, in its compiler
    pytest.mark.filterwarnings("ignore:Trying to unsafely apply AC:UserWarning"),
]


def block(x: Tensor) -> Tensor:
    """Two equal dropouts and a third, between functions whose gradients need what came before them."""
    return functional.dropout(x.sin(), 0.4).sin() * functional.dropout(
        x.sin(), 0.4
    ) + functional.alpha_dropout(x.cos(), 0.3, True)


class Block(nn.Module):
    """The block as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return block(x)


def result_and_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    torch.manual_seed(3)
    y = function(leaf)
    torch.rand(7)  # what is drawn between forward and backward must not matter
    y.sum().backward()
    assert leaf.grad is not None
    return y.detach(), leaf.grad


def assert_same(function: Callable[[Tensor], Tensor], reference: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(1000) + 0.1
    found, expected = result_and_gradient(function, x), result_and_gradient(reference, x)
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other)


def compiled(function: Any, backend: str, fullgraph: bool = True) -> Any:
    return torch.compile(function, backend=backend, fullgraph=fullgraph)


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_compiled_blocks_in_checkpoint_wrappers_recompute_the_same_masks(backend: str, blocks: int) -> None:
    wrapper = pytest.importorskip("torch.distributed.algorithms._checkpoint.checkpoint_wrapper")
    model = nn.Sequential(*(wrapper.checkpoint_wrapper(compiled(Block(), backend)) for _ in range(blocks)))
    assert_same(model, nn.Sequential(*(Block() for _ in range(blocks))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints_around_a_compiled_function_recompute_the_same_masks(
    backend: str, use_reentrant: bool
) -> None:
    inside = compiled(block, backend)
    assert_same(lambda x: checkpoint(inside, x, use_reentrant=use_reentrant), block)


def two_checkpoints(x: Tensor) -> Tensor:
    y: Tensor = checkpoint(block, checkpoint(block, x, use_reentrant=False) + 1, use_reentrant=False)
    return y


@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpoints_inside_a_compiled_function_recompute_the_same_masks(backend: str) -> None:
    assert_same(compiled(two_checkpoints, backend), lambda x: block(block(x) + 1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [block, two_checkpoints])
def test_several_forwards_may_come_before_one_backward(
    backend: str, function: Callable[[Tensor], Tensor]
) -> None:
    one = compiled(function, backend)

    def several(call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: call(x) + 2 * call(x) + 3 * call(x.exp())

    assert_same(several(one), several(function))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("policy", [CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_SAVE])
@pytest.mark.parametrize("preserve_rng_state", [True, False])
def test_selective_checkpoints_keep_the_mask(
    backend: str, policy: CheckpointPolicy, preserve_rng_state: bool
) -> None:
    def contexts() -> Any:
        return create_selective_checkpoint_contexts(lambda *_, **__: policy)

    def function(x: Tensor) -> Tensor:
        y: Tensor = checkpoint(
            block, x, use_reentrant=False, context_fn=contexts, preserve_rng_state=preserve_rng_state
        )
        return y

    assert_same(function, block)
    assert_same(compiled(function, backend), block)


@pytest.mark.parametrize("backend", ["aot_eager_decomp_partition", INDUCTOR])
@pytest.mark.parametrize("budget", [0.0, 0.001, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("function", [block, two_checkpoints])
def test_no_memory_budget_changes_a_mask(
    backend: str, budget: float, function: Callable[[Tensor], Tensor]
) -> None:
    from torch._functorch import config  # noqa: PLC0415

    reference = block if function is block else lambda x: block(block(x) + 1)
    with config.patch(activation_memory_budget=budget):
        assert_same(compiled(function, backend), reference)


@pytest.mark.parametrize("budget", [0.0, 0.3])
def test_a_memory_budget_of_a_region_changes_no_mask(budget: float) -> None:
    region = getattr(torch.autograd.graph, "region_activation_memory_budget", None)
    if region is None:
        pytest.skip("this PyTorch has no budgets of regions")

    def function(x: Tensor) -> Tensor:
        with region(budget):
            return block(x)

    assert_same(compiled(function, "aot_eager_decomp_partition"), block)


@pytest.mark.parametrize("backend", ["aot_eager", "aot_eager_decomp_partition"])
@pytest.mark.parametrize("function", [block, two_checkpoints])
def test_the_backward_graph_draws_no_key(backend: str, function: Callable[[Tensor], Tensor]) -> None:
    from torch._dynamo.backends.common import aot_autograd  # noqa: PLC0415
    from torch._functorch.aot_autograd import make_boxed_func  # noqa: PLC0415
    from torch._functorch.partitioners import min_cut_rematerialization_partition  # noqa: PLC0415

    targets: dict[str, list[str]] = {"forward": [], "backward": []}

    def record(name: str) -> Callable[..., Any]:
        def compiler(graph: torch.fx.GraphModule, _: Any) -> Any:
            targets[name] += [str(node.target) for node in graph.graph.nodes if node.op != "placeholder"]
            return make_boxed_func(graph.forward)

        return compiler

    options = {} if backend == "aot_eager" else {"partition_fn": min_cut_rematerialization_partition}
    recorder = aot_autograd(fw_compiler=record("forward"), bw_compiler=record("backward"), **options)
    result_and_gradient(torch.compile(function, backend=recorder, fullgraph=True), torch.rand(1000))
    assert sum("draw_key" in target for target in targets["forward"]) == 3 * (1 if function is block else 2)
    assert not [target for target in targets["backward"] if "draw_key" in target or "rng_state" in target]


def test_a_compiled_forward_pass_is_no_mutation_of_a_tensor() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compile(block, backend=keep, fullgraph=True)(torch.rand(10))
    (graph,) = graphs
    assert len([node for node in graph.graph.nodes if node.op == "placeholder"]) == 1
    operators = [str(node.target) for node in graph.graph.nodes if node.op.startswith("call")]
    assert sum("bitdrop" in name for name in operators) == 6
    assert not [name for name in operators if name.split(".")[-1].endswith("_") or "copy_" in name]
