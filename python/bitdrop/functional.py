"""Dropout as a function."""

from functools import lru_cache

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._affine import Affine
from bitdrop._bit_layout import Shard
from bitdrop._forward import Rule, drop, keep_all
from bitdrop._random import draw_key
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop._units import ELEMENTS, Units
from bitdrop.mask import Mask

SCALINGS = ("inverted", "vanilla")


@lru_cache
def rule_of(p: float, scaling: Scaling) -> Rule:
    """Return the rule of dropout with a scaling convention, for validated arguments."""
    if scaling == "inverted":
        return Rule(p, Affine.inverted(p))
    return Rule(p, Affine.vanilla(), Affine(1.0 - p))


def units_of(noise_shape: NoiseShape | None) -> Units:
    """Return the units of a noise shape."""
    return ELEMENTS if noise_shape is None else Units(noise=_validate.as_noise_entries(noise_shape))


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
        Of any shape and strides, and of dtype float16, bfloat16 (``ml_dtypes``), float32, float64, complex64
        or complex128. Both parts of a complex number share a draw.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1]: a real number of any type, or a 0-d array of one.
        In float16 the scale 1 / (1 - p) exceeds the largest number if p is above 0.99998: kept elements of
        magnitude 1 become infinite.
    training : bool, default True
        Whether to drop. At inference nothing is dropped, and x itself is returned if nothing is scaled.
    scaling : {"inverted", "vanilla"}
        "inverted": kept elements are multiplied by 1 / (1 - p) in training, as PyTorch, Keras and JAX do.
        "vanilla": nothing is scaled in training, and everything is multiplied by 1 - p at inference, as in
        the original paper [1]_.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Source of the mask's key, by Scientific Python's SPEC 7. A Generator is advanced in training, also if
        p is 0. None uses entropy of the system.
    out : ndarray, optional
        Where to write the result: an array of x's shape and dtype with any strides, or x itself.
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a draw, or x's length (or None, which
        means the same). ``(None, None, 1, 1)`` drops whole channels of images.
    shard : Shard, optional
        Place of x in a larger array, if it is a part. The result is that part of the whole array's result.
        noise_shape then refers to the whole array.

    Returns
    -------
    y : ndarray
        ``out``, or a new array, or x itself. A dropped element is +0.0, whatever x held.
    mask : Mask
        The dropped elements. ``mask.backward(dy)`` is the gradient with respect to x.

    Raises
    ------
    TypeError
        If p is not a number; if x is of another dtype, of non-native byte order, masked or lazy; if out is
        not of x's dtype.
    ValueError
        If p is not in [0, 1]; if out is of another shape, read-only, overlaps itself, or overlaps x in part;
        if noise_shape or shard does not fit x's shape.

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
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", SCALINGS)
    rule = rule_of(probability, scaling)
    if not _validate.as_flag(training, "training"):
        y, values = keep_all(x, out, rule)
        return y, Mask._of(values)
    if noise_shape is not None:
        rule = rule._replace(units=units_of(noise_shape))
    y, values = drop(x, out, rule, lambda: (draw_key(rng), 0), shard)
    return y, Mask._of(values)
