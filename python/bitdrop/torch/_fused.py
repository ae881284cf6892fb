"""Fused passes over tensors: one call of the engine if it can read all of them, else the same in steps."""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as torchs_own

from bitdrop._core import Rule
from bitdrop._typing import Key
from bitdrop._validate import broadcasts
from bitdrop.kinds.fused import fused_rule
from bitdrop.torch import _autograd, _calls, _keys, _operators, _passes, _private, _tensors, _threads
from bitdrop.torch._calls import Options
from bitdrop.torch._fused_operators import in_steps, unpack_bits
from bitdrop.torch._native import HAS_KERNELS
from bitdrop.torch._plain import is_plain, is_supported
from bitdrop.torch._settings import MAX_PERMUTED, Setting, code_of, run_rule, units_of
from bitdrop.torch._tensors import Axes, memory, memory_of_bits

Inputs = tuple[Tensor, Tensor | None, Tensor | None]
"""x, bias and residual."""


class Fusion(NamedTuple):
    """Setting of a fused pass.

    Attributes
    ----------
    dropout : Setting
        Setting of the dropout in it.
    active : bool
        Whether ReLU comes before the dropout.
    key : pair of ints, optional
        Key of the draws. None: the pass of inference.
    recompute : bool
        Whether no bits are held.
    """

    dropout: Setting
    active: bool
    key: Key | None
    recompute: bool

    def run(self, inputs: Inputs, bits: Tensor | None) -> tuple[Tensor, Any]:
        """Do the pass on the memory of tensors. Store the bits in `bits`, unless that is None."""
        x, bias, residual = inputs
        setting = self.dropout
        out = setting.new(x)
        rule = _rule(setting.p, self.active, tuple(setting.shared), x.dim())
        widened = None if bias is None else _like(bias, x)
        return out, run_rule(rule, (x, widened, residual), out, (setting.order, self.key, bits))


@lru_cache
def _rule(p: float, active: bool, shared: tuple[int, ...], ndim: int) -> Rule:
    return fused_rule(p, "inverted", active, units_of(shared, ndim), store=False)


def fused(inputs: Inputs, p: float, active: bool, training: bool, options: Options) -> Tensor:
    """Return residual + dropout(relu(x + bias)), for checked arguments."""
    x, bias, residual = inputs
    drops = training and p != 0.0
    if not drops and bias is None and residual is None and not active:
        return x
    if drops and options.generator is None and not torch.compiler.is_compiling():
        shared = () if options.noise_shape is None else _calls.axes_of_noise_shape(options.noise_shape, x)
        setting, rule = _calls.inverted(p)._replace(shared=shared), _rule(p, active, tuple(shared), x.dim())
        passed: Any = _passes.drop(*inputs, rule, setting, options.recompute)
        if passed is not NotImplemented:
            return passed
    if x.numel() == 0 or not _is_one_pass(x, bias, residual):
        return _in_steps(inputs, p if drops else 0.0, active, options)
    key = _keys.draw(options.generator) if drops else None
    fusion = Fusion(_placed(_calls.inverted(p), inputs, options), active, key, options.recompute)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        y: Tensor = Fused.apply(fusion, *inputs)
        return y
    return fusion.run(inputs, None)[0]


def _is_one_pass(x: Tensor, *others: Tensor | None) -> bool:
    """Return whether the engine can read all tensors, and only autograd's backward mode watches."""
    if not is_plain(x) or x.is_complex() or _private.is_forward_mode():
        return False
    return all(other is None or (is_plain(other) and other.dtype is x.dtype) for other in others)


def _in_steps(inputs: Inputs, p: float, active: bool, options: Options) -> Tensor:
    """Return the same by torch's operations and bitdrop's dropout, or by one operator for a compiler."""
    if p != 0.0 and _is_one_operator(inputs, options):
        key, scale = _keys.draw_words(options.generator), _calls.inverted(p).scale
        order, result_order = [code_of(order) for order in _orders(inputs)]
        y: Tensor = torch.ops.bitdrop.fused(*inputs, key, p, scale, int(active), order, result_order)
        return y

    def drop(h: Tensor) -> Tensor:
        return h if p == 0.0 else _calls.drop(_calls.DROPOUT, h, p, True, False, options)

    return in_steps(*inputs, active, drop)


def _is_one_operator(inputs: Inputs, options: Options) -> bool:
    """Return whether a compiler can record a fused pass over these tensors as one operator."""
    x = inputs[0]
    if not HAS_KERNELS or not torch.compiler.is_compiling() or x.is_complex() or x.numel() == 0:
        return False
    if options.recompute or options.noise_shape is not None or x.dim() > MAX_PERMUTED:
        return False
    return all(other is None or (is_supported(other) and other.dtype is x.dtype) for other in inputs)


def _placed(setting: Setting, inputs: Inputs, options: Options) -> Setting:
    """Return the setting with the places of draws and results."""
    x = inputs[0]
    shared = () if options.noise_shape is None else _calls.axes_of_noise_shape(options.noise_shape, x)
    order, result_order = _orders(inputs, shared)
    return setting._replace(shared=shared, order=() if shared else order, result_order=result_order)


def _orders(inputs: Inputs, shared: Axes = ()) -> tuple[Axes, Axes]:
    """Return the memory orders of the steps: that of the dropout, and that of the result."""
    x, bias, residual = inputs
    if x.is_contiguous() and (residual is None or residual.is_contiguous()):
        return (), ()
    like = _meta(x) if bias is None else _meta(x) + _meta(bias)
    order = _tensors.memory_order(like, shared)
    if residual is None:
        return order, order
    return order, _tensors.memory_order(_meta(residual) + _tensors.empty(like, order))


def _meta(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), device="meta")


def _like(bias: Tensor, x: Tensor) -> Tensor:
    """Return the bias with as many axes as x has."""
    return bias[(None,) * (x.dim() - bias.dim())]


class Fused(_private.SingleLevelFunction):
    """A fused pass to autograd."""

    @staticmethod
    def forward(ctx: Any, fusion: Fusion, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        """Do the pass, and hold a bit of each draw, or of each element if some are inactive."""
        ctx.fusion, ctx.bias_shape, bits = fusion, None if bias is None else bias.shape, None
        needs_bits = fusion.active or not (fusion.recompute or fusion.key is None)
        if needs_bits and any(ctx.needs_input_grad[1:3]):
            bits = _tensors.new_bits(x.numel() if fusion.active else fusion.dropout.bit_count(x.shape))
            ctx.save_for_backward(bits)
        y, ctx.done = fusion.run((x, bias, residual), bits)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, bias and residual."""
        _, needs_x, needs_bias, needs_residual = ctx.needs_input_grad
        dx = d_bias = None
        if needs_x or needs_bias:
            shape = ctx.bias_shape if needs_bias else None
            recorded = not is_plain(dy) or _autograd.is_recorded(dy)
            dx, d_bias = (_recorded_gradients if recorded else _gradients)(dy, ctx, shape)
        return None, dx if needs_x else None, d_bias, dy if needs_residual else None


def _gradients(dy: Tensor, ctx: Any, bias_shape: torch.Size | None) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of x and bias, by the engine."""
    order, saved = ctx.fusion.dropout.order, ctx.saved_tensors  # checkpoints unpack them once
    dx = _tensors.new(dy, order)
    d_bias = None if bias_shape is None else torch.empty(bias_shape, dtype=dy.dtype, device="cpu")
    ctx.done.gradient(
        memory(dy, order),
        memory(dx, order),
        None if d_bias is None or not d_bias.numel() else memory(_like(d_bias, dy), order),
        memory_of_bits(*saved) if saved else None,
        _threads.of_a_call(),
    )
    return dx, d_bias


def _recorded_gradients(dy: Tensor, ctx: Any, bias_shape: torch.Size | None) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of x and bias, by operations that have gradients again."""
    setting = ctx.fusion.dropout
    if ctx.fusion.active:
        scale = 1.0 if ctx.fusion.key is None else setting.scale
        (bits,) = ctx.saved_tensors
        dx = torch.where(unpack_bits(bits, dy.shape, setting.order), dy * scale, 0.0)
    elif ctx.fusion.key is None:
        dx = dy
    else:
        dx = _operators.drop(dy, None, _keys.words_of(ctx.fusion.key), setting)
    return dx, None if bias_shape is None else dx.sum_to_size(bias_shape)


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
        raise ValueError(
            "recompute must be False with an activation: which elements are active depends on x, so it is "
            "held."
        )
