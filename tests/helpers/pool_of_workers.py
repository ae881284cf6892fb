"""Script of test_faults.py: dropout in a pool of workers with one task each, digests on standard output.

The argument is the start method of the workers.
"""

import hashlib
import json
import multiprocessing
import sys
from typing import Any

import bitdrop
import numpy as np

WORKERS = 4
X = np.ones(2**19, np.float32)  # large enough for several threads
bitdrop._core.testing.set_waking_factor(1)  # use sleeping threads too

unseeded = bitdrop.Dropout()
seeded = bitdrop.Dropout(rng=0)


def digest(y: Any) -> str:
    return hashlib.sha256(y).hexdigest()


def work(sent: bitdrop.Dropout) -> dict[str, str]:
    bitdrop.set_num_threads(2)
    return {
        "function": digest(bitdrop.dropout(X)[0]),
        "unseeded layer": digest(unseeded(X)),
        "seeded layer": digest(seeded(X)),
        "sent layer": digest(sent(X)),
    }


def main() -> None:
    bitdrop.set_num_threads(2)
    for layer in (unseeded, seeded):
        layer(X)
    sent = bitdrop.Dropout(rng=1)
    sent(X)
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(WORKERS, maxtasksperchild=1) as pool:
        found = pool.map(work, [sent] * 2 * WORKERS, chunksize=1)
    print(json.dumps({"workers": found, "parent": work(sent)}))


if __name__ == "__main__":
    main()
