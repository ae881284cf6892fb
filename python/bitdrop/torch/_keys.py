"""Keys of masks: drawn from torch's generators, at once or by an operator for whatever records operators.

The operator `bitdrop::draw_key` is random, but changes no tensor. Three rules keep its draws apart and single
in the graphs of compilers:

- PyTorch's graph optimiser merges equal calls of an operator, random or not. Each recorded call has a number
  of its own.
- A key takes 16 bytes, so it is saved for the backward pass even if everything around it is recomputed. A
  second draw would give another mask.
- A memory budget of 0 saves nothing. Then the draw is marked for recomputation, and PyTorch saves the state
  of the generator.
"""

import inspect
import sys
import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint

from bitdrop._typing import Key
from bitdrop.torch import _private
from bitdrop.torch._native import HAS_KERNELS
from bitdrop.torch._private import disable_dynamo

_RANGE = -(2**63), 2**63 - 1
_WORD = 2**64 - 1
_CPU = torch.device("cpu")

library = torch.library.Library("bitdrop", "DEF")
library.define("draw_key(int position=0) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
# For draws that are recomputed. PyTorch saves the generator's state of an operator by its device.
library.define(
    "draw_key_again(int position, *, Device device) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,)
)


class RepeatedKey(Generator):
    """A generator that draws one key again and again."""

    key: Key

    def __new__(cls, key: Key) -> "RepeatedKey":
        """Return a generator of the key."""
        generator: RepeatedKey = super().__new__(cls, device="cpu")
        generator.key = key
        return generator


class _Words(threading.local):
    """Memory to draw a key into, one for each thread: a new tensor takes longer than the draw."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # its tensors could not be written to outside of it
            self.signed = torch.empty(2, dtype=torch.int64, device=_CPU)
        self.unsigned = self.signed.numpy().view(np.uint64)


_words = _Words()


def draw(generator: Generator | None) -> Key:
    """Return a key from torch's default generator or another."""
    if generator is not None:
        if type(generator) is RepeatedKey:
            return generator.key
        _check_checkpoints()
    words = _words
    words.signed.random_(*_RANGE, generator=generator)
    return _key_in(words.unsigned)


def _key_in(words: NDArray[np.uint64]) -> Key:
    k0, k1 = words.tolist()
    return k0, k1


def draw_words(generator: Generator | None) -> Tensor:
    """Return the same key as `draw`, as two int64, by operations that can be recorded and batched."""
    transforms, compiling = _private.are_transforms_active(), torch.compiler.is_compiling()
    if compiling and (transforms or generator is not None):
        # Without fullgraph=True, the compiler leaves such a function to eager mode.
        raise NotImplementedError(
            "bitdrop.torch cannot be compiled with a generator, or inside transforms of torch.func: compile "
            "without fullgraph=True, or use torch's default generator."
        )
    if type(generator) is RepeatedKey:
        return words_of(generator.key)
    if generator is not None:
        _check_checkpoints()
    if transforms or generator is not None:
        return _random_words(generator)  # vmap's `randomness=` decides: one key, one per sample, or an error
    words: Tensor = torch.ops.bitdrop.draw_key.default()
    return words


_CHECKPOINT = inspect.unwrap(checkpoint).__code__


def count_checkpoints() -> int:
    """Return the number of checkpoints that the caller is in."""
    frame, count = sys._getframe(), 0
    while frame is not None:
        count += frame.f_code is _CHECKPOINT
        frame = frame.f_back  # type: ignore[assignment]
    return count


def _check_checkpoints() -> None:
    """Refuse a generator in a checkpoint, which restores torch's default generators alone."""
    if count_checkpoints():
        raise RuntimeError(
            "generator must be None inside a checkpoint, because the backward pass would draw another mask: "
            "use torch's default generator, whose state checkpoints restore."
        )


def key_of(words: Tensor) -> Key:
    """Return the key that two int64 are."""
    k0, k1 = words.tolist()
    return k0 & _WORD, k1 & _WORD


def words_of(key: Key) -> Tensor:
    """Return a key as two int64."""
    signed = [word - 2**64 if word >= 2**63 else word for word in key]
    return torch.tensor(signed, dtype=torch.int64, device=_CPU)


def _random_words(generator: Generator | None) -> Tensor:
    # The device is named, because torch.set_default_device may have set another one.
    return torch.randint(*_RANGE, (2,), generator=generator, dtype=torch.int64, device=_CPU)


def _draw_key(position: int = 0) -> Tensor:
    return _random_words(None)


if not HAS_KERNELS:  # the kernel in C draws the same
    library.impl("draw_key", disable_dynamo(_draw_key), "CompositeExplicitAutograd")


@disable_dynamo
def _draw_key_again(position: int, *, device: torch.device) -> Tensor:
    return _random_words(None)


library.impl("draw_key_again", _draw_key_again, "CompositeExplicitAutograd")


@torch.library.register_fake("bitdrop::draw_key_again", lib=library)
def _fake_key_again(position: int, *, device: torch.device) -> Tensor:
    return _fake_key(position)


@torch.library.register_fake("bitdrop::draw_key", lib=library)
def _fake_key(position: int = 0) -> Tensor:
    return torch.empty(2, dtype=torch.int64, device=_CPU)


def _record(mode: Any, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
    """Record a draw under its own number, and mark it for the partitioner."""
    arguments = (len(mode.tracer.graph.nodes),)
    proxy = mode.tracer.create_proxy("call_function", operator, arguments, {})
    proxy.node.meta["recompute"] = policy = _policy(mode)
    if policy is CheckpointPolicy.MUST_RECOMPUTE:
        proxy.node.target = torch.ops.bitdrop.draw_key_again.default
        proxy.node.kwargs = {"device": _CPU}
    words: Tensor = _private.proxy_tensor.track_tensor_tree(
        operator(*arguments), proxy, constant=None, tracer=mode.tracer
    )
    return words


def _save(mode: Any, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
    """Save a key in a selective checkpoint, whatever policy the user chose."""
    policy_fn = getattr(mode, "policy_fn", None)
    mode.policy_fn = lambda *_, **__: _policy(_private.proxy_tensor.get_proxy_mode())
    try:
        words: Tensor = mode.__torch_dispatch__(operator, types, args, kwargs)
    finally:
        mode.policy_fn = policy_fn
    return words


def _policy(mode: Any) -> CheckpointPolicy:
    """Return the policy for the key that was drawn last. `mode` records a graph, or is None."""
    if mode is None:
        return CheckpointPolicy.MUST_SAVE
    budget = _private.budget_of_region(next(iter(reversed(mode.tracer.graph.nodes))))
    if budget is None:
        budget = _private.functorch_config.activation_memory_budget
    return CheckpointPolicy.MUST_SAVE if budget > 0 else CheckpointPolicy.MUST_RECOMPUTE


if _private.TRUSTED:
    # Compiled functions use selective checkpoints for all of their checkpoints, and restore no generator
    # there. Up to 2.12 the recomputing side asks the policy, too.
    for _mode, _handler in (
        (_private.proxy_tensor.ProxyTorchDispatchMode, _record),
        (_private.CachingMode, _save),
        (_private.CachedMode, _save),
    ):
        torch.library.register_torch_dispatch("bitdrop::draw_key", _mode, _handler, lib=library)
