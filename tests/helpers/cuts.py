"""Hypothesis strategies for noise shapes and chunks."""

import numpy as np
from hypothesis import strategies as st

Shape = tuple[int, ...]
NoiseShape = tuple[int | None, ...]


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
