"""A call of a dropout function: torch's checks, then the way for its tensor."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional
from torch.overrides import handle_torch_function

from bitdrop._core import Rule
from bitdrop._typing import NoiseShape
from bitdrop._validate import as_noise_entries, noise_shape_message
from bitdrop.kinds.alpha import coefficients as alpha_coefficients
from bitdrop.records.mask import inverted_scale
from bitdrop.torch import _autograd, _by_torch, _keys, _operators, _passes, _private
from bitdrop.torch._plain import PLAIN_TYPES, is_plain, is_supported, why_torch_drops
from bitdrop.torch._settings import AFFINE, SCALE, Setting
from bitdrop.torch._tensors import Axes


class Options(NamedTuple):
    """Keyword arguments that torch's functions lack: see `bitdrop.torch.functional.dropout`."""

    recompute: bool = False
    generator: Generator | None = None
    noise_shape: NoiseShape | None = None


DEFAULTS = Options()


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """The differences between the functions that torch has too.

    Attributes
    ----------
    torchs_own : callable
        The function of torch for the same arguments, kept here because `patch` takes its place in torch.
    setting : callable
        Returns the setting for a p.
    leading : int, optional
        Number of first axes that own a draw. None: each element owns one.
    unbatched : tuple of ints
        Numbers of axes of tensors without samples: one leading axis fewer owns a draw.
    ndims : tuple of ints
        Numbers of axes that torch takes without a warning. Empty: all.
    """

    torchs_own: Callable[..., Tensor]
    setting: Callable[[float], Setting]
    leading: int | None = None
    unbatched: tuple[int, ...] = ()
    ndims: tuple[int, ...] = ()

    def least_ndim(self, ndim: int) -> int:
        """Return how many axes own a draw, if the kind has units of several elements."""
        return (self.leading or 0) - (ndim in self.unbatched)


def inverted(p: float) -> Setting:
    """Return the setting of dropout."""
    return Setting(SCALE, p, inverted_scale(p))


def unscaled(p: float) -> Setting:
    """Return the setting of dropout that scales nothing."""
    return Setting(SCALE, p)


def alpha(p: float) -> Setting:
    """Return the setting of alpha dropout."""
    return Setting(AFFINE, p, *alpha_coefficients(p))


# Tensors of all numbers of axes but 5 lack the sample axis for torch's dropout3d.
_NOT_5 = tuple(ndim for ndim in range(65) if ndim != 5)

DROPOUT = Kind(functional.dropout, inverted)
DROPOUT1D = Kind(functional.dropout1d, inverted, 2, (2,), (2, 3))
DROPOUT2D = Kind(functional.dropout2d, inverted, 2, (), (4,))
DROPOUT3D = Kind(functional.dropout3d, inverted, 2, _NOT_5, (4, 5))
ALPHA_DROPOUT = Kind(functional.alpha_dropout, alpha)
FEATURE_ALPHA_DROPOUT = Kind(functional.feature_alpha_dropout, alpha, 2)


def overridden(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], **arguments: Any) -> Tensor:
    """Call a function as overridden by a subclass or a mode."""
    result: Tensor = handle_torch_function(function, tensors, *tensors, **arguments)
    return result


def drop(kind: Kind, input: Tensor, p: float, training: bool, inplace: bool, options: Options) -> Tensor:
    """Check the arguments as torch does, and drop."""
    in_range = type(p) is float and 0.0 <= p <= 1.0
    if training is False and in_range and type(input) in PLAIN_TYPES and _accepts(kind, input):
        return input
    if (
        training is True
        and in_range
        and p != 0.0
        and not inplace
        and not _is_compiling()  # before `is`, which the compiler of PyTorch 2.8 cannot follow
        and options is DEFAULTS
        and kind.leading is None
    ):
        y = _passes.drop(input, None, None, *_cached_rule(kind, p), False)
        if y is not NotImplemented:
            return y
    plain = is_plain(input)
    if not plain and not is_supported(input):
        return _left_to_torch(kind, input, p, training, inplace, options)
    lacks_axes = kind.leading is not None and input.dim() < kind.least_ndim(input.dim())
    if lacks_axes or (kind.setting is alpha and input.is_complex()):
        return kind.torchs_own(input, p, training, inplace)  # raises, if it is to drop
    if not (in_range and _accepts(kind, input)):
        kind.torchs_own(input, p, False)  # returns the input, but first warns or raises as this torch does
        p = float(p)
    if type(training) is not bool:
        kind.torchs_own(input[:0].detach(), p, training)  # likewise
    if not training or p == 0.0 or input.numel() == 0:
        return input
    setting = (_cached if plain else _made)(kind, p).placed(input, _shared_axes(kind, input, options))
    return run((input,), setting, inplace, options)


def run(inputs: tuple[Tensor, ...], setting: Setting, inplace: bool, options: Options) -> Tensor:
    """Do a pass over tensors that are bitdrop's: at once, or by operators."""
    if not inplace and options.generator is None and not _is_compiling():
        others = [*inputs[1:], None, None][:2]
        y = _passes.drop(inputs[0], *others, setting.rule(inputs[0].dim()), setting, options.recompute)
        if y is not NotImplemented:
            return y
    if all(is_plain(x) for x in inputs):
        key = _keys.draw(options.generator)
        if inplace and _must_be_checked(inputs[0]):
            return inputs[0].copy_(_autograd.run(inputs, setting, key, False, options.recompute))
        return _autograd.run(inputs, setting, key, inplace, options.recompute)
    x, previous = inputs if len(inputs) == 2 else (inputs[0], None)
    y = _operators.drop(x, previous, _keys.draw_words(options.generator), setting)
    return x.copy_(y) if inplace else y


def _accepts(kind: Kind, input: Tensor) -> bool:
    """Return whether torch takes a number of axes without a warning."""
    return not kind.ndims or input.dim() in kind.ndims


def _shared_axes(kind: Kind, input: Tensor, options: Options) -> Axes:
    """Return the axes along which elements share a draw."""
    if options.noise_shape is not None:
        return axes_of_noise_shape(options.noise_shape, input)
    if kind.leading is None:
        return ()
    return tuple(range(kind.least_ndim(input.dim()), input.dim()))


def axes_of_noise_shape(noise_shape: NoiseShape, input: Tensor) -> Axes:
    """Return the axes along which elements share a draw."""
    entries, shape = as_noise_entries(noise_shape), tuple(input.shape)
    if len(entries) != len(shape) or not all(
        entry in (None, 1, length)
        for entry, length in zip(entries, shape)  # noqa: B905
    ):
        raise ValueError(noise_shape_message(entries, shape))
    return tuple([axis for axis, entry in enumerate(entries) if entry == 1])


def _left_to_torch(
    kind: Kind, input: Tensor, p: float, training: bool, inplace: bool, options: Options
) -> Tensor:
    """Drop by torch's own function, if it can do what the options say."""
    if training:
        check_generator(options)
    if options.noise_shape is None:
        return kind.torchs_own(input, p, training, inplace)
    unchanged = kind.torchs_own(input, p, False)  # with torch's checks
    if not training or p == 0.0 or input.numel() == 0:
        return unchanged
    setting, shared = kind.setting(p), axes_of_noise_shape(options.noise_shape, input)
    if setting.operation == AFFINE:
        return _by_torch.affine(input, p, shared, (setting.scale, setting.shift, setting.dropped), inplace)
    return _by_torch.scale(input, p, shared, setting.scale, inplace)


def check_generator(options: Options) -> None:
    """Refuse a generator for tensors that torch drops."""
    if options.generator is not None:
        raise ValueError(f"generator must be None, because {why_torch_drops()}.")


def _made(kind: Kind, p: float) -> Setting:
    return kind.setting(p)


_cached = lru_cache(_made)


@lru_cache
def _cached_rule(kind: Kind, p: float) -> tuple[Rule, Setting]:
    setting = kind.setting(p)
    return setting.rule(0), setting  # of any number of axes, if each element owns a draw


_is_compiling = torch.compiler.is_compiling


def _must_be_checked(input: Tensor) -> bool:
    """Return whether `copy_` must check a tensor before it is written to: autograd's rules, or memory."""
    needs_autograd = input.requires_grad and torch.is_grad_enabled()
    return (needs_autograd and (input.is_leaf or _private.is_view(input))) or 0 in input.stride()
