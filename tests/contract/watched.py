"""Layers and generators that no error may change, and all ways to call them."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.contract.kinds import Kind
from tests.helpers.passes import record_of
from tests.helpers.support import Array

BOTH_MODES = (True, False)
Bad = tuple[Any, type[Exception], str]


def fails(
    error: type[Exception], match: str, call: Callable[..., Any], *arguments: Any, **options: Any
) -> str:
    """Check that a call raises exactly this type, with a message of one plain sentence."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert re.search(match, message), message
    assert re.fullmatch(r"[A-Za-z][^\n]*\.", message), message
    return message


class Watched:
    """Layer, generator and inputs of a kind, which no error may change."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        self.kind, self.inputs = kind, kind.arrays(np.float32)
        self.layer, self.rng = kind.make(rng=0, **options), np.random.default_rng(1)
        kind.forward(self.layer, {name: x.copy() for name, x in self.inputs.items()})
        self.before = self.facts()

    def facts(self) -> Any:
        layer = self.layer
        inputs = [x.tobytes() for x in self.inputs.values()]
        generator = self.rng.bit_generator.state
        return layer.state, layer.p, layer.training, id(record_of(layer)), repr(layer), generator, inputs

    @property
    def x(self) -> Array:
        """The first input."""
        return self.inputs[self.kind.inputs[0]]

    def passes(self, inputs: Any, **options: Any) -> Iterator[Callable[[], Any]]:
        """Yield all ways to do a forward pass: layer and function, training and inference."""
        for training in BOTH_MODES:
            yield partial(self.kind.forward, self.layer, inputs, training, **options)
            if self.kind.function:
                yield partial(self.kind.call, inputs, rng=self.rng, training=training, **options)

    def gradients(self, dy: Any, **options: Any) -> Iterator[Callable[[], Any]]:
        """Yield all ways to compute a gradient."""
        for owner in (self.layer, record_of(self.layer)):
            yield partial(owner.backward, dy, **options)

    def calls(self, name: str, value: Any, **options: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield all calls with another value of an input, and its name in each."""
        changed = self.inputs | {name: value}
        yield from ((name, call) for call in self.passes(changed, **options))
        if name in self.kind.inputs:
            yield name, partial(self.kind.apply, record_of(self.layer), changed, **options)
        if name == self.kind.inputs[0] and not (options and self.kind.rule == "select"):
            yield from ((self.kind.gradient, call) for call in self.gradients(value, **options))

    def check(self) -> None:
        """Check that nothing has changed."""
        assert self.facts() == self.before
