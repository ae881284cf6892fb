"""Bad input, from tables: the right exception, one plain sentence, nothing changed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core

from tests.helpers.bad_values import (
    BAD_ARRAYS,
    BAD_FLAGS,
    BAD_KEYS,
    BAD_OUTS,
    BAD_PROBABILITIES,
    BAD_RNGS,
    BAD_SCALES,
    BAD_SCALINGS,
    BAD_SHAPES,
    BAD_STATES,
    BAD_WORDS,
    GOOD,
    MEMORY,
    OVERLAPS,
    SHAPE,
    overlapping,
    read_only,
)
from tests.helpers.support import assert_identical


def fails(error: type[Exception], match: str, call: Callable[[], Any]) -> None:
    """Check that a call raises exactly this type, with a message of one plain sentence."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert re.search(match, message), message
    assert re.fullmatch(r"[A-Za-z][^\n]*\.", message), message


class Watched:
    """Layer and generator with states that must not change."""

    def __init__(self, **options: Any) -> None:
        self.layer = bitdrop.Dropout(0.3, rng=0, **options)
        self.layer(GOOD.copy())
        self.rng = np.random.default_rng(1)
        self.before = self.facts()

    def facts(self) -> Any:
        layer = self.layer
        return layer.state, layer.p, layer.training, id(layer.mask), repr(layer), self.rng.bit_generator.state

    def unchanged(self) -> bool:
        return bool(self.facts() == self.before)


@pytest.fixture
def watched() -> Watched:
    return Watched()


CALLS: dict[str, tuple[str, Callable[[Watched, Any, Any], Any]]] = {
    "dropout": ("x", lambda w, x, out: bitdrop.dropout(x, rng=w.rng, out=out)),
    "dropout at inference": ("x", lambda w, x, out: bitdrop.dropout(x, rng=w.rng, training=False, out=out)),
    "vanilla at inference": (
        "x",
        lambda w, x, out: bitdrop.dropout(x, rng=w.rng, training=False, scaling="vanilla", out=out),
    ),
    "apply": ("x", lambda w, x, out: bitdrop.Mask(SHAPE, 0.5, key=(1, 2)).apply(x, out=out)),
    "backward of a mask": ("dy", lambda w, x, out: bitdrop.Mask(SHAPE, 0.5, key=(1, 2)).backward(x, out=out)),
    "gaussian_dropout": ("x", lambda w, x, out: bitdrop.gaussian_dropout(x, rng=w.rng, out=out)),
    "gaussian_dropout at inference": (
        "x",
        lambda w, x, out: bitdrop.gaussian_dropout(x, rng=w.rng, training=False, out=out),
    ),
    "apply of a noise": ("x", lambda w, x, out: bitdrop.Noise(SHAPE, 0.5, key=(1, 2)).apply(x, out=out)),
    "backward of a noise": (
        "dy",
        lambda w, x, out: bitdrop.Noise(SHAPE, 0.5, key=(1, 2)).backward(x, out=out),
    ),
    "forward": ("x", lambda w, x, out: w.layer(x, out=out)),
    "forward at inference": ("x", lambda w, x, out: w.layer(x, False, out=out)),
    "backward": ("dy", lambda w, x, out: w.layer.backward(x, out=out)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", BAD_ARRAYS)
def test_unsupported_array_is_a_type_error(call: str, bad: str, watched: Watched) -> None:
    name, function = CALLS[call]
    make, match = BAD_ARRAYS[bad]
    if "complex" in bad and ("gaussian" in call or "noise" in call):  # noise takes real numbers alone
        match = r"drop \w+\.real and \w+\.imag"
    out = np.full(SHAPE, 7, np.float32)
    fails(TypeError, rf"^{name} .*{match}", lambda: function(watched, make(), None))
    fails(TypeError, rf"^{name} .*{match}", lambda: function(watched, make(), out))
    assert (out == 7).all()
    assert watched.unchanged()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", BAD_OUTS)
def test_unsuitable_out_is_an_error(call: str, bad: str, watched: Watched) -> None:
    make, error, match = BAD_OUTS[bad]
    out = make()
    fails(error, rf"^out .*({match})", lambda: CALLS[call][1](watched, GOOD, out))
    assert not np.any(np.frombuffer(out) if isinstance(out, bytearray) else out)
    assert watched.unchanged()


@pytest.mark.parametrize("name", OVERLAPS)
@pytest.mark.parametrize("training", [True, False])
def test_partly_overlapping_out_is_a_value_error(name: str, training: bool, watched: Watched) -> None:
    x, out = OVERLAPS[name]
    before = MEMORY.copy()
    mask = bitdrop.Mask(x.shape, 0.5, key=(1, 2))
    fails(ValueError, "^out overlaps x in part", lambda: watched.layer(x, training, out=out))
    fails(ValueError, "^out overlaps x in part", lambda: bitdrop.dropout(x, rng=watched.rng, out=out))
    fails(ValueError, "^out overlaps x in part", lambda: mask.apply(x, out=out))
    fails(ValueError, "^out overlaps dy in part", lambda: mask.backward(x, out=out))
    assert_identical(MEMORY, before)
    assert watched.unchanged()


@pytest.mark.parametrize("bad", BAD_PROBABILITIES)
def test_invalid_probability_is_an_error(bad: str, watched: Watched) -> None:
    p, error = BAD_PROBABILITIES[bad]
    fails(error, "^p must be .*but got", lambda: bitdrop.dropout(GOOD, p, rng=watched.rng))
    fails(error, "^p must be .*but got", lambda: bitdrop.dropout(GOOD, p, rng=watched.rng, training=False))
    fails(error, "^p must be .*but got", lambda: bitdrop.Mask(3, p, key=(1, 2)))
    fails(error, "^p must be .*but got", lambda: bitdrop.Dropout(p, rng=watched.rng))
    fails(error, "^p must be .*but got", lambda: setattr(watched.layer, "p", p))
    if p is not None:  # None means that it is not given
        fails(error, "^keep_prob must be .*but got", lambda: bitdrop.Dropout(keep_prob=p, rng=watched.rng))
    assert watched.unchanged()


@pytest.mark.parametrize("bad", BAD_RNGS)
def test_invalid_rng_is_an_error(bad: str) -> None:
    rng, error = BAD_RNGS[bad]
    out = np.full(SHAPE, 7, np.float32)
    fails(error, "^rng must be .*but got", lambda: bitdrop.dropout(GOOD, rng=rng, out=out))
    fails(error, "^rng must be .*but got", lambda: bitdrop.Dropout(rng=rng))
    assert (out == 7).all()


@pytest.mark.parametrize("flag", BAD_FLAGS)
def test_flag_that_is_not_a_bool_is_a_type_error(flag: Any, watched: Watched) -> None:
    fails(TypeError, "^training must be", lambda: bitdrop.dropout(GOOD, training=flag, rng=watched.rng))
    fails(TypeError, "^training must be", lambda: watched.layer(GOOD, flag))
    fails(TypeError, "^mode must be", lambda: watched.layer.train(flag))
    fails(TypeError, "^inplace must be", lambda: bitdrop.Dropout(inplace=flag, rng=watched.rng))
    fails(TypeError, "^recompute must be", lambda: bitdrop.Dropout(recompute=flag, rng=watched.rng))
    assert watched.unchanged()


@pytest.mark.parametrize("scaling", BAD_SCALINGS)
def test_unknown_scaling_is_a_value_error(scaling: Any, watched: Watched) -> None:
    match = "^scaling must be 'inverted' or 'vanilla', but got"
    fails(ValueError, match, lambda: bitdrop.dropout(GOOD, scaling=scaling, rng=watched.rng))
    fails(ValueError, match, lambda: bitdrop.Dropout(scaling=scaling, rng=watched.rng))
    assert watched.unchanged()


@pytest.mark.parametrize("bad", BAD_WORDS)
def test_invalid_64_bit_word_is_an_error(bad: str, watched: Watched) -> None:
    word, error = BAD_WORDS[bad]
    state = watched.layer.state
    fails(error, "^stream must be", lambda: bitdrop.Mask(3, 0.5, key=(1, 2), stream=word))
    fails(error, r"^key\[0\] must be", lambda: bitdrop.Mask(3, 0.5, key=(word, 2)))
    fails(error, r"^key\[1\] must be", lambda: bitdrop.Mask(3, 0.5, key=(1, word)))
    fails(error, r"^key\[1\] must be", lambda: setattr(watched.layer, "state", state | {"key": [1, word]}))
    position = 2**64 + 1 if word == 2**64 else word  # 2**64 is the position after the last stream number
    fails(error, "^position must be", lambda: setattr(watched.layer, "state", state | {"position": position}))
    assert watched.unchanged()


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_key_other_than_two_ints_is_a_type_error(key: Any, watched: Watched) -> None:
    fails(TypeError, "^key", lambda: bitdrop.Mask(3, 0.5, key=key))
    fails(TypeError, "^key", lambda: setattr(watched.layer, "state", watched.layer.state | {"key": key}))
    assert watched.unchanged()


@pytest.mark.parametrize(("shape", "error"), BAD_SHAPES, ids=lambda value: repr(value)[:20])
def test_impossible_shape_is_an_error(shape: Any, error: type[Exception]) -> None:
    fails(error, "^shape must", lambda: bitdrop.Mask(shape, 0.5, key=(1, 2)))


@pytest.mark.parametrize(("scale", "error"), BAD_SCALES, ids=lambda value: repr(value)[:20])
def test_scale_other_than_finite_number_is_an_error(scale: Any, error: type[Exception]) -> None:
    fails(error, "^scale must be", lambda: bitdrop.Mask(3, 0.5, key=(1, 2), scale=scale))


@pytest.mark.parametrize("shape", [(8, 6), (48,), (1, 6, 8), (6, 1), (), (0,)])
def test_gradient_of_another_shape_is_a_value_error(shape: tuple[int, ...], watched: Watched) -> None:
    dy = np.ones(shape, np.float32)
    match = rf"^dy must have .*\(6, 8\).*{re.escape(str(shape))}"
    fails(ValueError, match, lambda: watched.layer.backward(dy))
    fails(ValueError, match, lambda: bitdrop.Mask(SHAPE, 0.5, key=(1, 2)).backward(dy))
    fails(ValueError, match.replace("dy", "x"), lambda: bitdrop.Mask(SHAPE, 0.5, key=(1, 2)).apply(dy))
    assert watched.unchanged()


@pytest.mark.parametrize(("state", "error", "match"), BAD_STATES)
def test_invalid_state_is_an_error(state: Any, error: type[Exception], match: str, watched: Watched) -> None:
    fails(error, match, lambda: setattr(watched.layer, "state", state))
    assert watched.unchanged()


@pytest.mark.parametrize("training", [True, False])
def test_inplace_layer_refuses_unwritable_input(training: bool) -> None:
    watched = Watched(inplace=True)
    layer, x = watched.layer, GOOD.copy()
    fails(TypeError, "^out must not be given", lambda: layer(x, training, out=np.empty_like(x)))
    fails(TypeError, "^x must be a NumPy array.*list", lambda: layer([[1.0]], training))
    fails(TypeError, "^x must be a NumPy array.*float", lambda: layer(1.0, training))
    fails(ValueError, "^x is read-only", lambda: layer(read_only(GOOD.copy()), training))
    fails(TypeError, "^x is a masked", lambda: layer(np.ma.masked_array(x), training))
    fails(TypeError, "^x must be of", lambda: layer(np.ones(3, int), training))
    fails(ValueError, "share memory", lambda: layer(overlapping((0, 4)), training))
    assert_identical(x, GOOD)
    assert watched.unchanged()


@pytest.mark.parametrize(
    ("n", "error"),
    [*BAD_WORDS.values(), (0, ValueError), (1025, ValueError)],
    ids=[*BAD_WORDS, "0", "1025"],
)
def test_invalid_number_of_threads_is_an_error(n: Any, error: type[Exception]) -> None:
    before = bitdrop.get_num_threads()
    fails(error, "^n must be", lambda: bitdrop.set_num_threads(n))
    assert bitdrop.get_num_threads() == before


@pytest.mark.parametrize("bad", BAD_WORDS)
def test_invalid_buffer_limit_is_an_error(bad: str) -> None:
    nbytes, error = BAD_WORDS[bad]
    before = _core.get_buffer_limit()
    fails(error, "^nbytes must be", lambda: bitdrop.set_buffer_limit(nbytes))
    assert _core.get_buffer_limit() == before


@pytest.mark.parametrize("mode", ["dict", "", None, 1])
def test_unknown_mode_of_show_config_is_a_value_error(mode: Any) -> None:
    fails(ValueError, "^mode must be 'stdout' or 'dicts', but got", lambda: bitdrop.show_config(mode))


def test_arguments_by_wrong_name_or_position_are_type_errors() -> None:
    calls: list[Callable[..., Any]] = [
        lambda: bitdrop.dropout(GOOD, 0.5, True),  # type: ignore[call-arg]
        lambda: bitdrop.dropout(GOOD, prob=0.5),  # type: ignore[call-arg]
        lambda: bitdrop.Dropout(0.5, 0.5),  # type: ignore[call-arg]
        lambda: bitdrop.Mask(3, 0.5),  # type: ignore[call-arg]
        lambda: bitdrop.Mask(3, 0.5, (1, 2)),  # type: ignore[call-arg]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_matrix_is_treated_as_plain_array(recwarn: pytest.WarningsRecorder) -> None:
    x = GOOD.view(np.matrix)
    y, mask = bitdrop.dropout(x, rng=0)
    assert type(y) is np.ndarray
    assert_identical(y, bitdrop.dropout(GOOD, rng=0)[0])
    assert mask.shape == SHAPE
    out = np.zeros(SHAPE, np.float32).view(np.matrix)
    bitdrop.dropout(x, rng=0, out=out)
    assert_identical(np.asarray(out), y)


def test_memory_maps_are_read_and_written(tmp_path: Path) -> None:
    GOOD.tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", np.float32, "r", shape=SHAPE)
    y, _ = bitdrop.dropout(x, rng=0)
    assert type(y) is np.ndarray
    assert_identical(y, bitdrop.dropout(GOOD, rng=0)[0])
    out = np.memmap(tmp_path / "y", np.float32, "w+", shape=SHAPE)
    bitdrop.dropout(x, rng=0, out=out)
    out.flush()
    assert_identical(np.fromfile(tmp_path / "y", np.float32).reshape(SHAPE), y)
    fails(ValueError, "^out is read-only", lambda: bitdrop.dropout(GOOD, rng=0, out=x))
    fails(ValueError, "^x is read-only", lambda: bitdrop.Dropout(inplace=True)(x))
