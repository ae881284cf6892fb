"""Failed allocations, memory leaks, and arrays with indices of more than 32 bits."""

import gc
import os
import sys
from pathlib import Path

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers.support import normal, run_python, without_asan

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")

NO_MEMORY = """
import resource
import numpy as np, bitdrop
from pathlib import Path

layer, generator = bitdrop.Dropout(0.3, rng=0), np.random.default_rng(0)
inplace = bitdrop.Dropout(0.3, inplace=True, rng=0)
recompute = bitdrop.Dropout(0.3, inplace=True, recompute=True, rng=0)
small = np.ones(3, np.float32)
x = np.ones(2**27, np.float16)
for one in (layer, inplace, recompute):
    one(small.copy())
mask, state, drawn = layer.mask, layer.state, generator.bit_generator.state
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = 12 * 2**20  # less than the bits take

def limit(nbytes):
    resource.setrlimit(resource.RLIMIT_AS, (nbytes, resource.RLIM_INFINITY))

def fails(call):
    try:
        call()
    except MemoryError as error:
        assert "nable to allocate" in str(error), error
        return
    raise AssertionError("no MemoryError")

limit(pages * resource.getpagesize() + room)
fails(lambda: layer(x))
fails(lambda: layer(x, out=x))
fails(lambda: inplace(x))
fails(lambda: bitdrop.dropout(x, rng=generator))
fails(lambda: bitdrop.dropout(x, rng=generator, out=x))
fails(lambda: bitdrop.Mask(x.shape, 0.3, key=(1, 2)).bits)
fails(lambda: bitdrop.Mask(x.shape, 0.3, key=(1, 2)).apply(x))
limit(resource.RLIM_INFINITY)
assert (x == 1).all()
assert layer.mask is mask and layer.state == state == inplace.state
assert generator.bit_generator.state == drawn

# A call that allocates nothing works, even without memory for the stacks of threads.
bitdrop.set_num_threads(8)
bitdrop._core.testing.set_waking_factor(1)
limit(pages * resource.getpagesize())
recompute(x)
limit(resource.RLIM_INFINITY)
assert np.array_equal(x != 0, np.asarray(recompute.mask))
assert np.array_equal(layer(np.ones(2**27, np.float16)), x)
"""


@on_linux
@without_asan
def test_failed_allocation_raises_memory_error_and_changes_nothing() -> None:
    process = run_python("-c", NO_MEMORY)
    assert process.returncode == 0, process.stderr


MEMORY_OF_BLOCKS = """
import resource
import numpy as np, bitdrop
from pathlib import Path

layer = bitdrop.DropBlock2d(0.3, rng=0)
x = np.ones((64, 128, 128, 128), np.float16)  # 256 MiB, and 16 MiB of bits
layer(x[:1, :1].copy())
mask, state = layer.mask, layer.state
pages = int(Path("/proc/self/statm").read_text().split()[0])

def limit(mebibytes):
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + mebibytes * 2**20, -1))

limit(12)
try:
    layer(x, out=x)
except MemoryError as error:
    assert "nable to allocate" in str(error), error
else:
    raise AssertionError("no MemoryError")
assert layer.mask is mask and layer.state == state
limit(20)
layer(x, out=x)
layer.backward(x, out=x)
limit(200)  # for the checks
assert 0.2 < np.mean(x[0] == 0) < 0.3
assert layer.mask.nbytes == x.size // 8
"""


@on_linux
@without_asan
def test_block_dropout_takes_memory_for_its_bits_alone() -> None:
    process = run_python("-c", MEMORY_OF_BLOCKS)
    assert process.returncode == 0, process.stderr


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


X = normal(np.dtype(np.float32), (5, 7))
STRIDED = normal(np.dtype(np.float64), (6, 8))[::2, ::3]
OUT = np.empty_like(X)
GENERATOR = np.random.default_rng(0)
LAYER = bitdrop.Dropout(0.3, rng=0)
RECOMPUTING = bitdrop.Dropout(0.3, scaling="vanilla", recompute=True, noise_shape=(None, 1), rng=0)

CALLS_OF_A_ROUND = 20


def round_of_calls() -> None:
    for layer in (LAYER, RECOMPUTING):
        layer(X)
        layer.backward(X, out=OUT)
        layer(X, False)
    LAYER(STRIDED)
    LAYER.backward(STRIDED)
    _, mask = bitdrop.dropout(X, 0.1, rng=GENERATOR, out=OUT)
    bitdrop.dropout(X, 0.1)
    mask.apply(X)
    mask.backward(X)
    bits = mask.bits
    assert bits.size == 5
    assert hash(mask) == hash(bitdrop.Mask(X.shape, 0.1, key=mask.key))
    np.asarray(mask)
    LAYER.state = LAYER.state
    for wrong in (X.T, X.astype(int)):
        try:
            LAYER.backward(wrong)
        except (TypeError, ValueError):
            continue
        raise AssertionError("no error")
    _core.testing.bits(((1, 2), 3, 0.5), 0, 100)


@on_linux
@without_asan
def test_million_calls_leak_no_memory() -> None:
    round_of_calls()
    watched = [X, STRIDED, OUT, GENERATOR, X.dtype, LAYER.mask, np.ndarray, bitdrop.Mask, np.dtype(np.uint8)]
    for _ in range(5_000):
        round_of_calls()
    watched[5] = LAYER.mask
    gc.collect()
    references, resident = [sys.getrefcount(one) for one in watched], resident_bytes()
    for _ in range(1_000_000 // CALLS_OF_A_ROUND):
        round_of_calls()
    gc.collect()
    grown = resident_bytes() - resident
    watched[5] = LAYER.mask
    assert [sys.getrefcount(one) for one in watched] == references
    assert grown < 2**20  # a leak of one byte per call would be this much


@on_linux
@without_asan
def test_large_results_do_not_leak(settings_restored: None) -> None:
    bitdrop.clear_buffers()
    bitdrop.set_buffer_limit(32 * 2**20)
    x = normal(np.dtype(np.float32), (2**20,))
    layer = bitdrop.Dropout(rng=0)

    def rounds(count: int) -> None:
        for length in np.linspace(2**18, 2**20, count).astype(int):
            layer.backward(layer(x[:length]))

    rounds(20)
    resident = resident_bytes()
    rounds(300)
    assert _core.held_buffer_bytes() <= 32 * 2**20
    assert resident_bytes() - resident < 48 * 2**20  # 300 leaked results would be 750 MiB


def available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


LENGTHS = [2**31 + 1029, 2**32 + 1029]
CHUNK = 2**26


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("length", LENGTHS)
def test_arrays_with_more_than_32_bit_indices_are_dropped_exactly(length: int) -> None:
    if available_bytes() < 2.5 * length:
        pytest.skip(f"needs {2.5 * length / 2**30:.0f} GiB")
    x = np.ones(length, np.float16)
    layer = bitdrop.Dropout(0.3, inplace=True, rng=0)
    assert layer(x) is x
    mask, scale = layer.mask, np.float16(1 / 0.7)
    assert mask is not None
    for start in range(0, length, CHUNK):
        part = x[start : start + CHUNK]
        bits = _core.testing.bits((mask.key, 0, 0.3), start, start + part.size)
        kept = np.unpackbits(bits, count=part.size, bitorder="little").view(np.bool_)
        assert np.array_equal(part, kept * scale), start
        part.fill(1)
    # Byte offsets of every second element, backwards, need more than 32 bits too.
    half = x[::-2]
    bitdrop.Mask(half.shape, 0.3, key=mask.key).apply(half, out=half)
    for start in range(0, half.size, CHUNK):
        part = half[start : start + CHUNK]
        bits = _core.testing.bits((mask.key, 0, 0.3), start, start + part.size)
        assert np.array_equal(part != 0, np.unpackbits(bits, count=part.size, bitorder="little")), start
    assert (x[(length - 2) % 2 :: CHUNK] == 1).all()
