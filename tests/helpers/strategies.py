"""Hypothesis strategies for probabilities, seeds, shapes and arrays of any layout."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.helpers.support import Array, any_bits

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
