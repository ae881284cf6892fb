"""What is wrong with an argument, and how the user is told: every check and message is here, once."""

import operator
from collections.abc import Sequence
from math import prod
from numbers import Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from bitdrop import _core

Array = NDArray[Any]
Shape = tuple[int, ...]
NoiseShape = Sequence[int | None]
Number = float | np.floating[Any] | np.integer[Any]

_CODES: dict[np.dtype[Any], int] = {
    np.dtype(np.float16): 0,
    np.dtype(np.float32): 2,
    np.dtype(np.float64): 3,
}
_BFLOAT16 = 1
_MOST_AXES = 64  # as in NumPy
_MOST_ELEMENTS = 2**63 - 1
_LARGEST = np.finfo(np.float64).max.item()
_DTYPES = "float16, bfloat16 (ml_dtypes), float32 or float64"


def probability(p: Any, name: str = "p") -> float:
    """Return `p` as a float in [0, 1]."""
    if type(p) is not float and not _is_number(p):
        raise TypeError(f"{name} must be a number in [0, 1], but got {p!r} of type {_type_name(p)}.")
    if 0.0 <= p <= 1.0:
        return float(p)
    raise ValueError(f"{name} must be in [0, 1], but got {p!r}.")


class DefaultP(float):
    """The p of a call that gives none: a float like others that can be told from the same number given."""


def drop_probability(p: Any, keep_prob: Any) -> float:
    """Return the p that is meant by one of the two ways to give it."""
    if keep_prob is None:
        return probability(float(p) if isinstance(p, DefaultP) else p)
    if not isinstance(p, DefaultP):
        raise TypeError(f"p and keep_prob exclude each other, but got p={p!r} and keep_prob={keep_prob!r}.")
    return 1.0 - probability(keep_prob, "keep_prob")


def flag(value: Any, name: str) -> bool:
    """Return `value` as a bool, if it is one."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} must be True or False, but got {value!r}.")


def choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Check that `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, but got {value!r}.")


def count(value: Any, name: str, most: int) -> int:
    """Return `value` as an int from 1 to `most`."""
    number = word(value, name)
    if 1 <= number <= most:
        return number
    raise ValueError(f"{name} must be from 1 to {most}, but got {number}.")


def scale(value: Any) -> float:
    """Return `value` as a finite float."""
    if not _is_number(value):
        raise TypeError(f"scale must be a number or None, but got {value!r}.")
    if abs(value) <= _LARGEST:
        return float(value)
    raise ValueError(f"scale must be finite, but got {value!r}.")


def word(value: Any, name: str) -> int:
    """Return `value` as an int in [0, 2**64)."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an int, but got {value!r}.")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, but got {value!r}.") from None
    if 0 <= number < 2**64:
        return number
    raise ValueError(f"{name} must be in [0, 2**64), but got {number}.")


def key(value: Any) -> tuple[int, int]:
    """Return `value` as two ints in [0, 2**64)."""
    words = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(words, Sequence) or isinstance(words, (str, bytes)) or len(words) != 2:
        raise TypeError(f"key must be two ints in [0, 2**64), but got {value!r}.")
    return word(words[0], "key[0]"), word(words[1], "key[1]")


def shape(value: Any, name: str = "shape") -> Shape:
    """Return `value` as a tuple of lengths."""
    lengths = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else (value,)
    try:
        axes = tuple(operator.index(length) for length in lengths)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of ints, but got {value!r}.") from None
    if any(length < 0 for length in axes):
        raise ValueError(f"{name} must not have negative entries, but got {axes}.")
    if len(axes) > _MOST_AXES or prod(axes) > _MOST_ELEMENTS:
        raise ValueError(f"{name} must be one that an array can have, but got {axes}.")
    return axes


def noise_entries(value: Any) -> tuple[int | None, ...]:
    """Return a noise shape as a tuple of lengths and None, for arrays that are not known yet."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"noise_shape must be None or a tuple of ints and None, but got {value!r}.")
    lengths = iter(shape(tuple(entry for entry in value if entry is not None), "noise_shape"))
    return tuple(None if entry is None else next(lengths) for entry in value)


def noise_shape(value: Any, whole: Shape) -> Shape:
    """Return the shape of what is drawn for an array of shape `whole`: its lengths, or 1."""
    if value is None:
        return whole
    entries = noise_entries(value)
    if len(entries) != len(whole):
        raise ValueError(f"noise_shape must have an entry for each axis of {whole}, but got {entries}.")
    noise = tuple(length if entry is None else entry for entry, length in zip(entries, whole, strict=True))
    if any(mine not in (1, length) for mine, length in zip(noise, whole, strict=True)):
        raise ValueError(
            f"noise_shape must be 1, None or x's length along each axis of {whole}, but got {entries}."
        )
    return noise


def shard(value: Any, part: Shape) -> None:
    """Check that an array of shape `part` lies within the whole where the shard says."""
    # Not by isinstance: the class is made with this module.
    if type(value).__name__ != "Shard":
        raise TypeError(f"shard must be a bitdrop.Shard or None, but got {value!r}.")
    if len(value.shape) != len(part):
        raise ValueError(
            f"shard must have as many axes as x, whose shape is {part}, but its shape is {value.shape}."
        )
    for start, length, whole in zip(value.start, part, value.shape, strict=True):
        if start + length > whole:
            raise ValueError(
                f"x of shape {part} does not lie within {value.shape} where it starts at {value.start}."
            )


def array(x: Any, name: str = "x") -> tuple[Array, int]:
    """Return `x` as an array of a supported dtype, and the dtype's code in `bitdrop._core`."""
    if type(x) is not np.ndarray:
        x = _converted(x, name)
    code = _CODES.get(x.dtype)
    return x, _rare_code(x.dtype, name) if code is None else code


def _converted(x: Any, name: str) -> Array:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value).")
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "__dask_graph__") or hasattr(x, "compute"):
        raise TypeError(f"{name} is lazy ({_type_name(x)}): pass {name}.compute().")
    if hasattr(x, "to_numpy"):
        raise TypeError(f"{name} has labels that would be lost ({_type_name(x)}): pass {name}.to_numpy().")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        message = (
            f"{name} must be an array of {_DTYPES}, but {_type_name(x)} does not convert to one: {error}."
        )
        raise TypeError(message) from error


def _rare_code(dtype: np.dtype[Any], name: str) -> int:
    if dtype.name == "bfloat16" and dtype.itemsize == 2 and dtype.isnative:
        _CODES[dtype] = _BFLOAT16  # made known here, because bitdrop does not need ml_dtypes to be installed
        return _BFLOAT16
    if not dtype.isnative and dtype.newbyteorder("=") in _CODES:
        hint = f"pass {name}.astype('{dtype.newbyteorder('=').name}'), which is in this machine's byte order"
    else:
        hint = f"pass {name}.astype('float32'), say"
    raise TypeError(f"{name} must be of {_DTYPES}, but its dtype is {dtype!s}: {hint}.")


def output(out: Any, x: Array, name: str = "x") -> None:
    """Check that a result for `x` can be written into `out`."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a NumPy array, but got {_type_name(out)}.")
    fit = _core.fit(x, out)
    if fit:
        _does_not_fit(fit, out, x, name)


def _does_not_fit(fit: int, out: Array, x: Array, name: str) -> None:
    match _core.Fit(fit):
        case _core.Fit.OTHER_DTYPE:
            raise TypeError(f"out must be of {name}'s dtype, {x.dtype}, but its dtype is {out.dtype}.")
        case _core.Fit.OTHER_SHAPE:
            raise ValueError(f"out must have {name}'s shape, {x.shape}, but its shape is {out.shape}.")
        case _core.Fit.READ_ONLY:
            raise ValueError("out is read-only: pass an array that may be written to.")
        case _core.Fit.OVERLAPS_ITSELF:
            raise ValueError(
                "out has elements that share memory with each other: pass an array without overlap."
            )
        case _core.Fit.OVERLAPS if np.shares_memory(x, out):
            raise ValueError(f"out overlaps {name} in part: pass {name} itself, or an array apart from it.")


def same_shape(x: Array, expected: Shape, name: str) -> None:
    """Check that `x` has the shape of the mask that is applied to it."""
    if x.shape != expected:
        raise ValueError(f"{name} must have the shape of the mask, {expected}, but its shape is {x.shape}.")


def inplace_target(x: Any, out: Any) -> Array:
    """Return the array that an in-place layer writes to, which is `x`."""
    if out is not None:
        raise TypeError("out must not be given to a layer with inplace=True, which writes into x.")
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x must be a NumPy array for a layer with inplace=True, but got {_type_name(x)}.")
    if not x.flags.writeable:
        raise ValueError("x is read-only, and the layer has inplace=True: pass x.copy().")
    return x


def mask_format(number: Any, what: str) -> None:
    """Check that `what` was made by the mask format of this version."""
    if type(number) is not int or number != _core.MASK_FORMAT:
        here = _core.MASK_FORMAT
        raise ValueError(
            f"{what} is of mask format {number!r}, but this version of bitdrop makes format {here}."
        )


def state(value: Any) -> tuple[tuple[int, int], int]:
    """Return key and position out of a layer's state."""
    names = {"format", "key", "position"}
    if not isinstance(value, dict) or set(value) != names:
        raise TypeError(f"state must be a dict of {sorted(names)}, but got {value!r}.")
    mask_format(value["format"], "The state")
    position = value["position"]
    used_up = type(position) is int and position == 2**64
    return key(value["key"]), position if used_up else word(position, "position")


def no_streams_left() -> NoReturn:
    """Say that the layer has used up its stream numbers."""
    raise RuntimeError("The layer has used all 2**64 stream numbers of its key: set its state to a new key.")


def no_forward_yet() -> NoReturn:
    """Say that there is no mask to go back through."""
    raise RuntimeError("backward needs the mask of a forward pass: call the layer on an input first.")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
