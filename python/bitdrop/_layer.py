"""What all layers are: an object with a mode, a place in its stream of masks, and the last mask."""

import os
import threading
from typing import Any, Self
from weakref import WeakSet

from numpy.typing import ArrayLike

from bitdrop import _checks, _core, _rng
from bitdrop._checks import Array, NoiseShape, Number, Shape
from bitdrop._cut import Shard
from bitdrop._rng import RNGLike
from bitdrop.functional import drop, infer
from bitdrop.mask import Mask, keep_scale

_STREAMS = 2**64

_layers: "WeakSet[Layer]" = WeakSet()


def _after_fork_in_child() -> None:
    for layer in list(_layers):
        layer._lock = threading.Lock()  # another thread of the parent may have held it
        if layer._unseeded:
            layer._key = _rng.draw_key(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Layer:
    """Base of the layers. A kind of layer says what is drawn, and by what numbers elements change.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.
    """

    training: bool

    # Kept elements become scale * x + shift in training, dropped elements become `dropped`; at inference all
    # are multiplied by `inference_scale`.
    _scale: float
    _shift = 0.0
    _dropped = 0.0
    _inference_scale = 1.0

    def __init__(
        self,
        p: Number = 0.5,
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        self.p = p
        self._inplace = _checks.flag(inplace, "inplace")
        self._recompute = _checks.flag(recompute, "recompute")
        self.training = True
        self._lock = threading.Lock()
        self._mask: Mask | None = None
        self._position = 0
        self._key = _rng.draw_key(rng)
        self._unseeded = rng is None  # a forked child draws another key
        _layers.add(self)

    def _set_numbers(self, p: float) -> None:
        """Set the numbers by which elements change, for a probability that was checked."""
        self._scale = keep_scale(p)

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape | None:
        """Return the shape of what is drawn for x, or None if each element is. Refuse x of other axes."""
        return None

    @property
    def p(self) -> float:
        """Probability that a unit is dropped. Setting it concerns later passes; earlier masks keep theirs."""
        return self._p

    @p.setter
    def p(self, p: Number) -> None:
        self._p = _checks.probability(p)
        self._set_numbers(self._p)

    @property
    def mask(self) -> Mask | None:
        """Mask of the last forward pass, or None before the first."""
        return self._mask

    def __call__(self, x: ArrayLike, training: bool | None = None, **options: Any) -> Array:
        """Do a forward pass: the same as `forward`."""
        return self.forward(x, training, **options)

    def forward(
        self,
        x: ArrayLike,
        training: bool | None = None,
        *,
        out: Array | None = None,
        shard: Shard | None = None,
    ) -> Array:
        """Drop units of x while training; at inference return x, or scale it where scaling is "vanilla".

        Parameters
        ----------
        x : array_like
            Of any shape, and of dtype float16, bfloat16, float32 or float64.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.
        shard : Shard, optional
            Says that x is a part of a larger array, and where. It concerns training alone.

        Returns
        -------
        ndarray
            ``out``, or a new array, or x itself.

        Raises
        ------
        TypeError, ValueError
            As `bitdrop.dropout`, and where the layer writes in place, if out is given, or x is not an array
            that may be written to. The layer's state is then as it was.
        """
        training = self.training if training is None else _checks.flag(training, "training")
        if self._inplace:
            out = _checks.inplace_target(x, out)
        noise_shape = self._noise_shape_of(x)
        if training:
            y, mask = drop(
                x,
                self._p,
                self._scale,
                self._take_key,
                out,
                not self._recompute,
                noise_shape,
                shard,
                self._shift,
                self._dropped,
            )
        else:
            y, mask = infer(x, self._inference_scale, out)
        self._mask = mask
        return y

    def backward(self, dy: ArrayLike, *, out: Array | None = None) -> Array:
        """Return the gradient with respect to the input of the last forward pass.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the output of that pass, of its shape, and of a supported dtype.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * dy`` where the unit was kept, +0.0 where it was dropped.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        TypeError, ValueError
            As `Mask.backward`.
        """
        mask = self._mask
        if mask is None:
            _checks.no_forward_yet()
        return mask.backward(dy, out=out)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and return the layer."""
        self.training = _checks.flag(mode, "mode")
        return self

    def eval(self) -> Self:
        """Set the mode to inference, and return the layer."""
        return self.train(False)

    @property
    def state(self) -> dict[str, Any]:
        """What decides the masks to come: a dict of format, key and position, which JSON can hold.

        A layer whose state is set goes on bit for bit as the layer that it was taken from.
        """
        with self._lock:
            return {"format": _core.MASK_FORMAT, "key": list(self._key), "position": self._position}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        key, position = _checks.state(state)
        with self._lock:
            self._key, self._position, self._unseeded = key, position, False

    def _take_key(self) -> tuple[tuple[int, int], int]:
        with self._lock:
            position = self._position
            if position >= _STREAMS:
                _checks.no_streams_left()
            self._position = position + 1
            return self._key, position

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy take along: all but the lock."""
        state = {name: value for name, value in vars(self).items() if name != "_lock"}
        with self._lock:
            state.update(_key=self._key, _position=self._position, _unseeded=False, _format=_core.MASK_FORMAT)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the layer from what `__getstate__` returned."""
        _checks.mask_format(state.pop("_format"), "The pickled layer")
        vars(self).update(state, _lock=threading.Lock())
        _layers.add(self)

    def __repr__(self) -> str:
        """Return the call that makes such a layer, without its key."""
        return f"{type(self).__name__}({self._arguments()})"

    def _arguments(self) -> str:
        return f"p={self._p!r}, {self._switches()}"

    def _switches(self) -> str:
        return f"inplace={self._inplace}, recompute={self._recompute}"


def shared_after(axes: int, shape: Shape) -> NoiseShape:
    """Return the noise shape of one draw for each index of the first `axes` axes."""
    return (None,) * axes + (1,) * (len(shape) - axes)
