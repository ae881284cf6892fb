"""Dropout functions with the names, arguments and errors of `torch.nn.functional`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch._subclasses import FakeTensor
from torch.nn import functional as _functional
from torch.overrides import handle_torch_function, has_torch_function_unary
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from bitdrop.torch import _operators, _tensors
from bitdrop.torch._autograd import drop, is_plain
from bitdrop.torch._tensors import DTYPES, Mask

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

_ANY = range(65)  # numbers of axes
_OURS = "only strided ones of float16, bfloat16, float32 or float64 on the CPU are bitdrop's"


@dataclass(frozen=True)
class _Kind:
    """What sets the functions apart.

    Attributes
    ----------
    torchs_own : callable
        The function of torch that a function stands for, kept here because `patch` takes its place in torch.
    alpha : bool
        Whether dropped elements become SELU's lowest value.
    channels : bool
        Whether whole channels are dropped.
    axes : container of ints
        Numbers of axes that torch takes without a word.
    without_samples : container of ints
        Numbers of axes for which the first is the channels'. Else it is the samples', and the second the
        channels'.
    """

    torchs_own: Callable[..., Tensor]
    alpha: bool = False
    channels: bool = False
    axes: range | tuple[int, ...] = _ANY
    without_samples: range | tuple[int, ...] = ()


_DROPOUT = _Kind(_functional.dropout)
_DROPOUT1D = _Kind(_functional.dropout1d, channels=True, axes=(2, 3), without_samples=(2,))
_DROPOUT2D = _Kind(_functional.dropout2d, channels=True, axes=(4,))
_DROPOUT3D = _Kind(
    _functional.dropout3d,
    channels=True,
    axes=(4, 5),
    without_samples=tuple(axes for axes in _ANY if axes != 5),
)
_ALPHA_DROPOUT = _Kind(_functional.alpha_dropout, alpha=True)
_FEATURE_ALPHA_DROPOUT = _Kind(_functional.feature_alpha_dropout, alpha=True, channels=True)


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Set each element to zero with probability `p`, and scale the rest by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
        Of any shape and strides. On the CPU, strided, and of dtype float16, bfloat16, float32 or float64;
        any other goes to torch's own function.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    training : bool, default True
        Whether to drop. Otherwise input itself is returned.
    inplace : bool, default False
        Whether to write into input.
    recompute : bool, default False
        Whether to hold no bits for the backward pass, but to make them again. It saves one bit an element.
    generator : torch.Generator, optional
        Where the mask's key is drawn from. None means torch's default generator of the CPU, so that
        `torch.manual_seed` and the like decide.

    Returns
    -------
    Tensor
        In training a new tensor with torch's strides, or input with `inplace`. A dropped element is +0.0,
        whatever input held.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As `torch.nn.functional.dropout`, with its messages.
    ValueError
        If a generator is given for a tensor that goes to torch's own function.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.ones(1000, requires_grad=True)
    >>> y = bitdrop.torch.functional.dropout(x, p=0.25)
    >>> y.unique()
    tensor([0.0000, 1.3333], grad_fn=<Unique2Backward0>)
    >>> y.sum().backward()
    >>> bool((x.grad == y).all())
    True
    """
    if has_torch_function_unary(input):
        return _overridden(dropout, input, p, training, inplace, recompute, generator)
    return _drop(_DROPOUT, input, p, training, inplace, recompute, generator)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop whole channels of sequences, (N, C, L) or (C, L): see `torch.nn.functional.dropout1d`.

    Parameters, results and errors are those of `dropout`, but that the mask has one bit a channel, and that
    the number of axes must be 2 or 3.
    """
    if has_torch_function_unary(input):
        return _overridden(dropout1d, input, p, training, inplace, recompute, generator)
    return _drop(_DROPOUT1D, input, p, training, inplace, recompute, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop whole channels of images, (N, C, H, W): see `torch.nn.functional.dropout2d`.

    Parameters, results and errors are those of `dropout`, but that the mask has one bit a channel. For other
    numbers of axes than 4, torch's warnings are given, and the first two axes are samples and channels.
    """
    if has_torch_function_unary(input):
        return _overridden(dropout2d, input, p, training, inplace, recompute, generator)
    return _drop(_DROPOUT2D, input, p, training, inplace, recompute, generator)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop whole channels of volumes, (N, C, D, H, W) or (C, D, H, W): see `torch.nn.functional.dropout3d`.

    Parameters, results and errors are those of `dropout`, but that the mask has one bit a channel. For other
    numbers of axes than 4 and 5, torch's warning is given.
    """
    if has_torch_function_unary(input):
        return _overridden(dropout3d, input, p, training, inplace, recompute, generator)
    return _drop(_DROPOUT3D, input, p, training, inplace, recompute, generator)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout for self-normalising networks: see `torch.nn.functional.alpha_dropout`.

    Parameters, results and errors are those of `dropout`, but that training is False unless it is said, as in
    torch, and that a dropped element becomes a constant, whatever input held.
    """
    if has_torch_function_unary(input):
        return _overridden(alpha_dropout, input, p, training, inplace, recompute, generator)
    return _drop(_ALPHA_DROPOUT, input, p, training, inplace, recompute, generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Alpha dropout of whole channels, (N, C, ...): see `torch.nn.functional.feature_alpha_dropout`.

    Parameters, results and errors are those of `alpha_dropout`, but that the mask has one bit a channel, and
    that there must be two axes at least.
    """
    if has_torch_function_unary(input):
        return _overridden(feature_alpha_dropout, input, p, training, inplace, recompute, generator)
    return _drop(_FEATURE_ALPHA_DROPOUT, input, p, training, inplace, recompute, generator)


def _overridden(  # noqa: PLR0917
    function: Callable[..., Tensor],
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    recompute: bool,
    generator: Generator | None,
) -> Tensor:
    """Ask a subclass or a mode that has its own view of functions."""
    result: Tensor = handle_torch_function(
        function,
        (input,),
        input,
        p=p,
        training=training,
        inplace=inplace,
        recompute=recompute,
        generator=generator,
    )
    return result


def _drop(  # noqa: PLR0917
    kind: _Kind,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    recompute: bool,
    generator: Generator | None,
) -> Tensor:
    if not _is_ours(input):
        if generator is not None:
            raise ValueError(f"generator must be None for tensors that torch's own function drops: {_OURS}.")
        return kind.torchs_own(input, p, training, inplace)
    channel_axes = 0
    if kind.channels:
        channel_axes = 1 if input.dim() in kind.without_samples else 2
        if input.dim() < channel_axes:
            return kind.torchs_own(input, p, training, inplace)  # says so, if it is to drop
    if not (type(p) is float and 0.0 <= p <= 1.0 and input.dim() in kind.axes):
        kind.torchs_own(input, p, False)  # gives the input back, but first warns or raises as this torch does
        p = float(p)
    if type(training) is not bool:
        kind.torchs_own(input[:0].detach(), p, training)  # so does this
    if not training or p == 0.0 or input.numel() == 0:
        return input
    order = _tensors.memory_order(input, channel_axes)
    if not is_plain(input):
        y = _operators.apply(input, _operators.draw_key(generator), p, kind.alpha, order, channel_axes)
        return input.copy_(y) if inplace else y
    mask = Mask(p, kind.alpha, _operators.draw_now(generator), order, channel_axes)
    if inplace and _must_be_checked(input):
        return input.copy_(drop(input, mask, False, recompute))
    return drop(input, mask, inplace, recompute)


def _is_ours(input: Tensor) -> bool:
    """Return whether the engine can read a tensor's memory, or could if it were one of the usual class."""
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
    """Return whether writing into a tensor needs checks of autograd or of memory that `copy_` does first."""
    needs_autograd = input.requires_grad and torch.is_grad_enabled()
    return (needs_autograd and (input.is_leaf or input._is_view())) or 0 in input.stride()
