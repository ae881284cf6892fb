"""Calls of many threads at the same moment."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

from tests.helpers.support import Array

THREADS = 8


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> None:
    """Call `work` in threads with the number of the thread, and raise the first error."""
    start = threading.Barrier(threads)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]


def digest(y: Array) -> str:
    """Return a hash of the elements."""
    return hashlib.sha256(y.tobytes()).hexdigest()
