"""A character LSTM in NumPy, with three ways to treat its state: plain, dropped, zoned out.

    c_t = f * c_(t-1) + i * g          i, f, o = sigmoid(a),  g = tanh(a)  of four parts of
    h_t = o * tanh(c_t)                a = W_x[token_t] + h_(t-1) @ W_h + b

A treatment changes the state in two places: h_(t-1) as a step reads it, and c_t and h_t as they replace their
predecessors. Each of its methods returns a value and a function that passes the gradient back.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import bitdrop
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Tokens = NDArray[np.intp]
State = tuple[Floats, Floats]  # h and c, of shape (streams, hidden)
ReadBack = Callable[[Floats], Floats]
ReplaceBack = Callable[[Floats], tuple[Floats, Floats]]


class Plain:
    """No dropout."""

    def sequence(self) -> AbstractContextManager[None]:
        """Return the context of the steps of a sequence."""
        return nullcontext()

    def read(self, h: Floats, training: bool) -> tuple[Floats, ReadBack]:
        """Return the hidden state as the next step reads it."""
        return h, lambda dy: dy

    def replace(self, name: str, new: Floats, previous: Floats, training: bool) -> tuple[Floats, ReplaceBack]:
        """Return what becomes of the part "h" or "c" of the state, given its new and its previous value."""
        return new, lambda dy: (dy, np.zeros_like(dy))


class Dropped(Plain):
    """Dropout of the hidden state as each step reads it: a mask for each step, or one for all (`locked`)."""

    def __init__(self, p: float, locked: bool, rng: np.random.Generator) -> None:
        self._layer = bitdrop.Dropout(p, rng=rng)
        self._locked = locked

    def sequence(self) -> AbstractContextManager[None]:
        """Return the lock, if there is one mask for a sequence."""
        return self._layer.locked() if self._locked else nullcontext()

    def read(self, h: Floats, training: bool) -> tuple[Floats, ReadBack]:
        """Drop units."""
        y = self._layer(h, training)
        mask = self._layer.mask
        assert mask is not None
        return y, mask.backward


class ZonedOut(Plain):
    """Zoneout: some units keep the previous value of the cell and of the hidden state."""

    def __init__(self, p_cell: float, p_hidden: float, rng: np.random.Generator) -> None:
        self._layers = {"c": bitdrop.Zoneout(p_cell, rng=rng), "h": bitdrop.Zoneout(p_hidden, rng=rng)}

    def replace(self, name: str, new: Floats, previous: Floats, training: bool) -> tuple[Floats, ReplaceBack]:
        """Zone out units. At inference, return the expectation."""
        layer = self._layers[name]
        y = layer(new, previous, training)
        mask = layer.mask
        assert isinstance(mask, bitdrop.ZoneoutMask)
        return y, mask.backward


class Step(NamedTuple):
    """Values of a step that backward needs."""

    read: Floats  # the hidden state, as the step read it
    cell: Floats  # before the step
    gates: Floats  # i, f, o and g in a row
    squashed: Floats  # tanh of the new cell
    read_back: ReadBack
    cell_back: ReplaceBack
    hidden_back: ReplaceBack


class LSTM:
    """Scores for the next token, after each token of several streams.

    Attributes
    ----------
    parameters, gradients : lists of arrays
        W_x, W_h, b, and weights and bias of the output.
    """

    def __init__(self, tokens: int, hidden: int, treatment: Plain, rng: np.random.Generator) -> None:
        bound = hidden**-0.5
        shapes = (tokens, 4 * hidden), (hidden, 4 * hidden), (hidden, tokens)
        of_input, of_hidden, of_output = (
            rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes
        )
        bias = np.zeros(4 * hidden, np.float32)
        bias[hidden : 2 * hidden] = 1  # remember, at first
        self.parameters: list[Floats] = [of_input, of_hidden, bias, of_output, np.zeros(tokens, np.float32)]
        self.gradients: list[Floats] = []
        self._treatment = treatment
        self._hidden = hidden

    def start(self, streams: int) -> State:
        """Return the state before the first token."""
        zeros = np.zeros((streams, self._hidden), self.parameters[0].dtype)
        return zeros, zeros

    def forward(self, tokens: Tokens, state: State, training: bool) -> tuple[Floats, State]:
        """Return scores (steps * streams, tokens) and the last state, for tokens (steps, streams)."""
        of_input, _, bias, of_output, output_bias = self.parameters
        inputs = of_input[tokens] + bias
        self._tokens, hidden_states = tokens, []
        self._steps: list[Step] = []
        with self._treatment.sequence():
            for row in inputs:
                state = self._step(row, state, training)
                hidden_states.append(state[0])
        self._outputs = np.concatenate(hidden_states)
        return self._outputs @ of_output + output_bias, state

    def _step(self, gates: Floats, state: State, training: bool) -> State:
        h, c = state
        width, treatment = self._hidden, self._treatment
        read, read_back = treatment.read(h, training)
        gates += read @ self.parameters[1]
        sigmoids = gates[:, : 3 * width]
        sigmoids *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
        np.tanh(gates, out=gates)
        sigmoids += 1
        sigmoids *= 0.5
        i, f, o, g = quarters(gates)
        new_c, cell_back = treatment.replace("c", f * c + i * g, c, training)
        squashed = np.tanh(new_c)
        new_h, hidden_back = treatment.replace("h", o * squashed, h, training)
        self._steps.append(Step(read, c, gates, squashed, read_back, cell_back, hidden_back))
        return new_h, new_c

    def backward(self, dscores: Floats) -> None:
        """Store the gradients of the parameters. No gradient flows into earlier sequences."""
        of_input, _, _, of_output, _ = self.parameters
        steps, streams = self._tokens.shape
        doutputs = (dscores @ of_output.T).reshape(steps, streams, -1)
        dh, dc = np.zeros_like(doutputs[0]), np.zeros_like(doutputs[0])
        dgates = np.empty((steps, streams, 4 * self._hidden), dscores.dtype)
        for step, doutput, dgate in zip(reversed(self._steps), doutputs[::-1], dgates[::-1], strict=True):
            dh, dc = self._step_back(step, dh + doutput, dc, dgate)
        flat = dgates.reshape(steps * streams, -1)
        one_hot = np.zeros((len(flat), len(of_input)), flat.dtype)
        one_hot[np.arange(len(flat)), self._tokens.ravel()] = 1
        reads = np.concatenate([step.read for step in self._steps])
        self.gradients = [
            one_hot.T @ flat,
            reads.T @ flat,
            flat.sum(axis=0),
            self._outputs.T @ dscores,
            dscores.sum(axis=0),
        ]

    def _step_back(self, step: Step, dh: Floats, dc: Floats, dgates: Floats) -> State:
        """Write the gradient of the gates before their nonlinearities. Return that of the previous state."""
        i, f, o, g = quarters(step.gates)
        dh, dh_before = step.hidden_back(dh)
        dc, dc_before = step.cell_back(dc + dh * o * (1 - step.squashed**2))
        parts = quarters(dgates)
        parts[0][:] = dc * g * i * (1 - i)
        parts[1][:] = dc * step.cell * f * (1 - f)
        parts[2][:] = dh * step.squashed * o * (1 - o)
        parts[3][:] = dc * i * (1 - g**2)
        dread = step.read_back(dgates @ self.parameters[1].T)
        return dread + dh_before, dc * f + dc_before


def quarters(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return views of four equal parts of each row. `np.split` takes ten times as long."""
    n = x.shape[1] // 4
    return x[:, :n], x[:, n : 2 * n], x[:, 2 * n : 3 * n], x[:, 3 * n :]


def cross_entropy(scores: Floats, targets: Tokens) -> tuple[float, Floats]:
    """Return the mean of -log2 of the targets' probabilities, in bits, and the gradient of it in nats."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    at = np.arange(len(targets)), targets
    loss = -float(np.log2(shares[at]).mean())
    shares[at] -= 1
    gradient: Floats = shares / shares.dtype.type(len(targets))
    return loss, gradient


class Adam:
    """Adam (Kingma and Ba, 2015), with gradients of at most length 1."""

    def __init__(self, network: LSTM, learning_rate: float) -> None:
        self._network = network
        self._rate = learning_rate
        self._means = [np.zeros_like(p) for p in network.parameters]
        self._squares = [np.zeros_like(p) for p in network.parameters]
        self._updates = 0

    def step(self) -> None:
        """Update the parameters."""
        self._updates += 1
        gradients = self._network.gradients
        length = float(np.sqrt(sum(np.vdot(g, g) for g in gradients)))
        scale = min(1.0, 1.0 / length)
        rate = self._rate * (1 - 0.999**self._updates) ** 0.5 / (1 - 0.9**self._updates)
        for p, g, mean, square in zip(
            self._network.parameters, gradients, self._means, self._squares, strict=True
        ):
            mean[:] += 0.1 * (scale * g - mean)
            square[:] += 0.001 * ((scale * g) ** 2 - square)
            p[:] -= rate * mean / (np.sqrt(square) + 1e-8)
