"""Hypothesis strategies for probabilities, seeds, noise shapes, chunks and arrays of any layout."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.helpers.support import Array, any_bits

Shape = tuple[int, ...]
NoiseShape = tuple[int | None, ...]
WORDS = st.integers(0, 2**64 - 1)
SEEDS = st.integers(0, 2**32)
EDGES = [0.0, 1.0, 0.5, 0.1, 2.0**-12, 2.0**-13, 2.0**-64, 2.0**-65, 5e-324, 1 - 2.0**-53, 4095 / 4096]


@st.composite
def views(draw: st.DrawFn, shape: tuple[int, ...], dtype: np.dtype[Any], writable: bool = False) -> Array:
    """Draw an array of this shape, of any layout: permuted, strided, reversed, unaligned, broadcast."""
    axes = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, 3, -1, -2])) for _ in shape]
    lengths = [shape[axis] * abs(steps[axis]) for axis in axes]
    offset = draw(st.integers(0, 15))
    size = int(np.prod(lengths, dtype=int))
    memory = np.zeros(size * dtype.itemsize + offset, np.uint8)
    base: Array = memory[offset:].view(dtype).reshape(lengths)
    base[...] = any_bits(dtype, size, draw(SEEDS)).reshape(lengths)
    index: Any = (..., *(slice(None, None, step) for step in steps))
    view: Array = base.transpose(np.argsort(axes))[index]
    if shape and shape[0] and not writable and draw(st.integers(0, 4)) == 0:
        view = np.broadcast_to(view[:1], shape)
    assert view.shape == shape
    return view


def noise_shapes(shape: Shape) -> st.SearchStrategy[NoiseShape | None]:
    """Draw None, or a tuple with 1, None or its length for each axis."""
    axes = (st.sampled_from([1, length, None]) for length in shape)
    return st.one_of(st.none(), st.tuples(*axes))


@st.composite
def edges(draw: st.DrawFn, length: int) -> list[int]:
    """Draw the edges of parts along an axis: 0, some indices, its length. Parts may be empty."""
    return [0, *sorted(draw(st.lists(st.integers(0, length), max_size=2))), length]


@st.composite
def chunkings(draw: st.DrawFn, shape: Shape) -> tuple[Shape, ...]:
    """Draw chunks in the form of dask: the lengths of the chunks along each axis."""
    return tuple(tuple(np.diff(draw(edges(length))).tolist()) for length in shape)


def lengths_of(noise_shape: NoiseShape | None, shape: Shape) -> Shape:
    """Return the noise shape with None replaced by lengths."""
    entries = noise_shape or (None,) * len(shape)
    return tuple(length if entry is None else entry for entry, length in zip(entries, shape, strict=True))
