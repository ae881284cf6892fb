"""Dropout on the memory of tensors, without autograd or copies. Bits are numbered in memory order."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from bitdrop import _core, _engine
from bitdrop._affine import Affine
from bitdrop._bit_layout import BitLayout, bit_layout
from bitdrop._engine import Operands, Threads
from bitdrop._plan import Plan
from bitdrop._typing import Memory, Shape
from bitdrop.torch import _threads

DTYPES = {getattr(torch, name): code for name, code in _engine.DTYPES.items()}
"""Supported dtypes, and their codes in the engine."""

Axes = Sequence[int]

# Calls on 1,024 elements take 6 us. These names save a tenth of that.
_POOLED = _core.POOLED_BYTES
_ONE_THREAD = 8192  # The engine takes one thread for so few bytes, without being told.
_SINGLE = Threads(1)
_C_ORDER = torch.contiguous_format
_empty_like = torch.empty_like


class Pass(NamedTuple):
    """Values of a forward pass: with a tensor they decide the result.

    Attributes
    ----------
    affine : Affine
        Coefficients of the elements.
    plan : Plan
        Random bits. The stream number is 0.
    order : sequence of ints
        The axes in memory order, the one with the largest stride first. Empty: they are in that order.
        Elements that own a bit each are numbered so.
    shared : sequence of ints
        Axes along which elements share a bit. Then bits are numbered in C order, whatever the memory order.
    """

    affine: Affine
    plan: Plan
    order: Axes = ()
    shared: Axes = ()

    @property
    def linear(self) -> "Pass":
        """The linear part, which gradients and tangents take."""
        affine = self.affine.linear
        return self if affine is self.affine else self._replace(affine=affine)

    def bit_count(self, shape: Shape) -> int:
        """Return the number of bits for a tensor of this shape."""
        if not self.shared:
            return prod(shape)
        return prod(length for axis, length in enumerate(shape) if axis not in self.shared)


def memory_order(x: Tensor, shared: Axes) -> list[int]:
    """Return the axes in the memory order of a result for x, as in x if x is dense. Empty: C order."""
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


def new_bits(x: Tensor, values: Pass) -> Tensor:
    """Return uninitialised memory for the packed bits of a pass over x."""
    return torch.from_numpy(_core.empty_bits(values.bit_count(x.shape)))


def drop(x: Tensor, out: Tensor, values: Pass, bits: Tensor | None = None) -> None:
    """Generate bits and apply them to x, into out. Store the bits in `bits`, unless that is None."""
    _engine.drop(
        _operands(x, out, values),
        values.affine,
        values.plan,
        _layout(x.shape, values.shared) if values.shared else None,
        None if bits is None else _bytes(bits),
        _threads.of_a_call() if x.nbytes > _ONE_THREAD else _SINGLE,
    )


def apply(x: Tensor, out: Tensor, values: Pass, bits: Tensor) -> None:
    """Apply stored bits to x, into out."""
    layout = _layout(x.shape, values.shared) if values.shared else None
    _engine.apply(_operands(x, out, values), values.affine, _bytes(bits), layout, _threads.of_a_call())


def _operands(x: Tensor, out: Tensor, values: Pass) -> Operands:
    """Return the operands of a call. Arrays of the same memory take longer to get than to drop from."""
    if values.order and not values.shared:  # elements are numbered in the order of the axes
        arrays = _permuted(out, values.order), _permuted(x, values.order)
    else:
        shape = x.shape
        arrays = (out.data_ptr(), shape, out.stride()), (x.data_ptr(), shape, x.stride())
    return DTYPES[x.dtype], arrays


def _permuted(x: Tensor, order: Axes) -> Memory:
    shape, strides = x.shape, x.stride()
    return x.data_ptr(), [shape[axis] for axis in order], [strides[axis] for axis in order]


def _bytes(bits: Tensor) -> Memory:
    return bits.data_ptr(), bits.shape, (1,)


@lru_cache
def _layout(shape: Shape, shared: tuple[int, ...]) -> BitLayout:
    noise = tuple(1 if axis in shared else length for axis, length in enumerate(shape))
    return bit_layout(shape, noise, None)
