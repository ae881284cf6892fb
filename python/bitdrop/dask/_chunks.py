"""Passes over the chunks of dask arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Any

import numpy as np

from bitdrop import _validate
from bitdrop._arrays import as_array
from bitdrop._core import Pass, Rule, Threads
from bitdrop._random import draw_key
from bitdrop._settings import MAX_THREADS
from bitdrop._typing import Array, RNGLike
from bitdrop.records import Record, ZoneoutMask

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("bitdrop.dask needs dask: pip install '.[dask]' in a clone.") from error

__all__ = ["Call", "ChunkedMask", "da"]


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


@dataclass(frozen=True, slots=True)
class Call:
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
                return part.repeat(arguments, new(), threads)
            case "gradient":
                dx: Array = part.gradient(inputs[0], new(), None, None, threads)
                return dx
            case "gradient_of_active":
                dy, x = inputs
                dx = part.gradient(dy, new(), None, None, threads)
                dx[x <= 0] = 0  # a NaN is active
                return dx
            case _:
                pair: tuple[Array, Array] = part.gradient(inputs[0], (new(), new()), None, None, threads)
                return pair[self.task == "gradient_of_previous"]
