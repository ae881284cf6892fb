"""Kept units, and their weights: gathered from a layer, with gradients put back among zeros."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from bitdrop import _core
from bitdrop.torch import _keys
from bitdrop.torch._native import passes
from bitdrop.torch._plain import is_plain
from bitdrop.torch._threads import of_a_call


class Kept(NamedTuple):
    """The kept units of a layer, or the kept samples of a batch.

    Attributes
    ----------
    bits : bytes
        Packed bits, 1 where kept.
    size : int
        Number of kept ones.
    """

    bits: bytes
    size: int

    @classmethod
    def draw(cls, units: int, p: float, generator: torch.Generator | None) -> "Kept":
        """Draw the mask of `bitdrop.Mask(units, p, key=...)`."""
        memory = _core.empty_bits(units)
        _core.fill(memory, _keys.draw(generator), 0, p, 0, (units,), (1,))
        bits = memory.tobytes()
        return cls(bits, int.from_bytes(bits, "little").bit_count())

    def indices(self) -> Tensor:
        """Return the places of the kept units."""
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), bitorder="little")
        return torch.from_numpy(np.flatnonzero(bits))


class Choice(NamedTuple):
    """Choice of a layer's weights. None: all.

    Attributes
    ----------
    rows : Kept, optional
        Units that the layer makes.
    columns : Kept, optional
        Units that it reads.
    scale : float
        Factor of the gathered weights.
    """

    rows: Kept | None
    columns: Kept | None
    scale: float

    def indices(self) -> Iterator[tuple[int, Tensor]]:
        """Return the axes that are chosen from, and the indices of what is chosen."""
        for axis, kept in enumerate((self.rows, self.columns)):
            if kept is not None:
                yield axis, kept.indices()


def gathered(weight: Tensor, bias: Tensor | None, choice: Choice) -> tuple[Tensor, Tensor | None]:
    """Return the chosen weights, and the numbers of the bias for the chosen rows. The tensors are plain."""
    rows, columns, scale = choice
    if rows is None and columns is None and scale == 1.0:
        return weight, bias
    if rows is None or bias is None:
        return Gather.apply(choice, weight), bias
    return Gather.apply(choice, weight, bias)


class Gather(Function):
    """Copy of the chosen weights: faster than torch's `index_select` and its gradient, which adds."""

    @staticmethod
    def forward(ctx: Any, choice: Choice, weight: Tensor, bias: Tensor | None = None) -> Any:
        """Copy the weights, and the bias if there is one."""
        ctx.choice, ctx.shapes = choice, (weight.shape, None if bias is None else bias.shape)
        part = _gather(weight, choice)
        return part if bias is None else (part, _gather(bias, _of_bias(choice)))

    @staticmethod
    def backward(ctx: Any, part: Tensor, bias: Tensor | None = None) -> tuple[Tensor | None, ...]:
        """Put the gradients in their places among zeros."""
        choice, (shape, bias_shape) = ctx.choice, ctx.shapes
        if bias is None:
            return None, _scattered(part, choice, shape)
        return None, _scattered(part, choice, shape), _scattered(bias, _of_bias(choice), bias_shape)

    @staticmethod
    def jvp(ctx: Any, _: None, weight: Tensor, bias: Tensor | None = None) -> Any:
        """Take the same parts of the tangents."""
        part = _gather(weight, ctx.choice)
        return part if bias is None else (part, _gather(bias, _of_bias(ctx.choice)))


class Scatter(Function):
    """A part in its place among zeros: the transpose of `Gather`, for gradients of gradients."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, choice: Choice, shape: Sequence[int]) -> Tensor:
        """Copy the part, and write zeros around it."""
        ctx.choice, ctx.shape = choice, shape
        return _scatter(part, choice, shape)

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor, None, None]:
        """Take the part of the gradient."""
        part: Tensor = Gather.apply(ctx.choice, weight) if is_plain(weight) else _gather(weight, ctx.choice)
        return part, None, None

    @staticmethod
    def jvp(ctx: Any, part: Tensor, *_: None) -> Tensor:
        """Put the tangent in its place."""
        return _scatter(part, ctx.choice, ctx.shape)


def _of_bias(choice: Choice) -> Choice:
    return Choice(choice.rows, None, 1.0)


def _gather(weight: Tensor, choice: Choice) -> Tensor:
    rows, columns, scale = choice
    if not is_plain(weight):
        for axis, indices in choice.indices():
            weight = weight.index_select(axis, indices)
        return weight * scale
    weight, is_last = _dense(weight)
    lengths = list(weight.shape)
    if rows is not None:
        lengths[0] = rows.size
    if columns is not None:
        lengths[1] = columns.size
    part = _empty(weight, lengths, is_last)
    passes.gather_weights(*_places(weight, part, choice), weight.shape, is_last, weight.itemsize, of_a_call())
    return part if scale == 1.0 else part.mul_(scale)


def _scattered(part: Tensor, choice: Choice, shape: Sequence[int]) -> Tensor:
    if torch.is_grad_enabled() and is_plain(part):
        weight: Tensor = Scatter.apply(part, choice, shape)
        return weight
    return _scatter(part, choice, shape)


def _scatter(part: Tensor, choice: Choice, shape: Sequence[int]) -> Tensor:
    if choice.scale != 1.0:
        part = part * choice.scale
    if not is_plain(part):  # a batch of gradients, or a compiler's
        for axis, indices in choice.indices():
            lengths = [*part.shape[:axis], shape[axis], *part.shape[axis + 1 :]]
            part = part.new_zeros(lengths).index_copy(axis, indices, part)
        return part
    part, is_last = _dense(part)
    weight = _empty(part, shape, is_last)
    passes.scatter_weights(*_places(part, weight, choice), tuple(shape), is_last, part.itemsize, of_a_call())
    return weight


def _places(source: Tensor, target: Tensor, choice: Choice) -> tuple[int, int, bytes | None, bytes | None]:
    rows, columns, _ = choice
    return source.data_ptr(), target.data_ptr(), rows and rows.bits, columns and columns.bits


def _dense(x: Tensor) -> tuple[Tensor, bool]:
    """Return x, or a copy if it is not dense, and whether axis 1 is the last in memory (channels_last)."""
    if x.is_contiguous():
        return x, False
    if x.dim() > 2 and x.movedim(1, -1).is_contiguous():
        return x, True
    return x.contiguous(), False


def _empty(x: Tensor, shape: Sequence[int], is_last: bool) -> Tensor:
    """Return an uninitialised tensor of a shape, with axis 1 last in memory or in C order."""
    if not is_last:
        return x.new_empty(shape)
    order = [0, *range(2, len(shape)), 1]
    return torch.empty_permuted(shape, order, dtype=x.dtype, device=x.device)
