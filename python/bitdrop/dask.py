"""Dropout for dask arrays: lazy, and the same values for every chunking, scheduler and number of machines.

Needs dask: ``pip install 'bitdrop[dask]'``.

>>> import dask.array as da, numpy as np, bitdrop, bitdrop.dask
>>> x = np.ones((6, 8))
>>> y, mask = bitdrop.dask.dropout(da.from_array(x, chunks=(4, 3)), p=0.5, rng=0)
>>> whole, _ = bitdrop.dropout(x, p=0.5, rng=0)
>>> bool((y.compute() == whole).all())
True
>>> dx = mask.backward(da.ones((6, 8), chunks=2))
>>> bool((dx.compute() == whole).all())
True
"""

from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from bitdrop import _checks, _config
from bitdrop._checks import Array, NoiseShape, Number
from bitdrop._cut import Shard
from bitdrop._rng import RNGLike, draw_key
from bitdrop.functional import SCALINGS, Scaling, inference_scale, training_scale
from bitdrop.mask import Mask

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("bitdrop.dask needs dask: pip install 'bitdrop[dask]'.") from error


@dataclass(frozen=True, slots=True)
class ChunkedMask:
    """Mask of a dask array: each chunk makes the bits of its own place, when it needs them.

    `dropout` returns one. It is a value of a few numbers, so that it can be pickled and sent to workers.

    Attributes
    ----------
    whole : Mask
        The mask of the whole array. It holds no bits either.
    num_threads : int
        Threads that a chunk may use.
    """

    whole: Mask
    num_threads: int = 1

    def apply(self, x: da.Array) -> da.Array:
        """Drop the mask's elements from a dask array, and scale the others.

        Parameters
        ----------
        x : dask array
            Of the mask's shape, in any chunks, and of dtype float16, bfloat16, float32 or float64.

        Returns
        -------
        dask array
            In x's chunks: ``scale * x`` where kept, +0.0 where dropped.

        Raises
        ------
        TypeError
            If x is not a dask array, or is of another dtype.
        ValueError
            If x is not of the mask's shape, or has chunks of unknown size.
        """
        return self._applied(x, "x")

    def backward(self, dy: da.Array) -> da.Array:
        """Return the gradient with respect to dropout's input, which is the same operation.

        Parameters
        ----------
        dy : dask array
            Gradient with respect to dropout's output, of its shape, in any chunks, and of a supported dtype.

        Returns
        -------
        dask array
            In dy's chunks.

        Raises
        ------
        TypeError, ValueError
            As `apply`.
        """
        return self._applied(dy, "dy")

    def _applied(self, x: Any, name: str) -> da.Array:
        _check(x, name)
        _checks.same_shape(x, self.whole.shape, name)
        dropped: da.Array = da.map_blocks(
            _drop_chunk, x, self.whole, self.num_threads, dtype=x.dtype, meta=x._meta, token="dropout"
        )
        return dropped


def dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Set each element of a dask array to zero with probability `p`, and scale the rest.

    Lazy, with one task for each chunk. The values are those that `bitdrop.dropout` gives for the whole array,
    whatever the chunks, the scheduler and the workers. The key is drawn here, once: the same graph computed
    again, or a task that is run again because its worker died, gives the same.

    Parameters
    ----------
    x : dask array
        Of NumPy arrays, of any known shape, and of dtype float16, bfloat16, float32 or float64.
    p, training, scaling, rng, noise_shape
        As in `bitdrop.dropout`. noise_shape speaks of the whole array.
    num_threads : int, default 1
        Threads that a chunk may use: one, because dask works on as many chunks at a time as there are cores.
        `bitdrop.set_num_threads` does not count here.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference if nothing is scaled.
    mask : ChunkedMask
        What is dropped; ``mask.backward(dy)`` is the gradient with respect to x, in dy's own chunks.

    Raises
    ------
    TypeError
        If x is not a dask array of NumPy arrays of a supported dtype, or another argument is of the wrong
        type.
    ValueError
        If x has chunks of unknown size, noise_shape does not go with its shape, or another argument is out of
        range.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> images = da.ones((64, 3, 32, 32), chunks=(16, 3, 32, 32), dtype="float32")
    >>> y, mask = bitdrop.dask.dropout(images, p=0.1, rng=0, noise_shape=(None, None, 1, 1))
    >>> y.numblocks, mask.whole.shape
    ((4, 1, 1, 1), (64, 3, 32, 32))
    """
    probability = _checks.probability(p)
    _checks.choice(scaling, "scaling", SCALINGS)
    threads = _checks.count(num_threads, "num_threads", _config._MOST_THREADS)
    _check(x, "x")
    if _checks.flag(training, "training"):
        _checks.noise_shape(noise_shape, x.shape)  # before the generator is advanced
        scale = training_scale(probability, scaling)
        whole = Mask(x.shape, probability, key=draw_key(rng), scale=scale, noise_shape=noise_shape)
    else:
        whole = Mask(x.shape, 0.0, key=(0, 0), scale=inference_scale(probability, scaling))
    mask = ChunkedMask(whole, threads)
    return (x if whole.p == 0.0 and whole.scale == 1.0 else mask.apply(x)), mask


def _check(x: Any, name: str) -> None:
    if not isinstance(x, da.Array):
        raise TypeError(
            f"{name} must be a dask array, but got {type(x).__name__}: pass dask.array.from_array({name})."
        )
    _checks.array(x._meta, name)  # an array without elements of the kind that the chunks are
    if any(map(isnan, x.shape)):
        raise ValueError(f"{name} has chunks of unknown size: call {name}.compute_chunk_sizes() first.")


def _drop_chunk(x: Array, whole: Mask, num_threads: int, block_info: Any) -> Array:
    place = block_info[0]
    shard = Shard(place["shape"], tuple(start for start, _ in place["array-location"]))
    part = Mask(
        x.shape,
        whole.p,
        key=whole.key,
        stream=whole.stream,
        scale=whole.scale,
        noise_shape=whole.noise_shape,
        shard=shard,
    )
    # Memory of NumPy's own, because what bitdrop holds for results to come would count against the limit of
    # the worker.
    out = np.empty(x.shape, x.dtype)
    return part._applied(x, out, "x", num_threads)
