"""Speedup of `bitdrop.jax` over JAX's own dropout and Equinox's: single calls, and training steps.

    pip install '.[bench,jax,jax-test]'
    python benchmarks/jax_arrays.py --threads 1

Every call is jitted and makes a new array. Run it on an idle machine. Figures that have a target are marked.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from timeit import Timer
from typing import Any

import bitdrop
import bitdrop.jax
import equinox as eqx
import jax
import jax.numpy as jnp
import machine
import processes
import report
from competitors.jax_dropout import jax_dropout, start
from timing import alternate

COPY, JAX, EQUINOX, BITDROP, NONE = "copy", "JAX", "Equinox", "bitdrop", "no dropout"
Dropout = Callable[..., Any]

# Elements, p, call, and what to reach: times as fast as JAX, and copies of x.
_ROWS: tuple[tuple[int, float, str, float | None, float | None], ...] = (
    (2**10, 0.5, "forward", 2, None),
    (2**10, 0.1, "forward", 2, None),
    (2**10, 0.5, "forward and gradient", None, None),
    (2**20, 0.5, "forward", 20, 1.6),
    (2**20, 0.1, "forward", 20, 1.6),
    (2**20, 0.5, "forward and gradient", 15, None),
    (2**20, 0.1, "forward and gradient", 15, None),
    (2**24, 0.5, "forward", None, None),
    (2**24, 0.5, "forward and gradient", None, None),
)
_STEP_TO_REACH = 1.08


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="thread count of XLA and bitdrop")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each comparison")
    sizes = sorted({row[0] for row in _ROWS})
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=sizes, default=sizes, help="numbers of elements"
    )
    parser.add_argument("--processes", type=int, default=3, help="processes of each model's training steps")
    parser.add_argument("--child", choices=MODELS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    start(options.threads)
    bitdrop.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(_measured_steps(options.child, options.seconds)))
        return
    report.print_facts(machine.facts() | {"JAX": jax.__version__, "Equinox": eqx.__version__})
    columns = ("elements", "p", "call", *(f"{side}, us" for side in (COPY, JAX, EQUINOX, BITDROP)))
    report.print_table(
        f"New float32 arrays, jitted, threads: {options.threads}",
        (*columns, "copies", "times faster", "to reach"),
        [_call_row(row, options.seconds) for row in _ROWS if row[0] in options.sizes],
    )
    columns = ("model", *(f"{side}, us" for side in (NONE, JAX, BITDROP)), JAX, BITDROP, "to reach")
    report.print_table(
        "Training steps, jitted, in steps without dropout, freed memory kept (default allocator), "
        f"threads: {options.threads}",
        columns,
        [_step_row(name, options) for name in MODELS],
    )


def _equinox_dropout(x: Any, p: float, key: Any) -> Any:
    return eqx.nn.Dropout(p)(x, key=key)


def _call_row(row: tuple[int, float, str, float | None, float | None], seconds: float) -> list[str]:
    n, p, call, to_reach, copies_to_reach = row
    x, key = jax.random.normal(jax.random.key(0), n), jax.random.key(1)
    dropouts: dict[str, Dropout] = {
        COPY: lambda x, p, key: jnp.copy(x),
        JAX: jax_dropout,
        EQUINOX: _equinox_dropout,
        BITDROP: bitdrop.jax.dropout,
    }
    timers = {}
    for side, dropout in dropouts.items():
        function: Callable[..., Any] = partial(_forward, dropout, p)
        if call != "forward" and side != COPY:
            function = partial(_forward_and_gradient, dropout, p)
        timers[side] = Timer(partial(_wait, jax.jit(function), x, key))
    of_copy = alternate([timers], COPY, seconds)
    faster = of_copy[JAX].ratio / of_copy[BITDROP].ratio
    marks = [
        report.mark(reached, target)
        for target, reached in (
            (to_reach, to_reach is not None and faster >= to_reach),
            (copies_to_reach, copies_to_reach is not None and of_copy[BITDROP].ratio <= copies_to_reach),
        )
        if target is not None
    ]
    times = [f"{timing.seconds * 1e6:.1f}" for timing in of_copy.values()]
    return [
        f"{n:,}",
        str(p),
        call,
        *times,
        f"{of_copy[BITDROP].ratio:.2f}",
        f"{faster:.1f}",
        ", ".join(marks),
    ]


def _wait(function: Callable[..., Any], *arguments: Any) -> None:
    jax.block_until_ready(function(*arguments))


def _forward(dropout: Dropout, p: float, x: Any, key: Any) -> Any:
    return dropout(x, p, key=key)


def _forward_and_gradient(dropout: Dropout, p: float, x: Any, key: Any) -> Any:
    y, pull = jax.vjp(lambda x: dropout(x, p, key=key), x)
    return y, pull(x)


def _weights(key: Any, *sizes: tuple[int, int]) -> list[Any]:
    keys = jax.random.split(key, len(sizes))
    return [jax.random.normal(keys[i], size) / jnp.sqrt(jnp.float32(size[0])) for i, size in enumerate(sizes)]


def _mlp(dropout: Dropout, weights: list[Any], x: Any, key: Any) -> Any:
    """Return the outputs of 784-1024-1024-10, with dropout after each ReLU."""
    keys = jax.random.split(key)
    for i in range(2):
        x = dropout(jax.nn.relu(x @ weights[i]), 0.5, key=keys[i])
    return x @ weights[2]


def _transformer_block(dropout: Dropout, weights: list[Any], x: Any, key: Any) -> Any:
    """Return the outputs of a block of 256 features and 4 heads: dropout of weights, branches and units."""
    keys = jax.random.split(key, 4)
    batch, length, width = x.shape
    queries, keys_, values = jnp.split((x @ weights[0]).reshape(batch, length, 4, 3 * width // 4), 3, axis=-1)
    scores = jnp.einsum("bqhf,bkhf->bhqk", queries, keys_) / jnp.sqrt(jnp.float32(width // 4))
    attention = dropout(jax.nn.softmax(scores), 0.1, key=keys[0])
    mixed = jnp.einsum("bhqk,bkhf->bqhf", attention, values).reshape(x.shape)
    x = x + dropout(mixed @ weights[1], 0.1, key=keys[1])
    hidden = dropout(jax.nn.relu(x @ weights[2]), 0.1, key=keys[2])
    return x + dropout(hidden @ weights[3], 0.1, key=keys[3])


MODELS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, int], ...], tuple[int, ...]]] = {
    "MLP, batch 128": (_mlp, ((784, 1024), (1024, 1024), (1024, 10)), (128, 784)),
    "transformer block, 8 x 64": (
        _transformer_block,
        ((256, 768), (256, 256), (256, 1024), (1024, 256)),
        (8, 64, 256),
    ),
}


def _training_step(model: Callable[..., Any], dropout: Dropout, weights: list[Any], x: Any, key: Any) -> Any:
    def loss(weights: list[Any]) -> Any:
        return (model(dropout, weights, x, key) ** 2).mean()

    value, gradients = jax.value_and_grad(loss)(weights)
    return value, [weight - 0.01 * gradient for weight, gradient in zip(weights, gradients, strict=True)]


def _measured_steps(name: str, seconds: float) -> processes.Figures:
    """Return the figures of each side in this process, of as many steps as take the given time."""
    model, sizes, shape = MODELS[name]
    weights, x = _weights(jax.random.key(0), *sizes), jax.random.normal(jax.random.key(1), shape)
    dropouts: dict[str, Dropout] = {NONE: lambda x, p, key: x, JAX: jax_dropout, BITDROP: bitdrop.jax.dropout}
    steps = {
        side: partial(_wait, jax.jit(partial(_training_step, model, dropout)), weights, x, jax.random.key(2))
        for side, dropout in dropouts.items()
    }
    return processes.take_turns_for(steps, seconds)


def _step_row(name: str, options: argparse.Namespace) -> list[str]:
    shared = ["--threads", str(options.threads), "--seconds", str(options.seconds), "--child", name]
    both = processes.both_ways(__file__, shared, options.processes)
    ratio = both.kept[BITDROP][processes.RATIO]
    mark = report.mark(ratio <= _STEP_TO_REACH, _STEP_TO_REACH)
    times = [f"{both.kept[side][processes.SECONDS] * 1e6:.0f}" for side in (NONE, JAX, BITDROP)]
    return [name, *times, *(processes.ratios(both, side) for side in (JAX, BITDROP)), mark]


if __name__ == "__main__":
    main()
