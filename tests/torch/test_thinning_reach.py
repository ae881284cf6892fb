"""Thinned networks under compilers, checkpoints, transforms, autocast, and in several processes."""

import copy
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import _thin, functional, thin_dropout
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from tests.helpers.support import run_python
from tests.helpers.thinned import assert_same, counting, dense, results

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's own, in its compiler
    pytest.mark.usefixtures("_always_thinned"),
]


@pytest.fixture
def _always_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_thin, "_LEAST_ROWS", 0)
    monkeypatch.setattr(_thin, "_LEAST_PRODUCTS", 0)


@pytest.fixture
def model() -> Any:
    """Thinned network of double precision, so that results are compared closely."""
    torch.manual_seed(1)
    network = nn.Sequential(
        *(nn.Linear(5, 40), nn.ReLU(), nn.Dropout(0.4), nn.Linear(40, 50), nn.Tanh(), nn.Dropout(0.6)),
        nn.Linear(50, 3),
    ).double()
    thin_dropout(network, groups=2)
    return network


def batch() -> Tensor:
    return torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def reference(model: Any, seed: int = 0) -> list[Tensor]:
    return results(lambda leaf: dense(model, leaf, 2), model, batch(), seed)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_networks_equal_eager_ones_and_compile_once(model: Any, backend: str) -> None:
    compile_graph, graphs = counting(backend)
    compiled = torch.compile(model, backend=compile_graph)
    for seed in range(6):
        assert_same(results(compiled, model, batch(), seed), reference(model, seed))
        if seed == 0:
            graphs_at_first = len(graphs)
    assert len(graphs) == graphs_at_first  # whatever number of units was kept


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_compiled_thinned_mlp_equals_eager(model: Any) -> None:
    torch._dynamo.reset()
    layers = model[0].weight, model[0].bias, model[3].weight, model[3].bias

    def function(x: Tensor) -> Tensor:
        return functional.thinned_mlp(x.sin(), *layers, p=0.5).cos()

    compiled = torch.compile(function, backend="eager")
    for seed in range(4):
        torch.manual_seed(seed)
        expected = function(batch())
        torch.manual_seed(seed)
        torch.testing.assert_close(compiled(batch()), expected)


def test_traced_networks_are_dense(model: Any) -> None:
    traced = torch.fx.symbolic_trace(model)
    torch.manual_seed(0)
    torch.testing.assert_close(traced(batch()), reference(model)[0])
    model.eval()
    exported = torch.export.export(model, (batch(),)).module()
    torch.testing.assert_close(exported(batch()), model(batch()))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints_draw_the_same_masks(model: Any, use_reentrant: bool) -> None:
    whole = results(lambda x: checkpoint(model, x, use_reentrant=use_reentrant), model, batch())
    assert_same(whole, reference(model))
    parts = results(lambda x: checkpoint_sequential(model, 2, x, use_reentrant=use_reentrant), model, batch())
    assert_same(parts, reference(model))


def test_transforms_compute_in_full(model: Any) -> None:
    parameters = dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return (functional_call(model, parameters, x) ** 2).sum()

    torch.manual_seed(3)
    gradients = grad(loss)(parameters, batch())
    torch.manual_seed(3)
    (dense(model, batch(), 2) ** 2).sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(gradients[name], parameter.grad)
    rows = vmap(model, randomness="different")(batch().expand(20, -1, -1))
    assert len(rows.flatten(1).unique(dim=0)) == 20
    of_each = vmap(grad(loss), (None, 0), randomness="different")(parameters, batch()[:, None])
    assert of_each["0.weight"].shape == (7, 40, 5)


def test_gradients_of_gradients_tangents_and_batches_of_gradients(model: Any) -> None:
    x = batch().requires_grad_()

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(5)
        return model(x)

    torch.autograd.gradcheck(function, (x,), check_forward_ad=True, check_batched_grad=True)
    torch.autograd.gradgradcheck(function, (x,))
    weight = model[3].weight

    def of_weight(value: Tensor) -> Tensor:
        torch.manual_seed(5)
        layers = model[0].weight.detach(), None, value, None
        return functional.thinned_mlp(batch(), *layers, p=0.5, activation="tanh").sin()

    inputs = (weight.detach()[:3].clone().requires_grad_(),)
    torch.autograd.gradcheck(of_weight, inputs, check_forward_ad=True, check_batched_grad=True)
    torch.autograd.gradgradcheck(of_weight, inputs)


def test_autocast_computes_kept_units_in_the_lower_precision(model: Any) -> None:
    model.float()
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(0)
        y = model(batch().float())
        torch.manual_seed(0)
        expected = dense(model, batch().float(), 2)
    assert y.dtype is expected.dtype is torch.bfloat16
    torch.testing.assert_close(y, expected, rtol=0.1, atol=0.1)


def test_inference_mode_thins(model: Any) -> None:
    with torch.inference_mode():
        torch.manual_seed(0)
        y = model(batch())
    torch.testing.assert_close(y, reference(model)[0])


def test_networks_of_other_tensors_are_dense(model: Any) -> None:
    y = copy.deepcopy(model).to("meta")(batch().to("meta"))
    assert y.shape == (7, 3)
    assert y.device.type == "meta"


PROCESSES = """
import gc, torch, torch.multiprocessing as mp, sys
from torch import nn, distributed
from bitdrop.torch import ResidualPath, _thin, thin_dropout
_thin._LEAST_ROWS = _thin._LEAST_PRODUCTS = 0

def averaged_gradients(rank):
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Dropout(), nn.Linear(30, 4))
    thin_dropout(chain)
    # Process 1 keeps no sample: the other one waits for its gradients.
    path = ResidualPath(nn.Linear(4, 4), p=0.5 if rank == 0 else 1.0)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(chain, path))
    torch.manual_seed(rank)
    for _ in range(2):
        model.zero_grad()
        model(torch.ones(6, 4)).sum().backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

def work(rank, port):
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    gradients = averaged_gradients(rank)
    both = [torch.empty_like(gradients) for _ in range(2)]
    distributed.all_gather(both, gradients)
    assert torch.equal(*both) and gradients.count_nonzero() > 0
    gc.collect()  # the model holds the group, which aborts the process if it lives until the interpreter ends
    distributed.barrier()
    distributed.destroy_process_group()

if __name__ == "__main__":
    import socket
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    mp.spawn(work, (port,), 2)
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch lacks torch.distributed")
def test_two_processes_average_their_gradients(tmp_path: Any) -> None:
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    outcome = run_python(str(script))
    assert outcome.returncode == 0, outcome.stderr
