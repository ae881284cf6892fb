"""Tools of the contract between bitdrop.torch and torch: see `tests/torch/test_contract.py`.

A tool takes a maker of modules and an input, and returns an answer that does not depend on the mask. It must
be the same for a module of torch and for bitdrop's.
"""

import copy
import importlib
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from tests.helpers.torch_rows import COUNTS_ARE_DATA, LIKE_TORCHS, ROWS, Make


def facts(y: Tensor, x: Tensor) -> tuple[Any, ...]:
    """Return facts about a result, and whether anything was dropped."""
    changed = None if y.is_meta else not torch.equal(y.detach(), x.detach().to(y.dtype))
    return y.shape, y.dtype, y.device, y.stride(), y.requires_grad, changed


def trained(run: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Any, ...]:
    """Run, and return the facts and whether the gradient fits the mask. All kinds are affine for x > 0."""
    leaf = x.detach().clone().requires_grad_()
    torch.manual_seed(1)
    y = run(leaf)
    torch.rand(3)
    y.sum().backward()
    torch.manual_seed(1)
    moved = run(leaf + 1)
    return *facts(y, x), torch.allclose(moved - y, leaf.grad, rtol=1e-3, atol=1e-4)


def mode_and_p(make: Make, x: Tensor) -> Any:
    module = make(0.5)
    answers = [facts(module(x), x), module.eval()(x) is x, facts(module.train()(x), x)]
    for part in module.modules():
        part.p = 0.0
    return *answers, torch.equal(module(x), x), [part.training for part in module.modules()]


def hooks(make: Make, x: Tensor) -> Any:
    module, seen = make(0.5), []
    module.register_forward_pre_hook(lambda *_: seen.append("before"))
    module.register_forward_hook(lambda *_: seen.append("after"))
    module.register_full_backward_hook(lambda *_: seen.append("backward"))
    return trained(module, x), seen


def own_forward(make: Make, x: Tensor) -> Any:
    module = make(0.5)
    module.forward = lambda x: x + 1
    return torch.equal(module(x), x + 1)


def copies(make: Make, x: Tensor) -> Any:
    module = make(0.3).eval()
    made = copy.deepcopy(module), copy.copy(module), pickle.loads(pickle.dumps(module))
    return [(repr(m) == repr(module), m.training, facts(m.train()(x), x)) for m in made], list(
        module.state_dict()
    )


def weights_only(make: Make, x: Tensor) -> Any:
    file, module = io.BytesIO(), make(0.3)
    torch.save(module, file)
    file.seek(0)
    classes = [type(part) for part in module.modules()] + [nn.Dropout, nn.ReLU, set]
    with torch.serialization.safe_globals(classes):
        return facts(torch.load(file, weights_only=True)(x), x)


def traced(make: Make, x: Tensor) -> Any:
    graph = torch.fx.symbolic_trace(nn.Sequential(make(0.5)))
    return facts(graph(x), x), graph.eval()(x) is x, facts(graph.train()(x), x)


def removed(make: Make, x: Tensor) -> Any:
    from torch.fx.experimental.optimization import remove_dropout  # noqa: PLC0415

    graph = remove_dropout(nn.Sequential(nn.Identity(), make(0.5)).eval())
    return torch.equal(graph(-x), make(0.5).eval()(-x)), facts(graph.train()(x), x)[-1]


def exported(make: Make, x: Tensor) -> Any:
    program = torch.export.export(nn.Sequential(make(0.5)), (x,)).module()
    evaluated = torch.export.export(nn.Sequential(make(0.5)).eval(), (x,)).module()
    operators = {str(node.target).split(".")[0] for node in program.graph.nodes}
    return facts(program(x), x), torch.equal(evaluated(x), x), "bitdrop" in operators


def switched_after_export(make: Make, x: Tensor) -> Any:
    program = torch.export.export(nn.Sequential(make(0.5)), (x,)).module()
    operators = [str(node.target) for node in program.graph.nodes]
    quantization = importlib.import_module("torch.ao.quantization")
    if not hasattr(quantization, "move_exported_model_to_eval"):  # newer than 2.8: torchao has it
        return operators
    answers = []
    for name in ("eval", "train", "eval"):
        getattr(quantization, f"move_exported_model_to_{name}")(program)
        answers.append(facts(program(x), x)[-1])
    return operators, answers


def compiled(make: Make, x: Tensor, whole: bool = False) -> Any:
    answers = []
    for backend in ("eager", "aot_eager"):
        torch._dynamo.reset()
        answers.append(trained(torch.compile(make(0.5), backend=backend, fullgraph=whole), x))
    return answers


def checkpoints(make: Make, x: Tensor) -> Any:
    module = make(0.5)
    runs = [partial(checkpoint, module, use_reentrant=kind) for kind in (False, True)]
    for policy in (CheckpointPolicy.PREFER_RECOMPUTE, CheckpointPolicy.MUST_RECOMPUTE):
        contexts = partial(create_selective_checkpoint_contexts, lambda *_, policy=policy, **__: policy)
        runs.append(partial(checkpoint, module, use_reentrant=False, context_fn=contexts))
    return [trained(run, x)[-2:] for run in runs]


def mapped(make: Make, x: Tensor) -> Any:
    module, batch = make(0.5), x.expand(3, *x.shape)
    answers: list[Any] = []
    for randomness in ("same", "different", "error"):
        try:
            y = torch.func.vmap(module, randomness=randomness)(batch)
            answers.append((y.shape, torch.equal(y[0], y[1])))
        except RuntimeError as error:
            answers.append(str(error)[:60])
    return answers


def derivatives(make: Make, x: Tensor) -> Any:
    module = make(0.5)

    def drop(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return module(x)

    slope = drop(x + 1) - drop(x)
    _, tangent = torch.func.jvp(drop, (x,), (2 * x,))
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(drop(forward_ad.make_dual(x, x))).tangent
    found = torch.func.grad(lambda x: drop(x).sum())(x), tangent / (2 * x), dual / x
    per_sample = torch.func.vmap(torch.func.grad(lambda x: module(x).sum()), randomness="different")(
        x.expand(2, *x.shape)
    )
    return [torch.allclose(one, slope, rtol=1e-3, atol=1e-3) for one in found], per_sample.shape


def second_derivatives(make: Make, x: Tensor) -> Any:
    module, leaf = make(0.5), x.clone().requires_grad_()
    (first,) = torch.autograd.grad((module(leaf) ** 2).sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), leaf)
    return second.shape, bool((second != 0).any())


def changed_results(make: Make, x: Tensor) -> Any:
    answers = []
    for like in (x, x.transpose(0, 1).contiguous().transpose(0, 1)):
        y = make(0.5)(like.clone().requires_grad_())
        y += 1
        y.sum().backward()
        answers.append((y.stride(), make(0.5)(like.clone().requires_grad_()).detach_().requires_grad))
    return answers


def strides(make: Make, x: Tensor) -> Any:
    layouts = [x, x.transpose(1, 2), x[:, ::2], x.flip(0), x[:, :1].expand_as(x)]
    if x.dim() == 4:
        layouts.append(x.to(memory_format=torch.channels_last))
    return [make(0.5)(layout).stride() for layout in layouts]


def dtypes(make: Make, x: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = facts(make(0.5)(x), x)
    return autocast, [
        facts(make(0.5).to(t)(x.to(t)), x) for t in (torch.float16, torch.bfloat16, torch.float64)
    ]


def without_memory(make: Make, x: Tensor) -> Any:
    from torch._subclasses import FakeTensorMode  # noqa: PLC0415

    with FakeTensorMode() as mode:
        fake = make(0.5)(mode.from_tensor(x))
    return facts(make(0.5)(x.to("meta")), x.to("meta")), fake.shape, type(fake)


def threads(make: Make, x: Tensor) -> Any:
    module = make(0.5)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: module(x), range(8)))
    return len({tuple(y.flatten().tolist()) for y in results}) > 4


def distributed(make: Make, x: Tensor) -> Any:
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415

    model = nn.Sequential(nn.Linear(x.shape[-1], x.shape[-1]), make(0.5))
    parallel = nn.parallel.DistributedDataParallel(copy.deepcopy(model))
    answers = []
    for each in (parallel, fully_shard(model)):
        each(x).sum().backward()
        answers.append(all(weight.grad is not None for weight in each.parameters()))
    return answers


TOOLS: dict[str, tuple[Callable[[Make, Tensor], Any], list[str]]] = {
    "`train`, `eval`, `p` set": (mode_and_p, list(ROWS)),
    "hooks": (hooks, list(ROWS)),
    "`forward` set on the object": (own_forward, list(ROWS)),
    "`copy`, `pickle`, `state_dict`": (copies, list(ROWS)),
    "`torch.load(weights_only=True)`": (weights_only, LIKE_TORCHS),
    "`torch.fx`": (traced, LIKE_TORCHS),
    "`remove_dropout`": (removed, LIKE_TORCHS),
    "`torch.export`": (exported, list(ROWS)),
    "`move_exported_model_to_eval`": (switched_after_export, ["Dropout", "replace_dropout", "FusedDropout"]),
    "`torch.compile`": (compiled, list(ROWS)),
    "`torch.compile(fullgraph=True)`": (
        partial(compiled, whole=True),
        [row for row in ROWS if row not in COUNTS_ARE_DATA],
    ),
    "checkpoints": (checkpoints, list(ROWS)),
    "`torch.func.vmap`": (mapped, list(ROWS)),
    "`torch.func`, forward mode": (derivatives, list(ROWS)),
    "double backward": (second_derivatives, list(ROWS)),
    "in-place operations on the result": (changed_results, list(ROWS)),
    "strides of the result": (strides, list(ROWS)),
    "autocast, dtypes": (dtypes, list(ROWS)),
    "meta and fake tensors": (without_memory, list(ROWS)),
    "threads": (threads, list(ROWS)),
    "DDP, FSDP2": (distributed, list(ROWS)),
}


def table() -> str:
    """Return the table of modules and tools for the documents."""
    lines = ["| | " + " | ".join(f"`{name}`" for name in ROWS) + " |", "|---" * (len(ROWS) + 1) + "|"]
    for name, (_, rows) in TOOLS.items():
        lines.append(f"| {name} | " + " | ".join("yes" if row in rows else "" for row in ROWS) + " |")
    return "\n".join(lines)
