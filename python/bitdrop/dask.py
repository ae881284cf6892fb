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

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Any, Literal

import numpy as np

from bitdrop import _validate
from bitdrop._arrays import as_array
from bitdrop._core import Pass, Rule, Threads
from bitdrop._random import draw_key
from bitdrop._settings import MAX_THREADS
from bitdrop._shard import units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop.kinds.alpha import alpha_rule
from bitdrop.kinds.dropout import SCALINGS, dropout_rule
from bitdrop.kinds.fused import Activation, check_activation, fused_rule
from bitdrop.kinds.path import MODES, path_rule
from bitdrop.records import FusedMask, Mask, Noise, Record, ZoneoutMask
from bitdrop.records.noise import noise_rule
from bitdrop.records.zoneout import zoneout_rule

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("bitdrop.dask needs dask: pip install 'bitdrop[dask]'.") from error


__all__ = [
    "ChunkedMask",
    "alpha_dropout",
    "drop_path",
    "dropout",
    "fused_dropout",
    "gaussian_dropout",
    "zoneout",
]


@dataclass(frozen=True, slots=True)
class ChunkedMask:
    """Mask of a dask array. Each chunk generates the bits of its own place when it needs them.

    `dropout` returns one. It is a value of a few numbers, so that it can be pickled and sent to workers.

    Attributes
    ----------
    whole : Mask, ZoneoutMask or Noise
        The mask of the whole array. It holds no bits either.
    num_threads : int
        Threads that a chunk may use.
    activated : dask array or None
        Input of the activation of a fused pass. No gradient passes where it is not positive. `whole` is then
        the dropout alone.

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

    whole: Any
    num_threads: int = 1
    activated: da.Array | None = None

    def apply(self, *inputs: da.Array) -> da.Array:
        """Repeat the forward pass on dask arrays, as `apply` of the whole record does.

        Parameters
        ----------
        *inputs : dask array
            Of the mask's shape, and of a dtype that the kind supports: x, or the new and the previous state
            of zoneout, in the chunks of the first.

        Returns
        -------
        dask array
            In the first input's chunks: as `bitdrop.Mask.apply`.

        Raises
        ------
        TypeError
            If an input is not a dask array, or is of another dtype.
        ValueError
            If an input is not of the mask's shape, or has chunks of unknown size.
        """
        names = self.whole._pass.operation.input_names
        return self._done("repeat", inputs, names[: len(inputs)])

    def backward(self, dy: da.Array) -> Any:
        """Return the gradient with respect to the input of the forward pass.

        Parameters
        ----------
        dy : dask array
            Gradient with respect to the output, of its shape, in any chunks, and of a supported dtype.

        Returns
        -------
        dask array
            In dy's chunks: as `bitdrop.Mask.backward`. Of zoneout a pair.

        Raises
        ------
        TypeError, ValueError
            As `apply`.
        """
        if self.activated is not None:
            return self._done("gradient_of_active", (dy, self.activated), ("dy", "x"))
        if not isinstance(self.whole, ZoneoutMask):
            return self._done("gradient", (dy,), ("dy",))
        return self._done("gradient_of_new", (dy,), ("dh",)), self._done(
            "gradient_of_previous", (dy,), ("dh",)
        )

    def _done(self, task: str, inputs: tuple[Any, ...], names: tuple[str, ...]) -> da.Array:
        operation = self.whole._pass.operation
        for x, name in zip(inputs, names, strict=True):
            _check_array(x, name, operation.takes_complex or task != "repeat")
            if x.shape != self.whole.shape:
                raise ValueError(
                    _validate.pass_shape_message(x.shape, self.whole.shape, name, self.whole._format)
                )
        return _mapped(_Chunk(self.whole._pass, self.num_threads, task), *inputs)


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
    rule = dropout_rule(probability, scaling, units_of(noise_shape))
    return _Call(training, rng, num_threads).run(rule, Mask, x)


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
    rule = alpha_rule(_validate.as_probability(p), units_of(noise_shape))
    return _Call(training, rng, num_threads).run(rule, Mask, x)


def drop_path(
    x: da.Array,
    p: Number = 0.0,
    scale_by_keep: bool = True,
    mode: Literal["row", "batch"] = "row",
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply stochastic depth to a dask array: the values of `bitdrop.DropPath` for the whole array.

    Parameters
    ----------
    x, training, rng, num_threads
        As in `dropout`.
    p, scale_by_keep, mode
        As in `bitdrop.DropPath`.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    mask : ChunkedMask
        The dropped samples.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if mode is neither "row" nor "batch".

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> y, _ = bitdrop.dask.drop_path(da.ones((3, 4), chunks=2), p=0.5, rng=0)
    >>> y.compute()[:, 0]
    array([0., 2., 2.])
    """
    scaled = _validate.as_flag(scale_by_keep, "scale_by_keep")
    _validate.check_choice(mode, "mode", tuple(MODES))
    rule = path_rule(_validate.as_probability(p), scaled, mode)
    return _Call(training, rng, num_threads).run(rule, Mask, x)


def gaussian_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply Gaussian dropout to a dask array: the values of `bitdrop.gaussian_dropout` for the whole array.

    Parameters
    ----------
    x, training, rng, noise_shape, num_threads
        As in `dropout`.
    p : float, default 0.5
        Rate, in [0, 1).

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    noise : ChunkedMask
        The factors. ``noise.whole`` is a `bitdrop.Noise`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`.

    Examples
    --------
    >>> import dask.array as da, numpy as np, bitdrop, bitdrop.dask
    >>> y, noise = bitdrop.dask.gaussian_dropout(da.ones((4, 6), chunks=2), p=0.2, rng=0)
    >>> whole, _ = bitdrop.gaussian_dropout(np.ones((4, 6)), p=0.2, rng=0)
    >>> bool((y.compute() == whole).all())
    True
    """
    return _Call(training, rng, num_threads).run(noise_rule(p, units_of(noise_shape)), Noise, x)


def zoneout(
    new: da.Array,
    previous: da.Array,
    p: Number = 0.1,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply zoneout to dask arrays: the values of `bitdrop.zoneout` for the whole arrays.

    Parameters
    ----------
    new, previous : dask array
        The state after a step and before it, of one shape and dtype. previous is cut into new's chunks.
    p, training, rng, noise_shape, num_threads
        As in `dropout`. p is the probability that an element keeps its previous value.

    Returns
    -------
    h : dask array
        In new's chunks.
    mask : ChunkedMask
        ``mask.backward(dh)`` is the pair of gradients.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if the states are of two shapes or dtypes.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> h, mask = bitdrop.dask.zoneout(da.ones(6, chunks=4), da.zeros(6, chunks=4), p=0.5, rng=0)
    >>> h.compute()
    array([0., 1., 1., 1., 0., 1.])
    """
    return _Call(training, rng, num_threads).run(
        zoneout_rule(p, units_of(noise_shape)), ZoneoutMask, new, previous
    )


def fused_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    activation: Activation | None = None,
    residual: da.Array | None = None,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Return ``residual + dropout(activation(x))`` of dask arrays: the values of `bitdrop.fused_dropout`.

    A bias is not taken: add it to x, which is one task with the pass after dask's fusion.

    Parameters
    ----------
    x, p, training, scaling, rng, noise_shape, num_threads
        As in `dropout`.
    activation : {"relu"}, optional
        As in `bitdrop.fused_dropout`.
    residual : dask array, optional
        Added to the result, of x's shape and dtype. It is cut into x's chunks.

    Returns
    -------
    y : dask array
        In x's chunks.
    mask : ChunkedMask
        ``mask.backward(dy)`` is the gradient with respect to x. With an activation it computes x again, to
        find the active elements.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if activation is unknown.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> x = da.arange(-2.0, 4.0, chunks=3)
    >>> y, mask = bitdrop.dask.fused_dropout(x, p=0.0, activation="relu")
    >>> y.compute()
    array([0., 0., 0., 1., 2., 3.])
    >>> mask.backward(da.ones(6, chunks=3)).compute()
    array([0., 0., 0., 1., 1., 1.])
    """
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", SCALINGS)
    check_activation(activation)
    rule = fused_rule(probability, scaling, activation is not None, units_of(noise_shape))
    inputs = (x,) if residual is None else (x, residual)
    y, mask = _Call(training, rng, num_threads).run(rule, FusedMask, *inputs)
    if activation is None:
        return y, mask
    done = mask.whole._pass
    linear = fused_rule(probability, scaling, False, units_of(noise_shape))
    alone = linear.pass_with_key(x.shape, done.key, training=training)
    return y, ChunkedMask(FusedMask._of(alone), mask.num_threads, x)


@dataclass(frozen=True, slots=True)
class _Call:
    """Arguments that all functions have."""

    training: bool
    rng: RNGLike | None
    num_threads: int

    def run(self, rule: Rule, record: type[Record], *inputs: Any) -> tuple[da.Array, ChunkedMask]:
        """Return the lazy result of a rule, and its mask. The key is drawn once nothing can fail any more."""
        threads = _validate.as_count(self.num_threads, "num_threads", MAX_THREADS)
        training = _validate.as_flag(self.training, "training")
        names = [name for name in rule.training.input_names if name != "bias"]
        for x, name in zip(inputs, names, strict=False):
            _check_array(x, name, rule.training.takes_complex)
            _check_second(x, inputs[0], name, names[0])
        whole = rule.pass_with_key(inputs[0].shape, (0, 0), training=training)
        if training:
            whole = rule.pass_with_key(inputs[0].shape, draw_key(self.rng))
        mask = ChunkedMask(record._of(whole), threads)
        operation = whole.operation
        unchanged = not training and len(inputs) == 1 and not operation.activates and operation.factor == 1.0
        return (inputs[0] if unchanged else _mapped(_Chunk(whole, threads, "repeat"), *inputs)), mask


def _check_array(x: Any, name: str, accept_complex: bool) -> None:
    if not isinstance(x, da.Array):
        raise TypeError(
            f"{name} must be a dask array, but got {type(x).__name__}: pass dask.array.from_array({name})."
        )
    as_array(x._meta, name, accept_complex)  # an array without elements, of the type of the chunks
    if any(map(isnan, x.shape)):
        raise ValueError(f"{name} has chunks of unknown size: call {name}.compute_chunk_sizes() first.")


def _check_second(x: Any, first: Any, name: str, first_name: str) -> None:
    if x.dtype != first.dtype:
        raise TypeError(f"{name} must be of {first_name}'s dtype, {first.dtype}, but its dtype is {x.dtype}.")
    if x.shape != first.shape:
        raise ValueError(f"{name} must have {first_name}'s shape, {first.shape}, but its shape is {x.shape}.")


def _mapped(task: _Chunk, *inputs: Any) -> da.Array:
    x, *others = inputs
    others = [other.rechunk(x.chunks) for other in others]
    mapped: da.Array = da.map_blocks(task, x, *others, dtype=x.dtype, meta=x._meta, token="dropout")
    return mapped


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Task of a chunk."""

    whole: Pass
    num_threads: int
    task: str

    def __call__(self, *inputs: Array, block_info: Any) -> Array:
        place = block_info[0]["array-location"]
        # NumPy's own memory: memory that bitdrop holds for reuse would count against the limit of the worker.
        new = partial(np.empty, inputs[0].shape, inputs[0].dtype)
        part = self.whole.part(tuple(start for start, _ in place), inputs[0].shape)
        threads = Threads(self.num_threads)
        match self.task:
            case "repeat":
                x, *others = inputs
                arguments = (x, None, *others) if part.operation.name.startswith("fused") else inputs
                return part.repeat(arguments, new(), threads=threads)
            case "gradient":
                dx: Array = part.gradient(inputs[0], new(), threads=threads)
                return dx
            case "gradient_of_active":
                dy, x = inputs
                dx = part.gradient(dy, new(), threads=threads)
                dx[x <= 0] = 0  # a NaN is active
                return dx
            case _:
                pair: tuple[Array, Array] = part.gradient(inputs[0], (new(), new()), threads=threads)
                return pair[self.task == "gradient_of_previous"]


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
