"""The engine on the memory of tensors: masks drawn in memory order, nothing copied, nothing of autograd."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from bitdrop import _core
from bitdrop._rng import Key
from bitdrop.alpha import affine_numbers
from bitdrop.mask import keep_scale
from bitdrop.torch import _threads

DTYPES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
"""What bitdrop can drop, and what `bitdrop._core` calls it."""

Order = list[
    int
]  # of axes in memory, the one with the largest steps first; empty where that is their own order

_WORD = 2**64 - 1


class Numbers(NamedTuple):
    """By what elements change: kept ones become ``scale * x + shift``, others ``dropped``."""

    scale: float
    shift: float = 0.0
    dropped: float = 0.0


@lru_cache
def numbers(p: float, alpha: bool, linear: bool = False) -> Numbers:
    """Return the numbers of dropout, or of alpha dropout as `bitdrop.AlphaDropout` explains them.

    The linear part is what gradients go through.
    """
    if not alpha or p == 1.0:
        return Numbers(keep_scale(p))
    scale, shift, dropped = affine_numbers(p)
    return Numbers(scale) if linear else Numbers(scale, shift, dropped)


class Mask(NamedTuple):
    """Which elements of a tensor are kept.

    Attributes
    ----------
    p : float
        Probability with which each was dropped.
    alpha : bool
        Whether alpha dropout says by what they change.
    key : tuple of two ints
        What decides, with p, the bits. The stream number is 0.
    order : list of ints
        The axes in the order in which the elements were counted.
    channel_axes : int
        How many of the first axes have bits of their own, which the others share. 0: every element has its
        own, numbered in memory order. Channels are numbered in C order, wherever they lie.
    """

    p: float
    alpha: bool
    key: Key
    order: Order
    channel_axes: int

    def bits(self, x: Tensor) -> int:
        """Return how many bits the mask of x has."""
        return prod(x.shape[: self.channel_axes]) if self.channel_axes else x.numel()


def memory_order(x: Tensor, channel_axes: int) -> Order:
    """Return the axes as they lie in the memory of a result for x: where x is dense, as in x."""
    if x.is_contiguous():
        return []
    noise = torch.empty_like(x)
    steps = x.stride()
    if noise.stride() != steps:  # not dense: as for the product that torch's own function makes, on no memory
        like = torch.empty_strided(x.shape, steps, device="meta")
        shape = [*x.shape[:channel_axes], *[1] * (x.dim() - channel_axes)]
        noise = torch.empty(shape, device="meta") if channel_axes else torch.empty_like(like)
        steps = (like * noise).stride()
    order: Order = []
    for axis in range(x.dim()):  # sorted by steps, by comparisons alone: they may be symbols of a compiler
        place = 0
        while place < len(order) and steps[order[place]] >= steps[axis]:
            place += 1
        order.insert(place, axis)
    return order


def empty(x: Tensor, order: Order) -> Tensor:
    """Return a tensor for a result of x's shape whose axes lie in memory in the given order."""
    if not order:
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    inside_out = torch.empty([x.shape[axis] for axis in order], dtype=x.dtype, device=x.device)
    return inside_out.permute([order.index(axis) for axis in range(len(order))])


def new(x: Tensor, order: Order) -> Tensor:
    """Return the same as `empty`, large ones in memory that is used again: see `bitdrop.set_buffer_limit`."""
    if x.nbytes < _core.POOLED_BYTES:
        return empty(x, order)
    steps, step = [0] * x.dim(), 1
    for axis in reversed(order or range(x.dim())):
        steps[axis] = step
        step *= x.shape[axis]
    memory = torch.frombuffer(_core.empty_bits(8 * x.nbytes), dtype=x.dtype)
    # In place, because a view would make autograd follow the memory where the result is written to.
    return memory.as_strided_(x.shape, steps)


def key_of(words: Tensor) -> Key:
    """Return the key that two random int64 are."""
    k0, k1 = words.tolist()
    return k0 & _WORD, k1 & _WORD


def new_bits(x: Tensor, mask: Mask) -> Tensor:
    """Return memory for a mask's bits, one for each element or channel of x."""
    return torch.from_numpy(_core.empty_bits(mask.bits(x)))


def drop(x: Tensor, out: Tensor, mask: Mask, bits: Tensor | None, linear: bool = False) -> None:
    """Make a mask's bits, write them into `bits` unless that is None, and drop from x into out."""
    change, (k0, k1), threads = numbers(mask.p, mask.alpha, linear), mask.key, _threads.of_a_call()
    if mask.channel_axes:
        bits = new_bits(x, mask) if bits is None else bits
        _core.make_part(_bytes(bits), k0, k1, 0, mask.p, 0, (mask.bits(x),), (1,), *threads)
        return _apply(x, out, mask, bits, change)
    memory = _memory(x, mask.order), _memory(out, mask.order), None if bits is None else _bytes(bits)
    _core.drop(*memory, DTYPES[x.dtype], k0, k1, 0, mask.p, *change, *threads)


def scale(x: Tensor, out: Tensor, mask: Mask, bits: Tensor) -> None:
    """Do the linear part by bits that were made, from x into out."""
    _apply(x, out, mask, bits, numbers(mask.p, mask.alpha, linear=True))


def _apply(x: Tensor, out: Tensor, mask: Mask, bits: Tensor, change: Numbers) -> None:
    steps = _bit_steps(x, mask) if mask.channel_axes else None
    memory = _memory(x, mask.order), _memory(out, mask.order), _bytes(bits)
    _core.apply(*memory, DTYPES[x.dtype], *change, steps, *_threads.of_a_call())


def _memory(x: Tensor, order: Order) -> tuple[int, Sequence[int], Sequence[int]]:
    """Return where a tensor's elements lie, the axes in the order in which elements are counted.

    An array of the same memory takes longer to get than to drop a thousand elements.
    """
    shape, steps = x.shape, x.stride()
    if order:
        return x.data_ptr(), [shape[axis] for axis in order], [steps[axis] for axis in order]
    return x.data_ptr(), shape, steps


def _bytes(bits: Tensor) -> tuple[int, Sequence[int], Sequence[int]]:
    return bits.data_ptr(), bits.shape, (1,)


def _bit_steps(x: Tensor, mask: Mask) -> list[int]:
    """Return the steps of the axes through the bits, the axes in the order of memory."""
    axes = mask.channel_axes
    steps = [prod(x.shape[axis + 1 : axes]) if axis < axes else 0 for axis in range(x.dim())]
    return [steps[axis] for axis in mask.order] if mask.order else steps
