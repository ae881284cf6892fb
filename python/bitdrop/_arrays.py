"""Array arguments: which objects are arrays, and the sentence of each misfit."""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _core
from bitdrop._core import Misfit
from bitdrop._typing import Array, Shape
from bitdrop._validate import NdimError, noise_shape_message, pass_shape_message, type_name

_NAMES = [f"{name} (ml_dtypes)" if name == "bfloat16" else name for name in _core.DTYPES]
_REAL_NAMES = [name for name in _NAMES if not name.startswith("complex")]
_NATIVE = {np.dtype(name) for name in _core.DTYPES if name != "bfloat16"}


def as_array(x: ArrayLike, name: str, accept_complex: bool) -> Array:
    """Return `x` as an array of a supported dtype. The engine calls it for all that is not a plain one."""
    array = x if isinstance(x, np.ndarray) else _converted(x, name)
    _check_class(array, name)
    dtype = array.dtype
    if dtype in _NATIVE and (accept_complex or dtype.kind == "f"):
        return array
    if dtype.name == "bfloat16" and dtype.itemsize == 2 and dtype.isnative:
        _core.admit_dtype(dtype, "bfloat16")
        return array
    raise _dtype_error(dtype, x, name, accept_complex)


def _check_class(array: Array, name: str) -> None:
    """Check that no class of an array would be lost in training. Those of memory maps say nothing more."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(0), say.")
    if type(array) is not np.ndarray and not isinstance(array, np.memmap):
        raise TypeError(
            f"{name} is a {type_name(array)}, whose class would be lost: pass np.asarray({name})."
        )


def _converted(x: Any, name: str) -> Array:
    hint = _foreign_hint(x, name)
    if hint is not None:
        raise TypeError(f"{name} {hint}.")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        message = (
            f"{name} must be an array of {_listed(_REAL_NAMES)}, but {type_name(x)} does not convert to one."
        )
        raise TypeError(message) from error


def _foreign_hint(x: Any, name: str) -> str | None:  # noqa: PLR0911
    """Return what would be lost of another library's array in silence, and what to pass. None: nothing."""
    kind = type_name(x)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        dense = "" if x.layout is torch.strided else ".to_dense()"
        widened = ".float()" if x.dtype is torch.bfloat16 else ""
        to_numpy = f".detach(){dense}{widened}.numpy()"
        return (
            f"is a PyTorch tensor, whose gradient would be lost: use bitdrop.torch, or pass {name}{to_numpy}"
        )
    if kind.startswith("pint."):
        return f"has units that would be lost ({kind}): pass {name}.magnitude"
    if kind.startswith("pyarrow."):
        return f"is a table or a column of Arrow ({kind}): pass np.asarray({name})"
    if kind.startswith("xarray.") and hasattr(x, "data_vars"):
        return f"holds several arrays ({kind}): pass one of them, {name}[variable].to_numpy()"
    if hasattr(x, "to_numpy"):
        return f"has labels that would be lost ({kind}): pass {name}.to_numpy()"
    if hasattr(x, "__dask_graph__") or hasattr(x, "compute"):
        front_end = "use bitdrop.dask, or pass" if kind.startswith("dask.array.") else "pass"
        return f"is lazy ({kind}): {front_end} {name}.compute()"
    if hasattr(x, "tocsr"):
        stored = f"{name}.data, which holds its stored elements, or " if _has_flat_data(x) else ""
        return f"is a sparse array ({kind}): pass {stored}{name}.toarray()"
    return None


def _has_flat_data(x: Any) -> bool:
    return isinstance(getattr(x, "data", None), np.ndarray) and x.data.dtype.kind != "O"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _dtype_error(dtype: np.dtype[Any], x: Any, name: str, accept_complex: bool) -> TypeError:
    supported = _listed(_NAMES if accept_complex else _REAL_NAMES)
    hint = _dtype_hint(dtype, name, accept_complex)
    if isinstance(x, np.ndarray):
        return TypeError(f"{name} must be of {supported}, but its dtype is {dtype!s}: {hint}.")
    if dtype.kind in "biu":
        hint = f"pass np.asarray({name}, dtype='float32'), say"
        return TypeError(f"{name} must be of {supported}, but {type_name(x)} converts to {dtype!s}: {hint}.")
    return TypeError(
        f"{name} must be an array of {supported}, but got {type_name(x)}, which converts to {dtype!s}."
    )


def _dtype_hint(dtype: np.dtype[Any], name: str, accept_complex: bool) -> str:  # noqa: PLR0911
    if dtype.kind == "T":  # NumPy's text of any length knows no byte order
        return "convert its elements to numbers first"
    native = dtype.newbyteorder("=")
    if not dtype.isnative and native in _NATIVE and (accept_complex or native.kind == "f"):
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
    try:
        array = value if isinstance(value, np.ndarray) else _converted(value, name)
    except TypeError as error:
        if error.__cause__ is None:  # a hint
            raise
        raise TypeError(f"{name} must be an array of bool, but got {type_name(value)}.") from error
    _check_class(array, name)
    if array.dtype != np.bool_:
        hint = f": pass {name} != 0" if array.dtype.kind in "iuf" else ""
        raise TypeError(
            f"{name} must be an array of bool, but got {type_name(value)} of dtype {array.dtype!s}{hint}."
        )
    return array


def as_inplace_target(x: Any, out: Any, name: str) -> Array:
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


def error_of(misfit: Misfit, value: Any, name: str, expected: Any, of: str) -> Exception:  # noqa: PLR0911
    """Return the error of an argument that does not fit. The engine calls it, and raises the error.

    Parameters
    ----------
    misfit : Misfit
        The reason.
    value
        The array, or its shape if the array does not fit the rule or the pass.
    name : str
        Name of the argument, or the arrays that a rule accepts.
    expected
        The dtype's name, the shape, or the part of the rule that it does not fit.
    of : str
        The argument that `expected` comes from.
    """
    match misfit:
        case Misfit.NOT_AN_ARRAY if isinstance(value, np.ndarray):
            return TypeError(
                f"{name} must be a plain NumPy array, but got {type_name(value)}: pass np.asarray({name})."
            )
        case Misfit.NOT_AN_ARRAY:
            return TypeError(f"{name} must be a NumPy array, but got {type_name(value)}.")
        case Misfit.OTHER_DTYPE:
            return TypeError(f"{name} must be of {of}'s dtype, {expected}, but its dtype is {value.dtype}.")
        case Misfit.OTHER_SHAPE:
            return ValueError(f"{name} must have {of}'s shape, {expected}, but its shape is {value.shape}.")
        case Misfit.NO_BROADCAST:
            return ValueError(
                f"{name} must broadcast to {of}'s shape, {expected}, but its shape is {value.shape}."
            )
        case Misfit.READ_ONLY:
            return ValueError(f"{name} is read-only: pass an array that may be written to.")
        case Misfit.OVERLAPS_ITSELF:
            return ValueError(
                f"{name} has elements that share memory with each other: pass an array without overlap."
            )
        case Misfit.OVERLAPS:
            return ValueError(f"{name} overlaps {of} in part: pass {of} itself, or an array apart from it.")
        case Misfit.OVERLAPS_AT_ALL:
            return ValueError(f"{name} overlaps {of}: pass an array apart from it.")
        case Misfit.NO_BIAS:
            return ValueError(f"{name} must be None, because the forward pass had no bias.")
        case _:
            return _shape_error(misfit, value, name, expected, of)


def _shape_error(misfit: Misfit, shape: Shape, name: str, expected: Any, of: str) -> Exception:
    match misfit:
        case Misfit.NOT_OF_PASS:
            return ValueError(pass_shape_message(shape, expected, name, of))
        case Misfit.OTHER_NDIM:
            return NdimError(f"{name}, but got {shape}.")
        case Misfit.NOISE_SHAPE:
            entries = tuple(None if entry == -1 else entry for entry in expected)
            return ValueError(noise_shape_message(entries, shape))
        case Misfit.SHARD_OF_BLOCKS:
            return TypeError(
                "shard must be None for DropBlock, whose blocks cross parts and whose scale depends on all "
                f"that the whole array keeps, but got {expected!r}."
            )
        case Misfit.LARGE_BLOCK:
            ndim, size = expected
            return ValueError(
                f"block_size must be at most the length of each of x's last {ndim} axes, {shape[-ndim:]}, "
                f"but it is {size}."
            )
        case _:
            return _shard_error(expected, shape)


def _shard_error(shard: Any, part: Shape) -> Exception:
    """Return the error of a shard in which an array of shape `part` does not lie."""
    if not (hasattr(shard, "shape") and hasattr(shard, "start")):
        return TypeError(f"shard must be a bitdrop.Shard or None, but got {shard!r}.")
    if len(shard.shape) != len(part):
        return ValueError(
            f"shard must have as many axes as x, whose shape is {part}, but its shape is {shard.shape}."
        )
    return ValueError(f"x of shape {part} does not lie within {shard.shape} if it starts at {shard.start}.")


_core.set_front_end(as_array, error_of)
