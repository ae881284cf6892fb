"""Dropout as a layer: an object with a mode, a place in its stream of masks, and the last mask."""

import os
import threading
from typing import Any, Self
from weakref import WeakSet

from numpy.typing import ArrayLike

from bitdrop import _checks, _core, _rng
from bitdrop._checks import Array
from bitdrop._rng import RNGLike
from bitdrop.functional import SCALINGS, Scaling, drop, infer, inference_scale, training_scale
from bitdrop.mask import Mask

_DEFAULT_P = _checks.DefaultP(0.5)
_STREAMS = 2**64

_layers: "WeakSet[Dropout]" = WeakSet()


def _after_fork_in_child() -> None:
    for layer in list(_layers):
        layer._lock = threading.Lock()  # another thread of the parent may have held it
        if layer._unseeded:
            layer._key = _rng.draw_key(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Dropout:
    """Dropout layer: drops units while training, passes gradients back where the signal passed.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1].
    keep_prob : float, optional
        Probability that a unit is kept, instead of p: p is 1 - keep_prob.
    scaling : {"inverted", "vanilla"}
        As in `bitdrop.dropout`.
    inplace : bool, default False
        Whether forward writes its result into x.
    recompute : bool, default False
        Whether to hold no bits between forward and backward, but make them again. It saves one bit a unit.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Where the layer's key is drawn from, once. With None, it is drawn again in a forked child.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.

    Raises
    ------
    TypeError
        If p or keep_prob is not a number, if both are given, or if another argument is of the wrong type.
    ValueError
        If p or keep_prob is not in [0, 1], or scaling is no such convention.

    Notes
    -----
    Each successful forward pass in training takes the next stream number under the layer's key, also where p
    is 0. Several threads may call one layer: no number is used twice. `backward` goes through the mask of the
    last forward pass; where a layer is used more than once before backward, keep `mask` of each call and call
    its `Mask.backward`. A copy of a layer has its key and position, and so makes the same masks.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.Dropout(p=0.25, rng=0)
    >>> x = np.ones((2, 3))
    >>> layer(x)
    array([[0.        , 1.33333333, 1.33333333],
           [1.33333333, 1.33333333, 1.33333333]])
    >>> layer.backward(np.full((2, 3), 3.0))
    array([[0., 4., 4.],
           [4., 4., 4.]])
    """

    training: bool

    def __init__(
        self,
        p: float = _DEFAULT_P,
        *,
        keep_prob: float | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        _checks.choice(scaling, "scaling", SCALINGS)
        self._scaling: Scaling = scaling
        self.p = _checks.drop_probability(p, keep_prob)
        self._inplace = _checks.flag(inplace, "inplace")
        self._recompute = _checks.flag(recompute, "recompute")
        self.training = True
        self._lock = threading.Lock()
        self._mask: Mask | None = None
        self._position = 0
        self._key = _rng.draw_key(rng)
        self._unseeded = rng is None  # a forked child draws another key
        _layers.add(self)

    @property
    def p(self) -> float:
        """Probability that a unit is dropped. Setting it concerns later passes; earlier masks keep theirs."""
        return self._p

    @p.setter
    def p(self, p: float) -> None:
        self._p = _checks.probability(p)
        self._training_scale = training_scale(self._p, self._scaling)

    @property
    def mask(self) -> Mask | None:
        """Mask of the last forward pass, or None before the first."""
        return self._mask

    def __call__(self, x: ArrayLike, training: bool | None = None, *, out: Array | None = None) -> Array:
        """Do a forward pass: the same as `forward`."""
        return self.forward(x, training, out=out)

    def forward(self, x: ArrayLike, training: bool | None = None, *, out: Array | None = None) -> Array:
        """Drop units of x while training; at inference return x, or scale it where scaling is "vanilla".

        Parameters
        ----------
        x : array_like
            Of any shape, and of dtype float16, bfloat16, float32 or float64.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.

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
        if training:
            y, mask = drop(x, self._p, self._training_scale, self._take_key, out, not self._recompute)
        else:
            y, mask = infer(x, inference_scale(self._p, self._scaling), out)
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
            state.update(
                _key=self._key, _position=self._position, _unseeded=False, _format=_core.MASK_FORMAT
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the layer from what `__getstate__` returned."""
        _checks.mask_format(state.pop("_format"), "The pickled layer")
        vars(self).update(state, _lock=threading.Lock())
        _layers.add(self)

    def __repr__(self) -> str:
        """Return the call that makes such a layer, without its key."""
        return (
            f"{type(self).__name__}(p={self._p!r}, scaling={self._scaling!r}, inplace={self._inplace}, "
            f"recompute={self._recompute})"
        )
