"""Dropout in a recurrent network: a character LSTM on a short text, with four treatments of its state.

    no dropout
    dropout, a mask for each step       the hidden state is dropped anew whenever a step reads it
    dropout, one mask for all steps     the same units are dropped at all steps (Gal and Ghahramani, 2016)
    zoneout                             some units keep their previous value (Krueger et al., 2017)

The text is from the help topics that come with Python. The networks learn 12,000 characters of it, few enough
to be learned by heart. 20,000 others, the validation set, choose the probabilities (`--search`) and the time
to stop. 20,000 more, the test set, are used for one number of each network: its loss at that time.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import Value
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from lstm import LSTM, Adam, Dropped, Plain, Tokens, ZonedOut, cross_entropy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

TRAINING, VALIDATION, TEST = 12_000, 20_000, 20_000  # characters
HIDDEN = 128
STREAMS, STEPS = 16, 32  # of a batch
MEASURED_STREAMS = 20
LEARNING_RATE = 0.01
MEASURE_EVERY = 50  # updates
COLOURS = ("#555555", "#D55E00", "#0072B2", "#009E73")  # distinct for colour-blind readers too

Treatment = Callable[[np.random.Generator], Plain]

# The probabilities with the lowest validation loss of those in CANDIDATES.
TREATMENTS: dict[str, Treatment] = {
    "no dropout": lambda rng: Plain(),
    "a mask for each step": partial(Dropped, 0.5, False),
    "one mask for all steps": partial(Dropped, 0.5, True),
    "zoneout": partial(ZonedOut, 0.1, 0.1),
}


def candidates() -> dict[str, Treatment]:
    """Return the treatments that `--search` compares."""
    found: dict[str, Treatment] = {}
    for p in (0.4, 0.5, 0.6):
        found[f"a mask for each step, p = {p}"] = partial(Dropped, p, False)
        found[f"one mask for all steps, p = {p}"] = partial(Dropped, p, True)
    for p_cell, p_hidden in ((0.1, 0.05), (0.1, 0.1), (0.2, 0.1), (0.3, 0.05)):
        name = f"zoneout, p = {p_cell} for the cell, {p_hidden} for the hidden state"
        found[name] = partial(ZonedOut, p_cell, p_hidden)
    return found


@dataclass
class Text:
    """Three parts of a text, as indices into its characters. They share no paragraph."""

    characters: str
    training: Tokens
    validation: Tokens
    test: Tokens


@dataclass
class Curves:
    """Losses of a network in bits a character. `test` is that at the lowest validation loss."""

    updates: list[int]
    training: list[float]
    validation: list[float]
    test: float = np.inf


def read_text() -> Text:
    """Return the help topics of Python in small letters, as paragraphs in random order, each of them once."""
    # The same for all seeds, so that no text of a test set has had a say in the choice of probabilities.
    found = {}  # topics repeat parts of each other
    for topic in topics.values():
        for paragraph in topic.split("\n\n"):
            words = re.sub(r"[^a-z.,' ]+", " ", paragraph.lower()).split()
            if len(words) > 10:
                found[" ".join(words)] = True
    paragraphs = sorted(found)
    np.random.default_rng(0).shuffle(paragraphs)
    parts, used = [], 0
    for size in (TRAINING, VALIDATION, TEST):
        part = ""
        while len(part) < size:
            part += paragraphs[used] + "\n"
            used += 1
        parts.append(part[:size])
    characters = "".join(sorted(set("".join(parts))))
    return Text(characters, *(np.array([characters.index(c) for c in part]) for part in parts))


def streams(tokens: Tokens, count: int) -> Tokens:
    """Return the tokens as columns that follow each other."""
    return tokens[: len(tokens) // count * count].reshape(count, -1).T


def batches(tokens: Tokens, rng: np.random.Generator) -> Iterator[tuple[Tokens, bool]]:
    """Yield windows of the columns, one after the other, without end. True: the first one after a start."""
    columns = streams(tokens, STREAMS)
    while True:
        first = start = int(rng.integers(STEPS))
        while start + STEPS < len(columns):
            yield columns[start : start + STEPS + 1], start == first
            start += STEPS


def loss_of(network: LSTM, tokens: Tokens) -> float:
    """Return the loss at inference, in bits a character."""
    columns = streams(tokens, MEASURED_STREAMS)
    scores, _ = network.forward(columns[:-1], network.start(MEASURED_STREAMS), training=False)
    return cross_entropy(scores, columns[1:].ravel())[0]


def train(treatment: Treatment, seed: int, updates: int, advance: Callable[[], None]) -> Curves:
    """Train a network, and return its losses."""
    weights_rng, batch_rng, mask_rng = np.random.default_rng(seed).spawn(3)
    text = read_text()
    network = LSTM(len(text.characters), HIDDEN, treatment(mask_rng), weights_rng)
    optimiser = Adam(network, LEARNING_RATE)
    curves, losses, best = Curves([], [], []), [], network.parameters
    for update, (window, starts) in zip(
        range(1, updates + 1), batches(text.training, batch_rng), strict=False
    ):
        if starts:
            state = network.start(STREAMS)
        scores, state = network.forward(window[:-1], state, training=True)
        loss, gradient = cross_entropy(scores, window[1:].ravel())
        network.backward(gradient)
        optimiser.step()
        losses.append(loss)
        if update % MEASURE_EVERY == 0 or update == updates:
            validation = loss_of(network, text.validation)
            if validation < min(curves.validation, default=np.inf):
                best = [p.copy() for p in network.parameters]
            curves.updates.append(update)
            curves.training.append(float(np.mean(losses[-MEASURE_EVERY:])))
            curves.validation.append(validation)
        advance()
    network.parameters = best
    curves.test = loss_of(network, text.test)
    return curves


_done: Any = None  # updates of all processes together


def _share_counter(counter: Any) -> None:
    global _done  # noqa: PLW0603
    _done = counter


def _advance() -> None:
    with _done.get_lock():
        _done.value += 1


def _train_named(name: str, seed: int, updates: int) -> Curves:
    treatment = (TREATMENTS | candidates())[name]
    with threadpool_limits(1, user_api="blas"):  # the matrices are small, and there are two processes
        return train(treatment, seed, updates, _advance)


def train_all(names: list[str], seeds: int, updates: int, progress: Progress) -> dict[str, list[Curves]]:
    """Train a network for each name and seed, two at a time."""
    task = progress.add_task("Training", total=len(names) * seeds * updates)
    counter = Value("q", 0)
    with ProcessPoolExecutor(2, initializer=_share_counter, initargs=(counter,)) as pool:
        futures: dict[str, list[Future[Curves]]] = {
            name: [pool.submit(_train_named, name, seed, updates) for seed in range(seeds)] for name in names
        }
        waiting = {future for several in futures.values() for future in several}
        while waiting:
            _, waiting = wait(waiting, timeout=0.2)
            progress.update(task, completed=counter.value)
        return {name: [future.result() for future in several] for name, several in futures.items()}


def spread(values: list[float]) -> str:
    """Return mean and standard deviation. A single value has no deviation."""
    mean = f"{np.mean(values):.2f}"
    return f"{mean} ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else mean


def report(results: dict[str, list[Curves]], with_test: bool, console: Console) -> None:
    """Print a table: for each treatment the losses at the update with the lowest validation loss."""
    seeds = len(next(iter(results.values())))
    table = Table(
        title=f"Bits a character at the lowest validation loss, {seeds} seed{'s' if seeds > 1 else ''}"
    )
    table.add_column("state")
    for column in ("update", "training", "validation", *(["test"] if with_test else [])):
        table.add_column(column, justify="right")
    for name, several in results.items():
        best = [int(np.argmin(curves.validation)) for curves in several]
        at_best = list(zip(several, best, strict=True))
        row = [f"{np.mean([curves.updates[at] for curves, at in at_best]):.0f}"]
        row.append(spread([curves.training[at] for curves, at in at_best]))
        row.append(spread([curves.validation[at] for curves, at in at_best]))
        if with_test:
            row.append(spread([curves.test for curves in several]))
        table.add_row(name, *row)
    console.print(table)


def plot(results: dict[str, list[Curves]], path: Path) -> None:
    """Save a plot of the losses: mean over the seeds."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes: Axes = figure.subplots()
    for (name, several), colour in zip(results.items(), COLOURS, strict=True):
        updates = several[0].updates
        axes.plot(updates, np.mean([c.validation for c in several], axis=0), color=colour, label=name)
        axes.plot(updates, np.mean([c.training for c in several], axis=0), ":", color=colour, linewidth=1)
    axes.plot([], [], "-", color="black", label="on the validation set")
    axes.plot([], [], ":", color="black", linewidth=1, label="in training, with dropout")
    axes.set(xlabel="update", ylabel="loss (bits a character)", ylim=(1, 4))
    axes.set_title(f"Character LSTM on {TRAINING:,} characters")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def positive(text: str) -> int:
    """Parse a command-line argument that must be a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but got {number}")
    return number


def main() -> None:
    """Train, print the table and save the plot."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--updates", type=positive, default=800, help="number of updates of the parameters")
    parser.add_argument("--seeds", type=positive, default=3, help="number of networks of each kind")
    parser.add_argument("--search", action="store_true", help="compare probabilities on the validation set")
    parser.add_argument("--output", type=Path, default=Path("character_lstm.png"), help="file for the plot")
    arguments = parser.parse_args()

    console = Console()
    names = list(candidates() if arguments.search else TREATMENTS)
    with Progress(console=console) as progress:
        results = train_all(names, arguments.seeds, arguments.updates, progress)
    report(results, not arguments.search, console)
    if not arguments.search:
        plot(results, arguments.output)
        console.print(f"Plot: {arguments.output}")


if __name__ == "__main__":
    main()
