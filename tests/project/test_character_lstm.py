"""The character LSTM: gradients of every treatment of the state, masks of a sequence, text, report."""

import re
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.paths import EXAMPLES
from tests.helpers.support import run_python

sys.path.append(str(EXAMPLES))

from lstm import LSTM, Dropped, Plain, ZonedOut, cross_entropy

needs_extras = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "rich", "threadpoolctl")),
    reason="needs pip install '.[examples]'",
)
TOKENS, HIDDEN, STREAMS, STEPS = 5, 6, 3, 7
TREATMENTS: dict[str, Any] = {
    "plain": lambda rng: Plain(),
    "a mask for each step": partial(Dropped, 0.5, False),
    "one mask for all steps": partial(Dropped, 0.5, True),
    "zoneout": partial(ZonedOut, 0.3, 0.6),
}
for_all_treatments = pytest.mark.parametrize("treatment", TREATMENTS)


def small_network(treatment: str) -> LSTM:
    """Return a network in float64 with weights and masks that depend on nothing else."""
    network = LSTM(TOKENS, HIDDEN, TREATMENTS[treatment](np.random.default_rng(1)), np.random.default_rng(2))
    network.parameters = [3 * p.astype(np.float64) for p in network.parameters]
    return network


def some_tokens(steps: int) -> Any:
    return np.random.default_rng(3).integers(0, TOKENS, (steps, STREAMS))


@for_all_treatments
def test_gradients_of_lstm_equal_finite_differences(treatment: str) -> None:
    tokens = some_tokens(STEPS + 1)
    network = small_network(treatment)
    start = tuple(0.5 * np.random.default_rng(4).standard_normal((2, STREAMS, HIDDEN)))

    def forward(of: LSTM) -> tuple[float, Any]:
        scores, _ = of.forward(tokens[:-1], start, training=True)
        return cross_entropy(scores, tokens[1:].ravel())

    _, gradient = forward(network)
    network.backward(gradient)
    rng = np.random.default_rng(5)
    for parameter, found in zip(network.parameters, network.gradients, strict=True):
        assert found.shape == parameter.shape
        for index in rng.permutation(parameter.size)[:20]:
            at, step, losses = np.unravel_index(index, parameter.shape), 1e-6, []
            for sign in (1, -1):
                other = small_network(treatment)  # its masks are the same
                other.parameters = [p.copy() for p in network.parameters]
                other.parameters[[p is parameter for p in network.parameters].index(True)][at] += sign * step
                losses.append(forward(other)[0] * np.log(2))
            assert found[at] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-8, rel=1e-5)


@for_all_treatments
def test_masks_of_steps_are_those_of_the_treatment(treatment: str) -> None:
    network = small_network(treatment)
    state = network.start(STREAMS)
    state = state[0] + 1, state[1] + 1
    network.forward(some_tokens(STEPS), state, training=True)
    dropped = [step.read == 0 for step in network._steps]
    different = len({mask.tobytes() for mask in dropped})
    assert different == {"a mask for each step": STEPS}.get(treatment, 1)
    assert np.any(dropped[0]) == (treatment in ("a mask for each step", "one mask for all steps"))
    network.forward(some_tokens(STEPS), state, training=True)  # another sequence has another mask
    assert (dropped[0].tobytes() != (network._steps[0].read == 0).tobytes()) == bool(np.any(dropped[0]))


@for_all_treatments
def test_inference_repeats_itself(treatment: str) -> None:
    network = small_network(treatment)
    scores, state = network.forward(some_tokens(STEPS), network.start(STREAMS), training=False)
    again, _ = network.forward(some_tokens(STEPS), network.start(STREAMS), training=False)
    assert np.array_equal(scores, again)
    assert [part.shape for part in state] == [(STREAMS, HIDDEN)] * 2


@needs_extras
def test_sets_share_no_paragraph() -> None:
    text = import_module("character_lstm").read_text()
    parts = [
        "".join(text.characters[i] for i in part) for part in (text.training, text.validation, text.test)
    ]
    assert [len(part) for part in parts] == [12_000, 20_000, 20_000]
    paragraphs = [set(part.split("\n")) - {""} for part in parts]
    assert min(map(len, paragraphs)) > 20
    assert all(not a & b for a, b in combinations(paragraphs, 2))


@needs_extras
def test_script_prints_losses_and_writes_its_plot(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    arguments = ("--updates", "20", "--seeds", "2", "--output", str(plot))
    process = run_python(str(EXAMPLES / "character_lstm.py"), *arguments, COLUMNS="120")
    assert process.returncode == 0, process.stderr
    rows = [re.split(r"\s*[│┃]\s*", line)[1:-1] for line in process.stdout.splitlines() if "│" in line]
    assert [name for name, *_ in rows] == [
        "no dropout",
        "a mask for each step",
        "one mask for all steps",
        "zoneout",
    ]
    assert all(2.0 < float(loss.split(" ± ")[0]) < 5.0 for _, _, *losses in rows for loss in losses)
    assert plot.read_bytes().startswith(b"\x89PNG")
