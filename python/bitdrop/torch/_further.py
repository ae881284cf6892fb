"""Functions of dropout that torch lacks, in torch's manner: see `functional.py`."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from bitdrop._validate import as_noise_rate
from bitdrop.kinds.fused import Activation, check_activation
from bitdrop.torch import _by_torch, _calls, _drop_path, _fused
from bitdrop.torch._calls import Options
from bitdrop.torch._plain import is_ours
from bitdrop.torch._settings import NOISE, SELECT, Setting


def drop_path(
    input: Tensor,
    p: float = 0.0,
    training: bool = True,
    scale_by_keep: bool = True,
    mode: str = "row",
    *,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Stochastic depth: set samples to zero with probability `p`, as `timm.layers.drop_path`.

    Parameters
    ----------
    input : Tensor
        Of shape (N, ...): one sample for each index of the first axis.
    p : float, default 0.0
        Probability that a sample is dropped, in [0, 1].
    training : bool, default True
        Whether to drop. Otherwise input itself is returned.
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p).
    mode : {"row", "batch"}
        "row": each sample owns a draw. "batch": all samples share one.
    recompute, generator
        As in `dropout`.

    Returns
    -------
    Tensor
        As from `dropout`.

    Raises
    ------
    ValueError
        If p is not in [0, 1], mode is neither "row" nor "batch", or input has no axes in mode "row".

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.functional.drop_path(torch.ones(8, 3), p=1.0)
    >>> y.unique()
    tensor([0.])
    """
    if has_torch_function_unary(input):
        return _calls.overridden(
            drop_path,
            (input,),
            p=p,
            training=training,
            scale_by_keep=scale_by_keep,
            mode=mode,
            recompute=recompute,
            generator=generator,
        )
    _drop_path.check(p, mode)
    kind = _drop_path.KINDS[mode, bool(scale_by_keep)]
    return _calls.drop(kind, input, p, training, False, Options(recompute, generator))


def fused_dropout(
    x: Tensor,
    p: float = 0.5,
    bias: Tensor | None = None,
    activation: Activation | None = None,
    residual: Tensor | None = None,
    training: bool = True,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
    noise_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Return ``residual + dropout(activation(x + bias), p)``, in one pass over memory.

    Parameters
    ----------
    x : Tensor
        Of any shape and strides.
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    bias : Tensor, optional
        Added to x, of a shape that broadcasts to x's.
    activation : {"relu"}, optional
        Applied after the bias. None: no activation.
    residual : Tensor, optional
        Added to the result, of x's shape.
    training : bool, default True
        Whether to drop. Otherwise the rest is still one pass, and x itself is returned if there is no rest.
    recompute, generator, noise_shape
        As in `dropout`. `recompute` needs a call without an activation.

    Returns
    -------
    Tensor
        A new tensor with torch's strides. Gradients flow to x, bias and residual.

    Raises
    ------
    ValueError
        If bias or residual is of a shape that does not fit, the activation is unknown, or recompute is True
        with an activation.

    Notes
    -----
    The random bits are those of `dropout`. Tensors on the CPU, of one dtype and in ordinary calls, take one
    pass. Others, compiled functions and transforms take the same steps one by one, with the same result.
    float16 and bfloat16 are computed in float32 and rounded once. A NaN is active, as for `torch.relu`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> x, bias = torch.tensor([[-3.0, 1.0], [2.0, 4.0]]), torch.ones(2, requires_grad=True)
    >>> y = bitdrop.torch.functional.fused_dropout(x, 0.0, bias, "relu", x)
    >>> y
    tensor([[-3.,  3.],
            [ 5.,  9.]], grad_fn=<FusedBackward>)
    >>> y.sum().backward()
    >>> bias.grad
    tensor([1., 2.])
    """
    check_activation(activation)
    options = Options(recompute, generator, noise_shape)
    tensors = tuple(tensor for tensor in (x, bias, residual) if tensor is not None)
    if has_torch_function(tensors):
        overridden: Tensor = handle_torch_function(
            fused_dropout, tensors, x, p, bias, activation, residual, training, **options._asdict()
        )
        return overridden
    _fused.check_recompute(recompute, activation)
    p = _fused.check(p, x, bias, activation, residual)
    return _fused.fused((x, bias, residual), p, activation is not None, bool(training), options)


def gaussian_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    *,
    generator: Generator | None = None,
    noise_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Multiply each element by a normal number of mean 1 and variance p / (1 - p).

    Parameters
    ----------
    input : Tensor
        Of any shape and strides, and real.
    p : float, default 0.5
        Rate of the dropout, in [0, 1).
    training : bool, default True
        Whether to multiply. Otherwise input itself is returned.
    generator, noise_shape
        As in `dropout`.

    Returns
    -------
    Tensor
        A new tensor with torch's strides. The gradient is multiplied by the same numbers.

    Raises
    ------
    TypeError
        If p is not a number, or input is complex.
    ValueError
        If p is not in [0, 1), or noise_shape does not fit input.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.gaussian_dropout(torch.ones(1000, 100), p=0.2)
    >>> print(f"mean {y.mean():.2f}, standard deviation {y.std():.2f}")
    mean 1.00, standard deviation 0.50
    """
    options = Options(False, generator, noise_shape)
    if has_torch_function_unary(input):
        chosen = {"generator": generator, "noise_shape": noise_shape}
        return _calls.overridden(gaussian_dropout, (input,), p=p, training=training, **chosen)
    p = p if type(p) is float and 0.0 <= p < 1.0 else as_noise_rate(p)
    if input.is_complex():
        raise TypeError(f"input must be real for Gaussian dropout, but its dtype is {input.dtype}.")
    if not training or p == 0.0 or input.numel() == 0:
        return input
    shared = () if noise_shape is None else _calls.axes_of_noise_shape(noise_shape, input)
    if not is_ours(input):
        _calls.check_generator(options)
        return _by_torch.gaussian(input, p, shared)
    return _calls.run((input,), Setting(NOISE, p).placed(input, shared), False, options)


def zoneout(
    new: Tensor,
    previous: Tensor,
    p: float = 0.1,
    training: bool = True,
    *,
    recompute: bool = False,
    generator: Generator | None = None,
    noise_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Let each element keep its previous value with probability `p`, for recurrent networks.

    Parameters
    ----------
    new, previous : Tensor
        The state after a step and before it, of one shape and dtype.
    p : float, default 0.1
        Probability that an element keeps its previous value, in [0, 1].
    training : bool, default True
        Whether to choose at random. Otherwise the result is the expectation,
        ``(1 - p) * new + p * previous``.
    recompute, generator, noise_shape
        As in `dropout`.

    Returns
    -------
    Tensor
        A new tensor with the strides of new. Gradients flow to both.

    Raises
    ------
    ValueError
        If p is not in [0, 1], or noise_shape or the shape of previous does not fit new.
    TypeError
        If previous is not of the dtype of new.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> bitdrop.torch.functional.zoneout(torch.ones(6), torch.zeros(6), p=0.5)
    tensor([0., 0., 0., 1., 1., 1.])
    >>> bitdrop.torch.functional.zoneout(torch.ones(2), torch.zeros(2), p=0.25, training=False)
    tensor([0.7500, 0.7500])
    """
    options = Options(recompute, generator, noise_shape)
    if has_torch_function((new, previous)):
        return _calls.overridden(zoneout, (new, previous), p=p, training=training, **options._asdict())
    p = _as_probability(p)
    if previous.shape != new.shape:
        shapes = f"{tuple(new.shape)}, but its shape is {tuple(previous.shape)}"
        raise ValueError(f"previous must have the shape of new, {shapes}.")
    if previous.dtype is not new.dtype:
        raise TypeError(
            f"previous must have the dtype of new, {new.dtype}, but its dtype is {previous.dtype}."
        )
    if not training:
        return _blend(new, previous, p)
    shared = () if noise_shape is None else _calls.axes_of_noise_shape(noise_shape, new)
    if not (is_ours(new) and is_ours(previous)):
        _calls.check_generator(options)
        return _by_torch.zoneout(new, previous, p, shared)
    if new.numel() == 0:
        return new.clone()
    return _calls.run((new, previous), Setting(SELECT, p).placed(new, shared), False, options)


def _blend(new: Tensor, previous: Tensor, p: float) -> Tensor:
    """Return the expectation. Half types are rounded once."""
    if new.dtype in (torch.float16, torch.bfloat16):
        return ((1.0 - p) * new.float() + p * previous.float()).to(new.dtype)
    return (1.0 - p) * new + p * previous


def _as_probability(p: float) -> float:
    """Return p as a float, or raise torch's error."""
    if type(p) is float and 0.0 <= p <= 1.0:
        return p
    torch.nn.functional.dropout(torch.empty(0), p, False)
    return float(p)
