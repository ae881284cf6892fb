"""`locked()` of the modules: one mask for every forward pass of the thread inside."""

import contextlib
import copy
import pickle
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import functional

from tests.helpers.pytorch_support import compiled_fresh

MODULES = [
    (bitdrop.torch.Dropout, (40, 5)),
    (bitdrop.torch.Dropout1d, (8, 9, 4)),
    (bitdrop.torch.Dropout2d, (8, 9, 4, 3)),
    (bitdrop.torch.Dropout3d, (8, 9, 4, 3, 2)),
    (bitdrop.torch.AlphaDropout, (40, 5)),
    (bitdrop.torch.FeatureAlphaDropout, (8, 9, 4)),
    (bitdrop.torch.DropPath, (40, 2)),
    (bitdrop.torch.FusedDropout, (40, 5)),
    (partial(bitdrop.torch.DropBlock2d, block_size=2), (4, 3, 9, 8)),
]
X = torch.ones(200)


@pytest.mark.parametrize(("kind", "shape"), MODULES)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("own_generator", [False, True])
def test_passes_inside_repeat_one_mask(kind: Any, shape: Any, recompute: bool, own_generator: bool) -> None:
    source = torch.Generator() if own_generator else torch.default_generator
    module = kind(0.5, recompute=recompute, generator=source if own_generator else None)
    x = torch.ones(shape, requires_grad=True)
    sequences = []
    for seed in (0, 0, 1):
        source.manual_seed(seed)
        with module.locked():
            ys = [module(x) for _ in range(3)]
        with module.locked():
            ys.append(module(x))
        assert torch.equal(ys[0], ys[1])
        assert torch.equal(ys[0], ys[2])
        assert not torch.equal(ys[0], ys[3])
        gradients = [torch.autograd.grad(y.sum(), x)[0] for y in ys[:3]]
        assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
        sequences.append(ys)
    assert all(torch.equal(a, b) for a, b in zip(sequences[0], sequences[1], strict=True))
    assert not torch.equal(sequences[0][0], sequences[2][0])
    assert not torch.equal(module(x), module(x))


def test_passes_that_draw_nothing_do_not_use_the_lock_up() -> None:
    module = bitdrop.torch.Dropout(0.5)
    torch.manual_seed(0)
    with module.locked():
        module.eval()(X)
        module.train()
        y = module(X)
        assert torch.equal(module(X), y)
    assert not torch.equal(module(X), y)


def test_nested_locks_share_the_outermost_mask() -> None:
    module = bitdrop.torch.Dropout(0.5)
    with module.locked():
        y = module(X)
        with module.locked():
            assert torch.equal(module(X), y)
        assert torch.equal(module(X), y)
    assert not torch.equal(module(X), y)


def test_exception_unlocks() -> None:
    module = bitdrop.torch.Dropout(0.5)

    def fail() -> torch.Tensor:
        with module.locked():
            fail.y = module(X)  # type: ignore[attr-defined]
            raise ValueError
        return X

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    y = fail.y  # type: ignore[attr-defined]
    assert not torch.equal(module(X), y)
    assert not torch.equal(module(X), module(X))


def test_lock_holds_for_its_thread_alone() -> None:
    module = bitdrop.torch.Dropout(0.5)
    others: list[torch.Tensor] = []

    def work() -> None:
        others.extend(module(X) for _ in range(2))
        with module.locked():
            others.extend(module(X) for _ in range(2))

    with module.locked():
        y = module(X)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert torch.equal(module(X), y)
    assert len({tuple(other.tolist()) for other in (*others[:3], y)}) == 4
    assert torch.equal(others[2], others[3])


def test_lock_of_a_generator_ends_when_it_is_closed() -> None:
    module = bitdrop.torch.Dropout(0.5)

    def steps() -> Iterator[torch.Tensor]:
        with module.locked():
            while True:
                yield module(X)

    generator = steps()
    assert torch.equal(next(generator), next(generator))
    thread = threading.Thread(target=generator.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert not torch.equal(module(X), module(X))


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_copies_of_a_locked_module_are_unlocked(duplicate: Any) -> None:
    module = bitdrop.torch.Dropout(0.5)
    with module.locked():
        y = module(X)
        other = duplicate(module)
        assert not torch.equal(other(X), other(X))
        assert torch.equal(module(X), y)


def test_double_backward_passes_through_the_locked_mask() -> None:
    module, x = bitdrop.torch.Dropout(0.5), torch.randn(20, dtype=torch.float64, requires_grad=True)

    def repeated(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        with module.locked():
            return module(x) * module(x)

    assert torch.autograd.gradcheck(repeated, (x,))
    assert torch.autograd.gradgradcheck(repeated, (x,))


def test_checkpointed_function_that_locks_repeats_its_mask() -> None:
    module, x = bitdrop.torch.Dropout(0.5), torch.randn(200, requires_grad=True)

    def step(x: torch.Tensor) -> torch.Tensor:
        with module.locked():
            return module(x.sin()) * module(x.cos())

    torch.manual_seed(0)
    expected = torch.autograd.grad(step(x).sum(), x)[0]
    torch.manual_seed(0)
    y = torch.utils.checkpoint.checkpoint(step, x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected)


def test_tensor_that_torch_drops_cannot_repeat_a_mask() -> None:
    module = bitdrop.torch.Dropout(0.5)
    with (
        module.locked(),
        pytest.raises(
            ValueError,
            match=r"^A locked module must draw masks of bitdrop, but torch's own function drops this tensor: "
            r"pass one that is strided",
        ),
    ):
        module(torch.ones(3, device="meta"))
    module(torch.ones(3, device="meta"))


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("source", ["lock", "generator", "function"])
def test_masks_that_a_checkpoint_cannot_repeat_are_an_error(source: str, use_reentrant: bool) -> None:
    module, x = bitdrop.torch.Dropout(0.5), torch.ones(5, requires_grad=True)
    generator = torch.Generator()
    if source == "generator":
        module.generator = generator

    def step(x: torch.Tensor) -> torch.Tensor:
        return module(x) if source != "function" else functional.dropout(x, 0.5, generator=generator)

    with (
        module.locked() if source == "lock" else contextlib.nullcontext(),
        pytest.raises(RuntimeError, match="inside"),
    ):
        torch.utils.checkpoint.checkpoint(step, x, use_reentrant=use_reentrant)
    step(x)


def test_a_module_that_was_locked_compiles_into_one_graph() -> None:
    module = bitdrop.torch.Dropout(0.5)
    with module.locked():
        module(X)
    assert len(compiled_fresh(module, "eager")(X).unique()) == 2


def test_a_locked_module_cannot_be_exported() -> None:
    module = bitdrop.torch.Dropout(0.5)
    reason = "graphs hold torch's own dropout: export without generators and locks"
    with module.locked(), pytest.raises(ValueError, match=f"A locked module must .*{reason}"):
        torch.export.export(torch.nn.Sequential(module), (X,))
    module.generator = torch.Generator()
    with pytest.raises(ValueError, match=f"generator must be None, because .*{reason}"):
        torch.export.export(torch.nn.Sequential(module), (X,))
    torch.export.export(torch.nn.Sequential(module).eval(), (X,))  # draws nothing
