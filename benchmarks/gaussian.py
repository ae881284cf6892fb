"""Speed of Gaussian dropout against NumPy's normal generator.

    pip install '.[bench]'
    python benchmarks/gaussian.py

Run it on an idle machine. The reference is what a user of NumPy writes: ``x * rng.normal(1, s, x.shape)``.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from timeit import Timer

import bitdrop
import machine
import numpy as np
import report
from bitdrop import _core
from timing import Array, alternate, buffers

_SIZES = (2**10, 2**14, 2**16, 2**18, 2**20, 2**22, 2**24)
_REACH = 8  # times as fast, in float32 with AVX2, from _REACH_SIZE elements on
_REACH_SIZE = 2**16
_HEADINGS = (
    "instruction set",
    "dtype",
    "elements",
    "NumPy, ns",
    "NumPy float32, ns",
    "bitdrop, ns",
    "ratio",
    "to reach",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--p", type=float, default=0.5, help="rate of the dropout")
    parser.add_argument("--threads", type=int, default=1, help="thread count of bitdrop; NumPy has one")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each comparison")
    parser.add_argument("--isas", nargs="+", choices=_core.isas(), default=_core.isas()[:2])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64", "float16"])
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help="numbers of elements")
    options = parser.parse_args(arguments)
    bitdrop.set_num_threads(options.threads)
    report.print_facts(machine.facts())
    active = _core.get_isa()
    try:
        rows = [
            _row(isa, np.dtype(name), size, options)
            for isa in options.isas
            for name in options.dtypes
            for size in (options.sizes if name == "float32" else options.sizes[-2:-1])
        ]
    finally:
        _core.set_isa(active)
    report.print_table(f"Gaussian dropout, p = {options.p}, threads: {options.threads}", _HEADINGS, rows)


def _row(isa: str, dtype: np.dtype[np.generic], size: int, options: argparse.Namespace) -> list[str]:
    _core.set_isa(isa)
    places = [_sides(x, out, options.p) for x, out in buffers(size, dtype)]
    timings = alternate(places, "NumPy", options.seconds)
    ratio = 1 / timings["bitdrop"].ratio
    target = dtype == np.float32 and isa == "avx2" and size >= _REACH_SIZE
    mark = report.mark(ratio >= _REACH, _REACH) if target else ""
    nanoseconds = [
        f"{timings[side].seconds / size * 1e9:.2f}" for side in ("NumPy", "NumPy float32", "bitdrop")
    ]
    return [isa, dtype.name, f"{size:,}", *nanoseconds, f"{ratio:.1f}", mark]


def _sides(x: Array, out: Array, p: float) -> Mapping[str, Timer]:
    rng, s = np.random.default_rng(0), math.sqrt(p / (1 - p))
    noise = np.empty(x.shape, np.float32)

    def float32_noise() -> None:
        rng.standard_normal(x.shape, np.float32, noise)
        np.multiply(noise, np.float32(s), out=noise)
        np.add(noise, np.float32(1), out=noise)
        np.multiply(x, noise, out=out, casting="same_kind")

    layer = bitdrop.GaussianDropout(p, rng=0)
    return {
        "NumPy": Timer(lambda: x * rng.normal(1, s, x.shape)),
        "NumPy float32": Timer(float32_noise),
        "bitdrop": Timer(lambda: layer(x)),
    }


if __name__ == "__main__":
    main()
