"""Pickles and states of version 0.1 load, and go on as they would have there."""

import base64
import pickle

import pytest

from tests.contract.old_pickles import FILE, layers, results, results_of_layer

LINES = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("name", "shape", "data", "expected"), LINES, ids=[line[0] for line in LINES])
def test_pickle_of_version_0_1_goes_on_as_there(name: str, shape: str, data: str, expected: str) -> None:
    what, _, kind = name.partition("-")
    lengths = tuple(map(int, shape.split("x")))
    value = pickle.loads(base64.b64decode(data))
    if what == "record":
        assert results(value, lengths, value.apply) == expected
    elif what == "layer":
        again = pickle.loads(pickle.dumps(value))
        assert results_of_layer(value, lengths) == expected
        assert results_of_layer(again, lengths) == expected
    else:
        [pickled] = (line[2] for line in LINES if line[0] == f"layer-{kind}")
        layer, (restored, _) = pickle.loads(base64.b64decode(pickled)), layers()[kind]
        assert layer.state == value
        restored.state = value
        assert restored.state == value
