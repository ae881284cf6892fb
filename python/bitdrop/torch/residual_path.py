"""Stochastic depth that does not run a branch on the samples it drops."""

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.autograd import Function

from bitdrop._validate import type_name
from bitdrop.torch import _drop_path, functional
from bitdrop.torch._kept_weights import Kept
from bitdrop.torch._plain import is_exporting, is_plain
from bitdrop.torch._private import disable_dynamo
from bitdrop.torch._served import Served, as_generator

__all__ = ["ResidualPath"]


class ResidualPath(Served, nn.Module):
    """Residual connection with stochastic depth: ``x + drop_path(branch(x))``, run on kept samples alone.

    The method is from [1]_, in the form of `DropPath`: each sample drops the branch by itself.

    Parameters
    ----------
    branch : torch.nn.Module
        A module whose output has the shape of its input. It must treat samples, along the first axis, by
        themselves, as layer norm, attention and convolutions do. Batch norm sees the kept samples alone.
    p : float, default 0.0
        Probability that a sample drops the branch, in [0, 1].
    scale_by_keep : bool, default True
        Whether the branch's output is multiplied by 1 / (1 - p) in training.
    generator : torch.Generator, optional
        Source of the masks' keys. None means torch's default generator of the CPU.

    Raises
    ------
    ValueError
        If p is not in [0, 1], or if the branch's output is not of its input's shape.

    Notes
    -----
    The masks are those of `DropPath`. If no sample is kept, the branch is not run, and its parameters get
    gradients of 0. Inside transforms of torch.func, in exported graphs and for tensors that bitdrop does not
    drop, the branch runs on all samples, with the same result.

    References
    ----------
    .. [1] G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Weinberger, "Deep networks with stochastic depth",
       ECCV 2016.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> block = bitdrop.torch.ResidualPath(torch.nn.Identity(), p=0.5)
    >>> block(torch.ones(6, 1)).flatten()    # 1 + 0 or 1 + 2
    tensor([1., 1., 1., 3., 3., 3.])
    >>> block.eval()(torch.ones(6, 1)).flatten()
    tensor([2., 2., 2., 2., 2., 2.])
    """

    def __init__(
        self,
        branch: nn.Module,
        p: float = 0.0,
        scale_by_keep: bool = True,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        _drop_path.check(p, "row")
        self.branch = branch
        self.p, self.scale_by_keep = p, scale_by_keep
        if generator is not None:
            self.generator = as_generator(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return x and the branch's output: in training for kept samples alone."""
        if not self.training or self.p == 0.0:
            return x + _checked(self.branch(x), x)
        _drop_path.check(self.p, "row")
        generator = self._source(x)
        kept = None if is_exporting() else _kept_samples(x, self.p, generator)
        if kept is None:
            y = _checked(self.branch(x), x)
            return x + functional.drop_path(y, self.p, True, self.scale_by_keep, generator=generator)
        if len(kept) == 0:
            return _unchanged(x, *self.branch.parameters())
        part = x if len(kept) == len(x) else x.index_select(0, kept)
        y = _checked(self.branch(part), part)
        scale = 1.0 / (1.0 - self.p) if self.scale_by_keep else 1.0
        return _add(x, kept, y if scale == 1.0 else y * scale)

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}"


@disable_dynamo
def _kept_samples(x: Tensor, p: float, generator: Generator | None) -> Tensor | None:
    """Draw the mask of `drop_path`, and return the kept samples, or None if they must not be data."""
    if not is_plain(x) or x.dim() == 0 or x.numel() == 0:
        return None
    return Kept.draw(len(x), p, generator).indices()


def _checked(y: Any, x: Tensor) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(
            f"branch must return a tensor, but returned {type_name(y)}: give it a forward that returns one."
        )
    if y.shape != x.shape:
        raise ValueError(
            f"branch must return the shape of its input, {tuple(x.shape)}, but returned {tuple(y.shape)}."
        )
    return y


def _add(x: Tensor, kept: Tensor, y: Tensor) -> Tensor:
    """Return x with y added to the kept samples."""
    if len(kept) == len(x):
        return x + y
    dtype = torch.promote_types(x.dtype, y.dtype)  # as the sum of both
    # In place, on a copy: `index_add` would put the axes in C order.
    return x.to(dtype, copy=True).index_add_(0, kept, y.to(dtype))


class Unchanged(Function):
    """A copy of x to autograd, of which parameters get gradients of 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return x as a new tensor."""
        ctx.save_for_backward(*parameters)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x, and zeros."""
        needed = ctx.needs_input_grad[1:]
        return dy, *(
            torch.zeros_like(parameter) if is_needed else None
            for parameter, is_needed in zip(ctx.saved_tensors, needed, strict=True)
        )

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: Tensor | None) -> Tensor:
        """Return the tangent of x."""
        return dx.clone()


@disable_dynamo
def _unchanged(x: Tensor, *parameters: Tensor) -> Tensor:
    y: Tensor = Unchanged.apply(x, *parameters)
    return y
