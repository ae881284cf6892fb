"""The mask of zoneout as a value."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from bitdrop import _validate
from bitdrop._core import Operation, Pass, Rule, Units
from bitdrop._shard import Shard
from bitdrop._typing import Array, Key, NoiseShape, Number, Shape
from bitdrop.records.record import BitRecord, given_pass, pass_of_arguments


class ZoneoutMask(BitRecord):
    """The elements that take their new value in a pass of zoneout; the others keep their previous one.

    A mask is a value, as `Mask` is: its parameters say everything about it. `numpy.asarray` of it is True for
    elements that take the new value.

    Parameters
    ----------
    shape : int or tuple of ints
        Shape of the states.
    p : float
        Probability that an element keeps its previous value, in [0, 1].
    key : tuple of two ints
        ``(k0, k1)``, each in [0, 2**64).
    stream : int, default 0
        Number of the call under that key, in [0, 2**64).
    training : bool, default True
        False for the mask of inference, which blends: ``(1 - p) * new + p * previous``.
    noise_shape : sequence of ints and None, optional
        Shape of the draws, as in `Mask`.
    shard : Shard, optional
        The place of the states in larger ones. noise_shape then refers to the larger ones.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of range.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> mask = bitdrop.ZoneoutMask(6, 0.5, key=(1, 2))
    >>> mask.apply(np.arange(6.0), np.full(6, -1.0))
    array([-1.,  1.,  2., -1., -1.,  5.])
    """

    __slots__ = ()

    def __init__(
        self,
        shape: int | Shape,
        p: Number,
        *,
        key: Key,
        stream: int = 0,
        training: bool = True,
        noise_shape: NoiseShape | None = None,
        shard: Shard | None = None,
    ) -> None:
        if _validate.as_flag(training, "training"):
            self._pass = pass_of_arguments(zoneout_rule, shape, p, (key, stream), noise_shape, shard)
        else:
            _validate.as_key(key), _validate.as_word(stream, "stream")
            self._pass = _blend(_validate.as_shape(shape), zoneout_rule(p, Units()))

    @classmethod
    def from_array(cls, kept: ArrayLike, *, shape: int | Shape | None = None) -> ZoneoutMask:
        """Return the mask of an array.

        Parameters
        ----------
        kept : array_like of bool
            True for elements that take their new value. The mask holds a bit of each.
        shape : int or tuple of ints, optional
            Shape of the mask, to which kept is broadcast. None means kept's own.

        Returns
        -------
        ZoneoutMask
            A mask as any other, without `p`, `key` and `stream`.

        Raises
        ------
        TypeError, ValueError
            As `Mask.from_array`.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> mask = bitdrop.ZoneoutMask.from_array([True, False, True])
        >>> mask.apply(np.ones(3), np.zeros(3))
        array([1., 0., 1.])
        """
        return cls._of(given_pass(kept, shape, Operation.select()))

    @property
    def p(self) -> float:
        """Probability with which each element kept its previous value."""
        return super().p if self.training else self._pass.operation.shift

    @property
    def training(self) -> bool:
        """True if elements were chosen at random, False if the states were blended."""
        return self._pass.operation.name == "select"

    def apply(self, new: ArrayLike, previous: ArrayLike, *, out: Array | None = None) -> Array:
        """Repeat the forward pass on two states.

        Parameters
        ----------
        new, previous : array_like
            Of the mask's shape, and of one dtype.
        out : ndarray, optional
            Where to write the result: an array of that shape and dtype, or one of the two.

        Returns
        -------
        ndarray
            ``out``, or a new array.

        Raises
        ------
        TypeError, ValueError
            As `bitdrop.zoneout`, or if new is not of the mask's shape.
        """
        return self._pass.repeat((new, previous), out)

    def backward(self, dh: ArrayLike, *, out: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
        """Return the gradients with respect to the new and to the previous state.

        Parameters
        ----------
        dh : array_like
            Gradient with respect to the result, of the mask's shape and of a supported dtype.
        out : pair of ndarrays, optional
            Where to write the two gradients: arrays of dh's shape and dtype. Either may be dh itself.

        Returns
        -------
        dnew, dprevious : ndarray
            dh for elements that took the new value, +0.0 for others, and the reverse. At inference
            ``(1 - p) * dh`` and ``p * dh``.

        Raises
        ------
        TypeError, ValueError
            As `Mask.backward`.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> dnew, dprevious = bitdrop.ZoneoutMask(6, 0.5, key=(1, 2)).backward(np.ones(6))
        >>> dprevious
        array([1., 0., 0., 1., 1., 0.])
        >>> dnew + dprevious
        array([1., 1., 1., 1., 1., 1.])
        """
        gradients: tuple[Array, Array] = self._pass.gradient(dh, out)
        return gradients

    def part(self, start: int | Shape, shape: int | Shape) -> ZoneoutMask:
        """Return the mask of a part of the elements, as `Mask.part`."""
        part = super().part(start, shape)
        assert isinstance(part, ZoneoutMask)
        return part

    def _leading(self) -> tuple[Any, ...]:
        return (self.p,)

    def _options(self) -> dict[str, Any]:
        return self._places() if self.training else {"training": False}


def zoneout_rule(p: Number, units: Units, store: bool = True) -> Rule:
    """Return the rule of zoneout, for a p that has not been validated."""
    probability = _validate.as_probability(p)
    blend = Operation.blend(1.0 - probability, probability)
    return Rule(probability, Operation.select(), blend, units, store=store)


def _blend(shape: Shape, rule: Rule) -> Pass:
    """Return the pass of inference."""
    return rule.pass_with_key(shape, (0, 0), training=False)
