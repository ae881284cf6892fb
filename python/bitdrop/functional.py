"""Dropout as a function."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bitdrop import _checks, _core
from bitdrop._buffers import empty_like
from bitdrop._checks import Array, NoiseShape, Number
from bitdrop._cut import Shard, cut
from bitdrop._rng import RNGLike, draw_key
from bitdrop.mask import Mask, keep_scale, make_bits

Scaling = Literal["inverted", "vanilla"]
SCALINGS = ("inverted", "vanilla")


def dropout(
    x: ArrayLike,
    p: Number = 0.5,
    *,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    out: Array | None = None,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
) -> tuple[Array, Mask]:
    """Set each element to zero with probability `p`, and scale the rest so that the mean stays.

    Parameters
    ----------
    x : array_like
        Of any shape and strides, and of dtype float16, bfloat16 (``ml_dtypes``), float32 or float64.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    training : bool, default True
        Whether to drop. At inference nothing is dropped, and x itself is returned if nothing is scaled.
    scaling : {"inverted", "vanilla"}
        "inverted": kept elements are multiplied by 1 / (1 - p) in training, as PyTorch, Keras and JAX do.
        "vanilla": nothing is scaled in training, and everything is multiplied by 1 - p at inference, as in
        the original paper [1]_.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Where the mask's key is drawn from, as Scientific Python's SPEC 7 has it. A Generator is advanced in
        training, also where p is 0. None uses entropy of the system.
    out : ndarray, optional
        Where to write the result: an array of x's shape and dtype with any strides, or x itself.
    noise_shape : sequence of ints and None, optional
        Shape of what is drawn: along each axis 1, where all elements share the draw, or x's length (or None,
        which means the same). ``(None, None, 1, 1)`` drops whole channels of images.
    shard : Shard, optional
        Says that x is a part of a larger array, and where; the result is that part of what the whole would
        give. Then noise_shape speaks of the whole.

    Returns
    -------
    y : ndarray
        ``out``, or a new array, or x itself. A dropped element is +0.0, whatever x held.
    mask : Mask
        What was dropped; ``mask.backward(dy)`` is the gradient with respect to x.

    Raises
    ------
    TypeError
        If p is not a number; if x is of another dtype, of non-native byte order, masked or lazy; if out is
        not of x's dtype.
    ValueError
        If p is not in [0, 1]; if out is of another shape, read-only, overlaps itself, or overlaps x in part;
        if noise_shape or shard does not go with x's shape.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way
       to prevent neural networks from overfitting", Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.arange(8, dtype=np.float32)
    >>> y, mask = bitdrop.dropout(x, p=0.5, rng=1)
    >>> y
    array([ 0.,  0.,  4.,  6.,  0.,  0., 12.,  0.], dtype=float32)
    >>> mask.backward(np.ones(8, dtype=np.float32))
    array([0., 0., 2., 2., 0., 0., 2., 0.], dtype=float32)
    """
    probability = _checks.probability(p)
    _checks.choice(scaling, "scaling", SCALINGS)
    if not _checks.flag(training, "training"):
        return infer(x, inference_scale(probability, scaling), out)
    scale = training_scale(probability, scaling)
    return drop(x, probability, scale, lambda: (draw_key(rng), 0), out, noise_shape=noise_shape, shard=shard)


def training_scale(p: float, scaling: Scaling) -> float:
    """Return the factor of kept elements in training."""
    return keep_scale(p) if scaling == "inverted" else 1.0


def inference_scale(p: float, scaling: Scaling) -> float:
    """Return the factor of all elements at inference."""
    return 1.0 if scaling == "inverted" else 1.0 - p


def drop(  # noqa: PLR0917
    x: ArrayLike,
    p: float,
    scale: float,
    take_key: Callable[[], tuple[tuple[int, int], int]],
    out: Array | None,
    store_bits: bool = True,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
    shift: float = 0.0,
    dropped: float = 0.0,
) -> tuple[Array, Mask]:
    """Make ``kept ? scale * x + shift : dropped``, with numbers that were checked.

    `take_key` gives key and stream number. It is called once nothing can fail any more, so that an error uses
    up neither a draw of the user's generator nor a stream number.
    """
    values, dtype = _checks.array(x)
    shape = values.shape
    place = cut(shape, noise_shape, shard)
    if out is None:
        out = empty_like(values)
    else:
        _checks.output(out, values)
    if place is None:
        bits = _core.empty_bits(values.size) if store_bits else None
        key, stream = take_key()
        _core.drop(values, out, bits, dtype, key[0], key[1], stream, p, scale, shift, dropped)
        return out, Mask._of(shape, p, key, stream, scale, None, bits)
    bits = _core.empty_bits(place.size)
    mask = Mask._of(shape, p, *take_key(), scale, place, None)
    make_bits(mask, bits)
    _core.apply(values, out, bits, dtype, scale, shift, dropped, place.bit_steps)
    if store_bits:
        mask._bits = bits
    return out, mask


def infer(x: ArrayLike, scale: float, out: Array | None) -> tuple[Array, Mask]:
    """Keep all elements of x, and multiply them by scale."""
    values, _ = _checks.array(x)
    mask = Mask._of(values.shape, 0.0, (0, 0), 0, scale, None, None)
    if scale != 1.0:
        return mask.apply(values, out=out), mask
    if out is None:
        return values, mask
    _checks.output(out, values)
    np.copyto(out, values)
    return out, mask
