"""Locks of modules: forward passes of a thread draw the same key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Generator

from bitdrop.torch import _keys


class Lock:
    """A thread's lock of a module. Its first pass draws a key, and the others repeat it."""

    def __init__(self) -> None:
        self.depth = 0
        self._checkpoints = _keys.count_checkpoints()
        self._repeated: _keys.RepeatedKey | None = None

    def generator(self, source: Generator | None) -> Generator:
        """Return the generator of the key for a pass."""
        if _keys.count_checkpoints() > self._checkpoints:
            raise RuntimeError(
                "A module that is locked outside of a checkpoint cannot run inside it, because the backward "
                "pass may draw another mask: enter locked() inside the checkpointed function."
            )
        if self._repeated is None:
            self._repeated = _keys.RepeatedKey(_keys.draw(source))
        return self._repeated


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
        if not lock.depth:  # torch.export may have put a copy of the dict in its place
            vars(module)["_locks"].pop(thread, None)
