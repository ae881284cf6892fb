"""Zoneout: dropped units of a recurrent state keep their previous value."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bitdrop import _core, _engine, _validate
from bitdrop._affine import IDENTITY, Affine
from bitdrop._arrays import as_array, as_inplace_target, as_output, as_second_array
from bitdrop._bit_layout import BitLayout
from bitdrop._buffers import empty_bits
from bitdrop._forward import Rule
from bitdrop._layer import Layer
from bitdrop._plan import KEEP_ALL, Plan
from bitdrop._random import draw_key
from bitdrop._typing import Array, Key, Number, RNGLike, Shape
from bitdrop.mask import Mask

_SELECT = (1.0, 0.0, 0.0, _engine.Operation.ZONEOUT)


class ZoneoutMask(Mask):
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

    __slots__ = ("_blend",)

    _blend: float | None  # share of the previous state at inference. None: training

    def __init__(
        self, shape: int | Shape, p: Number, *, key: Key, stream: int = 0, training: bool = True
    ) -> None:
        probability = _validate.as_probability(p)
        plan = Plan(_validate.as_key(key), _validate.as_word(stream, "stream"), probability)
        random = _validate.as_flag(training, "training")
        self._set(_validate.as_shape(shape), plan, None if random else probability)

    @classmethod
    def _of_plan(cls, shape: Shape, plan: Plan, blend: float | None = None) -> "ZoneoutMask":
        """Return a mask of validated values."""
        self = object.__new__(cls)
        self._set(shape, plan, blend)
        return self

    def _set(self, shape: Shape, plan: Plan, blend: float | None, layout: BitLayout | None = None) -> None:
        self._shape, self._blend, self._layout, self._bits = shape, blend, layout, None
        self._plan = plan if blend is None else KEEP_ALL
        self._affine = IDENTITY if blend is None else Affine(1.0 - blend)

    @property
    def p(self) -> float:
        """Probability with which each element kept its previous value."""
        return self._plan.p if self._blend is None else self._blend

    @property
    def training(self) -> bool:
        """True if elements were chosen at random, False if the states were blended."""
        return self._blend is None

    def apply(  # type: ignore[override]
        self, new: ArrayLike, previous: ArrayLike, *, out: Array | None = None
    ) -> Array:
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
        operands = _operands(new, previous, out)
        _validate.check_same_shape(operands[1][0].shape, self._shape, "new")
        self._run(operands)
        return operands[1][0]

    def _run(self, operands: tuple[int, tuple[Array, ...]]) -> None:
        if self._blend is not None:
            blend = self._affine.scale, self._blend, 0.0, _engine.Operation.BLEND
            _engine.drop(operands, blend, KEEP_ALL)
        elif self._bits is None:
            _engine.drop(operands, _SELECT, self._plan, self._layout)
        else:
            _engine.apply(operands, _SELECT, self._bits, self._layout)

    def backward(self, dh: ArrayLike) -> tuple[Array, Array]:  # type: ignore[override]
        """Return the gradients with respect to the new and to the previous state.

        Parameters
        ----------
        dh : array_like
            Gradient with respect to the result, of the mask's shape and of a supported dtype.

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
        values, dtype = as_array(dh, "dh", True)
        _validate.check_same_shape(values.shape, self._shape, "dh")
        dnew, dprevious = as_output(None, values), as_output(None, values)
        if self._blend is not None:
            _engine.drop((dtype, (dnew, values)), self._affine, KEEP_ALL)
            _engine.drop((dtype, (dprevious, values)), Affine(self._blend), KEEP_ALL)
        else:
            bits = self.bits
            _engine.apply((dtype, (dnew, values)), IDENTITY, bits, self._layout)
            _engine.apply((dtype, (dprevious, values)), IDENTITY, np.invert(bits), self._layout)
        return dnew, dprevious

    def part(self, start: int | Shape, shape: int | Shape) -> "ZoneoutMask":
        """Return the mask of a part of the elements, as `Mask.part`."""
        part = super().part(start, shape)
        assert isinstance(part, ZoneoutMask)
        return part

    def _part(self, start: Shape, shape: Shape) -> "ZoneoutMask":
        part = object.__new__(ZoneoutMask)
        part._set(shape, self._plan, self._blend, self._layout_of_part(start, shape))
        return part

    def _parameters(self) -> tuple[Any, ...]:
        return self._shape, self._plan, self._blend, self.shard

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters and the number of the mask format, not the bits."""
        return _unpickled, (_core.MASK_FORMAT, *self._parameters())

    def __repr__(self) -> str:
        """Return the expression that makes the mask, or that makes the whole of which it is a part."""
        shape = self._shape if self.shard is None else self.shard.shape
        rest = "" if self._blend is None else ", training=False"
        whole = f"ZoneoutMask({shape}, {self.p!r}, key={self.key}, stream={self.stream}{rest})"
        return whole if self.shard is None else f"{whole}.part({self.shard.start}, {self._shape})"


def _unpickled(mask_format: int, shape: Shape, plan: Plan, blend: float | None, shard: Any) -> ZoneoutMask:
    _validate.check_format(mask_format, "mask", "The pickled mask")
    if shard is None:
        return ZoneoutMask._of_plan(shape, plan, blend)
    return ZoneoutMask._of_plan(shard.shape, plan, blend)._part(shard.start, shape)


def _operands(new: ArrayLike, previous: ArrayLike, out: Array | None) -> tuple[int, tuple[Array, ...]]:
    """Return the output and two inputs that belong together, and their dtype's code."""
    values, dtype = as_array(new, "new", True)
    old = as_second_array(previous, "previous", values, "new", accept_complex=True)
    h = as_output(out, values, "new")
    if out is not None:
        as_output(out, old, "previous")  # it must not overlap either in part
    return dtype, (h, values, old)


def _zone_out(
    operands: tuple[int, tuple[Array, ...]], p: float, draw: Callable[[], tuple[Key, int]], store: bool
) -> ZoneoutMask:
    """Select at random. `draw` is called once nothing can fail any more, as in `drop`."""
    shape = operands[1][0].shape
    bits = empty_bits(operands[1][0].size) if store else None
    plan = Plan(*draw(), p)
    _engine.drop(operands, _SELECT, plan, None, bits)
    mask = ZoneoutMask._of_plan(shape, plan)
    mask._bits = bits
    return mask


def _blended(operands: tuple[int, tuple[Array, ...]], p: float) -> ZoneoutMask:
    mask = ZoneoutMask._of_plan(operands[1][0].shape, KEEP_ALL, p)
    mask._run(operands)
    return mask


def zoneout(
    new: ArrayLike,
    previous: ArrayLike,
    p: Number = 0.1,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    out: Array | None = None,
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
    probability = _validate.as_probability(p)
    random = _validate.as_flag(training, "training")
    operands = _operands(new, previous, out)
    if random:
        mask = _zone_out(operands, probability, lambda: (draw_key(rng), 0), True)
    else:
        mask = _blended(operands, probability)
    return operands[1][0], mask


class Zoneout(Layer):
    """Zoneout layer for recurrent networks: units keep their previous value at random, see `bitdrop.zoneout`.

    Parameters
    ----------
    p : float, default 0.1
        Probability that a unit keeps its previous value, in [0, 1].
    inplace : bool, default False
        Whether forward writes its result into new.
    recompute, rng
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

    _mask: ZoneoutMask | None

    def __init__(
        self,
        p: Number = 0.1,
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _rule_of(self, p: float) -> Rule:
        return Rule(p, IDENTITY)

    @property
    def mask(self) -> ZoneoutMask | None:
        """Mask of the last forward pass, or None before the first."""
        return self._mask

    def __call__(  # type: ignore[override]
        self, new: ArrayLike, previous: ArrayLike, training: bool | None = None, **options: Any
    ) -> Array:
        """Do a forward pass, as `forward`."""
        return self.forward(new, previous, training, **options)

    def forward(  # type: ignore[override]
        self,
        new: ArrayLike,
        previous: ArrayLike,
        training: bool | None = None,
        *,
        out: Array | None = None,
    ) -> Array:
        """Return the state after a step: new, but for units that keep their previous value.

        Parameters
        ----------
        new, previous : array_like
            As in `bitdrop.zoneout`.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            As in `bitdrop.zoneout`.

        Returns
        -------
        ndarray
            ``out``, or a new array.

        Raises
        ------
        TypeError, ValueError
            As `bitdrop.zoneout`. If the layer writes in place, also if out is given, or new is not an array
            that may be written to. The layer's state is then as it was.
        """
        training = self.training if training is None else _validate.as_flag(training, "training")
        if self._inplace:
            out = as_inplace_target(new, out, "new")
        operands = _operands(new, previous, out)
        if training:
            self._mask = _zone_out(operands, self.p, self._counter.take, not self._recompute)
        else:
            self._mask = _blended(operands, self.p)
        return operands[1][0]

    def backward(self, dh: ArrayLike) -> tuple[Array, Array]:  # type: ignore[override]
        """Return the gradients with respect to the new and the previous state of the last forward pass.

        Parameters
        ----------
        dh : array_like
            Gradient with respect to the result of that pass, of its shape, and of a supported dtype.

        Returns
        -------
        dnew, dprevious : ndarray
            As `ZoneoutMask.backward`.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        TypeError, ValueError
            As `Mask.backward`.
        """
        mask = self._mask
        if mask is None:
            _validate.raise_no_forward()
        return mask.backward(dh)
