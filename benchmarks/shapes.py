"""Cost of shared masks, blocks and memory layouts, as ratios to a copy.

    pip install '.[bench]'
    python benchmarks/shapes.py

Run it on an idle machine. Figures that have a target are marked.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from functools import partial
from timeit import Timer

import bitdrop
import machine
import numpy as np
import report
from bitdrop._layer import Layer
from competitors.copying import copy
from timing import Array, Timing, alternate, buffers

_IMAGES = (64, 128, 56, 56)
_SEQUENCES = (64, 512, 768)
_MATRIX = (2048, 2048)
# Both arrays in Fortran order, and the ratios and nanoseconds an element to reach.
_FORTRAN: tuple[tuple[int, ...], ...] = (
    (2048, 2048),
    (1000, 1000),
    (64, 100_000),
    (100_000, 64),
    (64, 64, 1000),
)
_FORTRAN_REACH = 2.5
_FORTRAN_NOISE_REACH = 1.2
_COPIES = 64  # of an array with a sixty-fourth of the rows of _MATRIX
_CHANNELS_REACH = 0.8

# Name, shape of x, noise shape, and the ratio to reach.
_SHARED: tuple[tuple[str, tuple[int, ...], tuple[int | None, ...] | None, float | None], ...] = (
    ("each element", _IMAGES, None, None),
    ("each channel of a sample", _IMAGES, (None, None, 1, 1), _CHANNELS_REACH),
    ("each sample", _IMAGES, (None, 1, 1, 1), None),
    ("the same units of every sample", _IMAGES, (1, None, None, None), None),
    ("the same features at every time step", _SEQUENCES, (None, 1, None), None),
)


# Layer, shape of x, and the ratio to reach.
_BLOCK_P = 0.1
_BLOCKS: tuple[
    tuple[type[bitdrop.DropBlock2d | bitdrop.DropBlock3d], int, tuple[int, ...], float | None], ...
] = (
    (bitdrop.DropBlock2d, 7, _IMAGES, 5.0),
    (bitdrop.DropBlock2d, 3, _IMAGES, None),
    (bitdrop.DropBlock2d, 7, (64, 512, 14, 14), None),
    (bitdrop.DropBlock2d, 7, (64, 2048, 7, 7), None),
    (bitdrop.DropBlock3d, 7, (8, 64, 16, 56, 56), None),
)


_STATES = (2**18, 2**20)  # elements
_STATE_DTYPES = (np.float32, np.complex64, np.complex128)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--p", type=float, default=0.5, help="probability that a unit is dropped")
    parser.add_argument("--threads", type=int, default=1, help="thread count of bitdrop and the copy")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each comparison")
    options = parser.parse_args(arguments)
    bitdrop.set_num_threads(options.threads)
    report.print_facts(machine.facts())
    _print_shared(options)
    _print_blocks(options)
    _print_dtypes(options)
    _print_layouts(options)
    _print_fortran(options)


def _print_shared(options: argparse.Namespace) -> None:
    rows = []
    for name, shape, noise_shape, reach in _SHARED:
        places = []
        for x, out in buffers(math.prod(shape)):
            layer = bitdrop.Dropout(options.p, noise_shape=noise_shape, rng=0)
            places.append(_sides(layer, x.reshape(shape), out.reshape(shape), options.threads))
        timings = alternate(places, "copy", options.seconds)
        rows.append([name, str(shape), *_ratios(timings, reach)])
    title = f"Shared masks: ratios to a copy, p = {options.p}, float32, `out=`, threads: {options.threads}"
    report.print_table(title, ("one draw for", "shape", "forward", "backward", "to reach"), rows)


def _print_blocks(options: argparse.Namespace) -> None:
    rows = []
    for kind, size, shape, reach in _BLOCKS:
        places = []
        for x, out in buffers(math.prod(shape)):
            layer = kind(_BLOCK_P, size, rng=0)
            places.append(_sides(layer, x.reshape(shape), out.reshape(shape), options.threads))
        timings = alternate(places, "copy", options.seconds)
        rows.append([f"{kind.__name__}, {size}", str(shape), *_ratios(timings, reach)])
    title = f"Blocks: ratios to a copy, p = {_BLOCK_P}, float32, `out=`, threads: {options.threads}"
    report.print_table(title, ("layer, block size", "shape", "forward", "backward", "to reach"), rows)


def _print_dtypes(options: argparse.Namespace) -> None:
    rows = []
    for dtype in _STATE_DTYPES:
        for size in _STATES:
            places = []
            for x, out in buffers(size, dtype):
                previous = x.copy()
                layer, zoneout = bitdrop.Dropout(options.p, rng=0), bitdrop.Zoneout(options.p, rng=0)
                sides = _sides(layer, x, out, options.threads)
                sides["zoneout"] = Timer(partial(zoneout.forward, x, previous, out=out))
                sides["numpy.add"] = Timer(partial(np.add, x, previous, out=out))
                places.append(sides)
            timings = alternate(places, "copy", options.seconds)
            names = ("forward", "backward", "zoneout", "numpy.add")
            name = np.dtype(dtype).name
            rows.append([name, f"{size // 1024} Ki", *(f"{timings[side].ratio:.2f}" for side in names)])
    title = (
        f"Complex numbers and zoneout: ratios to a copy, p = {options.p}, `out=`, threads: {options.threads}"
    )
    report.print_table(
        title, ("dtype", "elements", "forward", "backward", "zoneout", "np.add of both states"), rows
    )


def _ratios(timings: Mapping[str, Timing], reach: float | None) -> tuple[str, str, str]:
    """Return the ratios of forward and backward, and whether forward reaches its target."""
    forward, backward = (timings[side].ratio for side in ("forward", "backward"))
    mark = "" if reach is None else report.mark(forward <= reach, reach)
    return f"{forward:.2f}", f"{backward:.2f}", mark


def _print_layouts(options: argparse.Namespace) -> None:
    places: dict[str, list[Mapping[str, Timer]]] = {}
    sizes: dict[str, int] = {}
    for x, out in buffers(math.prod(_MATRIX)):
        for name, (values, target) in _layouts(x.reshape(_MATRIX), out.reshape(_MATRIX)).items():
            layer = bitdrop.Dropout(options.p, rng=0)
            places.setdefault(name, []).append(_sides(layer, values, target, options.threads))
            sizes[name] = values.size
    rows = []
    for name, sides in places.items():
        timings = alternate(sides, "copy", options.seconds)
        nanoseconds = (timings[side].seconds / sizes[name] * 1e9 for side in ("copy", "forward"))
        ratios = (timings[side].ratio for side in ("forward", "backward"))
        rows.append([name, *(f"{time:.3f}" for time in nanoseconds), *(f"{ratio:.2f}" for ratio in ratios)])
    title = f"Layouts of {_MATRIX}: ratios to a copy of the same views, p = {options.p}, float32, `out=`"
    columns = ("x, out", "copy, ns per element", "forward, ns", "forward, copies", "backward, copies")
    report.print_table(f"{title}, threads: {options.threads}", columns, rows)


def _print_fortran(options: argparse.Namespace) -> None:
    rows = []
    for shape in _FORTRAN:
        places = []
        for x, out in buffers(math.prod(shape)):
            values, target = (array.reshape(shape, order="F") for array in (x, out))
            sides = _sides(bitdrop.Dropout(options.p, rng=0), values, target, options.threads)
            noise = bitdrop.GaussianDropout(options.p, rng=0)
            fused = bitdrop.FusedDropout(options.p, activation="relu", rng=0)
            zoneout = bitdrop.Zoneout(options.p, rng=0)
            sides["relu"] = Timer(partial(fused.forward, values, out=target))
            sides["zoneout"] = Timer(partial(zoneout.forward, values, values.copy(order="F"), out=target))
            sides["gaussian"] = Timer(partial(noise.forward, values, out=target))
            places.append(sides)
        timings = alternate(places, "copy", options.seconds)
        nanoseconds = timings["gaussian"].seconds / math.prod(shape) * 1e9
        marks = (
            timings["forward"].ratio <= _FORTRAN_REACH,
            len(shape) > 2 or nanoseconds <= _FORTRAN_NOISE_REACH,
        )
        names = ("forward", "backward", "relu", "zoneout")
        ratios = (f"{timings[side].ratio:.2f}" for side in names)
        mark = "reached" if all(marks) else "MISSED"
        rows.append([str(shape), *ratios, f"{nanoseconds:.2f}", mark])
    title = f"Fortran order: ratios to a copy, p = {options.p}, float32, `out=`, threads: {options.threads}"
    columns = ("shape", "forward", "backward", "ReLU, fused", "zoneout", "Gaussian, ns per element")
    to_reach = f"to reach ({_FORTRAN_REACH}; {_FORTRAN_NOISE_REACH} ns)"
    report.print_table(title, (*columns, to_reach), rows)


def _layouts(x: Array, out: Array) -> dict[str, tuple[Array, Array]]:
    """Return pairs of input and output by name: views of x and out, whole or in part."""
    half = x.shape[1] // 2
    sample = x[: len(x) // _COPIES]
    return {
        "contiguous": (x, out),
        "both transposed": (x.T, out.T),
        "left half of the rows": (x[:, :half], out[:, :half]),
        "rows reversed": (x[::-1], out),
        "columns reversed": (x[:, ::-1], out),
        "every second column": (x[:, ::2], out[:, :half]),
        "x transposed": (x.T, out),
        "out transposed": (x, out.T),
        f"the same rows {_COPIES} times": (
            np.broadcast_to(sample, (_COPIES, *sample.shape)),
            out.reshape(_COPIES, *sample.shape),
        ),
        "one column repeated": (np.broadcast_to(x[:, :1], x.shape), out),
    }


def _sides(layer: Layer, x: Array, out: Array, threads: int) -> dict[str, Timer]:
    layer.forward(x, out=out)
    return {
        "copy": Timer(copy(x, out, threads)),
        "forward": Timer(partial(layer.forward, x, out=out)),
        "backward": Timer(partial(layer.backward, x, out=out)),
    }


if __name__ == "__main__":
    main()
