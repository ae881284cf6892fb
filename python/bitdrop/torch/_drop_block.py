"""Functions of block dropout, with torchvision's arguments: see `functional.py`."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Generator, Tensor
from torch.overrides import has_torch_function_unary

from bitdrop.torch import _by_torch, _calls
from bitdrop.torch._calls import Options
from bitdrop.torch._plain import is_ours
from bitdrop.torch._settings import SCALE, Setting


def drop_block1d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    shared_channels: bool = False,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop intervals of sequences, (N, C, L): see `drop_block2d`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.functional.drop_block1d(torch.ones(8, 4, 100), 0.1, 5)
    >>> bool((y == 0).any())
    True
    """
    options = Options(recompute, generator)
    arguments = _Blocks(p, block_size, eps, shared_channels)
    return _drop_block(drop_block1d, input, arguments, (1, training, inplace, options))


def drop_block2d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    shared_channels: bool = False,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop squares of images, (N, C, H, W), as `torchvision.ops.drop_block2d`.

    Parameters
    ----------
    input : Tensor
        Of shape (N, C, H, W).
    p : float
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int
        Height and width of a block. A block that is larger than the maps is shrunk, as in torchvision.
    inplace : bool, default False
        Whether to write into input.
    eps : float, default 1e-6
        Number added to the number of kept elements before it divides.
    training : bool, default True
        Whether to drop. Otherwise input itself is returned.
    shared_channels : bool, default False
        Whether all channels of a sample lose the same blocks.
    recompute, generator
        As in `dropout`.

    Returns
    -------
    Tensor
        A new tensor with torch's strides, or input with `inplace`. Kept elements are multiplied by
        ``input.numel() / (kept + eps)``.

    Raises
    ------
    ValueError
        If p is not in [0, 1], input has another number of axes, or block_size is less than 1.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.functional.drop_block2d(torch.ones(8, 4, 30, 30), 0.1, 5)
    >>> print(f"mean {y.mean():.2f}, dropped {(y == 0).float().mean():.2f}")
    mean 1.00, dropped 0.10
    """
    options = Options(recompute, generator)
    arguments = _Blocks(p, block_size, eps, shared_channels)
    return _drop_block(drop_block2d, input, arguments, (2, training, inplace, options))


def drop_block3d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
    *,
    shared_channels: bool = False,
    recompute: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Drop cubes of volumes, (N, C, D, H, W), as `torchvision.ops.drop_block3d`: see `drop_block2d`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.functional.drop_block3d(torch.ones(8, 4, 9, 9, 9), 0.1, 3)
    >>> bool((y == 0).any())
    True
    """
    options = Options(recompute, generator)
    arguments = _Blocks(p, block_size, eps, shared_channels)
    return _drop_block(drop_block3d, input, arguments, (3, training, inplace, options))


class _Blocks(NamedTuple):
    """Arguments of block dropout."""

    p: float
    block_size: int
    eps: float
    shared_channels: bool


def _drop_block(
    function: Callable[..., Tensor], input: Tensor, blocks: _Blocks, call: tuple[int, bool, bool, Options]
) -> Tensor:
    """Drop blocks along the last axes of an input, or of a tensor that overrides a function."""
    ndim, training, inplace, options = call
    if has_torch_function_unary(input):
        chosen = {**blocks._asdict(), "inplace": inplace, "training": training}
        return _calls.overridden(
            function, (input,), **chosen, recompute=options.recompute, generator=options.generator
        )
    if not 0.0 <= blocks.p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {blocks.p}.")
    if input.dim() != ndim + 2:
        raise ValueError(f"input should be {ndim + 2} dimensional. Got {input.dim()} dimensions.")
    if blocks.block_size < 1:
        raise ValueError(f"block_size must be at least 1, but got {blocks.block_size}.")
    if not training or blocks.p == 0.0 or input.numel() == 0:
        return input
    size = min(blocks.block_size, *input.shape[-ndim:])
    setting = Setting(
        SCALE,
        float(blocks.p),
        block_ndim=ndim,
        block_size=size,
        eps=float(blocks.eps),
        shared_channels=bool(blocks.shared_channels),
    )
    if not is_ours(input):
        _calls.check_generator(options)
        return _by_torch.drop_block(input, setting, inplace)
    return _calls.run((input,), setting.placed(input, ()), inplace, options)
