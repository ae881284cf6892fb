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

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch._functorch import config
from torch.fx.experimental import proxy_tensor
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.utils import checkpoint
from torch.utils.checkpoint import CheckpointPolicy

from bitdrop._typing import Key

_RANGE = -(2**63), 2**63 - 1
_WORD = 2**64 - 1
_CPU = torch.device("cpu")

library = torch.library.Library("bitdrop", "DEF")
library.define(
    "draw_key(int position=0, *, Device? device=None) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,)
)


class _Words(threading.local):
    """Memory to draw a key into, one for each thread: a new tensor takes longer than the draw."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # its tensors could not be written to outside of it
            self.signed = torch.empty(2, dtype=torch.int64, device=_CPU)
        self.unsigned = self.signed.numpy().view(np.uint64)


_words = _Words()


def draw(generator: Generator | None) -> Key:
    """Return a key from torch's default generator or another."""
    words = _words
    words.signed.random_(*_RANGE, generator=generator)
    return _key_in(words.unsigned)


def _key_in(words: NDArray[np.uint64]) -> Key:
    k0, k1 = words.tolist()
    return k0, k1


def draw_words(generator: Generator | None) -> Tensor:
    """Return the same key as `draw`, as two int64, by operations that can be recorded and batched."""
    transforms, compiling = torch._C._are_functorch_transforms_active(), torch.compiler.is_compiling()
    if compiling and (transforms or generator is not None):
        # Without fullgraph=True, the compiler leaves such a function to eager mode.
        raise NotImplementedError(
            "bitdrop.torch cannot be compiled with a generator, or inside transforms of torch.func: compile "
            "without fullgraph=True, or use torch's default generator."
        )
    if transforms or generator is not None:
        return _random_words(generator)  # vmap's `randomness=` decides: one key, one per sample, or an error
    words: Tensor = torch.ops.bitdrop.draw_key.default()
    return words


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


@torch.library.impl(library, "draw_key", "CompositeExplicitAutograd")
@torch._disable_dynamo
def _draw_key(position: int = 0, *, device: torch.device | None = None) -> Tensor:
    return _random_words(None)


@torch.library.register_fake("bitdrop::draw_key", lib=library)
def _fake_key(position: int = 0, *, device: torch.device | None = None) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        raise RuntimeError(
            "bitdrop.torch cannot be exported to ONNX in training mode: call model.eval() first, or use "
            "torch's own modules."
        )
    return torch.empty(2, dtype=torch.int64, device=_CPU)


@torch.library.register_torch_dispatch("bitdrop::draw_key", ProxyTorchDispatchMode, lib=library)
def _record(mode: Any, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
    """Record a draw under its own number, and mark it for the partitioner."""
    arguments, options = (len(mode.tracer.graph.nodes),), {"device": _CPU}
    proxy = mode.tracer.create_proxy("call_function", operator, arguments, options)
    proxy.node.meta["recompute"] = _policy(mode)
    words: Tensor = proxy_tensor.track_tensor_tree(
        operator(*arguments, **options), proxy, constant=None, tracer=mode.tracer
    )
    return words


def _save(mode: Any, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
    """Save a key in a selective checkpoint, whatever policy the user chose."""
    policy_fn = mode.policy_fn
    mode.policy_fn = lambda *_, **__: _policy(proxy_tensor.get_proxy_mode())
    try:
        words: Tensor = mode.__torch_dispatch__(operator, types, args, kwargs)
    finally:
        mode.policy_fn = policy_fn
    return words


# Compiled functions use selective checkpoints for all of their checkpoints, and restore no generator there.
torch.library.register_torch_dispatch(
    "bitdrop::draw_key", checkpoint._CachingTorchDispatchMode, _save, lib=library
)


def _policy(mode: ProxyTorchDispatchMode | None) -> CheckpointPolicy:
    """Return the policy for the key that was drawn last."""
    if mode is None:
        return CheckpointPolicy.MUST_SAVE
    budget = _budget_of_region(next(iter(reversed(mode.tracer.graph.nodes))))
    if budget is None:
        budget = config.activation_memory_budget
    return CheckpointPolicy.MUST_SAVE if budget > 0 else CheckpointPolicy.MUST_RECOMPUTE


_budget_of_region: Callable[[torch.fx.Node], float | None] = getattr(
    torch.fx.traceback, "_get_memory_budget_annotation", lambda _: None
)
