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

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from bitdrop import _engine, _validate
from bitdrop._affine import Affine
from bitdrop._arrays import as_array
from bitdrop._bit_layout import Shard, bit_layout
from bitdrop._config import MAX_THREADS
from bitdrop._engine import Threads
from bitdrop._forward import Rule
from bitdrop._plan import KEEP_ALL, Plan
from bitdrop._random import draw_key
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop.functional import SCALINGS, rule_of, units_of
from bitdrop.mask import Mask

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("bitdrop.dask needs dask: pip install 'bitdrop[dask]'.") from error


__all__ = ["ChunkedMask", "alpha_dropout", "dropout"]


@dataclass(frozen=True, slots=True)
class ChunkedMask:
    """Mask of a dask array. Each chunk generates the bits of its own place when it needs them.

    `dropout` returns one. It is a value of a few numbers, so that it can be pickled and sent to workers.

    Attributes
    ----------
    whole : Mask
        The mask of the whole array. It holds no bits either.
    num_threads : int
        Threads that a chunk may use.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> x = da.ones((4, 6), chunks=(2, 3))
    >>> y, mask = bitdrop.dask.dropout(x, p=0.5, rng=0)
    >>> bool((mask.apply(x) == y).all().compute())
    True
    >>> mask.backward(x).chunks
    ((2, 2), (3, 3))
    """

    whole: Mask
    num_threads: int = 1

    def apply(self, x: da.Array) -> da.Array:
        """Repeat the forward pass on a dask array: drop the mask's elements, and scale the others.

        Parameters
        ----------
        x : dask array
            Of the mask's shape, in any chunks, and of a dtype that `bitdrop.dropout` supports.

        Returns
        -------
        dask array
            In x's chunks: as `bitdrop.Mask.apply`.

        Raises
        ------
        TypeError
            If x is not a dask array, or is of another dtype.
        ValueError
            If x is not of the mask's shape, or has chunks of unknown size.
        """
        return self._applied(x, self.whole._affine, "x")

    def backward(self, dy: da.Array) -> da.Array:
        """Return the gradient with respect to the input of the forward pass.

        Parameters
        ----------
        dy : dask array
            Gradient with respect to the output, of its shape, in any chunks, and of a supported dtype.

        Returns
        -------
        dask array
            In dy's chunks: as `bitdrop.Mask.backward`.

        Raises
        ------
        TypeError, ValueError
            As `apply`.
        """
        return self._applied(dy, self.whole._affine.linear, "dy")

    def _applied(self, x: Any, affine: Affine, name: str) -> da.Array:
        _check_array(x, name, affine.shift == affine.dropped == 0.0)
        _validate.check_same_shape(x.shape, self.whole.shape, name)
        drop_chunk = _ChunkDropper(self.whole._plan, self.whole.noise_shape, affine, self.num_threads)
        dropped: da.Array = da.map_blocks(drop_chunk, x, dtype=x.dtype, meta=x._meta, token="dropout")
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

    Lazy, with one task for each chunk. The values are those of `bitdrop.dropout` for the whole array,
    whatever the chunks, the scheduler and the workers. The key is drawn here, once. A graph that is computed
    twice, or a task that runs again because its worker died, gives the same values.

    Parameters
    ----------
    x : dask array
        Of NumPy arrays, of any known shape, and of a dtype that `bitdrop.dropout` supports.
    p, training, scaling, rng, noise_shape
        As in `bitdrop.dropout`. noise_shape refers to the whole array.
    num_threads : int, default 1
        Threads that a chunk may use. One is right in general: dask works on as many chunks at a time as there
        are cores. `bitdrop.set_num_threads` has no effect here.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference if nothing is scaled.
    mask : ChunkedMask
        The dropped elements. ``mask.backward(dy)`` is the gradient with respect to x, in dy's own chunks.

    Raises
    ------
    TypeError
        If x is not a dask array of NumPy arrays of a supported dtype, or another argument is of the wrong
        type.
    ValueError
        If x has chunks of unknown size, noise_shape does not fit its shape, or another argument is out of
        range.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> images = da.ones((64, 3, 32, 32), chunks=(16, 3, 32, 32), dtype="float32")
    >>> y, mask = bitdrop.dask.dropout(images, p=0.1, rng=0, noise_shape=(None, None, 1, 1))
    >>> y.numblocks, mask.whole.shape
    ((4, 1, 1, 1), (64, 3, 32, 32))
    """
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", SCALINGS)
    rule = rule_of(probability, scaling)._replace(units=units_of(noise_shape))
    return _forward(x, rule, training, lambda: draw_key(rng), num_threads)


def alpha_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply alpha dropout to a dask array: the values of `bitdrop.AlphaDropout` for the whole array.

    Parameters
    ----------
    x, p, training, rng, noise_shape, num_threads
        As in `dropout`. ``noise_shape=(None, None, 1, 1)`` drops whole channels of images, as
        `bitdrop.FeatureAlphaDropout`.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    mask : ChunkedMask
        The dropped elements.

    Raises
    ------
    TypeError, ValueError
        As `dropout`.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> x = da.random.default_rng(0).standard_normal((1000, 1000), chunks=250)
    >>> y, _ = bitdrop.dask.alpha_dropout(x, p=0.3, rng=0)
    >>> print(f"mean {abs(y.mean().compute()):.2f}, standard deviation {y.std().compute():.2f}")
    mean 0.00, standard deviation 1.00
    """
    probability = _validate.as_probability(p)
    affine = Affine.alpha(probability)
    rule = Rule(probability, affine, units=units_of(noise_shape), accept_complex=False)
    return _forward(x, rule, training, lambda: draw_key(rng), num_threads)


def _forward(
    x: Any, rule: Rule, training: bool, draw: Callable[[], tuple[int, int]], num_threads: int
) -> tuple[da.Array, ChunkedMask]:
    threads = _validate.as_count(num_threads, "num_threads", MAX_THREADS)
    _check_array(x, "x", rule.accept_complex)
    if _validate.as_flag(training, "training"):
        layout = rule.units.layout(x.shape)  # before the generator is advanced
        whole = Mask._of((x.shape, Plan(draw(), 0, rule.p), layout, rule.affine, None))
    else:
        whole = Mask._of((x.shape, KEEP_ALL, None, rule.at_inference, None))
    mask = ChunkedMask(whole, threads)
    return (x if whole.p == 0.0 and whole.scale == 1.0 else mask.apply(x)), mask


def _check_array(x: Any, name: str, accept_complex: bool) -> None:
    if not isinstance(x, da.Array):
        raise TypeError(
            f"{name} must be a dask array, but got {type(x).__name__}: pass dask.array.from_array({name})."
        )
    as_array(x._meta, name, accept_complex)  # an array without elements, of the type of the chunks
    if any(map(isnan, x.shape)):
        raise ValueError(f"{name} has chunks of unknown size: call {name}.compute_chunk_sizes() first.")


@dataclass(frozen=True, slots=True)
class _ChunkDropper:
    """Task of a chunk."""

    plan: Plan
    noise_shape: tuple[int, ...] | None
    affine: Affine
    num_threads: int

    def __call__(self, x: Array, block_info: Any) -> Array:
        place = block_info[0]
        shard = Shard(place["shape"], tuple(start for start, _ in place["array-location"]))
        layout = bit_layout(x.shape, self.noise_shape, shard)
        # NumPy's own memory: memory that bitdrop holds for reuse would count against the limit of the worker.
        out = np.empty(x.shape, x.dtype)
        values, dtype = as_array(x, "x", True)
        threads = Threads(self.num_threads)
        _engine.drop((dtype, (out, values)), self.affine, self.plan, layout, None, threads)
        return out


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
