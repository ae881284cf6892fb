"""Dropout as two operators, for what sees operators alone: torch.compile, torch.func, make_fx, export.

PyTorch's graph optimiser merges equal calls of one operator, random or not. So drawing is apart from
applying: `draw_key` takes a counter and returns it advanced, so that no two calls are equal and each comes
after the one before; `apply` is a pure function of tensor and key.
"""

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from bitdrop._rng import Key
from bitdrop.torch import _tensors
from bitdrop.torch._tensors import Mask, Order

_library = torch.library.Library("bitdrop", "DEF")
# The tag lets a checkpoint inside a compiled function draw the same key again.
_library.define("draw_key(Tensor counter) -> (Tensor, Tensor)", tags=(torch.Tag.nondeterministic_seeded,))
_library.define(
    "apply(Tensor x, Tensor key, float p, bool alpha, int[] order, int channel_axes, bool linear=False)"
    " -> Tensor"
)

_counter = torch.zeros((), dtype=torch.int64, device="cpu")


_RANGE = -(2**63), 2**63 - 1


class _Words(threading.local):
    """Memory to draw a key into, for each thread, because a new tensor takes longer than the drawing."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # whose tensors could not be written to outside
            self.tensor = torch.empty(2, dtype=torch.int64, device="cpu")


_words = _Words()


def draw_now(generator: torch.Generator | None) -> Key:
    """Return a key from torch's default generator or another."""
    return _tensors.key_of(_words.tensor.random_(*_RANGE, generator=generator))


def draw(generator: torch.Generator | None = None) -> Tensor:
    """Return a key as `draw_now` would draw it, as two int64."""
    # The device is named, because torch.set_default_device may have set another one.
    return torch.randint(*_RANGE, (2,), generator=generator, dtype=torch.int64, device="cpu")


def draw_key(generator: torch.Generator | None) -> Tensor:
    """Return a key in a way that is right for what traces and what batches."""
    transforms, compiling = torch._C._are_functorch_transforms_active(), torch.compiler.is_compiling()
    if compiling and (transforms or generator is not None):
        # Without fullgraph=True, the compiler leaves such a function to eager mode.
        raise NotImplementedError(
            "bitdrop.torch cannot be compiled with a generator, or inside transforms of torch.func: compile "
            "without fullgraph=True, or use torch's default generator."
        )
    if transforms or generator is not None:
        return draw(generator)  # for vmap: one for the batch, one for each of it, or an error, as it was told
    key: Tensor
    key, advanced = torch.ops.bitdrop.draw_key.default(_counter)
    _counter.copy_(advanced)
    return key


def words_of(key: Key) -> Tensor:
    """Return a key as two int64."""
    signed = [word - 2**64 if word >= 2**63 else word for word in key]
    return torch.tensor(signed, dtype=torch.int64, device="cpu")


def apply(  # noqa: PLR0917
    x: Tensor, key: Tensor, p: float, alpha: bool, order: Order, channel_axes: int, linear: bool = False
) -> Tensor:
    """Drop from x by the bits of a key; or do the linear part of that, which gradients go through."""
    operator = Transformable.apply if torch._C._are_functorch_transforms_active() else torch.ops.bitdrop.apply
    y: Tensor = operator(x, key, p, alpha, order, channel_axes, linear)
    return y


@torch.library.impl(_library, "draw_key", "CPU")
def _draw_key(counter: Tensor) -> tuple[Tensor, Tensor]:
    return draw(), counter + 1


@torch.library.register_fake("bitdrop::draw_key", lib=_library)
def _fake_key(counter: Tensor) -> tuple[Tensor, Tensor]:
    return counter.new_empty((2,)), torch.empty_like(counter)


@torch.library.impl(_library, "apply", "CPU")
def _apply(  # noqa: PLR0917
    x: Tensor, key: Tensor, p: float, alpha: bool, order: Order, channel_axes: int, linear: bool = False
) -> Tensor:
    out = _tensors.new(x, order)
    _tensors.drop(x, out, Mask(p, alpha, _tensors.key_of(key), order, channel_axes), None, linear)
    return out


@torch.library.register_fake("bitdrop::apply", lib=_library)
def _fake_result(x: Tensor, key: Tensor, p: float, alpha: bool, order: Order, *_: Any) -> Tensor:
    return _tensors.empty(x, order)


def _keep(ctx: Any, inputs: Sequence[Any], output: Tensor) -> None:
    _, key, *ctx.rest, _ = inputs
    ctx.save_for_backward(key)


def _linear(ctx: Any, x: Tensor) -> Tensor:
    (key,), (p, alpha, order, channel_axes) = ctx.saved_tensors, ctx.rest
    return apply(x, key, p, alpha, order, channel_axes, linear=True)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    return _linear(ctx, dy), *[None] * 6


torch.library.register_autograd("bitdrop::apply", _backward, setup_context=_keep, lib=_library)


class Transformable(Function):
    """The operator `apply` as torch.func's transforms want it."""

    @staticmethod
    def forward(x: Tensor, key: Tensor, *rest: Any) -> Tensor:
        """Drop from x by the bits of a key."""
        y: Tensor = torch.ops.bitdrop.apply(x, key, *rest)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what gradients and tangents need."""
        _keep(ctx, inputs, output)
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Drop the same elements of the gradient."""
        return _backward(ctx, dy)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        """Drop the same elements of the tangent."""
        return _linear(ctx, dx)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, key: Tensor, *rest: Any
    ) -> tuple[Tensor, int]:
        """Apply to each of a batch by itself: it has its own mask only if it has its own key."""
        batches = [
            [tensor] * info.batch_size if axis is None else tensor.unbind(axis)
            for tensor, axis in zip((x, key), in_dims, strict=False)
        ]
        return torch.stack([apply(*pair, *rest) for pair in zip(*batches, strict=True)]), 0
