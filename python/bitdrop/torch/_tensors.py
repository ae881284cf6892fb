"""Memory of tensors: their places in it, results, and bits."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bitdrop import _core
from bitdrop._core import Memory

DTYPES = {getattr(torch, name): name for name in _core.DTYPES}
"""Supported dtypes, and their names in the engine."""

Axes = Sequence[int]

_POOLED = _core.POOLED_BYTES
_C_ORDER = torch.contiguous_format
_empty_like = torch.empty_like


def memory_order(x: Tensor, shared: Axes = ()) -> list[int]:
    """Return the axes in the memory order of a result for x, as in x if x is dense. Empty: C order.

    Elements share draws along the axes `shared`.
    """
    if x.is_contiguous():
        return []
    noise = torch.empty_like(x)
    strides = x.stride()
    if noise.stride() != strides:
        # Not dense: take the strides of `x * noise` from the meta device, as torch does.
        like = torch.empty_strided(x.shape, strides, device="meta")
        shape = [1 if axis in shared else length for axis, length in enumerate(x.shape)]
        noise = torch.empty(shape, device="meta") if shared else torch.empty_like(like)
        strides = (like * noise).stride()
    order: list[int] = []
    for axis in range(x.dim()):  # sorted by comparisons alone: the strides may be symbols of a compiler
        place = 0
        while place < len(order) and strides[order[place]] >= strides[axis]:
            place += 1
        order.insert(place, axis)
    return order


def empty(x: Tensor, order: Axes) -> Tensor:
    """Return an uninitialised tensor for a result of x's shape, with the axes in the given memory order."""
    if not order:
        return _empty_like(x, memory_format=_C_ORDER)
    return torch.empty_strided(x.shape, _strides(x, order), dtype=x.dtype, device=x.device)


def new(x: Tensor, order: Axes) -> Tensor:
    """Return the same as `empty`. Large results live in reused memory: see `bitdrop.set_buffer_limit`."""
    if x.nbytes < _POOLED:
        return empty(x, order)
    memory = torch.frombuffer(_core.empty_bits(8 * x.nbytes), dtype=x.dtype)
    # In place: a view would make autograd watch the memory that the result is written to.
    return memory.as_strided_(x.shape, _strides(x, order))


def _strides(x: Tensor, order: Axes) -> list[int]:
    strides, stride = [0] * x.dim(), 1
    for axis in reversed(order or range(x.dim())):
        strides[axis] = stride
        stride = stride * x.shape[axis]
    return strides


def new_bits(count: int) -> Tensor:
    """Return uninitialised memory for packed bits."""
    return torch.from_numpy(_core.empty_bits(count))


def memory(x: Tensor, order: Axes = ()) -> Memory:
    """Return the memory of a tensor, with its axes in the given order. Empty: as they are."""
    shape, strides = x.shape, x.stride()
    if order:
        shape, strides = [shape[axis] for axis in order], [strides[axis] for axis in order]
    return Memory(DTYPES[x.dtype], x.data_ptr(), shape, strides)


def memory_of_bits(bits: Tensor) -> Memory:
    """Return the memory of packed bits."""
    return Memory("uint8", bits.data_ptr(), bits.shape, (1,))
