"""A call of a dropout function: torch's checks, then the way for its tensor."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional
from torch.overrides import handle_torch_function

from bitdrop._affine import Affine
from bitdrop._plan import Plan, new_plan
from bitdrop._typing import NoiseShape
from bitdrop._units import ELEMENTS, Units
from bitdrop._validate import as_noise_entries, as_noise_shape
from bitdrop.torch import _autograd, _keys, _operators, _tensors
from bitdrop.torch._plain import PLAIN_TYPES, SUPPORTED, is_exporting, is_plain, is_supported
from bitdrop.torch._tensors import Axes, Pass


class Options(NamedTuple):
    """Keyword arguments that torch's functions lack: see `bitdrop.torch.functional.dropout`."""

    recompute: bool = False
    generator: Generator | None = None
    noise_shape: NoiseShape | None = None


DEFAULTS = Options()


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """The differences between the functions.

    Attributes
    ----------
    torchs_own : callable
        The function of torch for the same arguments, kept here because `patch` takes its place in torch.
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
    if options.noise_shape is None:
        del arguments["noise_shape"]  # most functions have no such argument
    result: Tensor = handle_torch_function(function, (input,), input, **arguments)
    return result


def drop(kind: Kind, input: Tensor, p: float, training: bool, inplace: bool, options: Options) -> Tensor:
    """Check the arguments as torch does, and drop."""
    in_range = type(p) is float and 0.0 <= p <= 1.0
    if training is False and in_range and type(input) in PLAIN_TYPES and _accepts(kind, input):
        return input
    plain = is_plain(input)
    if not plain and not is_supported(input):
        return _left_to_torch(kind, input, p, training, inplace, options)
    if kind.units.leading is not None and input.dim() < kind.units.leading_of(input.dim()):
        return kind.torchs_own(input, p, training, inplace)  # raises, if it is to drop
    if not (in_range and _accepts(kind, input)):
        kind.torchs_own(input, p, False)  # returns the input, but first warns or raises as this torch does
        p = float(p)
    if type(training) is not bool:
        kind.torchs_own(input[:0].detach(), p, training)  # likewise
    if not training or p == 0.0 or input.numel() == 0:
        return input
    shared = _shared_axes(kind, input, options)
    order = _tensors.memory_order(input, shared)
    if not plain:
        return _recorded(input, Pass(kind.affine(p), Plan((0, 0), 0, p), order, shared), inplace, options)
    plan = new_plan((_keys.draw(options.generator), 0, p))
    return _eager(input, _new_pass((_affine(kind, p), plan, order, shared)), inplace, options)


def _accepts(kind: Kind, input: Tensor) -> bool:
    """Return whether torch takes a number of axes without a warning."""
    return not kind.units.ndims or input.dim() in kind.units.ndims


def _shared_axes(kind: Kind, input: Tensor, options: Options) -> Axes:
    """Return the axes along which elements share a draw."""
    if options.noise_shape is not None:
        entries = as_noise_entries(options.noise_shape)
        as_noise_shape(entries, tuple(input.shape))
        return tuple(axis for axis, entry in enumerate(entries) if entry == 1)
    if kind.units.leading is None:
        return ()
    return tuple(range(kind.units.leading_of(input.dim()), input.dim()))


def _eager(input: Tensor, values: Pass, inplace: bool, options: Options) -> Tensor:
    """Drop at once."""
    if inplace and _must_be_checked(input):
        return input.copy_(_autograd.drop(input, values, False, options.recompute))
    return _autograd.drop(input, values, inplace, options.recompute)


def _recorded(input: Tensor, values: Pass, inplace: bool, options: Options) -> Tensor:
    """Drop by operators. They take the key from a tensor, not from the plan."""
    y = _operators.apply(input, _keys.draw_words(options.generator), values)
    return input.copy_(y) if inplace else y


def _left_to_torch(
    kind: Kind, input: Tensor, p: float, training: bool, inplace: bool, options: Options
) -> Tensor:
    """Drop by torch's own function, if it can do what the options say."""
    if options.generator is not None:
        raise ValueError(
            "generator must be None, because torch's own function drops this tensor: "
            + ("export the model without generators and locks." if is_exporting() else f"pass one that is {SUPPORTED}.")
        )
    if options.noise_shape is None:
        return kind.torchs_own(input, p, training, inplace)
    unchanged = kind.torchs_own(input, p, False)  # with torch's checks
    if not training or p == 0.0 or input.numel() == 0:
        return unchanged
    return product_with_noise(input, p, _shared_axes(kind, input, options), inplace=inplace)


def product_with_noise(
    input: Tensor, p: float, shared: Axes, *, scale: float | None = None, inplace: bool = False
) -> Tensor:
    """Multiply by random numbers of torch, shared along axes: dropout for tensors that are not bitdrop's."""
    shape = [1 if axis in shared else length for axis, length in enumerate(input.shape)]
    noise = input.new_empty(shape, dtype=input.dtype.to_real()).bernoulli_(1.0 - p)
    noise = noise * (Affine.inverted(p).scale if scale is None else scale)
    return input.mul_(noise) if inplace else input * noise


@lru_cache
def _affine(kind: Kind, p: float) -> Affine:
    return kind.affine(p)


_new_pass: Any = partial(tuple.__new__, Pass)
"""``Pass(*fields)`` of a tuple of fields, in half the time."""


def _must_be_checked(input: Tensor) -> bool:
    """Return whether `copy_` must check a tensor before it is written to: autograd's rules, or memory."""
    needs_autograd = input.requires_grad and torch.is_grad_enabled()
    return (needs_autograd and (input.is_leaf or input._is_view())) or 0 in input.stride()
