"""Base class of the layers: mode, stream number, last pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any, ClassVar, Self
from weakref import WeakSet

from numpy.typing import ArrayLike

from bitdrop import _random, _validate
from bitdrop._arrays import as_inplace_target
from bitdrop._compat import upgraded
from bitdrop._core import Pass, Rule, StreamCounter, Units
from bitdrop._keywords import ExplainsKeywords, own_units_message, signature_without, unknown_in_call_message
from bitdrop._shard import ELEMENTS, Shard, units_of
from bitdrop._typing import Array, NoiseShape, Number, RNGLike, Scaling
from bitdrop.records import Mask, Record

_layers: WeakSet[Layer] = WeakSet()


def _after_fork_in_child() -> None:
    for layer in list(_layers):
        if layer._unseeded:
            layer._counter = layer._counter.renewed(_random.draw_key(None), layer._counter.position)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

_MADE_ANEW = ("_rule", "_made")  # attributes that follow from others


class Layer(ExplainsKeywords):
    """Base of the layers. A subclass gives the rule of its passes, and the names of their inputs.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.
    """

    training: bool
    _rule: Rule

    _record: ClassVar[type[Record]] = Mask  # the class of `mask`
    _inputs: ClassVar[tuple[str, ...]] = ("x",)
    _further_inputs: ClassVar[tuple[str, ...]] = ()  # by keyword, and optional
    _fixed_units: ClassVar[Units | None] = None  # None: those of noise_shape

    def __init_subclass__(cls, **options: Any) -> None:
        """Hide the noise shape of the constructor, if the class says which elements share a draw."""
        super().__init_subclass__(**options)
        if cls._fixed_units is not None:
            shown = signature_without(cls.__init__, "self", "noise_shape")
            cls.__signature__ = shown  # type: ignore[attr-defined]

    def __init__(
        self,
        p: Number = 0.5,
        *,
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        if noise_shape is not None and self._units_of_class() is not None:
            raise TypeError(own_units_message(type(self).__name__))
        self._inplace = _validate.as_flag(inplace, "inplace")
        self._recompute = _validate.as_flag(recompute, "recompute")
        self._noise_shape = None if noise_shape is None else _validate.as_noise_entries(noise_shape)
        self.p = p
        self.training = True
        self._pass: Pass | None = None  # the last one
        self._made: tuple[Pass, Record] | None = None  # the last record that was asked for
        self._counter = StreamCounter(_random.draw_key(rng), 0)
        self._unseeded = rng is None  # a forked child, a copy and a pickle draw another key
        _layers.add(self)

    def _rule_of(self, p: float) -> Rule:
        """Return the rule of passes with a validated p."""
        raise NotImplementedError

    def _units_of_class(self) -> Units | None:
        """Return the units that only the class decides. None: those of noise_shape."""
        return self._fixed_units

    @property
    def _units(self) -> Units:
        return self._units_of_class() or (
            ELEMENTS if self._noise_shape is None else units_of(self._noise_shape)
        )

    @property
    def p(self) -> float:
        """Probability that a unit is dropped. Setting it affects later passes; earlier masks keep theirs."""
        return self._rule.p

    @p.setter
    def p(self, p: Number) -> None:
        self._rule = self._rule_of(_validate.as_probability(p))

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted", unless the layer has another choice."""
        return "inverted"

    @property
    def inplace(self) -> bool:
        """True if forward writes its result into its first input."""
        return self._inplace

    @property
    def recompute(self) -> bool:
        """True if no bits are held between forward and backward."""
        return self._recompute

    @property
    def noise_shape(self) -> NoiseShape | None:
        """Shape of the draws, as the constructor got it. None if it got none."""
        return self._noise_shape

    @property
    def mask(self) -> Any:
        """Mask of the last forward pass, or None before the first."""
        done, made = self._pass, self._made
        if done is None:
            return None
        if made is None or made[0] is not done:
            self._made = made = done, self._record._of(done)
        return made[1]

    def __call__(self, *inputs: Any, **options: Any) -> Array:
        """Do a forward pass, as `forward`."""
        return self.forward(*inputs, **options) if options else self.forward(*inputs)

    def forward(
        self,
        *inputs: Any,
        training: bool | None = None,
        out: Array | None = None,
        shard: Shard | None = None,
        **further: Any,
    ) -> Array:
        """Drop units while training; at inference do what is left of the pass.

        Parameters
        ----------
        *inputs : array_like
            ``x``; of `Zoneout` ``new`` and ``previous``. Each of any shape and of a dtype that the layer's
            function supports. After them, `training` may be given by position.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            Where to write the result: an array of the first input's shape and dtype, or that input itself.
        shard : Shard, optional
            Place of the inputs in larger ones, if they are parts. It affects training alone.
        **further : array_like
            ``bias`` and ``residual`` of `FusedDropout`.

        Returns
        -------
        ndarray
            ``out``, or a new array, or at inference the first input itself if nothing is to be done.

        Raises
        ------
        TypeError, ValueError
            As the layer's function. If the layer writes in place, also if out is given, or the first input is
            not an array that may be written to. The layer's state is then as it was.
        """
        if further or len(inputs) != len(self._inputs):
            inputs, training = self._bound(inputs, training, further)
        if training is None:
            training = self.training
        if training is not True and training is not False:
            training = _validate.as_flag(training, "training")
        if self._inplace:
            out = as_inplace_target(inputs[0], out, self._inputs[0])
        y, self._pass = self._rule.run(inputs, out, self._counter, training, shard)
        return y

    def _bound(
        self, given: tuple[Any, ...], training: bool | None, further: dict[str, Any]
    ) -> tuple[tuple[Any, ...], bool | None]:
        """Return all inputs in order, and the mode: of a call by keywords, or with the mode by position."""
        names, values = self._inputs, list(given)
        if len(values) > len(names) and training is None:
            training = values.pop()
        if len(values) > len(names):
            raise TypeError(
                f"forward takes {_validate.listed(names)}, and training, but got {len(given)} arguments."
            )
        for name in names[len(values) :]:
            if name not in further:
                raise TypeError(f"forward needs {_validate.listed(names)}, but got no {name}.")
            values.append(further.pop(name))
        values += [further.pop(name, None) for name in self._further_inputs]
        if further:
            known = (*names, *self._further_inputs, "training", "out", "shard")
            raise TypeError(unknown_in_call_message(self, further, known))
        return tuple(values), training

    def backward(self, dy: ArrayLike, *, out: Any = None, bias_gradient: Array | None = None) -> Any:
        """Return the gradient with respect to the input of the last forward pass.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the output of that pass, of its shape, and of a supported dtype.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself. Of `Zoneout` a pair.
        bias_gradient : ndarray, optional
            Where `FusedDropout` writes the gradient with respect to the bias: see `FusedMask.backward`.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * dy`` for kept units, +0.0 for dropped ones. Of `Zoneout` a
            pair, as by `ZoneoutMask.backward`.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        TypeError, ValueError
            As `Mask.backward`.
        """
        done = self._pass
        if done is None:
            _validate.raise_no_forward(self._record._format)
        return done.gradient(dy, out, bias_gradient)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and return the layer."""
        self.training = _validate.as_flag(mode, "mode")
        return self

    def eval(self) -> Self:
        """Set the mode to inference, and return the layer."""
        return self.train(False)

    def locked(self) -> AbstractContextManager[None]:
        """Return a context manager: inside, every training forward uses one stream number, so the same mask.

        The first forward pass inside takes the number, the others repeat it. Shapes may differ: a smaller
        array then has the first bits of the same stream. The lock holds for the thread that entered it; other
        threads take numbers as always. Locks may be nested: the innermost continues the outermost.

        Examples
        --------
        One mask for all steps of a sequence:

        >>> import numpy as np, bitdrop
        >>> layer = bitdrop.Dropout(p=0.5, rng=0)
        >>> with layer.locked():
        ...     steps = [layer(np.ones(6)) for _ in range(3)]
        >>> steps[0]
        array([0., 2., 2., 2., 0., 2.])
        >>> bool((steps[0] == steps[2]).all())
        True
        """
        return self._counter.lock()

    @property
    def state(self) -> dict[str, Any]:
        """Format, key and position (the next stream number), as a dict that JSON can hold.

        A layer whose state is set continues bit for bit as the layer of the state.
        """
        counter = self._counter
        return {"format": self._format_number, "key": list(counter.key), "position": counter.position}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        key, position = _validate.as_state(state, self._record._format)
        self._counter, self._unseeded = self._counter.renewed(key, position), False

    @property
    def _format_number(self) -> int:
        return _validate.FORMATS[self._record._format]

    def reset(self, rng: RNGLike | None = None) -> None:
        """Draw a new key, and begin at stream number 0. The mode, p and the last mask stay.

        Parameters
        ----------
        rng
            As in the constructor.

        Examples
        --------
        >>> import numpy as np, bitdrop
        >>> layer, x = bitdrop.Dropout(rng=0), np.ones(6)
        >>> y = layer(x)
        >>> layer.reset(rng=0)
        >>> bool((layer(x) == y).all())
        True
        """
        counter = self._counter.renewed(_random.draw_key(rng), 0)
        self._counter, self._unseeded = counter, rng is None

    def __copy__(self) -> Self:
        """Return a copy. If the layer has no seed, the copy draws its own key, so that no mask repeats."""
        return self._copied(lambda attributes: attributes)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a deep copy, with a key as that of a copy."""
        return self._copied(lambda attributes: deepcopy(attributes, memo))

    def _copied(self, copied_attributes: Callable[[dict[str, Any]], dict[str, Any]]) -> Self:
        copied = object.__new__(type(self))
        immutable = {"_counter", "_pass", *_MADE_ANEW}
        mutable = {name: value for name, value in vars(self).items() if name not in immutable}
        key, position = self._counter.key, self._counter.position
        copied._restore(copied_attributes(mutable) | {"_pass": self._pass}, self.p, key, position)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle."""
        attributes = {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}
        counter = self._counter
        place = {"_counter": (counter.key, counter.position)}
        return attributes | place | {"_format": self._format_number, "_p": self.p}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the layer from the state of `__getstate__`."""
        state = upgraded(state)
        _validate.check_format(state.pop("_format"), self._record._format, "The pickled layer")
        self._restore(state, state.pop("_p"), *state.pop("_counter"))

    def _restore(self, attributes: dict[str, Any], p: float, key: Any, position: int) -> None:
        """Set all attributes. A layer without a seed draws a key, so that no mask repeats."""
        if attributes["_unseeded"]:
            key, position = _random.draw_key(None), 0
        vars(self).update(attributes, _made=None, _counter=StreamCounter(key, position))
        self.p = p
        _layers.add(self)

    def __repr__(self) -> str:
        """Return the constructor call, without the key."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({shown})"

    def _arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, in order."""
        return {"p": self.p} | self._switches()

    def _switches(self) -> dict[str, Any]:
        switches: dict[str, Any] = {"inplace": self._inplace, "recompute": self._recompute}
        return switches if self._noise_shape is None else switches | {"noise_shape": self._noise_shape}
