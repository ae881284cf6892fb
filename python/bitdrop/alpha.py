"""Layers for self-normalising networks: a dropped unit becomes SELU's lowest value, and moments stay."""

from bitdrop._affine import Affine
from bitdrop._forward import Rule
from bitdrop._layer import Layer
from bitdrop._typing import NoiseShape, Number, RNGLike
from bitdrop._units import ELEMENTS, Units
from bitdrop.functional import units_of


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

    _units = ELEMENTS

    def __init__(
        self,
        p: Number = 0.5,
        *,
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        if noise_shape is not None:
            self._units = units_of(noise_shape)
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return Rule(p, Affine.alpha(p), units=self._units, accept_complex=False)


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

    _units = Units(2, needs="FeatureAlphaDropout needs x of shape (N, C, ...)")

    def __init__(
        self,
        p: Number = 0.5,
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)
