"""Locks of modules: forward passes of a thread draw the same key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor

from bitdrop.torch import _calls
from bitdrop.torch._plain import is_plain


class Lock:
    """A thread's lock of a module: it has a generator that begins anew for each pass."""

    def __init__(self) -> None:
        self.depth = 0
        self._generator = Generator(device="cpu")
        self._start: Tensor | None = None

    def generator(self, source: Generator | None) -> Generator:
        """Return the generator for a pass. The first pass draws its state from the source."""
        if self._start is None:
            self._start = _drawn_state(source)
        self._generator.set_state(self._start)
        return self._generator


def _drawn_state(source: Generator | None) -> Tensor:
    """Return the state of a generator, with words drawn from another. A seed would have 32 bits alone."""
    state = Generator(device="cpu").manual_seed(0).get_state()
    words = slice(
        24, 24 + 624 * 8
    )  # of the Mersenne Twister, 32 bits in eight bytes each, in a state of 5056
    state[words].view(torch.int64).random_(0, 2**32, generator=source)
    return state


def check_supported(input: Tensor) -> None:
    """Check that bitdrop drops a tensor, not torch's own function, which draws anew."""
    if not (is_plain(input) or _calls.is_supported(input)):
        raise ValueError(
            f"A locked module repeats masks of bitdrop: pass a tensor that is {_calls.SUPPORTED}."
        )


@contextmanager
def locked(module: Any) -> Iterator[None]:
    """Lock a module for the calling thread. Its attribute `_locks` holds the locks of all threads."""
    thread = threading.get_ident()
    locks = vars(module).setdefault("_locks", {})
    lock = locks.setdefault(thread, Lock())
    lock.depth += 1
    try:
        yield
    finally:
        lock.depth -= 1
        if not lock.depth:
            del locks[thread]
