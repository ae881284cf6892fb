"""Cost of calls on small arrays: of every kind of layer, warm and cold, beside NumPy's.

    pip install '.[bench]'
    python benchmarks/calls.py

Warm calls follow each other. A cold call follows a matrix product, which takes the caches, as in a training
step. Run it on an idle machine. Figures that have a target are marked.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from timeit import Timer

import bitdrop
import machine
import numpy as np
import report
from timing import Array, Step, alternate, alternate_cold, buffers, matrix_product

_COPY, _PRODUCT = "np.copyto(out, x)", "np.multiply(x, m, out=out)"
_FORWARD = "Dropout.forward(x, out=out)"
# To reach with 1,024 elements, warm: calls of np.multiply; for the other kinds, forward passes of Dropout.
_TO_REACH = {
    _FORWARD: 1.8,
    "Dropout()(x)": 2.5,
    "Dropout.backward(dy, out=out)": 1.5,
    "bitdrop.dropout(x, rng=generator)": 6.0,
}
_OTHERS_TO_REACH = 1.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table for each number of elements."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[2**10, 2**14], help="elements, multiples of 1,024"
    )
    parser.add_argument("--threads", type=int, default=1, help="thread count of bitdrop")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="time for the calls of each table, warm and cold"
    )
    options = parser.parse_args(arguments)
    bitdrop.set_num_threads(options.threads)
    report.print_facts(machine.facts())
    columns = ("call", "warm, us", "in np.multiply", "to reach", "cold, us", "in cold np.copyto")
    for size in options.sizes:
        report.print_table(
            f"{size:,} elements, float32, threads: {options.threads}", columns, _rows(size, options.seconds)
        )


def _rows(size: int, seconds: float) -> list[list[str]]:
    places = [calls(x, out) for x, out in buffers(size)]
    warm = alternate(
        [{name: Timer(step) for name, step in place.items()} for place in places], _PRODUCT, seconds
    )
    cold = alternate_cold({name: [step] for name, step in places[0].items()}, matrix_product(), seconds)
    rows = []
    for name, timing in warm.items():
        most = _TO_REACH.get(name)
        if name.endswith("forward"):
            most = _OTHERS_TO_REACH * warm[_FORWARD].ratio
        mark = ""
        if most is not None and size == 1024:
            mark = report.mark(timing.ratio <= most, f"{most:.2f}")
        cells = (timing.seconds * 1e6, timing.ratio, cold[name] * 1e6, cold[name] / cold[_COPY])
        warm_us, ratio, cold_us, cold_ratio = (f"{cell:.2f}" for cell in cells)
        rows.append([name, warm_us, ratio, mark, cold_us, cold_ratio])
    return rows


def calls(x: Array, out: Array) -> dict[str, Step]:
    """Return NumPy's calls and bitdrop's on the same arrays, by name."""
    m = (np.arange(x.size) % 2).astype(x.dtype)
    layer, held = (bitdrop.Dropout(0.5, rng=0) for _ in range(2))
    held(x)
    images, image_out = (a.reshape(-1, 4, 16, 16) for a in (x, out))
    return {
        _COPY: partial(np.copyto, out, x),
        _PRODUCT: partial(np.multiply, x, m, out=out),
        "textbook: x * (np.random.rand(n) > p)": lambda: x * (np.random.rand(x.size) > 0.5),  # noqa: NPY002
        _FORWARD: partial(layer.forward, x, out=out),
        "Dropout()(x)": partial(layer, x),
        "Dropout.backward(dy, out=out)": partial(held.backward, x, out=out),
        "Dropout.backward(dy)": partial(held.backward, x),
        "Dropout().eval()(x)": partial(bitdrop.Dropout(0.5).eval(), x),
        "bitdrop.dropout(x, rng=generator)": partial(bitdrop.dropout, x, 0.5, rng=np.random.default_rng(0)),
        "AlphaDropout.forward": partial(bitdrop.AlphaDropout(0.5, rng=0).forward, x, out=out),
        "GaussianDropout.forward": partial(bitdrop.GaussianDropout(0.5, rng=0).forward, x, out=out),
        "Zoneout.forward": partial(bitdrop.Zoneout(0.5, rng=0).forward, x, x, out=out),
        "FusedDropout.forward": partial(
            bitdrop.FusedDropout(0.5, activation="relu", rng=0).forward, x, out=out
        ),
        "DropPath.forward": partial(bitdrop.DropPath(0.5, rng=0).forward, images, out=image_out),
        "Dropout2d.forward": partial(bitdrop.Dropout2d(0.5, rng=0).forward, images, out=image_out),
        "DropBlock2d.forward": partial(bitdrop.DropBlock2d(0.1, 3, rng=0).forward, images, out=image_out),
    }


if __name__ == "__main__":
    main()
