"""Argument validation and error messages: `as_...` return a value, `check_...` raise."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from decimal import Decimal
from math import nan, prod
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from bitdrop import _core

if TYPE_CHECKING:
    from bitdrop._typing import Key, Shape

_MAX_NDIM = 64  # as in NumPy
_MAX_SIZE = 2**63 - 1
_MAX_FLOAT = np.finfo(np.float64).max.item()


class NdimError(ValueError, RuntimeError):
    """An array has a number of axes that a layer does not accept.

    It is a ValueError, and a RuntimeError for code that expects PyTorch's.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> try:
    ...     bitdrop.Dropout2d()(np.ones(3))
    ... except bitdrop.NdimError as error:
    ...     print(error)
    Dropout2d needs x of shape (N, C, H, W) or (C, H, W), but got (3,).
    """


def as_probability(p: Any, name: str = "p") -> float:
    """Return `p` as a float in [0, 1]."""
    number = p if type(p) is float else _as_real(p)
    if number is None:
        raise TypeError(f"{name} must be a number in [0, 1], but got {_shown(p)}.")
    if 0.0 <= number <= 1.0:
        return float(number)
    raise ValueError(f"{name} must be in [0, 1], but got {p!r}.")


def as_noise_rate(p: Any) -> float:
    """Return the rate of Gaussian dropout as a float in [0, 1)."""
    rate = as_probability(p)
    if rate < 1.0:
        return rate
    raise ValueError(
        f"p must be less than 1 for Gaussian dropout, whose variance is p / (1 - p), but got {p!r}."
    )


def as_flag(value: Any, name: str) -> bool:
    """Return `value` as a bool, if it is one."""
    if type(value) is bool or isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{name} must be True or False, but got {value!r}.")


SCALINGS = ("inverted", "vanilla")


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Check that `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, but got {value!r}.")


def as_count(value: Any, name: str, largest: int) -> int:
    """Return `value` as an int from 1 to `largest`."""
    number = as_word(value, name)
    if 1 <= number <= largest:
        return number
    raise ValueError(f"{name} must be from 1 to {largest}, but got {number}.")


def as_positive(value: Any, name: str) -> int:
    """Return `value` as an int of at least 1."""
    number = _as_int(value, name)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, but got {number}.")
    return number


def as_finite(value: Any, name: str) -> float:
    """Return `value` as a finite float."""
    number = _as_real(value)
    if number is None:
        raise TypeError(f"{name} must be a number, but got {_shown(value)}.")
    if abs(number) <= _MAX_FLOAT:
        return float(number)
    raise ValueError(f"{name} must be finite, but got {value!r}.")


def as_word(value: Any, name: str) -> int:
    """Return `value` as an int in [0, 2**64)."""
    number = _as_int(value, name)
    if 0 <= number < 2**64:
        return number
    raise ValueError(f"{name} must be in [0, 2**64), but got {number}.")


def as_key(value: Any) -> Key:
    """Return `value` as two ints in [0, 2**64)."""
    words = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(words, Sequence) or isinstance(words, (str, bytes)) or len(words) != 2:
        raise TypeError(f"key must be two ints in [0, 2**64), but got {value!r}.")
    return as_word(words[0], "key[0]"), as_word(words[1], "key[1]")


def as_shape(value: Any, name: str = "shape") -> Shape:
    """Return `value` as a tuple of lengths."""
    lengths = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else (value,)
    try:
        axes = tuple(operator.index(length) for length in lengths)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of ints, but got {value!r}.") from None
    if any(length < 0 for length in axes):
        raise ValueError(f"{name} must not have negative entries, but got {axes}.")
    if len(axes) > _MAX_NDIM or prod(axes) > _MAX_SIZE:
        raise ValueError(f"{name} must be one that an array can have, but got {axes}.")
    return axes


def as_noise_entries(value: Any) -> tuple[int | None, ...]:
    """Return a noise shape as a tuple of lengths and None, before the shape of x is known."""
    message = f"noise_shape must be None or a sequence of non-negative ints and None, but got {value!r}."
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(message)
    try:
        entries = tuple(None if entry is None else operator.index(entry) for entry in value)
    except TypeError:
        raise TypeError(message) from None
    lengths = [entry for entry in entries if entry is not None]
    if any(length < 0 for length in lengths):
        raise ValueError(message)
    as_shape(lengths, "noise_shape")  # of an array that there can be
    return entries


def noise_shape_message(entries: tuple[int | None, ...], whole: Shape) -> str:
    """Return the sentence of a noise shape that does not fit an array of shape `whole`."""
    if len(entries) != len(whole):
        return f"noise_shape must have an entry for each axis of {whole}, but got {entries}."
    return f"noise_shape must be 1, None or x's length along each axis of {whole}, but got {entries}."


def broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    """Return whether arrays of a shape broadcast to another, as in NumPy."""
    if len(shape) > len(to):
        return False
    last = to[len(to) - len(shape) :]
    return all(length in (1, whole) for length, whole in zip(shape, last, strict=True))


def as_axis(value: Any, ndim: int) -> int:
    """Return `value` as the index of an axis, counted from the first."""
    try:
        axis = operator.index(value)
    except TypeError:
        raise TypeError(f"axis must be an int, but got {value!r}.") from None
    if -ndim <= axis < ndim:
        return axis % ndim
    raise ValueError(f"axis must be an axis of an array of {ndim} axes, but got {axis}.")


def pass_shape_message(shape: Shape, expected: Shape, name: str, applied: str) -> str:
    """Return the sentence of an array that has not the shape of the mask or noise that is applied to it."""
    hint = _shape_hint(shape, expected, name, applied)
    return f"{name} must have the shape of the {applied}, {expected}, but its shape is {shape}: {hint}."


def _shape_hint(shape: Shape, expected: Shape, name: str, applied: str) -> str:
    if applied == "mask" and len(shape) == len(expected):
        if all(length <= whole for length, whole in zip(shape, expected, strict=True)):
            return f"for a part of the mask's elements, use mask.part({(0,) * len(shape)}, {shape})"
        if all(length >= whole for length, whole in zip(shape, expected, strict=True)):
            shared = tuple(1 if n > whole else None for n, whole in zip(shape, expected, strict=True))
            return f"for any length along an axis, share its draws: noise_shape={shared}"
    if name == "dy":
        return (
            "it is the gradient with respect to the result of that pass; to go back through an earlier pass, "
            f"keep its layer.{applied}"
        )
    return "to repeat a call on another shape, set layer.state"


def as_part(start: Any, shape: Any, whole: Shape, of: str) -> tuple[Shape, Shape]:
    """Return start and shape of a part that lies within a mask or noise of shape `whole`."""
    first, lengths = as_shape(start, "start"), as_shape(shape)
    if not len(first) == len(lengths) == len(whole):
        raise ValueError(
            f"start and shape must have an entry for each axis of the {of}, {whole}, "
            f"but got {first} and {lengths}."
        )
    if any(index + length > end for index, length, end in zip(first, lengths, whole, strict=True)):
        raise ValueError(
            f"The part of shape {lengths} that starts at {first} does not lie within the {of}, {whole}."
        )
    return first, lengths


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them."""
    return " and ".join(names)


FORMATS = {"mask": _core.MASK_FORMAT, "noise": _core.NOISE_FORMAT}
"""Numbers of the formats that this version makes."""


def check_format(number: Any, kind: str, name: str) -> None:
    """Check that `name` was made by the mask or noise format of this version."""
    here = FORMATS[kind]
    if type(number) is not int or number != here:
        raise ValueError(
            f"{name} is of {kind} format {number!r}, but this version of bitdrop makes format {here}."
        )


def as_state(value: Any, kind: str) -> tuple[Key, int]:
    """Return the key and the next stream number of the state of a layer that makes masks or noise."""
    names = {"format", "key", "position"}
    if not isinstance(value, dict) or set(value) != names:
        raise TypeError(f"state must be a dict of {sorted(names)}, but got {value!r}.")
    check_format(value["format"], kind, "The state")
    position = value["position"]
    exhausted = type(position) is int and position == 2**64
    return as_key(value["key"]), position if exhausted else as_word(position, "position")


def raise_no_forward(kind: str = "mask") -> NoReturn:
    """Raise the error of a backward pass before any forward pass."""
    raise RuntimeError(f"backward needs the {kind} of a forward pass: call the layer on an input first.")


def type_name(value: object) -> str:
    """Return the name of a value's type, with its module."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _as_real(value: Any) -> Any:
    """Return a real number, if `value` is one or is a 0-d array of one. Else None."""
    if isinstance(value, (np.ndarray, np.generic)):
        is_number = value.ndim == 0 and _holds_real(value.dtype) and not isinstance(value, np.ma.MaskedArray)
        return value.item() if is_number else None  # a float16 would overflow in comparisons
    if isinstance(value, Decimal):
        return nan if value.is_nan() else value  # Decimal's own NaN cannot be compared
    return value if isinstance(value, Real) and not isinstance(value, bool) else None


def _holds_real(dtype: np.dtype[Any]) -> bool:
    # Types of ml_dtypes are of kind "V" and convert to float64.
    return dtype.kind in "iuf" or (dtype.kind == "V" and np.can_cast(dtype, np.float64))


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"{value!r} of type {type_name(value)}"


def _as_int(value: Any, name: str) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an int, but got {value!r}.")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, but got {value!r}.") from None
