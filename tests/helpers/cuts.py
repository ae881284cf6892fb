"""Hypothesis strategies for noise shapes, shards and chunks, and the expected masks."""

from itertools import pairwise

import bitdrop
import numpy as np
from hypothesis import strategies as st

from tests.helpers import oracle
from tests.helpers.support import Array

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
def cuts(draw: st.DrawFn, shape: Shape) -> list[tuple[slice, ...]]:
    """Draw parts that make up an array of this shape: each axis is cut independently."""
    by_axis = [draw(edges(length)) for length in shape]
    parts: list[tuple[slice, ...]] = [()]
    for places in by_axis:
        spans = [slice(*span) for span in pairwise(places)]
        parts = [(*part, span) for part in parts for span in spans]
    return parts


@st.composite
def chunkings(draw: st.DrawFn, shape: Shape) -> tuple[Shape, ...]:
    """Draw chunks in the form of dask: the lengths of the chunks along each axis."""
    return tuple(tuple(np.diff(draw(edges(length))).tolist()) for length in shape)


def lengths_of(noise_shape: NoiseShape | None, shape: Shape) -> Shape:
    """Return the noise shape with None replaced by lengths."""
    entries = noise_shape or (None,) * len(shape)
    return tuple(length if entry is None else entry for entry, length in zip(entries, shape, strict=True))


def kept(mask: bitdrop.Mask, noise_shape: NoiseShape | None) -> Array:
    """Return the elements that a whole mask keeps, by the oracle. The index runs over the noise shape."""
    lengths = lengths_of(noise_shape, mask.shape)
    drawn = oracle.kept(mask.key, mask.stream, mask.p, 0, int(np.prod(lengths, dtype=int)))
    return np.broadcast_to(drawn.reshape(lengths), mask.shape)
