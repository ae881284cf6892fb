"""Thread count of a call, and concurrent calls."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import numpy as np
import torch
from bitdrop._typing import Key
from bitdrop.torch import _keys, _threads, functional
from numpy.typing import NDArray

# Workers live as long as the process, so their count shows the threads that a call used. The workers of torch
# do not start, because nothing else is computed.
COUNT_WORKERS = """
import os
import bitdrop
import bitdrop.torch
import torch
from bitdrop.torch import functional

def workers():
    return len(os.listdir("/proc/self/task")) - before

bitdrop._core.testing.set_waking_factor(1)
x = torch.empty(2**22, requires_grad=True)
before = len(os.listdir("/proc/self/task"))
for torchs, bitdrops, expected in [(1, 4, 1), (3, 1, 1), (2, 4, 2), (4, 3, 3)]:
    torch.set_num_threads(torchs)
    bitdrop.set_num_threads(bitdrops)
    functional.dropout(x, 0.5)
    functional.dropout1d(x.view(-1, 2, 1), 0.5)
    assert workers() == expected - 1, (torchs, bitdrops, workers())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc of Linux")
def test_threads_are_minimum_of_torchs_and_bitdrops() -> None:
    process = run_python("-c", COUNT_WORKERS, OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr


def test_concurrent_threads_draw_different_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    x, all_have_drawn, key_in = torch.ones(256), Barrier(8), _keys._key_in

    def key_in_late(words: NDArray[np.uint64]) -> Key:
        all_have_drawn.wait(timeout=60)
        return key_in(words)

    monkeypatch.setattr(_keys, "_key_in", key_in_late)
    with ThreadPoolExecutor(8) as pool:
        masks = set(pool.map(lambda _: functional.dropout(x, 0.5).numpy().tobytes(), range(8)))
    assert len(masks) == 8


def test_thread_may_begin_in_inference_mode() -> None:
    def twice() -> list[torch.Tensor]:
        with torch.inference_mode():
            first = functional.dropout(torch.ones(100), 0.5)
        return [first, functional.dropout(torch.ones(100, requires_grad=True), 0.5)]

    with ThreadPoolExecutor(1) as pool:
        for y in pool.submit(twice).result():
            assert set(y.tolist()) == {0.0, 2.0}


def test_calls_run_on_threads_of_torch_if_it_has_openmp() -> None:
    assert (_threads._team != 0) == torch.backends.openmp.is_available()


# An OpenMP runtime that has run does not survive a fork.
FORK = """
import os, signal
import torch
from bitdrop.torch import functional

torch.set_num_threads(2)
x = torch.ones(2**22)
torch.manual_seed(0)
expected = functional.dropout(x, 0.5)
child = os.fork()
if child == 0:
    signal.alarm(60)
    torch.manual_seed(0)
    y = functional.dropout(x, 0.5)
    os._exit(0 if y.numpy().tobytes() == expected.numpy().tobytes() else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_uses_its_own_threads() -> None:
    process = run_python("-W", "ignore", "-c", FORK)
    assert process.returncode == 0, process.stderr
