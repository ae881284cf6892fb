"""Dropout functions with the names, arguments and errors of `torch.nn.functional`."""

from collections.abc import Callable, Sequence

from torch import Generator, Tensor
from torch.overrides import has_torch_function_unary

from bitdrop.torch import _calls
from bitdrop.torch._attention import scaled_dot_product_attention
from bitdrop.torch._calls import DEFAULTS, Options
from bitdrop.torch._drop_block import drop_block1d, drop_block2d, drop_block3d
from bitdrop.torch._further import drop_path, fused_dropout, gaussian_dropout, zoneout
from bitdrop.torch._thinned_mlp import thinned_mlp

__all__ = [
    "alpha_dropout",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "fused_dropout",
    "gaussian_dropout",
    "scaled_dot_product_attention",
    "thinned_mlp",
    "zoneout",
]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
    noise_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Set each element to zero with probability `p`, and scale the rest by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
        Of any shape and strides. Tensors on the CPU, strided, and of dtype float16, bfloat16, float32,
        float64, complex64 or complex128 are bitdrop's. Any other goes to torch's own function.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    training : bool, default True
        Whether to drop. Otherwise input itself is returned.
    inplace : bool, default False
        Whether to write into input.
    recompute : bool, default False
        Whether to generate the bits again in the backward pass instead of holding them. It saves one bit an
        element.
    generator : torch.Generator, optional
        Source of the mask's key. None means torch's default generator of the CPU, which
        `torch.manual_seed` and the like set.
    noise_shape : sequence of ints and None, optional
        Shape of the draws: along each axis 1, if all elements share a draw, or input's length (or None, which
        means the same). ``(None, 1, None)`` drops the same elements at all times of (N, T, F).

    Returns
    -------
    Tensor
        In training a new tensor with torch's strides, or input with `inplace`. A dropped element is +0.0,
        whatever input held.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As by `torch.nn.functional.dropout`, with its messages.
    TypeError, ValueError
        If noise_shape does not fit input, or a generator is given for a tensor that goes to torch's own
        function.

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
    options = DEFAULTS
    if recompute or generator is not None or noise_shape is not None:
        options = Options(recompute, generator, noise_shape)
    if has_torch_function_unary(input):
        return _overridden(dropout, input, p, training, inplace, options)
    return _calls.drop(_calls.DROPOUT, input, p, training, inplace, options)


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

    Parameters, results and errors are those of `dropout`. The mask has one bit a channel, and the number of
    axes must be 2 or 3.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.dropout1d(torch.ones(4, 8, 5))
    >>> bool((y == y[:, :, :1]).all())    # a channel is kept or dropped as a whole
    True
    """
    options = Options(recompute, generator) if recompute or generator is not None else DEFAULTS
    if has_torch_function_unary(input):
        return _overridden(dropout1d, input, p, training, inplace, options)
    return _calls.drop(_calls.DROPOUT1D, input, p, training, inplace, options)


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

    Parameters, results and errors are those of `dropout`. The mask has one bit a channel. If the number of
    axes is not 4, torch's warnings are given, and the first two axes are samples and channels.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.dropout2d(torch.ones(4, 8, 5, 5))
    >>> bool((y == y[:, :, :1, :1]).all())    # a channel is kept or dropped as a whole
    True
    """
    options = Options(recompute, generator) if recompute or generator is not None else DEFAULTS
    if has_torch_function_unary(input):
        return _overridden(dropout2d, input, p, training, inplace, options)
    return _calls.drop(_calls.DROPOUT2D, input, p, training, inplace, options)


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

    Parameters, results and errors are those of `dropout`. The mask has one bit a channel. If the number of
    axes is neither 4 nor 5, torch's warning is given.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.dropout3d(torch.ones(4, 8, 2, 5, 5))
    >>> bool((y == y[:, :, :1, :1, :1]).all())    # a channel is kept or dropped as a whole
    True
    """
    options = Options(recompute, generator) if recompute or generator is not None else DEFAULTS
    if has_torch_function_unary(input):
        return _overridden(dropout3d, input, p, training, inplace, options)
    return _calls.drop(_calls.DROPOUT3D, input, p, training, inplace, options)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
    noise_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Dropout for self-normalising networks: see `torch.nn.functional.alpha_dropout`.

    Parameters, results and errors are those of `dropout`, except that training is False by default, as in
    torch. A dropped element becomes a constant, whatever input held.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(1000, 1000)
    >>> y = bitdrop.torch.functional.alpha_dropout(x, p=0.3, training=True)
    >>> print(f"mean {abs(y.mean()):.2f}, standard deviation {y.std():.2f}")
    mean 0.00, standard deviation 1.00
    """
    options = DEFAULTS
    if recompute or generator is not None or noise_shape is not None:
        options = Options(recompute, generator, noise_shape)
    if has_torch_function_unary(input):
        return _overridden(alpha_dropout, input, p, training, inplace, options)
    return _calls.drop(_calls.ALPHA_DROPOUT, input, p, training, inplace, options)


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

    Parameters, results and errors are those of `alpha_dropout`. The mask has one bit a channel, and there
    must be at least two axes.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.feature_alpha_dropout(torch.ones(4, 8, 5), p=0.3, training=True)
    >>> bool((y == y[:, :, :1]).all())
    True
    """
    options = Options(recompute, generator) if recompute or generator is not None else DEFAULTS
    if has_torch_function_unary(input):
        return _overridden(feature_alpha_dropout, input, p, training, inplace, options)
    return _calls.drop(_calls.FEATURE_ALPHA_DROPOUT, input, p, training, inplace, options)


def _overridden(
    function: Callable[..., Tensor], input: Tensor, p: float, training: bool, inplace: bool, options: Options
) -> Tensor:
    """Call a function as overridden by a subclass or a mode."""
    chosen = options._asdict()
    if options.noise_shape is None:
        del chosen["noise_shape"]  # most functions have no such argument
    return _calls.overridden(function, (input,), p=p, training=training, inplace=inplace, **chosen)


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
