"""`bitdrop.dask`: lazy evaluation, one task per chunk, values of the whole array, loss of a worker."""

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.kinds import KINDS
from tests.contract.reference import Reference
from tests.helpers.passes import record_of
from tests.helpers.strategies import SEEDS, chunkings, noise_shapes
from tests.helpers.support import Array, assert_identical, normal

pytest.importorskip("dask.array", reason="needs pip install '.[dask]'")
distributed = pytest.importorskip("distributed", reason="needs pip install '.[dask]'")

import bitdrop.dask  # noqa: E402
import dask.array as da  # noqa: E402

FLOAT32 = np.dtype(np.float32)
X = normal(FLOAT32, (60, 50, 40))


def chunked(x: Array, chunks: Any) -> Any:
    return da.from_array(x, chunks=chunks)


def computed(x: Any, scheduler: str = "sync") -> Array:
    return np.asarray(x.compute(scheduler=scheduler))


FUNCTIONS: dict[str, Any] = {
    **dict.fromkeys(["dropout", "vanilla", "shared"], bitdrop.dask.dropout),
    **dict.fromkeys(["alpha", "alpha shared"], bitdrop.dask.alpha_dropout),
    **dict.fromkeys(["gaussian", "gaussian shared"], bitdrop.dask.gaussian_dropout),
    **dict.fromkeys(["path", "path unscaled", "path of a batch"], bitdrop.dask.drop_path),
    **dict.fromkeys(["fused", "fused relu", "fused vanilla residual"], bitdrop.dask.fused_dropout),
    "zoneout": bitdrop.dask.zoneout,
}
"""The function of dask for kinds of the contract."""


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=20)
@given(st.data(), SEEDS, st.booleans())
def test_any_chunking_gives_values_of_whole_array(
    name: str, data: st.DataObject, seed: int, training: bool
) -> None:
    kind = KINDS[name]
    shape = tuple(data.draw(st.integers(0, 2 * length)) for length in kind.shape)
    dtype, p = data.draw(st.sampled_from(kind.dtypes)), data.draw(st.sampled_from([0.0, 0.3, 1 - 2.0**-53]))
    noise_shape = None if {"noise_shape"} & {*kind.lacks, *kind.options} else data.draw(noise_shapes(shape))
    options: dict[str, Any] = {} if noise_shape is None else {"noise_shape": noise_shape}
    layer, inputs = kind.make(p, rng=seed, **options), kind.arrays(dtype, shape, seed % 1000)
    key = tuple(layer.state["key"])
    reference = Reference(kind, shape, p, key, noise_shape=noise_shape, training=training)
    lazy = {name: chunked(np.asarray(x), data.draw(chunkings(shape))) for name, x in inputs.items()}
    further = kind.options | options | {name: lazy[name] for name in kind.further}
    before = [lazy[name] for name in kind.inputs]
    y, mask = FUNCTIONS[name](*before, p, training=training, rng=seed, **further)
    assert (y.chunks, y.dtype, y.shape) == (before[0].chunks, dtype, shape)
    scheduler = data.draw(st.sampled_from(["sync", "threads"]))
    assert_identical(computed(y, scheduler), reference.forward(inputs))
    if FUNCTIONS[name] is not bitdrop.dask.fused_dropout:  # whose mask depends on x
        kind.forward(layer, inputs, training)
        assert mask.whole == record_of(layer)
        assert pickle.loads(pickle.dumps(mask)) == mask
        assert_identical(computed(mask.apply(*before), scheduler), reference.repeated(inputs))
    assert mask.whole.nbytes == 0
    dy = np.asarray(normal(dtype, shape, seed=1))
    gradients = mask.backward(chunked(dy, data.draw(chunkings(shape))))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for gradient, expected in zip(gradients, reference.gradients(dy, inputs), strict=True):
        assert_identical(computed(gradient, scheduler), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_inference_draws_nothing_and_bad_arguments_are_errors(name: str) -> None:
    kind, rng = KINDS[name], np.random.default_rng(0)
    inputs = [chunked(normal(FLOAT32, kind.shape, i), 11) for i, _ in enumerate(kind.inputs)]
    FUNCTIONS[name](*inputs, 0.25, training=False, rng=rng)
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"p": 2}, ValueError, r"p must be in \[0, 1\]"),
        ({"p": "0.5"}, TypeError, "p must be a number"),
        ({"training": 1}, TypeError, "training must be True or False"),
        ({"num_threads": 0}, ValueError, "num_threads must be from 1"),
        ({"num_threads": 1.0}, TypeError, "num_threads must be an int"),
        ({"rng": "seed"}, TypeError, "rng must be None"),
        ({"rate": 0.5}, TypeError, "has no argument 'rate': pass p=0.5"),
        ({"seed": 3}, TypeError, "has no argument 'seed': pass rng=3"),
    ]
    if "noise_shape" not in kind.lacks:
        bad.append(({"noise_shape": (1,)}, ValueError, "an entry for each axis"))
        bad.append(({"noise_shape": (1, 1, 1000)}, ValueError, "1, None or x's length"))
    for arguments, error, match in bad:
        with pytest.raises(error, match=match):
            FUNCTIONS[name](*inputs, **({"p": 0.25, "rng": rng} | arguments))
    with pytest.raises(TypeError, match="must be a dask array"):
        FUNCTIONS[name](*(np.ones(kind.shape) for _ in inputs), 0.25, rng=rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_chunks_of_any_layout_give_values_of_whole_array() -> None:
    whole, _ = bitdrop.dropout(X.T, 0.3, rng=0)
    lazy = chunked(X, 17).T[::-1]
    assert_identical(computed(bitdrop.dask.dropout(lazy[::-1], 0.3, rng=0)[0]), whole)
    ones = da.ones(
        (30, 40), chunks=(10, 40), dtype=np.float32
    )  # its chunks repeat one number, by strides of 0
    expected, _ = bitdrop.dropout(np.ones((30, 40), np.float32), 0.3, rng=0)
    assert_identical(computed(bitdrop.dask.dropout(ones, 0.3, rng=0)[0]), expected)


def test_building_graph_computes_nothing() -> None:
    def fail(block: Any) -> Any:
        raise AssertionError("computed")

    lazy = da.map_blocks(fail, chunked(X, 25), dtype=X.dtype, meta=X[:0, :0, :0])
    y, mask = bitdrop.dask.dropout(lazy, 0.5, rng=0)
    mask.backward(y)
    with pytest.raises(AssertionError, match="computed"):
        computed(y)


def test_graph_has_one_task_per_chunk_and_no_bits() -> None:
    lazy = da.ones((4096, 4096), chunks=(1024, 512), dtype=np.float32)
    y, mask = bitdrop.dask.dropout(lazy, 0.5, rng=0)
    before, after = dict(lazy.__dask_graph__()), dict(y.__dask_graph__())
    assert len([key for key in set(after) - set(before) if isinstance(key, tuple)]) == 32
    assert len(after) - len(before) <= 32 + 1  # the function's keyword arguments may be a task
    assert len(pickle.dumps(mask)) < 500
    assert pickle.loads(pickle.dumps(mask)) == mask
    assert mask.whole.nbytes == 0


def test_key_is_drawn_when_graph_is_built() -> None:
    rng = np.random.default_rng(0)
    lazy = chunked(X, 25)
    y, mask = bitdrop.dask.dropout(lazy, 0.5, rng=rng)
    other, _ = bitdrop.dask.dropout(lazy, 0.5, rng=rng)
    assert_identical(computed(y), computed(y))
    assert (computed(y) != computed(other)).any()
    assert mask == bitdrop.dask.dropout(lazy, 0.5, rng=0)[1]
    assert y.name == bitdrop.dask.dropout(lazy, 0.5, rng=0)[0].name != other.name
    unseeded = [bitdrop.dask.dropout(lazy)[1].whole.key for _ in range(3)]
    assert len(set(unseeded)) == 3


def unknown_chunks() -> Any:
    x = chunked(X, 25)
    return x[x > 0]


BAD_INPUTS: dict[str, tuple[Any, type[Exception], str]] = {
    "array": (lambda: X, TypeError, r"NAME must be a dask array.*ndarray.*from_array\(NAME\)"),
    "list": (lambda: [1.0], TypeError, "NAME must be a dask array.*list"),
    "int64": (lambda: da.ones(3, dtype=np.int64), TypeError, "int64"),
    "masked": (lambda: da.ma.masked_greater(chunked(X, 25), 1), TypeError, r"masked array.*filled\("),
    "unknown chunks": (
        unknown_chunks,
        ValueError,
        r"NAME has chunks of unknown size.*NAME\.compute_chunk_sizes\(\)",
    ),
}


@pytest.mark.parametrize("bad", BAD_INPUTS)
def test_bad_array_is_refused_when_graph_is_built(bad: str) -> None:
    make, error, message = BAD_INPUTS[bad]
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    with pytest.raises(error, match=message.replace("NAME", "x")):
        bitdrop.dask.dropout(make(), rng=rng)
    assert rng.bit_generator.state == before
    _, mask = bitdrop.dask.dropout(chunked(X, 25))
    with pytest.raises(error, match=message.replace("NAME", "dy")):
        mask.backward(make())


def test_results_of_chunks_are_not_held_in_buffer_pool() -> None:
    y, _ = bitdrop.dask.dropout(da.ones((4096, 1024), chunks=1024, dtype=np.float32), 0.5, rng=0)
    bitdrop.clear_buffers()
    computed(y.sum())
    assert _core.held_buffer_bytes() == 0


def test_cluster_that_loses_worker_gives_values_of_one_machine(tmp_path: Path) -> None:
    died = tmp_path / "died"

    def kill_its_worker_once(block: Any, block_info: Any = None) -> Any:
        if block_info[0]["chunk-location"] == (4, 2, 0) and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    whole, whole_mask = bitdrop.dropout(X, 0.3, rng=11, noise_shape=(None, None, 1))
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        pids = set(client.run(os.getpid).values())
        y, mask = bitdrop.dask.dropout(chunked(X, (10, 20, 40)), 0.3, rng=11, noise_shape=(None, None, 1))
        y = da.map_blocks(kill_its_worker_once, y, dtype=y.dtype, meta=X[:0, :0, :0])
        dx = mask.backward(da.map_blocks(lambda block: 2 * block, y.rechunk((60, 7, 40)), dtype=y.dtype))
        forward, backward = client.gather(client.compute([y, dx]))
        client.wait_for_workers(2, timeout=60)
        assert len(pids) == 2 == len(pids | set(client.run(os.getpid).values())) - 1
    assert died.exists()
    assert_identical(forward, whole)
    assert_identical(backward, whole_mask.backward(2 * whole))
