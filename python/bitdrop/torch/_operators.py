"""Dropout as two operators, for what sees operators alone: torch.compile, torch.func, make_fx, export.

PyTorch's graph optimiser merges equal calls of one operator. So drawing is apart from applying: `draw_key` is known
to have an effect, as it advances a counter, and is not merged; `apply` is a pure function of tensor and key.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bitdrop._rng import Key
from bitdrop.torch import _tensors
from bitdrop.torch._tensors import Mask, Numbers, Order

_library = torch.library.Library("bitdrop", "DEF")
# The tag lets a checkpoint inside a compiled function draw the same key again.
_library.define("draw_key(Tensor(a!) counter) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_library.define(
    "apply(Tensor x, Tensor key, float p, int[] order, int channel_axes, "
    "float scale, float shift, float dropped) -> Tensor"
)

_counter = torch.zeros((), dtype=torch.int64, device="cpu")


def draw(generator: torch.Generator | None = None) -> Tensor:
    """Return the 128 bits of a key, as two int64 from torch's default generator or another."""
    # The device is named, because torch.set_default_device may have set another one.
    return torch.randint(-(2**63), 2**63 - 1, (2,), generator=generator, dtype=torch.int64, device="cpu")


def draw_key(generator: torch.Generator | None) -> Tensor:
    """Return a key in a way that is right for what traces and what batches."""
    if torch._C._are_functorch_transforms_active():
        return draw(generator)  # one for the batch, one for each of it, or an error: as vmap was told
    if generator is not None:
        raise NotImplementedError(
            "generator must be None where bitdrop.torch is compiled or traced: use torch's default generator."
        )
    key: Tensor = torch.ops.bitdrop.draw_key.default(_counter)
    return key


def words_of(key: Key) -> Tensor:
    """Return a key as two int64."""
    signed = [word - 2**64 if word >= 2**63 else word for word in key]
    return torch.tensor(signed, dtype=torch.int64, device="cpu")


def apply(x: Tensor, key: Tensor, p: float, order: Order, channel_axes: int, change: Numbers) -> Tensor:
    """Drop from x by the bits of a key."""
    numbers = change.scale, change.shift, change.dropped
    y: Tensor = torch.ops.bitdrop.apply.default(x, key, p, order, channel_axes, *numbers)
    return y


@torch.library.impl(_library, "draw_key", "CPU")
def _draw_key(counter: Tensor) -> Tensor:
    counter.add_(1)
    return draw()


@torch.library.register_fake("bitdrop::draw_key", lib=_library)
def _fake_key(counter: Tensor) -> Tensor:
    return counter.new_empty((2,))


@torch.library.impl(_library, "apply", "CPU")
def _apply(  # noqa: PLR0917
    x: Tensor,
    key: Tensor,
    p: float,
    order: Order,
    channel_axes: int,
    scale: float,
    shift: float,
    dropped: float,
) -> Tensor:
    out = _tensors.empty(x, order)
    mask = Mask(p, _tensors.key_of(key), order, channel_axes)
    _tensors.drop(x, out, mask, Numbers(scale, shift, dropped), None)
    return out


@torch.library.register_fake("bitdrop::apply", lib=_library)
def _fake_result(x: Tensor, key: Tensor, p: float, order: Order, *_: Any) -> Tensor:
    return _tensors.empty(x, order)


def _keep(ctx: Any, inputs: Sequence[Any], output: Tensor) -> None:
    key = inputs[1]
    ctx.save_for_backward(key)
    ctx.p, ctx.order, ctx.channel_axes, ctx.scale, _, _ = inputs[2:]


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (key,) = ctx.saved_tensors
    numbers = (ctx.p, ctx.order, ctx.channel_axes, ctx.scale, 0.0, 0.0)
    return torch.ops.bitdrop.apply.default(dy, key, *numbers), *[None] * 7


torch.library.register_autograd("bitdrop::apply", _backward, setup_context=_keep, lib=_library)


def _batched(info: Any, in_dims: Sequence[int | None], x: Tensor, key: Tensor, *rest: Any) -> Any:
    """Apply to each of a batch by itself: it has its own mask only if it has its own key."""
    x_dim, key_dim = in_dims[:2]
    size = info.batch_size
    xs = [x] * size if x_dim is None else x.unbind(x_dim)
    keys = [key] * size if key_dim is None else key.unbind(key_dim)
    results = [torch.ops.bitdrop.apply.default(*pair, *rest) for pair in zip(xs, keys, strict=True)]
    return torch.stack(results), 0


torch.library.register_vmap("bitdrop::apply", _batched, lib=_library)
