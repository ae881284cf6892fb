"""Array arguments: dtypes, outputs, and the memory of results."""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _core
from bitdrop._buffers import empty_like
from bitdrop._engine import COMPLEX_DTYPES, DTYPES
from bitdrop._typing import Array, Shape
from bitdrop._validate import check_same_shape, type_name

# bfloat16 is added when its first array comes, because ml_dtypes need not be installed.
REAL_CODES = {np.dtype(name): code for name, code in DTYPES.items() if name != "bfloat16"}
_COMPLEX_CODES = {np.dtype(name): code for name, code in COMPLEX_DTYPES.items()}
ALL_CODES = REAL_CODES | _COMPLEX_CODES
"""Codes of NumPy's dtypes in the engine, without and with complex numbers."""

_REAL = "float16, bfloat16 (ml_dtypes), float32 or float64"
_REAL_OR_COMPLEX = "float16, bfloat16 (ml_dtypes), float32, float64, complex64 or complex128"


def as_array(x: ArrayLike, name: str = "x", accept_complex: bool = False) -> tuple[Array, int]:
    """Return `x` as an array of a supported dtype, and the dtype's code in the engine."""
    array = x if type(x) is np.ndarray else _converted(x, name)
    code = REAL_CODES.get(array.dtype)
    return array, _rare_code(array.dtype, x, name, accept_complex) if code is None else code


def as_admitted(
    x: ArrayLike, out: Any, accept_complex: bool, name: str = "x", shape: Shape | None = None
) -> Array:
    """Return `x` as an array of a supported dtype that a pass into `out` takes.

    The engine passes over arrays that fit, and tells no reason if they do not: this does.
    """
    array, _ = as_array(x, name, accept_complex)
    if shape is not None:
        check_same_shape(array.shape, shape, name)
    if out is not None:
        check_output(out, array, name)
    return array


def _converted(x: Any, name: str) -> Array:
    _check_not_masked(x, name)
    if isinstance(x, np.ndarray):
        return x
    _check_no_relative(x, name)
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        message = f"{name} must be an array of {_REAL}, but {type_name(x)} does not convert to one."
        raise TypeError(message) from error


def _check_not_masked(x: Any, name: str) -> None:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value).")


def _check_no_relative(x: Any, name: str) -> None:
    """Check that x is no array of another library, of which something would be lost in silence."""
    kind = type_name(x)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        hint = f"use bitdrop.torch, or pass {name}.detach().numpy()"
        raise TypeError(f"{name} is a PyTorch tensor, whose gradient would be lost: {hint}.")
    if hasattr(x, "to_numpy"):
        raise TypeError(f"{name} has labels that would be lost ({kind}): pass {name}.to_numpy().")
    if hasattr(x, "__dask_graph__") or hasattr(x, "compute"):
        hint = "use bitdrop.dask, or pass" if kind.startswith("dask.array.") else "pass"
        raise TypeError(f"{name} is lazy ({kind}): {hint} {name}.compute().")
    if hasattr(x, "tocsr"):
        hint = f"pass {name}.data, which holds its stored elements, or {name}.toarray()"
        raise TypeError(f"{name} is a sparse array ({kind}): {hint}.")


def _rare_code(dtype: np.dtype[Any], x: Any, name: str, accept_complex: bool) -> int:
    if dtype.name == "bfloat16" and dtype.itemsize == 2 and dtype.isnative:
        ALL_CODES[dtype] = REAL_CODES[dtype] = DTYPES["bfloat16"]
        return DTYPES["bfloat16"]
    if accept_complex and dtype in _COMPLEX_CODES:
        return _COMPLEX_CODES[dtype]
    supported = _REAL_OR_COMPLEX if accept_complex else _REAL
    hint = _dtype_hint(dtype, name, accept_complex)
    if isinstance(x, np.ndarray):
        message = f"{name} must be of {supported}, but its dtype is {dtype!s}: {hint}."
    elif dtype.kind in "biu":
        hint = f"pass np.asarray({name}, dtype='float32'), say"
        message = f"{name} must be of {supported}, but {type_name(x)} converts to {dtype!s}: {hint}."
    else:
        message = (
            f"{name} must be an array of {supported}, but got {type_name(x)}, which converts to {dtype!s}."
        )
    raise TypeError(message)


def _dtype_hint(dtype: np.dtype[Any], name: str, accept_complex: bool) -> str:
    native = dtype.newbyteorder("=")
    if not dtype.isnative and (native in REAL_CODES or (accept_complex and native in _COMPLEX_CODES)):
        return f"pass {name}.astype('{native.name}'), which is in this machine's byte order"
    if dtype.kind == "c" and not accept_complex:
        return f"drop {name}.real and {name}.imag with the same mask"
    match dtype.kind:
        case "c" | "f" if dtype.itemsize > 8:
            target = "float64" if dtype.kind == "f" else "complex128"
            return f"pass {name}.astype('{target}'), which keeps fewer digits"
        case "S" | "U" | "M" | "m":
            return "convert its elements to numbers first"
        case "V" if dtype.names:
            return f"pass one of its fields, {name}[{dtype.names[0]!r}], say"
    return f"pass {name}.astype('float32'), say"


def as_bool_array(value: Any, name: str) -> NDArray[np.bool_]:
    """Return `value` as an array of bool, if it is one or a list of bools."""
    _check_not_masked(value, name)
    _check_no_relative(value, name)
    try:
        array = np.asarray(value)
    except Exception as error:
        raise TypeError(f"{name} must be an array of bool, but got {type_name(value)}.") from error
    if array.dtype != np.bool_:
        hint = f": pass {name} != 0" if array.dtype.kind in "iuf" else ""
        raise TypeError(
            f"{name} must be an array of bool, but got {type_name(value)} of dtype {array.dtype!s}{hint}."
        )
    return array


def as_array_of_dtype(
    x: ArrayLike, name: str, first: Array, first_name: str, accept_complex: bool = False
) -> Array:
    """Return `x` as an array of the dtype of another input."""
    array, _ = as_array(x, name, accept_complex)
    if array.dtype != first.dtype:
        raise TypeError(
            f"{name} must be of {first_name}'s dtype, {first.dtype}, but its dtype is {array.dtype}."
        )
    return array


def as_second_array(
    x: ArrayLike, name: str, first: Array, first_name: str, accept_complex: bool = False
) -> Array:
    """Return `x` as an array of the shape and dtype of another input."""
    array = as_array_of_dtype(x, name, first, first_name, accept_complex)
    if array.shape != first.shape:
        raise ValueError(
            f"{name} must have {first_name}'s shape, {first.shape}, but its shape is {array.shape}."
        )
    return array


def as_output(out: Array | None, x: Array, name: str = "x", out_name: str = "out") -> Array:
    """Return `out`, if a result for `x` can be written into it, or a new array."""
    if out is None:
        return empty_like(x)
    check_output(out, x, name, out_name)
    return out


def check_output(out: Any, x: Array, name: str = "x", out_name: str = "out") -> None:
    """Check that a result for `x` can be written into `out`."""
    fit = _core.fit(x, out)
    if fit:
        _raise_misfit(fit, out, x, (name, out_name))


def _raise_misfit(fit: int, out: Any, x: Array, names: tuple[str, str]) -> None:
    name, out_name = names
    match _core.Fit(fit):
        case _core.Fit.NOT_AN_ARRAY:
            raise TypeError(f"{out_name} must be a NumPy array, but got {type_name(out)}.")
        case _core.Fit.OTHER_DTYPE:
            raise TypeError(f"{out_name} must be of {name}'s dtype, {x.dtype}, but its dtype is {out.dtype}.")
        case _core.Fit.OTHER_SHAPE:
            raise ValueError(f"{out_name} must have {name}'s shape, {x.shape}, but its shape is {out.shape}.")
        case _core.Fit.READ_ONLY:
            raise ValueError(f"{out_name} is read-only: pass an array that may be written to.")
        case _core.Fit.OVERLAPS_ITSELF:
            raise ValueError(
                f"{out_name} has elements that share memory with each other: pass an array without overlap."
            )
        case _core.Fit.OVERLAPS:
            raise ValueError(
                f"{out_name} overlaps {name} in part: pass {name} itself, or an array apart from it."
            )


def as_inplace_target(x: Any, out: Any, name: str = "x") -> Array:
    """Return the array that an in-place layer writes to, which is `x`."""
    if out is not None:
        raise TypeError(f"out must not be given to a layer with inplace=True, which writes into {name}.")
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"{name} must be a NumPy array for a layer with inplace=True, but got {type_name(x)}."
        )
    if not x.flags.writeable:
        raise ValueError(f"{name} is read-only, and the layer has inplace=True: pass {name}.copy().")
    return x
