"""Residual paths that skip their branch for dropped samples, compared with `DropPath`."""

import copy
import pickle

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import ResidualPath, functional
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import vmap
from torch.utils.checkpoint import checkpoint

from tests.helpers.thinned import assert_same, counting, results

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, in its compiler


class Attention(nn.Module):
    """Self-attention of a sample over its time."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


BRANCHES = {
    "identity": nn.Identity,
    "norm": lambda: nn.LayerNorm(6),
    "mlp": lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 6)),
    "attention": Attention,
    "nested": lambda: ResidualPath(nn.Linear(6, 6)),
}


def reference(path: ResidualPath, x: Tensor) -> Tensor:
    return x + functional.drop_path(path.branch(x), path.p, path.training, path.scale_by_keep)


@given(
    name=st.sampled_from(sorted(BRANCHES)),
    samples=st.integers(1, 9),
    p=st.floats(0, 1),
    scale_by_keep=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_are_those_of_drop_path(
    name: str, samples: int, p: float, scale_by_keep: bool, dtype: torch.dtype, seed: int
) -> None:
    path = ResidualPath(BRANCHES[name](), p, scale_by_keep).to(dtype)
    x = torch.randn(samples, 4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert_same(results(path, path, x, seed), results(lambda leaf: reference(path, leaf), path, x, seed))
    path.eval()
    assert_same(results(path, path, x), results(lambda leaf: leaf + path.branch(leaf), path, x))


class Counting(nn.Linear):
    """A branch that notes the shapes of its inputs."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        return super().forward(x)


def test_branch_runs_on_kept_samples_alone() -> None:
    path = ResidualPath(Counting(), p=0.5)
    torch.manual_seed(0)
    kept = int(functional.drop_path(torch.ones(50, 1), 0.5).count_nonzero())
    torch.manual_seed(0)
    path(torch.ones(50, 3))
    assert path.branch.seen == [(kept, 3)]
    results(ResidualPath(path.branch, p=1.0), path, torch.ones(50, 3))
    assert len(path.branch.seen) == 1
    gradients = [parameter.grad for parameter in path.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_frozen_parameters_of_a_skipped_branch_get_no_gradient() -> None:
    path = ResidualPath(nn.Linear(3, 3), p=1.0)
    path.branch.bias.requires_grad_(False)
    path(torch.ones(2, 3)).sum().backward()
    assert path.branch.bias.grad is None
    assert path.branch.weight.grad is not None


def test_infinite_parameters_of_a_skipped_branch_get_gradients_of_zero() -> None:
    path = ResidualPath(nn.Linear(3, 3), p=1.0)
    nn.init.constant_(path.branch.weight, torch.inf)
    y = path(torch.ones(2, 3))
    y.sum().backward()
    assert torch.equal(y, torch.ones(2, 3))
    assert not path.branch.weight.grad.any()


def test_batch_norm_sees_kept_samples() -> None:
    path = ResidualPath(nn.BatchNorm1d(3, momentum=1.0), p=0.5)
    x = torch.randn(40, 3)
    torch.manual_seed(0)
    kept = functional.drop_path(torch.ones(40, 1), 0.5)[:, 0] > 0
    torch.manual_seed(0)
    path(x)
    torch.testing.assert_close(path.branch.running_mean, x[kept].mean(0))


def test_dtypes_are_promoted_as_by_the_sum() -> None:
    path = ResidualPath(nn.Linear(3, 3), p=0.5)
    x = torch.randn(8, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert path.branch(x).dtype is torch.bfloat16
        assert path(x).dtype is torch.float32


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_paths_equal_eager_ones_and_are_compiled_a_few_times(backend: str) -> None:
    compile_graph, graphs = counting(backend)
    torch.manual_seed(0)
    path = ResidualPath(nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 5)), p=0.5).double()
    compiled = torch.compile(path, backend=compile_graph)
    x = torch.randn(40, 5, dtype=torch.float64)
    for seed in range(12):
        expected = results(lambda leaf: reference(path, leaf), path, x, seed)
        assert_same(results(compiled, path, x, seed), expected)
    assert len(graphs) <= 4


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints_keep_the_same_samples(use_reentrant: bool) -> None:
    path = ResidualPath(nn.Sequential(nn.Linear(5, 5), nn.Tanh()), p=0.5).double()
    x = torch.randn(20, 5, dtype=torch.float64)
    found = results(lambda leaf: checkpoint(path, leaf, use_reentrant=use_reentrant), path, x)
    assert_same(found, results(lambda leaf: reference(path, leaf), path, x))


def test_transforms_and_exports_run_the_branch_on_all_samples() -> None:
    path = ResidualPath(Counting(), p=0.5)
    rows = vmap(path, randomness="different")(torch.ones(30, 4, 3))
    assert len(rows.flatten(1).unique(dim=0)) > 5
    torch.export.export(path, (torch.ones(4, 3),))
    assert {shape[0] for shape in path.branch.seen} == {4}


def test_gradients_of_gradients_and_tangents_are_right() -> None:
    path = ResidualPath(nn.Sequential(nn.Linear(3, 3), nn.Tanh()), p=0.5).double()

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return path(x)

    for p in (0.5, 1.0):
        path.p = p
        inputs = (torch.randn(6, 3, dtype=torch.float64, requires_grad=True),)
        torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
        torch.autograd.gradgradcheck(function, inputs)


def test_generators_locks_copies_and_pickles() -> None:
    path = ResidualPath(nn.Linear(3, 3), p=0.5, generator=torch.Generator().manual_seed(3))
    x = torch.randn(50, 3)
    state = torch.get_rng_state()
    first, second = path(x), path(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
    path.generator = None
    with path.locked():
        assert torch.equal(path(x), path(x))
    for other in (copy.deepcopy(path), pickle.loads(pickle.dumps(path))):
        assert_same(results(other, other, x), results(path, path, x))
    assert bitdrop.torch.find_dropout(path) == [("", "ResidualPath", True)]
    assert "p=0.5, scale_by_keep=True" in repr(path)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="drop probability"):
        ResidualPath(nn.Identity(), p=1.5)
    for wrong in (nn.Linear(3, 1), nn.Flatten(0)):
        for p in (0.0, 0.5):
            with pytest.raises(ValueError, match="branch must return the shape"):
                ResidualPath(wrong, p)(torch.ones(8, 3))
    for p in (0.0, 0.5):
        with pytest.raises(TypeError, match=r"^branch must return a tensor, but returned tuple: give it a"):
            ResidualPath(nn.LSTM(3, 3), p)(torch.ones(8, 2, 3))


def test_empty_batches_give_empty_results() -> None:
    path = ResidualPath(nn.Linear(3, 3), p=0.5)
    assert path(torch.ones(0, 3)).shape == (0, 3)
