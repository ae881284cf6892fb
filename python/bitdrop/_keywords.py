"""Errors of unknown keywords, which say what argument is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_F = TypeVar("_F", bound=Callable[..., Any])

_RATES = ("rate", "prob", "probability", "drop_prob", "drop_rate", "dropout", "dropout_rate")
_SEEDS = ("seed", "random_seed", "random_state", "rng", "rngs", "generator", "key")
_MODES = ("train", "training", "is_training")
_OPPOSITES = ("deterministic", "inference")

_MEANT = (  # an argument, its names in other libraries, and how to pass a number of theirs
    ("p", _RATES, "p={0!r}"),
    ("p", ("keep_prob",), "p=1 - {0!r}"),
    ("rng", _SEEDS, "rng={0!r}"),
    ("generator", _SEEDS, "generator=torch.Generator().manual_seed({0!r})"),
    ("key", _SEEDS, "key=jax.random.key({0!r})"),
    ("training", _MODES, "training={0!r}"),
    ("training", _OPPOSITES, "training={1!r}"),
    ("inference", _OPPOSITES, "inference={0!r}"),
    ("inference", _MODES, "inference={1!r}"),
    ("noise_shape", ("broadcast_dims",), "noise_shape=, with 1 for an axis that shares draws"),
)


def unknown_keyword_message(name: str, given: dict[str, Any], known: Iterable[str]) -> str:
    """Return the sentence of a keyword in `given` that a class or function lacks."""
    names = list(known)
    unknown, value = next((key, value) for key, value in given.items() if key not in names)
    if unknown == "noise_shape":
        return own_units_message(name)
    return f"{name} has no argument {unknown!r}: {_remedy(unknown, value, names)}."


def _remedy(unknown: str, value: Any, names: list[str]) -> str:
    for argument, others, remedy in _MEANT:
        if argument in names and unknown in others:
            if isinstance(value, (int, float)):
                return "pass " + remedy.format(value, not value)
            return f"pass {argument}="
    if unknown in _MODES + _OPPOSITES:
        return "set the mode by train() and eval()"
    return f"its arguments are {', '.join(names)}"


def own_units_message(name: str) -> str:
    """Return the sentence of a noise shape that is given to a kind with units of its own."""
    return f"noise_shape must not be given to {name}, which says itself which elements share a draw."


def unknown_in_call_message(layer: object, given: dict[str, Any], known: Iterable[str]) -> str:
    """Return the sentence of a keyword in a call of a layer that its forward pass lacks."""
    kind = type(layer)
    for name in given:
        if name in inspect.signature(kind).parameters:
            return f"forward has no argument {name!r}: it is an argument of {kind.__name__}."
    return unknown_keyword_message("forward", given, known)


def signature_without(function: Callable[..., Any], *names: str) -> inspect.Signature:
    """Return the signature of a function without some of its arguments."""
    signature = inspect.signature(function)
    return signature.replace(parameters=[p for name, p in signature.parameters.items() if name not in names])


def collects_unknown(function: _F) -> _F:
    """Hide ``**unknown`` of a function that gives it to `raise_unknown`.

    `explains_keywords` does the same for any function, but its wrapper takes a fifth of a small call.
    """
    function.__signature__ = signature_without(function, "unknown")  # type: ignore[attr-defined]
    return function


def raise_unknown(function: Callable[..., Any], unknown: dict[str, Any]) -> NoReturn:
    """Raise the error of a function that got unknown keywords."""
    known = inspect.signature(function).parameters
    raise TypeError(unknown_keyword_message(function.__name__, unknown, known))


def explains_keywords(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let the error of an unknown keyword say what argument is meant."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return function
    known = list(parameters)
    is_method = known[0] == "self"

    @wraps(function)
    def explained(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if kwargs.keys() <= set(known):  # not by the call, but within it
                raise
        name, names = function.__name__, known[is_method:]
        if is_method:
            kind = type(args[0])
            name = kind.__name__
            if kind.__init__ is explained:
                names = list(inspect.signature(kind).parameters)
        raise TypeError(unknown_keyword_message(name, kwargs, names))

    return explained


class ExplainsKeywords:
    """Base of classes whose constructors explain unknown keywords."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the constructor that a subclass defines."""
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = explains_keywords(cls.__init__)  # type: ignore[method-assign]
