"""Base class of the layers: mode, stream number, last mask."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from types import FunctionType
from typing import Any, ClassVar, Self, TypeVar
from weakref import WeakSet

from numpy.typing import ArrayLike

from bitdrop import _random, _validate
from bitdrop._arrays import as_inplace_target
from bitdrop._bit_layout import Shard
from bitdrop._core import StreamCounter
from bitdrop._forward import Rule, drop, keep_all
from bitdrop._typing import Array, MaskValues, NoiseShape, Number, RNGLike, Scaling
from bitdrop.mask import Mask, repeat

_layers: "WeakSet[Layer]" = WeakSet()


def _after_fork_in_child() -> None:
    for layer in list(_layers):
        if layer._unseeded:
            layer._counter = layer._counter.renewed(_random.draw_key(None), layer._counter.position)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


LayerClass = TypeVar("LayerClass", bound="type[Layer]")


def names_itself(layer: LayerClass) -> LayerClass:
    """Give a class a copy of the `__init__` that it inherits, so that errors name the class called."""
    inherited: Any = getattr(layer, "__init__")  # noqa: B009
    code, variables = inherited.__code__, inherited.__globals__
    own: Any = FunctionType(code, variables, "__init__", inherited.__defaults__, inherited.__closure__)
    own.__kwdefaults__ = inherited.__kwdefaults__
    own.__annotations__ = inherited.__annotations__
    own.__qualname__ = f"{layer.__qualname__}.__init__"
    setattr(layer, "__init__", own)  # noqa: B010 - mypy takes an assignment for an error
    return layer


class Layer:
    """Base of the layers. A subclass gives the rule of its forward passes.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.
    """

    training: bool
    _rule: Rule

    # The passes in training and at inference, and the format of what they record.
    _drop: ClassVar[Callable[..., tuple[Array, Any]]] = staticmethod(drop)
    _keep_all: ClassVar[Callable[..., tuple[Array, Any]]] = staticmethod(keep_all)
    _format: ClassVar[str] = "mask"

    def __init__(
        self,
        p: Number = 0.5,
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        self._inplace = _validate.as_flag(inplace, "inplace")
        self._recompute = _validate.as_flag(recompute, "recompute")
        self.p = p
        self.training = True
        # Of the last forward pass: the values of a mask, or what a subclass has in its place.
        self._mask: Any = None
        self._made: tuple[MaskValues, Mask] | None = None  # the last mask that was asked for
        self._counter = StreamCounter(_random.draw_key(rng), 0)
        self._unseeded = rng is None  # a forked child and a copy draw another key
        _layers.add(self)

    def _rule_of(self, p: float) -> Rule:
        """Return the rule of forward passes with a validated p."""
        raise NotImplementedError

    @property
    def p(self) -> float:
        """Probability that a unit is dropped. Setting it affects later passes; earlier masks keep theirs."""
        return self._rule.p

    @p.setter
    def p(self, p: Number) -> None:
        self._rule = self._rule_of(_validate.as_probability(p))._replace(store_bits=not self._recompute)

    @property
    def scaling(self) -> Scaling:
        """Scaling convention: "inverted", unless the layer has another choice."""
        return "inverted"

    @property
    def inplace(self) -> bool:
        """True if forward writes its result into x."""
        return self._inplace

    @property
    def recompute(self) -> bool:
        """True if no bits are held between forward and backward."""
        return self._recompute

    @property
    def noise_shape(self) -> NoiseShape | None:
        """Shape of the draws, as the constructor got it. None if it got none."""
        return self._rule.units.noise

    @property
    def mask(self) -> Mask | None:
        """Mask of the last forward pass, or None before the first."""
        mask, made = self._mask, self._made
        if type(mask) is tuple:
            if made is None or made[0] is not mask:
                self._made = made = mask, Mask._of(mask)
            return made[1]
        return mask  # type: ignore[no-any-return]

    def __call__(self, x: ArrayLike, training: bool | None = None, **options: Any) -> Array:
        """Do a forward pass, as `forward`."""
        return self.forward(x, training, **options) if options else self.forward(x, training)

    def forward(
        self,
        x: ArrayLike,
        training: bool | None = None,
        *,
        out: Array | None = None,
        shard: Shard | None = None,
    ) -> Array:
        """Drop units of x while training; at inference return x, or scale it if scaling is "vanilla".

        Parameters
        ----------
        x : array_like
            Of any shape, and of a dtype that `bitdrop.dropout` supports.
        training : bool, optional
            The mode for this call. None means the layer's own.
        out : ndarray, optional
            Where to write the result: an array of x's shape and dtype, or x itself.
        shard : Shard, optional
            Place of x in a larger array, if it is a part. It affects training alone.

        Returns
        -------
        ndarray
            ``out``, or a new array, or x itself.

        Raises
        ------
        TypeError, ValueError
            As `bitdrop.dropout`. If the layer writes in place, also if out is given, or x is not an array
            that may be written to. The layer's state is then as it was.
        """
        training = self.training if training is None else _validate.as_flag(training, "training")
        if self._inplace:
            out = as_inplace_target(x, out)
        if training:
            y, self._mask = self._drop(x, out, self._rule, self._counter, shard)
        else:
            y, self._mask = self._keep_all(x, out, self._rule)
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
            ``out``, or a new array: ``scale * dy`` for kept units, +0.0 for dropped ones.

        Raises
        ------
        RuntimeError
            If there was no forward pass.
        TypeError, ValueError
            As `Mask.backward`.
        """
        mask = self._mask
        if mask is None:
            _validate.raise_no_forward(self._format)
        if type(mask) is tuple:
            return repeat(mask, dy, out, True, "dy")
        dx: Array = mask.backward(dy, out=out)
        return dx

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
        number = _validate.FORMATS[self._format]
        return {"format": number, "key": list(counter.key), "position": counter.position}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._counter, self._unseeded = self._counter.renewed(*_validate.as_state(state, self._format)), False

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
        return self._copied(vars(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a deep copy, with a key as that of a copy."""
        rest = {name: value for name, value in vars(self).items() if name != "_counter"}
        return self._copied(deepcopy(rest, memo))

    def _copied(self, attributes: dict[str, Any]) -> Self:
        counter = self._counter
        key, position = (_random.draw_key(None), 0) if self._unseeded else (counter.key, counter.position)
        copied = object.__new__(type(self))
        vars(copied).update(attributes, _counter=StreamCounter(key, position))
        _layers.add(copied)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle: the key stays, also if the layer has no seed."""
        counter = self._counter
        number = _validate.FORMATS[self._format]
        taken = {"_format": number, "_counter": (counter.key, counter.position)}
        # Values pickle as a mask, which leaves out the bits.
        mask = self.mask if type(self._mask) is tuple else self._mask
        return vars(self) | {"_unseeded": False, "_mask": mask, "_made": None} | taken

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the layer from the state of `__getstate__`."""
        _validate.check_format(state.pop("_format"), self._format, "The pickled layer")
        vars(self).update(state, _counter=StreamCounter(*state["_counter"]))
        _layers.add(self)

    def __repr__(self) -> str:
        """Return the constructor call, without the key."""
        return f"{type(self).__name__}({self._arguments()})"

    def _arguments(self) -> str:
        return f"p={self.p!r}, {self._switches()}"

    def _switches(self) -> str:
        shape = "" if self.noise_shape is None else f", noise_shape={self.noise_shape}"
        return f"inplace={self._inplace}, recompute={self._recompute}{shape}"
