"""Array arguments: dtypes, outputs, and the memory of results."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bitdrop import _core
from bitdrop._buffers import empty_like
from bitdrop._engine import DTYPES
from bitdrop._typing import Array, Shape
from bitdrop._validate import check_same_shape, type_name

# bfloat16 is added when its first array comes, because ml_dtypes need not be installed.
CODES = {np.dtype(name): code for name, code in DTYPES.items() if name != "bfloat16"}
"""Codes of NumPy's dtypes in the engine."""

_SUPPORTED = "float16, bfloat16 (ml_dtypes), float32 or float64"


def as_array(x: ArrayLike, name: str = "x") -> tuple[Array, int]:
    """Return `x` as an array of a supported dtype, and the dtype's code in the engine."""
    array = x if type(x) is np.ndarray else _converted(x, name)
    code = CODES.get(array.dtype)
    return array, _rare_code(array.dtype, name) if code is None else code


def as_admitted(x: ArrayLike, out: Any, name: str = "x", shape: Shape | None = None) -> Array:
    """Return `x` as an array of a supported dtype that a pass into `out` takes.

    The engine passes over arrays that fit, and tells no reason if they do not: this does.
    """
    array, _ = as_array(x, name)
    if shape is not None:
        check_same_shape(array.shape, shape, name)
    if out is not None:
        check_output(out, array, name)
    return array


def _converted(x: Any, name: str) -> Array:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value).")
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "__dask_graph__") or hasattr(x, "compute"):
        raise TypeError(f"{name} is lazy ({type_name(x)}): pass {name}.compute().")
    if hasattr(x, "to_numpy"):
        raise TypeError(f"{name} has labels that would be lost ({type_name(x)}): pass {name}.to_numpy().")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        message = (
            f"{name} must be an array of {_SUPPORTED}, but {type_name(x)} does not convert to one: {error}."
        )
        raise TypeError(message) from error


def _rare_code(dtype: np.dtype[Any], name: str) -> int:
    if dtype.name == "bfloat16" and dtype.itemsize == 2 and dtype.isnative:
        return CODES.setdefault(dtype, DTYPES["bfloat16"])
    if not dtype.isnative and dtype.newbyteorder("=") in CODES:
        hint = f"pass {name}.astype('{dtype.newbyteorder('=').name}'), which is in this machine's byte order"
    else:
        hint = f"pass {name}.astype('float32'), say"
    raise TypeError(f"{name} must be of {_SUPPORTED}, but its dtype is {dtype!s}: {hint}.")


def as_output(out: Array | None, x: Array, name: str = "x") -> Array:
    """Return `out`, if a result for `x` can be written into it, or a new array."""
    if out is None:
        return empty_like(x)
    check_output(out, x, name)
    return out


def check_output(out: Any, x: Array, name: str = "x") -> None:
    """Check that a result for `x` can be written into `out`."""
    fit = _core.fit(x, out)
    if fit:
        _raise_misfit(fit, out, x, name)


def _raise_misfit(fit: int, out: Any, x: Array, name: str) -> None:
    match _core.Fit(fit):
        case _core.Fit.NOT_AN_ARRAY:
            raise TypeError(f"out must be a NumPy array, but got {type_name(out)}.")
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
        case _core.Fit.OVERLAPS:
            raise ValueError(f"out overlaps {name} in part: pass {name} itself, or an array apart from it.")


def as_inplace_target(x: Any, out: Any) -> Array:
    """Return the array that an in-place layer writes to, which is `x`."""
    if out is not None:
        raise TypeError("out must not be given to a layer with inplace=True, which writes into x.")
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x must be a NumPy array for a layer with inplace=True, but got {type_name(x)}.")
    if not x.flags.writeable:
        raise ValueError("x is read-only, and the layer has inplace=True: pass x.copy().")
    return x
