"""Masks from the generators of torch: seeds, states, checkpoints, workers."""

import multiprocessing
import os
import re
from typing import Any

import bitdrop
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop import _core
from bitdrop.torch import functional

from tests.helpers.paths import ROOT

X = torch.ones(64)


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


class DroppedRows(torch.utils.data.Dataset[torch.Tensor]):
    """Data set that applies dropout in the worker."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return functional.dropout(X, 0.5)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker:UserWarning")  # on one CPU
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


def documented_data_set() -> type[torch.utils.data.Dataset[Any]]:
    """Return the data set of the guide to reproducible runs, which makes its layer in the worker."""
    page = (ROOT / "docs/how-to/reproducible-runs.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(import .*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    found: type[torch.utils.data.Dataset[Any]] = names["Noisy"]
    return found


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker:UserWarning")  # on one CPU
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_layers_of_workers_repeat_and_resume_as_the_guide_says() -> None:
    data = documented_data_set()()
    options: dict[str, Any] = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "fork"}

    def epochs(count: int) -> list[torch.Tensor]:
        loader = torch.utils.data.DataLoader(data, **options)
        return [torch.cat(list(loader)) for _ in range(count)]

    torch.manual_seed(3)
    first = epochs(1)[0]
    state = torch.get_rng_state()
    second = epochs(1)[0]
    assert not torch.equal(first, second)  # new epoch
    assert not torch.equal(first[:4], first[4:])  # other worker
    torch.manual_seed(3)
    assert torch.equal(torch.cat(epochs(2)), torch.cat([first, second]))
    torch.set_rng_state(state)
    assert torch.equal(epochs(1)[0], second)  # resumed
    assert data[0].shape == (64,)  # without workers


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
