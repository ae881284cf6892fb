"""Interrupts at chosen times."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts() -> Iterator[Callable[[float], None]]:
    """Yield a function that schedules a KeyboardInterrupt in the main thread, after a number of seconds.

    The timer repeats until the block ends, and raises once for each call: Python 3.11 may lose a signal that
    arrives while a thread takes the interpreter lock.
    """
    armed = False

    def handle(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    def interrupt_after(seconds: float) -> None:
        nonlocal armed
        armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.02)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        yield interrupt_after
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
