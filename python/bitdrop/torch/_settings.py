"""Setting of a call on tensors: a rule as plain numbers, and the places of draws and results in memory.

Compilers follow the functions that make a setting, so it holds nothing but numbers. The rule of the engine is
made of it when a pass runs.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from torch import Tensor

from bitdrop._core import Blocks, Operation, Pass, Rule, Units
from bitdrop._shard import ELEMENTS
from bitdrop._typing import Key
from bitdrop.torch import _tensors, _threads
from bitdrop.torch._tensors import Axes, memory, memory_of_bits

SCALE, AFFINE, SELECT, NOISE = range(4)
"""The operations, by their numbers in the operator."""


class Setting(NamedTuple):
    """Setting of a call.

    Attributes
    ----------
    operation : int
        One of the operations above.
    p : float
        Probability that a unit is dropped.
    scale, shift, dropped : float
        Coefficients of the operation.
    block_ndim, block_size, eps, shared_channels
        Values of block dropout. No blocks if `block_ndim` is 0.
    shared : sequence of ints
        The axes along which elements share a draw.
    order : sequence of ints
        The axes in the order in which draws are numbered, the slowest first. Empty: C order.
    result_order : sequence of ints
        The axes in the memory order of the result. Empty: C order.
    """

    operation: int
    p: float
    scale: float = 1.0
    shift: float = 0.0
    dropped: float = 0.0
    block_ndim: int = 0
    block_size: int = 1
    eps: float = 0.0
    shared_channels: bool = False
    shared: Axes = ()
    order: Axes = ()
    result_order: Axes = ()

    @property
    def linear(self) -> "Setting":
        """The setting of the gradient of the first input: kept elements are scaled, and others are 0."""
        return self if self.operation == NOISE else self._replace(operation=SCALE, shift=0.0, dropped=0.0)

    def placed(self, x: Tensor, shared: Axes) -> "Setting":
        """Return the setting for a tensor whose elements share draws along some axes."""
        if not shared and x.is_contiguous():
            return self
        order = _tensors.memory_order(x, shared)
        if len(order) > MAX_PERMUTED:
            order = []
        in_c_order = bool(shared) or self.block_ndim > 0
        coefficients = self.operation, self.p, self.scale, self.shift, self.dropped
        blocks = self.block_ndim, self.block_size, self.eps, self.shared_channels
        # The compilers of old versions follow no `_replace`.
        return Setting(*coefficients, *blocks, shared, () if in_c_order else order, order)

    def arguments(self) -> tuple[Any, ...]:
        """Return the arguments of the operator after its tensors."""
        coefficients = self.operation, self.p, self.scale, self.shift, self.dropped
        blocks = self.block_ndim, self.block_size, self.eps, self.shared_channels
        places = _mask_of(self.shared), code_of(self.order), code_of(self.result_order)
        return *coefficients, *blocks, *places

    def bit_count(self, shape: Sequence[int]) -> int:
        """Return the number of draws for a tensor of this shape."""
        if not self.shared:
            return prod(shape)
        return prod(length for axis, length in enumerate(shape) if axis not in self.shared)

    def new(self, x: Tensor) -> Tensor:
        """Return memory for a result."""
        return _tensors.new(x, self.result_order)

    def rule(self, ndim: int) -> Rule:
        """Return the rule of the engine, for tensors of a number of axes."""
        return _rule_of(self[:9], tuple(self.shared), ndim)

    def run(self, inputs: Sequence[Tensor], out: Tensor, key: Key, bits: Tensor | None = None) -> Pass:
        """Do the pass on the memory of tensors. Store the bits in `bits`, unless that is None."""
        return run_rule(self.rule(out.dim()), inputs, out, (self.order, key, bits))


def run_rule(
    rule: Rule,
    inputs: Sequence[Tensor | None],
    out: Tensor,
    draws: tuple[Axes, Key | None, Tensor | None],
) -> Pass:
    """Do a pass of a rule on the memory of tensors.

    The draws are an order of axes, a key and memory for bits. Without a key it is the pass of inference.
    """
    order, key, bits = draws
    _, done = rule.run(
        tuple([None if x is None else memory(x, order) for x in inputs]),
        memory(out, order),
        lambda: key,
        key is not None,
        None,
        None if bits is None else memory_of_bits(bits),
        _threads.of_a_call(),
    )
    return done


def setting_of(arguments: Any) -> Setting:
    """Return the setting of the operator's arguments."""
    *scalars, shared, order, result_order = arguments
    return Setting._make([*scalars, _axes_of(shared), order_of(order), order_of(result_order)])


def units_of(shared: Axes, ndim: int) -> Units:
    """Return the units whose elements share draws along some of the axes."""
    return Units(noise_shape=[1 if axis in shared else None for axis in range(ndim)]) if shared else ELEMENTS


@lru_cache
def _rule_of(scalars: tuple[Any, ...], shared: tuple[int, ...], ndim: int) -> Rule:
    operation, p, scale, shift, dropped, *blocks = scalars
    operations = {
        SCALE: lambda: Operation.scale(scale),
        AFFINE: lambda: Operation.affine(scale, shift, dropped),
        SELECT: Operation.select,
        NOISE: Operation.noise,
    }
    return Rule(p, operations[operation](), units=units_of(shared, ndim), blocks=Blocks(*blocks), store=False)


MAX_PERMUTED = 15  # axes whose order a 64-bit number holds


def _mask_of(axes: Axes) -> int:
    mask = 0
    for axis in axes:
        mask |= 1 << axis
    return mask


def _axes_of(mask: int) -> Axes:
    return tuple([axis for axis in range(mask.bit_length()) if mask >> axis & 1])


def code_of(order: Axes) -> int:
    """Return an order as a number: 1 and a hexadecimal digit for each axis, or 0 for C order."""
    code = 1 if order else 0
    for axis in order:
        code = code << 4 | axis
    return code


def order_of(code: int) -> Axes:
    """Return the order that a number stands for."""
    axes = []
    while code > 1:
        axes.append(code & 15)
        code >>= 4
    return tuple(reversed(axes))
