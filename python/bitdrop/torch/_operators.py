"""Dropout as two operators, for torch.compile, torch.func, make_fx and export, which see operators alone.

PyTorch's graph optimiser merges equal calls of one operator, random or not. So drawing a key and applying it
are two operators. `draw_key` takes a counter and returns it advanced: no two calls are equal, and each
follows the one before. `apply` is a pure function of tensor and key.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function

from bitdrop._affine import Affine
from bitdrop._plan import Plan
from bitdrop._typing import Key
from bitdrop.torch import _tensors
from bitdrop.torch._tensors import Axes, Pass

_library = torch.library.Library("bitdrop", "DEF")
# With the tag, a checkpoint inside a compiled function draws the same key again.
_library.define("draw_key(Tensor counter) -> (Tensor, Tensor)", tags=(torch.Tag.nondeterministic_seeded,))
# The last four arguments are a `Pass` without its key.
_library.define("apply(Tensor x, Tensor key, float p, float[] affine, int[] order, int[] shared) -> Tensor")

_counter = torch.zeros((), dtype=torch.int64, device="cpu")


_RANGE = -(2**63), 2**63 - 1


class _Words(threading.local):
    """Memory to draw a key into, one for each thread: a new tensor takes longer than the draw."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # its tensors could not be written to outside of it
            self.signed = torch.empty(2, dtype=torch.int64, device="cpu")
        self.unsigned = self.signed.numpy().view(np.uint64)


_words = _Words()


def draw_now(generator: torch.Generator | None) -> Key:
    """Return a key from torch's default generator or another."""
    words = _words
    words.signed.random_(*_RANGE, generator=generator)
    return _key_in(words.unsigned)


def _key_in(words: NDArray[np.uint64]) -> Key:
    k0, k1 = words.tolist()
    return k0, k1


def draw(generator: torch.Generator | None = None) -> Tensor:
    """Return the same key as `draw_now`, as two int64."""
    # The device is named, because torch.set_default_device may have set another one.
    return torch.randint(*_RANGE, (2,), generator=generator, dtype=torch.int64, device="cpu")


def draw_key(generator: torch.Generator | None) -> Tensor:
    """Return a key by operations that can be traced and batched."""
    transforms, compiling = torch._C._are_functorch_transforms_active(), torch.compiler.is_compiling()
    if compiling and (transforms or generator is not None):
        # Without fullgraph=True, the compiler leaves such a function to eager mode.
        raise NotImplementedError(
            "bitdrop.torch cannot be compiled with a generator, or inside transforms of torch.func: compile "
            "without fullgraph=True, or use torch's default generator."
        )
    if transforms or generator is not None:
        return draw(generator)  # vmap's `randomness=` decides: one key, one per sample, or an error
    key: Tensor
    key, advanced = torch.ops.bitdrop.draw_key.default(_counter)
    _counter.copy_(advanced)
    return key


def words_of(key: Key) -> Tensor:
    """Return a key as two int64."""
    signed = [word - 2**64 if word >= 2**63 else word for word in key]
    return torch.tensor(signed, dtype=torch.int64, device="cpu")


def apply(x: Tensor, key: Tensor, values: Pass) -> Tensor:
    """Drop elements of x: a pass whose plan has the key of a tensor instead of its own."""
    arguments = x, key, values.plan.p, [*values.affine], values.order, values.shared
    return _applied(*arguments)


def _applied(*arguments: Any) -> Tensor:
    operator = Transformable.apply if torch._C._are_functorch_transforms_active() else torch.ops.bitdrop.apply
    y: Tensor = operator(*arguments)
    return y


@torch.library.impl(_library, "draw_key", "CPU")
def _draw_key(counter: Tensor) -> tuple[Tensor, Tensor]:
    return draw(), counter + 1


@torch.library.register_fake("bitdrop::draw_key", lib=_library)
def _fake_key(counter: Tensor) -> tuple[Tensor, Tensor]:
    return counter.new_empty((2,)), torch.empty_like(counter)


@torch.library.impl(_library, "apply", "CPU")
def _apply(x: Tensor, key: Tensor, p: float, affine: Sequence[float], order: Axes, shared: Axes) -> Tensor:
    out = _tensors.new(x, order)
    plan = Plan(_tensors.key_of(key), 0, p)
    _tensors.drop(x, out, Pass(Affine(*affine), plan, tuple(order), tuple(shared)))
    return out


@torch.library.register_fake("bitdrop::apply", lib=_library)
def _fake_result(x: Tensor, key: Tensor, p: float, affine: Sequence[float], order: Axes, *_: Any) -> Tensor:
    return _tensors.empty(x, order)


def _keep(ctx: Any, inputs: Sequence[Any], output: Tensor) -> None:
    _, key, p, affine, *axes = inputs
    ctx.save_for_backward(key)
    ctx.rest = p, [*Affine(*affine).linear], *axes


def _linear(ctx: Any, x: Tensor) -> Tensor:
    (key,) = ctx.saved_tensors
    return _applied(x, key, *ctx.rest)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    return _linear(ctx, dy), *[None] * 5


torch.library.register_autograd("bitdrop::apply", _backward, setup_context=_keep, lib=_library)


class Transformable(Function):
    """The operator `apply`, for transforms of torch.func."""

    @staticmethod
    def forward(x: Tensor, key: Tensor, *rest: Any) -> Tensor:
        """Drop elements of x."""
        y: Tensor = torch.ops.bitdrop.apply(x, key, *rest)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the key and the arguments for gradients and tangents."""
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
        """Apply to each sample of a batch. A sample has its own mask only if it has its own key."""
        batches = [
            [tensor] * info.batch_size if axis is None else tensor.unbind(axis)
            for tensor, axis in zip((x, key), in_dims, strict=False)
        ]
        return torch.stack([_applied(*pair, *rest) for pair in zip(*batches, strict=True)]), 0
