"""Zoneout: units of recurrent networks keep their previous value at random."""

from __future__ import annotations

from typing import Never

from numpy.typing import ArrayLike

from bitdrop._core import Rule
from bitdrop._keywords import collects_unknown, raise_unknown
from bitdrop._layer import Layer
from bitdrop._run import run
from bitdrop._shard import Shard, units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike
from bitdrop.records import ZoneoutMask
from bitdrop.records.zoneout import zoneout_rule


@collects_unknown
def zoneout(
    new: ArrayLike,
    previous: ArrayLike,
    p: Number = 0.1,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    out: Array | None = None,
    noise_shape: NoiseShape | None = None,
    shard: Shard | None = None,
    **unknown: Never,
) -> tuple[Array, ZoneoutMask]:
    """Keep each element's previous value with probability `p`: zoneout of recurrent states.

    The method is from [1]_.

    Parameters
    ----------
    new, previous : array_like
        The state after a step and before it: of one shape, any strides, and one dtype that
        `bitdrop.dropout` supports.
    p : float, default 0.1
        Probability that an element keeps its previous value, in [0, 1].
    training : bool, default True
        Whether to choose at random. At inference the result is the expectation,
        ``(1 - p) * new + p * previous``.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        As in `bitdrop.dropout`. The elements that keep their previous value are those that it would drop.
    out : ndarray, optional
        Where to write the result: an array of that shape and dtype, or new or previous itself.
    noise_shape, shard
        As in `bitdrop.dropout`. ``(None, 1)`` lets all units of a sample keep their value, or none.

    Returns
    -------
    h : ndarray
        ``out``, or a new array. Chosen elements are copied, nothing is scaled.
    mask : ZoneoutMask
        ``mask.backward(dh)`` returns the gradients ``(dnew, dprevious)``.

    Raises
    ------
    TypeError
        If p is not a number, new or previous is of another dtype or they are of two dtypes, or out is not of
        their dtype.
    ValueError
        If p is not in [0, 1], shapes differ, or out is read-only or overlaps itself, new or previous in part.

    References
    ----------
    .. [1] D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations",
       ICLR 2017.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> previous, new = np.zeros(6), np.arange(1.0, 7.0)
    >>> h, mask = bitdrop.zoneout(new, previous, p=0.5, rng=0)
    >>> h
    array([0., 2., 3., 4., 0., 6.])
    >>> dnew, dprevious = mask.backward(np.ones(6))
    >>> dprevious
    array([1., 0., 0., 0., 1., 0.])
    """
    if unknown:
        raise_unknown(zoneout, unknown)
    rule = zoneout_rule(p, units_of(noise_shape))
    h, done = run(rule, (new, previous), out, training, rng, shard)
    return h, ZoneoutMask._of(done)


class Zoneout(Layer):
    """Zoneout layer for recurrent networks: units keep their previous value at random, see `bitdrop.zoneout`.

    Parameters
    ----------
    p : float, default 0.1
        Probability that a unit keeps its previous value, in [0, 1].
    inplace : bool, default False
        Whether forward writes its result into new.
    recompute, noise_shape, rng
        As in `Dropout`.

    Examples
    --------
    One step of a recurrent network and its backward pass. Each call draws a new mask; keep `mask` of each:

    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.Zoneout(p=0.5, rng=0)
    >>> previous, new = np.zeros(6), np.ones(6)
    >>> layer(new, previous)
    array([0., 1., 1., 1., 0., 1.])
    >>> dnew, dprevious = layer.backward(np.ones(6))
    >>> layer.eval()(new, previous)
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """

    _record = ZoneoutMask
    _inputs = ("new", "previous")

    def __init__(
        self,
        p: Number = 0.1,
        *,
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        super().__init__(p, inplace=inplace, recompute=recompute, noise_shape=noise_shape, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return zoneout_rule(p, self._units, not self._recompute)
