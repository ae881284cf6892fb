"""Gaussian dropout: multiplicative noise instead of dropped units, as a function and as a layer."""

from __future__ import annotations

from typing import Never

from numpy.typing import ArrayLike

from bitdrop._core import Rule
from bitdrop._keywords import collects_unknown, raise_unknown
from bitdrop._layer import Layer
from bitdrop._run import run
from bitdrop._shard import Shard, units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike
from bitdrop.records import Noise
from bitdrop.records.noise import noise_rule


@collects_unknown
def gaussian_dropout(
    x: ArrayLike,
    p: Number = 0.5,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    out: Array | None = None,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
    **unknown: Never,
) -> tuple[Array, Noise]:
    """Multiply each element by Gaussian noise of mean 1 and variance p / (1 - p).

    Dropout multiplies an element by 0 with probability p, else by 1 / (1 - p): a factor of the same mean and
    variance. Section 10 of the paper on dropout [1]_ found Gaussian factors to work as well or better. No
    element is dropped, and nothing is scaled at inference.

    Parameters
    ----------
    x : array_like
        Of any shape and strides, and of dtype float16, bfloat16 (``ml_dtypes``), float32 or float64.
    p : float, default 0.5
        Rate, in [0, 1), as Keras's `GaussianDropout` has it: a dropout of the same p has the same variance.
    training : bool, default True
        Whether to apply noise. At inference x itself is returned.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Source of the noise's key, by Scientific Python's SPEC 7, as in `bitdrop.dropout`. A Generator is
        advanced in training, also if p is 0. None uses entropy of the system.
    out : ndarray, optional
        Where to write the result: an array of x's shape and dtype with any strides, or x itself.
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a factor, or x's length (or None, which
        means the same).
    shard : Shard, optional
        Place of x in a larger array, if it is a part. The result is that part of the whole array's result.
        noise_shape then refers to the whole array.

    Returns
    -------
    y : ndarray
        ``out``, or a new array, or x itself: ``x * (1 + sqrt(p / (1 - p)) * z)``, z standard normal.
    noise : Noise
        The factors as a value; ``noise.backward(dy)`` is the gradient with respect to x. It holds no memory.

    Raises
    ------
    TypeError
        If p is not a number; if x is of another dtype, of non-native byte order, masked or lazy; if out is
        not of x's dtype.
    ValueError
        If p is not in [0, 1); if out is of another shape, read-only, overlaps itself, or overlaps x in part;
        if noise_shape or shard does not fit x's shape.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way
       to prevent neural networks from overfitting", Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> y, noise = bitdrop.gaussian_dropout(np.ones(1_000_000), p=0.2, rng=0)
    >>> print(f"mean {y.mean():.2f}, standard deviation {y.std():.2f}")
    mean 1.00, standard deviation 0.50
    >>> bool((noise.backward(np.ones(1_000_000)) == y).all())
    True
    """
    if unknown:
        raise_unknown(gaussian_dropout, unknown)
    y, done = run(noise_rule(p, units_of(noise_shape)), (x,), out, training, rng, shard)
    return y, Noise._of(done)


class GaussianDropout(Layer):
    """Gaussian dropout layer: multiplies by noise of mean 1 in training, as Keras's layer of this name.

    Parameters
    ----------
    p : float, default 0.5
        Rate, in [0, 1): the variance of the factors is p / (1 - p), as that of dropout's.
    inplace : bool, default False
        Whether forward writes its result into x.
    recompute : bool, default False
        As in `Dropout`. It changes nothing: the factors are generated again either way.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.gaussian_dropout`.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        As in `Dropout`.

    Attributes
    ----------
    training : bool
        The mode: whether forward applies noise.

    Raises
    ------
    TypeError
        If p is not a number, or another argument is of the wrong type.
    ValueError
        If p is not in [0, 1).

    Notes
    -----
    Nothing is held between forward and backward but the noise's parameters. In all else the layer is like
    `Dropout`: each successful forward pass in training takes the next stream number under the layer's key.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.GaussianDropout(p=0.2, rng=0)
    >>> x = np.ones(4)
    >>> y = layer(x)
    >>> bool((layer.backward(x) == y).all())
    True
    >>> layer.eval()(x) is x
    True
    """

    _record = Noise

    def _rule_of(self, p: float) -> Rule:
        return noise_rule(p, self._units)

    @property
    def mask(self) -> None:
        """Always None: no unit is dropped. See `noise`."""
        return None

    @property
    def noise(self) -> Noise | None:
        """Noise of the last forward pass, or None before the first."""
        noise: Noise | None = super().mask
        return noise
