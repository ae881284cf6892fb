"""Fused passes over tensors: one call of the engine if it can read all of them, else the same in steps."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as torchs_own

from bitdrop import _core, _engine
from bitdrop._affine import IDENTITY, Affine
from bitdrop._fusion import broadcasts, fused_affine
from bitdrop._plan import KEEP_ALL, Plan, new_plan
from bitdrop._typing import Memory
from bitdrop.torch import _calls, _keys, _private, _tensors, _threads
from bitdrop.torch._calls import Options
from bitdrop.torch._plain import is_plain
from bitdrop.torch._tensors import DTYPES, Axes


class FusedPass(NamedTuple):
    """Values of a fused pass: with its tensors they decide the result.

    Attributes
    ----------
    affine : Affine
        Coefficients of the dropout.
    plan : Plan
        Random bits.
    active : bool
        Whether ReLU comes before the dropout.
    order : sequence of ints
        As in `_tensors.Pass`.
    result_order : sequence of ints
        The axes of the result in memory order. A residual may decide it.
    """

    affine: Affine
    plan: Plan
    active: bool
    order: Axes
    result_order: Axes


Inputs = tuple[Tensor, Tensor | None, Tensor | None]
"""x, bias and residual."""


def fused(inputs: Inputs, p: float, active: bool, training: bool, options: Options) -> Tensor:
    """Return residual + dropout(relu(x + bias)), for checked arguments."""
    x, bias, residual = inputs
    drops = training and p != 0.0
    if not drops and bias is None and residual is None and not active:
        return x
    if x.numel() == 0 or options.noise_shape is not None or not _is_one_pass(x, bias, residual):
        return _in_steps(inputs, p if drops else 0.0, active, options)
    affine = _inverted(p) if drops else IDENTITY
    plan = new_plan((_keys.draw(options.generator), 0, p)) if drops else KEEP_ALL
    values = FusedPass(affine, plan, active, *_orders(inputs))
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        y: Tensor = Fused.apply(x, bias, residual, values)
        return y
    return _run(inputs, values, None)


_inverted = partial(_calls._affine, _calls.DROPOUT)


def _is_one_pass(x: Tensor, *others: Tensor | None) -> bool:
    """Return whether the engine can read all tensors, and only autograd's backward mode watches."""
    if not is_plain(x) or _private.is_forward_mode():
        return False
    return all(other is None or (is_plain(other) and other.dtype is x.dtype) for other in others)


def _in_steps(inputs: Inputs, p: float, active: bool, options: Options) -> Tensor:
    """Return the same by torch's operations and bitdrop's dropout. Half types are rounded once, too."""
    x, bias, residual = inputs
    dtypes = [other.dtype for other in inputs if other is not None]
    halves = dtypes[0].itemsize == 2 and all(dtype is dtypes[0] for dtype in dtypes)
    h = x.float() if halves else x
    if bias is not None:
        h = h + bias
    if active:
        h = torch.relu(h)
    if p != 0.0:
        h = _calls.drop(_calls.DROPOUT, h, p, True, False, options)
    if residual is not None:
        h = residual + h
    return h.to(dtypes[0]) if halves else h


def _orders(inputs: Inputs) -> tuple[Axes, Axes]:
    """Return the memory orders of the steps: that of the dropout, and that of the result."""
    x, bias, residual = inputs
    if x.is_contiguous() and (residual is None or residual.is_contiguous()):
        return (), ()
    like = _meta(x) if bias is None else _meta(x) + _meta(bias)
    order = _tensors.memory_order(like, ())
    if residual is None:
        return order, order
    return order, _tensors.memory_order(_meta(residual) + _tensors.empty(like, order), ())


def _meta(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), device="meta")


def _run(inputs: Inputs, values: FusedPass, bits: Tensor | None) -> Tensor:
    """Do the pass on the memory of tensors. Store the bits in `bits`, unless that is None."""
    x, bias, residual = inputs
    order = values.order
    out = _tensors.new(x, values.result_order)
    arrays: tuple[Memory | None, ...] = (_memory(out, order), _memory(x, order))
    more = bias is not None or residual is not None
    if more:
        added = None if bias is None else _memory(_like(bias, x), order)
        arrays = *arrays, added, None if residual is None else _memory(residual, order)
    memory = None if bits is None else _tensors._bytes(bits)
    affine = fused_affine(values.affine, values.active, more)
    _engine.drop((DTYPES[x.dtype], arrays), affine, values.plan, None, memory, _threads.of_a_call())
    return out


def _like(bias: Tensor, x: Tensor) -> Tensor:
    """Return the bias with as many axes as x has."""
    return bias[(None,) * (x.dim() - bias.dim())]


def _memory(x: Tensor, order: Axes) -> Memory:
    return _tensors._permuted(x, order) if order else (x.data_ptr(), x.shape, x.stride())


class Fused(_private.SingleLevelFunction):
    """A fused pass to autograd."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bias: Tensor | None, residual: Tensor | None, values: FusedPass
    ) -> Tensor:
        """Do the pass, and hold a bit of each element."""
        ctx.values = values
        ctx.bias_shape = None if bias is None else bias.shape
        bits = None
        if any(ctx.needs_input_grad[:2]):
            bits = torch.from_numpy(_core.empty_bits(x.numel()))
            ctx.save_for_backward(bits)
        return _run((x, bias, residual), values, bits)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, bias and residual."""
        needs_x, needs_bias, needs_residual, _ = ctx.needs_input_grad
        dx = d_bias = None
        if needs_x or needs_bias:
            shape = ctx.bias_shape if needs_bias else None
            dx, d_bias = _gradients(dy, ctx.saved_tensors[0], ctx.values, shape)
        return dx if needs_x else None, d_bias, dy if needs_residual else None, None


def _gradients(
    dy: Tensor, bits: Tensor, values: FusedPass, bias_shape: torch.Size | None
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of x and bias: by the engine, or by operations that have gradients again."""
    if not is_plain(dy) or _private.is_forward_mode() or (torch.is_grad_enabled() and dy.requires_grad):
        dx = torch.where(_kept(bits, dy.shape, values.order), dy * values.affine.scale, 0.0)
        return dx, None if bias_shape is None else dx.sum_to_size(bias_shape)
    order = values.order
    dx = _tensors.new(dy, order)
    operands = DTYPES[dy.dtype], (_memory(dx, order), _memory(dy, order))
    packed, threads = _tensors._bytes(bits), _threads.of_a_call()
    if bias_shape is None:
        _engine.apply(operands, values.affine, packed, None, threads)
        return dx, None
    d_bias = torch.empty(bias_shape, dtype=dy.dtype, device="cpu")
    if bias_shape.numel():
        sums = _like(d_bias, dy)
        sums = sums.permute(*order) if order else sums
        # The engine needs memory alone, and NumPy has no bfloat16.
        _engine.apply_and_sum(operands, values.affine, packed, sums.view(_INTS[dy.itemsize]).numpy(), threads)
    return dx, d_bias


_INTS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _kept(bits: Tensor, shape: Sequence[int], order: Axes) -> Tensor:
    """Return packed bits as a bool tensor."""
    size = 1
    for length in shape:
        size *= length
    places = torch.arange(8, dtype=torch.uint8, device="cpu")
    kept = (bits.unsqueeze(-1) >> places & 1).view(-1)[:size].bool()
    if not order:
        return kept.view(*shape)
    inside_out = kept.view([shape[axis] for axis in order])
    return inside_out.permute([order.index(axis) for axis in range(len(order))])


def check(p: Any, x: Tensor, bias: Any, activation: Any, residual: Any) -> float:
    """Check the arguments of `functional.fused_dropout`, and return p as a float."""
    if not (type(p) is float and 0.0 <= p <= 1.0):
        torchs_own.dropout(x[:0].detach() if x.dim() else x.detach(), p, False)  # raises as torch does
        p = float(p)
    if bias is not None and not broadcasts(bias.shape, x.shape):
        shapes = f"{tuple(x.shape)}, but its shape is {tuple(bias.shape)}"
        raise ValueError(f"bias must broadcast to x's shape, {shapes}.")
    if residual is not None and residual.shape != x.shape:
        shapes = f"{tuple(x.shape)}, but its shape is {tuple(residual.shape)}"
        raise ValueError(f"residual must have x's shape, {shapes}.")
    return p


def check_recompute(recompute: bool, activation: Any) -> None:
    """Refuse recomputation with an activation: its bits are no function of the key."""
    if recompute and activation is not None:
        raise ValueError("recompute must be False with an activation, because its backward pass needs stored bits.")
