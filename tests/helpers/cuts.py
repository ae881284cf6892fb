"""Ways to share and to cut masks, for hypothesis, and the oracle of what they must give."""

from itertools import pairwise

import bitdrop
import numpy as np
from hypothesis import strategies as st

from tests.helpers import oracle
from tests.helpers.support import Array

Shape = tuple[int, ...]
NoiseShape = tuple[int | None, ...]


def noise_shapes(shape: Shape) -> st.SearchStrategy[NoiseShape | None]:
    """Draw None, or for each axis 1, its length, or None."""
    axes = (st.sampled_from([1, length, None]) for length in shape)
    return st.one_of(st.none(), st.tuples(*axes))


@st.composite
def edges(draw: st.DrawFn, length: int) -> list[int]:
    """Draw where an axis is cut: 0, some places between, its length. Places may be the same."""
    return [0, *sorted(draw(st.lists(st.integers(0, length), max_size=2))), length]


@st.composite
def cuts(draw: st.DrawFn, shape: Shape) -> list[tuple[slice, ...]]:
    """Draw parts that make up an array of that shape: each axis is cut at places of its own."""
    by_axis = [draw(edges(length)) for length in shape]
    parts: list[tuple[slice, ...]] = [()]
    for places in by_axis:
        spans = [slice(*span) for span in pairwise(places)]
        parts = [(*part, span) for part in parts for span in spans]
    return parts


@st.composite
def chunkings(draw: st.DrawFn, shape: Shape) -> tuple[Shape, ...]:
    """Draw chunks as dask has them: for each axis the lengths of its pieces."""
    return tuple(tuple(np.diff(draw(edges(length))).tolist()) for length in shape)


def lengths_of(noise_shape: NoiseShape | None, shape: Shape) -> Shape:
    """Return the noise shape in numbers."""
    entries = noise_shape or (None,) * len(shape)
    return tuple(length if entry is None else entry for entry, length in zip(entries, shape, strict=True))


def kept(mask: bitdrop.Mask, noise_shape: NoiseShape | None) -> Array:
    """Return what a whole mask keeps, by the oracle: the index runs over the noise shape."""
    lengths = lengths_of(noise_shape, mask.shape)
    drawn = oracle.kept(mask.key, mask.stream, mask.p, 0, int(np.prod(lengths, dtype=int)))
    return np.broadcast_to(drawn.reshape(lengths), mask.shape)
