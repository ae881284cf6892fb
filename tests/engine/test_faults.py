"""Threads, forks, interrupts, failing calls and interpreter exit: right results, usable layers."""

import os
import signal
import sys
from collections import Counter

import bitdrop
import numpy as np
import pytest

from tests.helpers.interrupts import interrupts
from tests.helpers.support import Array, assert_identical, normal, run_python
from tests.helpers.threads import THREADS, at_once, digest

SMALL = normal(np.dtype(np.float32), (300,))  # processed with the interpreter lock held
MIDDLE = normal(np.dtype(np.float32), (150, 200))
LARGE = normal(np.dtype(np.float32), (800, 1000))  # processed by several threads

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.mark.parametrize("x", [SMALL, MIDDLE, LARGE], ids=["small", "middle", "large"])
@pytest.mark.parametrize("recompute", [False, True])
def test_threads_on_one_layer_get_masks_of_different_streams(
    x: Array, recompute: bool, settings_restored: None
) -> None:
    bitdrop.set_num_threads(3)
    layer = bitdrop.Dropout(0.3, recompute=recompute, rng=0)
    key, calls = layer.state["key"], 12
    found: list[str] = []
    at_once(lambda number: found.extend(digest(layer(x)) for _ in range(calls)))
    assert layer.state["position"] == THREADS * calls
    streams = range(THREADS * calls)
    expected = [digest(bitdrop.Mask(x.shape, 0.3, key=key, stream=stream).apply(x)) for stream in streams]
    assert Counter(found) == Counter(expected)


FORK_DURING_A_CALL = """
import os, signal, sys, threading
import numpy as np, bitdrop

bitdrop.set_num_threads(3)
bitdrop._core.testing.set_waking_factor(1)
x = np.ones((1500, 1000), np.float32)
mask = bitdrop.Mask(x.shape, 0.3, key=(1, 2))
expected = mask.apply(x)
layer, shared = bitdrop.Dropout(rng=0), bitdrop.Dropout(rng=1)
working, done = threading.Event(), threading.Event()

def work():
    while not done.is_set():
        mask.apply(x)
        for _ in range(20):
            with shared.locked():
                shared(x[0])
        working.set()

workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
working.wait()
statuses = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that hangs
        right = all(np.array_equal(mask.apply(x), expected) for _ in range(2))
        layer(x)
        with shared.locked():
            shared(x[0])
        os._exit(0 if right and layer.state["position"] == 1 else 1)
    statuses.append(os.waitpid(child, 0)[1])
done.set()
for worker in workers:
    worker.join()
print(set(statuses), layer.state["position"], np.array_equal(mask.apply(x), expected))
"""


@needs_fork
def test_child_forked_during_calls_of_other_threads_works() -> None:
    process = run_python("-W", "ignore", "-c", FORK_DURING_A_CALL)
    assert process.stdout == "{0} 0 True\n", process.stderr


# The interpreter takes 0.3 s to end: a daemon thread asks for its lock meanwhile, and ends inside its call.
LINGERS = """
import builtins, gc, sys, threading, time, types
import numpy as np, bitdrop

class Lingers:
    def __del__(self, sleep=time.sleep):
        release()
        sleep(0.3)

def release():
    pass

sys.modules["lingers"] = types.ModuleType("lingers")
sys.modules["lingers"].lingers = Lingers()
"""

EXIT_DURING_A_CALL = (
    LINGERS
    + """
bitdrop.set_num_threads(2)
bitdrop._core.testing.set_waking_factor(1)
x = np.ones(int(sys.argv[1]), np.float32)
layer = bitdrop.Dropout(rng=0)
working = threading.Event()

def work():
    while True:
        layer.backward(layer(x))
        working.set()

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
working.wait()
"""
)


@pytest.mark.parametrize("size", [10_000, 300_000, 5_000_000])
def test_interpreter_exits_cleanly_during_calls_in_daemon_threads(size: int) -> None:
    for _ in range(4):
        process = run_python("-c", EXIT_DURING_A_CALL, str(size))
        assert (process.returncode, process.stderr) == (0, "")


# The main thread leaves while a daemon thread is in a call of Python that the engine makes.
EXIT_IN_A_CALL_OF_PYTHON = (
    LINGERS
    + """
x = np.ones(300_000, np.float32)
layer = bitdrop.Dropout(rng=0)
leave = threading.Event()

def slow_import(*arguments, real_import=builtins.__import__, sleep=time.sleep):
    leave.set()
    sleep(0.2)
    return real_import(*arguments)

def first_call():
    builtins.__import__ = slow_import
    layer.backward(layer(x))
    leave.set()

def call_on_a_subclass():
    class Subclass(np.ndarray):
        pass

    values = x.view(Subclass)
    builtins.__import__ = slow_import
    layer(values)

def call_with_overlapping_memory():
    builtins.__import__ = slow_import
    layer(x[:200_000:2], out=x[1:200_000:2])

rng = np.random.default_rng(0)
rng.bit_generator.lock.acquire()
release = rng.bit_generator.lock.release  # called by Lingers, when the interpreter ends

def draw_from_a_generator_in_use():
    leave.set()
    bitdrop.dropout(x, rng=rng)

class Garbage:
    def __init__(self):
        self.cycle = self

    def __del__(self, sleep=time.sleep):
        leave.set()
        sleep(0.01)
        Garbage()

def collection_of_garbage():
    Garbage()
    gc.set_threshold(1)
    while True:
        layer(x)

threading.Thread(target=globals()[sys.argv[1]], daemon=True).start()
leave.wait()
time.sleep(0.1)
"""
)


@pytest.mark.parametrize(
    "code",
    [
        "first_call",
        "call_on_a_subclass",
        "call_with_overlapping_memory",
        "draw_from_a_generator_in_use",
        pytest.param(
            "collection_of_garbage",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 12), reason="this Python collects no garbage in a call"
            ),
        ),
    ],
)
def test_interpreter_exits_cleanly_while_daemon_thread_is_in_a_call_of_python(code: str) -> None:
    for _ in range(2):
        process = run_python("-c", EXIT_IN_A_CALL_OF_PYTHON, code)
        assert (process.returncode, process.stderr) == (0, "")


INTERRUPTS = """
import time
import numpy as np, bitdrop
from tests.helpers.interrupts import interrupts

x = np.ones(20, np.float32)
layer = bitdrop.Dropout(rng=0)
interrupted, end = 0, time.monotonic() + 3
with interrupts() as interrupt_after:
    while time.monotonic() < end:
        try:
            interrupt_after(2e-5)
            while True:
                layer(x)
                bitdrop.dropout(x)
        except KeyboardInterrupt:
            interrupted += 1
layer(x)
bitdrop.dropout(x)
print(interrupted > 100)
"""


# Python 3.14 may handle a signal between taking a lock and entering its block: the next call would hang.
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_no_interrupt_leaves_a_lock_held() -> None:
    process = run_python("-c", INTERRUPTS)
    assert (process.returncode, process.stdout) == (0, "True\n"), process.stderr


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.parametrize("x", [SMALL, LARGE], ids=["small", "large"])
def test_interrupted_layer_continues_with_unused_stream(x: Array) -> None:
    layer = bitdrop.Dropout(0.3, rng=0)
    key = layer.state["key"]
    interrupted = 0
    with interrupts() as interrupt_after:
        for turn in range(100):
            position = layer.state["position"]
            try:
                interrupt_after(1e-5 * (1 + turn))
                while True:
                    position = layer.state["position"]
                    layer(x)
            except KeyboardInterrupt:
                interrupted += 1
            # The interrupted call took a stream number or none; no number is returned.
            assert layer.state["position"] in (position, position + 1)
            position = layer.state["position"]
            y = layer(x)
            assert_identical(y, bitdrop.Mask(x.shape, 0.3, key=key, stream=position).apply(x))
            assert_identical(layer.backward(x), y)
    assert interrupted == 100
