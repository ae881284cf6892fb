"""Errors of unknown keywords, which say what argument is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_RATES = ("rate", "prob", "probability", "drop_prob", "drop_rate", "dropout", "dropout_rate")
_SEEDS = ("seed", "random_seed", "random_state", "rng", "generator", "key")

_MEANT = (  # an argument, its names in other libraries, and how to pass a value of theirs
    ("p", _RATES, "p={0!r}"),
    ("p", ("keep_prob",), "p=1 - {0!r}"),
    ("rng", _SEEDS, "rng={0!r}"),
    ("generator", _SEEDS, "generator=torch.Generator().manual_seed({0!r})"),
    ("key", _SEEDS, "key=jax.random.key({0!r})"),
    ("training", ("train", "is_training"), "training={0!r}"),
    ("training", ("deterministic", "inference"), "training={1!r}"),
    ("inference", ("deterministic",), "inference={0!r}"),
    ("inference", ("train", "training", "is_training"), "inference={1!r}"),
)


def unknown_keyword_message(name: str, given: dict[str, Any], known: Iterable[str]) -> str:
    """Return the sentence of a keyword in `given` that a class or function lacks."""
    names = [argument for argument in known if not argument.startswith("_")]
    unknown, value = next((key, value) for key, value in given.items() if key not in names)
    if unknown == "noise_shape":
        return own_units_message(name)
    opposite = not value if isinstance(value, bool) else value
    for argument, others, remedy in _MEANT:
        if argument in names and unknown in others:
            return f"{name} has no argument {unknown!r}: pass {remedy.format(value, opposite)}."
    return f"{name} has no argument {unknown!r}: its arguments are {', '.join(names)}."


def own_units_message(name: str) -> str:
    """Return the sentence of a noise shape that is given to a kind with units of its own."""
    return f"noise_shape must not be given to {name}, which says itself which elements share a draw."


def raise_unknown(function: Callable[..., Any], unknown: dict[str, Any]) -> NoReturn:
    """Raise the error of a function that collects unknown keywords. `explains_keywords` would take longer."""
    known = [name for name in inspect.signature(function).parameters if name != "unknown"]
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
        name = type(args[0]).__name__ if is_method else function.__name__
        raise TypeError(unknown_keyword_message(name, kwargs, known[is_method:]))

    return explained


class ExplainsKeywords:
    """Base of classes whose constructors explain unknown keywords."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the constructor that a subclass defines."""
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = explains_keywords(cls.__init__)  # type: ignore[method-assign]
