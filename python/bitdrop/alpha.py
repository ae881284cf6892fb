"""Layers for self-normalising networks: what is dropped becomes SELU's lowest value, and moments stay."""

from math import sqrt

from numpy.typing import ArrayLike

from bitdrop import _checks
from bitdrop._checks import NoiseShape
from bitdrop._layer import Layer, shared_after

# What SELU tends to for inputs far below 0: -lambda * alpha, where lambda = 1.0507009873554805 and
# alpha = 1.6732632423543772 (Klambauer et al., 2017).
_SELU_SATURATION = -1.0507009873554805 * 1.6732632423543772


class AlphaDropout(Layer):
    """Dropout for self-normalising networks: keeps mean and variance, as `torch.nn.AlphaDropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Notes
    -----
    Behind SELU a dropped unit does not become 0 but what SELU gives far below 0, ``s = -lambda * alpha =
    -1.7581``. An affine map then restores mean 0 and variance 1 (section "Alpha dropout" of [1]_)::

        y = a * (kept ? x : s) + b,    a = ((1 - p) * (1 + p * s**2)) ** -0.5,    b = -a * p * s

    The gradient is ``a * dy`` where x was kept, and +0.0 elsewhere; `mask` has ``a`` as its scale. With p = 0
    x stays bit for bit as it is. With p = 1 everything becomes +0.0, the limit of ``a * s + b``.

    References
    ----------
    .. [1] G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks",
       NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.random.default_rng(0).standard_normal(1_000_000)
    >>> y = bitdrop.AlphaDropout(p=0.3, rng=0)(x)
    >>> print(f"mean {y.mean():.2f}, standard deviation {y.std():.2f}")
    mean 0.00, standard deviation 1.00
    """

    def _set_numbers(self, p: float) -> None:
        if p in (0.0, 1.0):
            self._scale, self._shift, self._dropped = 1.0 - p, 0.0, 0.0
            return
        self._scale, self._shift, self._dropped = affine_numbers(p)


def affine_numbers(p: float) -> tuple[float, float, float]:
    """Return scale and shift of kept units and the value of dropped ones, for p < 1: see `AlphaDropout`."""
    a = 1.0 / sqrt((1.0 - p) * (1.0 + p * _SELU_SATURATION**2))
    dropped = a * (1.0 - p) * _SELU_SATURATION  # a * s + b, without the loss of digits near p = 1
    return a, -a * p * _SELU_SATURATION, dropped


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole channels, as `torch.nn.FeatureAlphaDropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a channel of a sample is dropped, in [0, 1].
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    RuntimeError
        By `forward`, if x has fewer than two axes, as in PyTorch.

    Notes
    -----
    The first two axes of x are samples and channels, whatever their number. That is what PyTorch does, though
    its documentation tells of inputs without samples: pass ``x[np.newaxis]`` for them.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> y = bitdrop.FeatureAlphaDropout(p=0.5, rng=0)(np.ones((1, 3, 2)))
    >>> y.round(2)
    array([[[-0.78, -0.78],
            [ 1.67,  1.67],
            [ 1.67,  1.67]]])
    """

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape:
        shape = _checks.array(x)[0].shape
        if len(shape) < 2:
            raise RuntimeError(f"FeatureAlphaDropout needs x of shape (N, C, ...), but its shape is {shape}.")
        return shared_after(2, shape)
