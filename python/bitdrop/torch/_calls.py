"""A call of a dropout function: torch's checks, then the way for its tensor."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch._subclasses import FakeTensor
from torch.nn import functional
from torch.overrides import handle_torch_function
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from bitdrop._affine import Affine
from bitdrop._plan import Plan, new_plan
from bitdrop._units import ELEMENTS, Units
from bitdrop.torch import _autograd, _operators, _tensors
from bitdrop.torch._autograd import PLAIN_TYPES, is_plain
from bitdrop.torch._tensors import DTYPES, Axes, Pass


class Options(NamedTuple):
    """Keyword arguments that torch's functions lack: see `bitdrop.torch.functional.dropout`."""

    recompute: bool = False
    generator: Generator | None = None


DEFAULTS = Options()


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """The differences between the functions.

    Attributes
    ----------
    torchs_own : callable
        The function of the same name in torch, kept here because `patch` takes its place there.
    affine : callable
        Returns the coefficients for a p.
    units : Units
        The units that are dropped whole. Their `ndims` are those that torch takes without a warning.
    """

    torchs_own: Callable[..., Tensor]
    affine: Callable[[float], Affine]
    units: Units = ELEMENTS


# Tensors of all numbers of axes but 5 lack the sample axis for torch's dropout3d.
_NOT_5 = tuple(ndim for ndim in range(65) if ndim != 5)

DROPOUT = Kind(functional.dropout, Affine.inverted)
DROPOUT1D = Kind(functional.dropout1d, Affine.inverted, Units(2, unbatched=(2,), ndims=(2, 3)))
DROPOUT2D = Kind(functional.dropout2d, Affine.inverted, Units(2, ndims=(4,)))
DROPOUT3D = Kind(functional.dropout3d, Affine.inverted, Units(2, unbatched=_NOT_5, ndims=(4, 5)))
ALPHA_DROPOUT = Kind(functional.alpha_dropout, Affine.alpha)
FEATURE_ALPHA_DROPOUT = Kind(functional.feature_alpha_dropout, Affine.alpha, Units(2))

_SUPPORTED = "only strided ones of float16, bfloat16, float32 or float64 on the CPU are bitdrop's"


def overridden(
    function: Callable[..., Tensor],
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    options: Options,
) -> Tensor:
    """Call a function as overridden by a subclass or a mode."""
    arguments = {"p": p, "training": training, "inplace": inplace, **options._asdict()}
    result: Tensor = handle_torch_function(function, (input,), input, **arguments)
    return result


def drop(kind: Kind, input: Tensor, p: float, training: bool, inplace: bool, options: Options) -> Tensor:
    """Check the arguments as torch does, and drop."""
    units = kind.units
    in_range = type(p) is float and 0.0 <= p <= 1.0
    if training is False and in_range and type(input) in PLAIN_TYPES and _accepts(units, input):
        return input
    plain = is_plain(input)
    if not plain and not _is_supported(input):
        _check_options(options)
        return kind.torchs_own(input, p, training, inplace)
    shared: Axes = ()
    if units.leading is not None:
        leading = units.leading_of(input.dim())
        if input.dim() < leading:
            return kind.torchs_own(input, p, training, inplace)  # raises, if it is to drop
        shared = tuple(range(leading, input.dim()))
    if not (in_range and _accepts(units, input)):
        kind.torchs_own(input, p, False)  # returns the input, but first warns or raises as this torch does
        p = float(p)
    if type(training) is not bool:
        kind.torchs_own(input[:0].detach(), p, training)  # likewise
    if not training or p == 0.0 or input.numel() == 0:
        return input
    axes = _tensors.memory_order(input, shared), shared
    if not plain:
        return _recorded(input, Pass(kind.affine(p), Plan((0, 0), 0, p), *axes), inplace, options)
    plan = new_plan((_operators.draw_now(options.generator), 0, p))
    return _eager(input, _new_pass((_affine(kind, p), plan, *axes)), inplace, options)


def _eager(input: Tensor, values: Pass, inplace: bool, options: Options) -> Tensor:
    """Drop at once."""
    if inplace and _must_be_checked(input):
        return input.copy_(_autograd.drop(input, values, False, options.recompute))
    return _autograd.drop(input, values, inplace, options.recompute)


def _check_options(options: Options) -> None:
    """Check that torch's own function can do what the options say."""
    if options.generator is not None:
        raise ValueError(
            f"generator must be None for a tensor that torch's own function drops: {_SUPPORTED}."
        )


def _accepts(units: Units, input: Tensor) -> bool:
    """Return whether torch takes a number of axes without a warning."""
    return not units.ndims or input.dim() in units.ndims


@lru_cache
def _affine(kind: Kind, p: float) -> Affine:
    return kind.affine(p)


_new_pass = partial(tuple.__new__, Pass)
"""``Pass(*fields)`` of a tuple of fields, in half the time."""


def _recorded(input: Tensor, values: Pass, inplace: bool, options: Options) -> Tensor:
    """Drop by operators. They take the key from a tensor, not from the plan."""
    y = _operators.apply(input, _operators.draw_key(options.generator), values)
    return input.copy_(y) if inplace else y


def _is_supported(input: Tensor) -> bool:
    """Return whether the engine can read a tensor's memory, or could if its class were a usual one."""
    return (
        isinstance(input, Tensor)
        and input.is_cpu
        and input.dtype in DTYPES
        and input.layout is torch.strided
        and not torch.jit.is_tracing()
        and (type(input) is Tensor or not _is_foreign(input))
    )


def _is_foreign(input: Tensor) -> bool:
    """Return whether a tensor's class hides several tensors, or none."""
    is_fake = isinstance(input, FakeTensor) and not torch.compiler.is_compiling()
    return is_fake or is_traceable_wrapper_subclass(input)


def _must_be_checked(input: Tensor) -> bool:
    """Return whether `copy_` must check a tensor before it is written to: autograd's rules, or memory."""
    needs_autograd = input.requires_grad and torch.is_grad_enabled()
    return (needs_autograd and (input.is_leaf or input._is_view())) or 0 in input.stride()
