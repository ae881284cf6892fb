"""Masks from the generators of torch: seeds, states, checkpoints, workers."""

import multiprocessing
from typing import Any

import bitdrop
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop import _core
from bitdrop.torch import functional
from torch.utils.checkpoint import checkpoint

from tests.helpers.pytorch_support import NAMES, pair, shape_for

X = torch.ones(64)


@pytest.mark.parametrize("name", NAMES)
def test_seed_repeats_masks_and_calls_differ(name: str) -> None:
    x = torch.ones(4, 40, *shape_for(name)[2:])
    function = pair(name)[0]
    torch.manual_seed(0)
    first, second = function(x, 0.5, True), function(x, 0.5, True)
    torch.manual_seed(0)
    assert torch.equal(function(x, 0.5, True), first)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert not torch.equal(function(x, 0.5, True), first)


def test_mask_has_key_drawn_from_torch() -> None:
    x = torch.ones(3, 1000)
    torch.manual_seed(4)
    y = functional.dropout(x, 0.3)
    torch.manual_seed(4)
    words = torch.randint(-(2**63), 2**63 - 1, (2,)).tolist()
    mask = bitdrop.Mask((3, 1000), 0.3, key=(words[0] % 2**64, words[1] % 2**64))
    assert np.array_equal(mask.apply(x.numpy()), y.numpy())


def test_keys_have_128_random_bits() -> None:
    from bitdrop.torch import _keys  # noqa: PLC0415

    torch.manual_seed(0)
    keys = [_keys.key_of(_keys._random_words(None)) for _ in range(2000)]
    ones = np.array([[(word >> bit) & 1 for word in key for bit in range(64)] for key in keys]).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / 2000**0.5
    words = _keys.words_of((2**64 - 1, 2**63))
    assert _keys.key_of(words) == (2**64 - 1, 2**63)


def test_given_generator_leaves_default_generator_unchanged() -> None:
    state = torch.random.get_rng_state()
    first = functional.dropout(X, 0.5, generator=torch.Generator().manual_seed(7))
    module = bitdrop.torch.Dropout(0.5, generator=torch.Generator().manual_seed(7))
    assert torch.equal(module(X), first)
    assert not torch.equal(module(X), first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_inference_and_p_of_0_draw_nothing() -> None:
    state = torch.random.get_rng_state()
    functional.dropout(X, 0.5, False)
    functional.dropout(X, 0.0)
    functional.dropout(X[:0], 0.5)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_forked_generators_and_saved_states_restore_masks() -> None:
    with torch.random.fork_rng(devices=[]):
        inside = functional.dropout(X, 0.5)
    assert torch.equal(functional.dropout(X, 0.5), inside)
    state = torch.get_rng_state()
    first = functional.dropout(X, 0.5)
    torch.set_rng_state(state)
    assert torch.equal(functional.dropout(X, 0.5), first)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_checkpoint_repeats_masks(use_reentrant: bool, recompute: bool) -> None:
    def block(x: torch.Tensor) -> torch.Tensor:
        y = functional.dropout(x.sin(), 0.4, recompute=recompute)
        return functional.dropout2d(y.sin().view(2, 4, 4, 2), 0.3)

    x = torch.randn(64, requires_grad=True)
    torch.manual_seed(0)
    (expected,) = torch.autograd.grad(block(x).sum(), x)
    torch.manual_seed(0)
    y = checkpoint(block, x, use_reentrant=use_reentrant)
    functional.dropout(x, 0.5)  # a draw in between must not matter
    assert x.grad is None
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, expected)


class DroppedRows(torch.utils.data.Dataset[torch.Tensor]):
    """Data set that applies dropout in the worker."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return functional.dropout(X, 0.5)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_data_loader_draw_own_repeatable_masks(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    options: dict[str, Any] = {"batch_size": 1, "num_workers": 2, "multiprocessing_context": method}
    runs = []
    for _ in range(2):
        loader = torch.utils.data.DataLoader(
            DroppedRows(), generator=torch.Generator().manual_seed(3), **options
        )
        runs.append([batch.clone() for batch in loader])
    rows = torch.cat(runs[0]).squeeze(1)
    assert len(rows.unique(dim=0)) == 8
    assert torch.equal(torch.cat(runs[1]).squeeze(1), rows)


@pytest.mark.usefixtures("settings_restored")
def test_threads_and_isa_do_not_change_mask() -> None:
    x = torch.ones(300_000)
    results = []
    for isa in _core.isas():
        for threads in (1, 3):
            _core.set_isa(isa)
            _core.set_num_threads(threads)
            torch.manual_seed(9)
            results.append(functional.dropout(x, 0.1))
    assert all(torch.equal(result, results[0]) for result in results)
    dropped = (results[0] == 0).double().mean().item()
    assert dropped == pytest.approx(0.1, abs=5 * (0.09 / 300_000) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_has_same_mask(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    expected = functional.dropout(torch.ones(1000), 0.5)
    torch.manual_seed(2)
    assert torch.equal(functional.dropout(torch.ones(1000, dtype=dtype), 0.5).float(), expected)
