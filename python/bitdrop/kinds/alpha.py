"""Layers for self-normalising networks: a dropped unit becomes SELU's lowest value, and moments stay."""

from __future__ import annotations

from math import sqrt

from bitdrop._core import Operation, Rule, Units
from bitdrop._layer import Layer


class AlphaDropout(Layer):
    """Dropout for self-normalising networks: keeps mean and variance, as `torch.nn.AlphaDropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1].
    inplace, recompute, noise_shape, rng
        As in `Dropout`.

    Notes
    -----
    After SELU, a dropped unit does not become 0 but SELU's limit far below 0, ``s = -lambda *
    alpha = -1.7581``. An affine map then restores mean 0 and variance 1 (section "Alpha dropout" of [1]_)::

        y = a * (kept ? x : s) + b,    a = ((1 - p) * (1 + p * s**2)) ** -0.5,    b = -a * p * s

    The gradient is ``a * dy`` where x was kept, and +0.0 elsewhere. `mask` has ``a`` as its scale, ``b`` as
    its shift and ``a * s + b`` as its value of dropped units. With p = 0, x stays bit for bit as it is. With
    p = 1, everything becomes +0.0, the limit of ``a * s + b``. Complex x is a TypeError: SELU is a
    function of real numbers.

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

    def _rule_of(self, p: float) -> Rule:
        return alpha_rule(p, self._units, not self._recompute)


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
    NdimError
        By `forward`, if x has fewer than two axes.

    Notes
    -----
    The first two axes of x are samples and channels, whatever the number of axes. PyTorch does
    the same, though its documentation describes inputs without samples: pass ``x[np.newaxis]`` for them.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> y = bitdrop.FeatureAlphaDropout(p=0.5, rng=0)(np.ones((1, 3, 2)))
    >>> y.round(2)
    array([[[-0.78, -0.78],
            [ 1.67,  1.67],
            [ 1.67,  1.67]]])
    """

    _fixed_units = Units(2, needs="FeatureAlphaDropout needs x of shape (N, C, ...)")


def alpha_rule(p: float, units: Units, store: bool = True) -> Rule:
    """Return the rule that keeps mean 0 and variance 1 after SELU: see `bitdrop.AlphaDropout`."""
    return Rule(p, Operation.affine(*coefficients(p)), units=units, store=store)


def coefficients(p: float) -> tuple[float, float, float]:
    """Return scale, shift and the value of dropped elements."""
    if p in (0.0, 1.0):
        return 1.0 - p, 0.0, 0.0
    # SELU's limit far below 0: -lambda * alpha, with lambda = 1.0507009873554805 and
    # alpha = 1.6732632423543772 (Klambauer et al., 2017).
    limit = -1.0507009873554805 * 1.6732632423543772
    scale = 1.0 / sqrt((1.0 - p) * (1.0 + p * (limit * limit)))
    # scale * s + shift, without the loss of digits near p = 1
    return scale, -scale * p * limit, scale * (1.0 - p) * limit
