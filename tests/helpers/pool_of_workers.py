"""Script of test_processes.py: masks that layers draw in workers, as digests on standard output.

The argument names the kind of pool.
"""

import hashlib
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import bitdrop
import numpy as np

TASKS = 6
X = np.ones(2**19, np.float32)  # large enough for several threads
bitdrop._core.testing.set_waking_factor(1)  # use sleeping threads too

unseeded = bitdrop.Dropout()
seeded = bitdrop.Dropout(rng=0)
Map = Callable[[Callable[[int], Any], range], Any]


def digest(y: Any) -> str:
    return hashlib.sha256(y).hexdigest()


def work(sent: dict[str, Any], task: int) -> dict[str, str]:
    """Draw with layers of the module, which a spawned worker makes itself, and with layers that were sent."""
    bitdrop.set_num_threads(2)
    found = {
        "function": digest(bitdrop.dropout(X)[0]),
        "own": digest(unseeded(X)),
        "own seeded": digest(seeded(X)),
    }
    return found | {name: digest(layer(X)) for name, layer in sent.items()}


@contextmanager
def pool(name: str) -> Iterator[Map]:
    """Yield the map of two workers."""
    method = name.rpartition(" ")[2]
    if name == "joblib":
        import joblib  # noqa: PLC0415 - need not be installed

        yield lambda call, tasks: joblib.Parallel(n_jobs=2)(joblib.delayed(call)(task) for task in tasks)
    elif name.startswith("executor"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            yield lambda call, tasks: list(executor.map(call, tasks))
    else:
        with multiprocessing.get_context(method).Pool(2) as workers:
            yield lambda call, tasks: workers.map(call, tasks, chunksize=1)


def main() -> None:
    bitdrop.set_num_threads(2)
    sent = {
        "sent": bitdrop.Dropout(),
        "noise": bitdrop.GaussianDropout(),
        "sent seeded": bitdrop.Dropout(rng=1),
    }
    for layer in (unseeded, seeded, *sent.values()):
        layer(X)
    with pool(sys.argv[1]) as run:
        found = run(partial(work, sent), range(TASKS))
    print(json.dumps({"workers": found, "parent": work(sent, 0)}))


if __name__ == "__main__":
    main()
