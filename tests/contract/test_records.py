"""Records of passes are values: immutable, hashable, equal if their parameters are, small to pickle."""

import copy
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import bitdrop
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as numpy_arrays

from tests.contract.kinds import KINDS, ROWS, Kind, for_all_kinds
from tests.helpers import block_masks, noise_oracle, oracle
from tests.helpers.passes import backward, record_of
from tests.helpers.support import DTYPES, Array, any_bits, assert_identical, normal

KEY = (2**64 - 1, 17)
NAMES = vars(bitdrop) | {"array": np.array, "empty": np.empty, "bool": bool}
HALF = np.random.default_rng(0).random(ROWS) < 0.5
OWN: dict[str, Callable[[], Any]] = {
    "mask of an array": lambda: bitdrop.Mask.from_array(HALF, scale=2.5),
    "zoneout mask of an array": lambda: bitdrop.ZoneoutMask.from_array(HALF),
}
ALL = [*OWN, *(f"{name}, {how}" for name in KINDS for how in ("training", "inference", "part"))]


@cache
def record_named(name: str) -> Any:
    """Return a record: of a kind in training, at inference or of a part, or a mask of an array."""
    if name in OWN:
        return OWN[name]()
    kind_name, _, how = name.rpartition(", ")
    kind = KINDS[kind_name]
    layer = kind.make(rng=3)
    kind.forward(layer, kind.arrays(np.float32), how != "inference")
    whole = record_of(layer)
    return whole.part((1,) * len(kind.shape), tuple(n - 1 for n in kind.shape)) if how == "part" else whole


@pytest.fixture(params=ALL)
def record(request: pytest.FixtureRequest) -> Any:
    """Return each record in turn."""
    return record_named(request.param)


def applied(record: Any, dtype: Any = np.float32) -> tuple[Array, ...]:
    """Return all that a record makes of numbers."""
    x = normal(np.dtype(dtype), record.shape)
    inputs = [x, -x] if isinstance(record, bitdrop.ZoneoutMask) else [x]
    return record.apply(*inputs), *backward(record, x)


def facts(record: Any) -> tuple[Any, ...]:
    """Return the attributes that a record has."""
    names = ["shape", "size", "p", "key", "stream", "noise_shape", "shard", "scale", "shift", "dropped"]
    names += ["std", "gamma", "block_size", "block_ndim", "eps", "shared_channels", "bias_shape", "training"]
    return tuple(getattr(record, name, None) for name in names)


def test_copies_pickles_and_evaluated_repr_are_equal(record: Any) -> None:
    others = [pickle.loads(pickle.dumps(record, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    others += [copy.copy(record), copy.deepcopy(record)]
    if isinstance(record, bitdrop.FusedMask):
        assert repr(record).startswith(f"<FusedMask {record.shape}, ")  # it depends on x
    else:
        others.append(eval(repr(record), NAMES))
    for other in others:
        assert type(other) is type(record)
        assert other == record
        assert hash(other) == hash(record)
        assert facts(other) == facts(record)
        for found, expected in zip(applied(other), applied(record), strict=True):
            assert_identical(found, expected)
        assert np.array_equal(np.asarray(other), np.asarray(record))


def test_records_of_different_parameters_differ() -> None:
    known: dict[Any, str] = {}
    for name in ALL:
        record = record_named(name)
        same = known.setdefault(record, name)
        # Layers of one draw and one scale leave one record, whatever their class.
        assert same == name or facts(record_named(same)) == facts(record), (same, name)
    assert len(known) > 50
    assert all(record != "mask" for record in known)


def test_record_is_immutable_and_its_arrays_are_read_only(record: Any) -> None:
    for name in ("shape", "p", "key", "stream", "scale", "size", "nbytes", "bits", "noise_shape", "other"):
        with pytest.raises(AttributeError):
            setattr(record, name, 1)
    if isinstance(record, bitdrop.Noise):
        with pytest.raises(ValueError, match="always a new one"):
            record.__array__(copy=False)
        assert record.nbytes == 0
        return
    kept, bits = np.asarray(record), record.bits
    assert (kept.dtype.name, kept.shape) == ("bool", record.shape)
    assert (bits.dtype.name, bits.shape) == ("uint8", ((record.size + 7) // 8,))
    if record.noise_shape is None:
        assert np.array_equal(bits, np.packbits(kept, bitorder="little"))
        assert record.size == kept.size
    for array in (kept, bits):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        bits.flags.writeable = True
    assert np.array(record).flags.writeable
    assert_identical(np.asarray(record, np.float32), kept.astype(np.float32))
    with pytest.raises(ValueError, match="always a copy"):
        record.__array__(copy=False)


def test_pickle_of_another_format_is_refused(record: Any) -> None:
    restore, arguments = record.__reduce__()
    kind = "noise" if isinstance(record, bitdrop.Noise) else "mask"
    number = {"noise": bitdrop.NOISE_FORMAT, "mask": bitdrop.MASK_FORMAT}[kind]
    assert restore(*arguments) == record
    at = next(i for i, value in enumerate(arguments) if type(value) is int)
    assert arguments[at] == number
    with pytest.raises(ValueError, match=f"{kind} format 99, but this version of bitdrop makes format 1"):
        restore(*arguments[:at], 99, *arguments[at + 1 :])


@for_all_kinds
def test_pickle_is_small_whatever_the_size(kind: Kind) -> None:
    shape = (100, *kind.shape[1:-1], 400)
    layer = kind.make(rng=0)
    kind.forward(layer, kind.arrays(np.float32, shape))
    data = pickle.dumps(record_of(layer))
    if "activation" in kind.options:  # which elements were active depends on x
        assert len(data) < record_of(layer).nbytes + 500
        return
    assert len(data) < 400
    assert pickle.loads(data).nbytes == 0


def test_whole_part_is_the_record_itself(record: Any) -> None:
    zeros = (0,) * len(record.shape)
    assert record.part(zeros, record.shape) is record


def test_part_of_part_is_a_part(record: Any) -> None:
    half = tuple(n // 2 for n in record.shape)
    for axis, length in enumerate(half):  # a start along one axis at a time
        start = tuple(length // 2 if a == axis else 0 for a in range(len(half)))
        rest = tuple(n - s for n, s in zip(half, start, strict=True))
        begin = tuple(h + s for h, s in zip(half, start, strict=True))
        assert record.part(half, half).part(start, rest) == record.part(begin, rest)


BAD_PARTS: list[tuple[Any, Any, type[Exception], str]] = [
    ((0, 0), (7, 8), ValueError, r"does not lie within the {}, \(6, 8\)"),
    ((1, 0), (6, 8), ValueError, r"starts at \(1, 0\) does not lie within the {}"),
    ((0, 9), (1, 0), ValueError, "does not lie within the {}"),
    ((0,), (6, 8), ValueError, r"an entry for each axis of the {}, \(6, 8\), but got \(0,\)"),
    ((0, 0), (6,), ValueError, "an entry for each axis"),
    ((0, 0, 0), (6, 8, 1), ValueError, "an entry for each axis"),
    ((-1, 0), (2, 2), ValueError, "^start must not have negative"),
    ((0, 0), (-2, 2), ValueError, "^shape must not have negative"),
    ((0.0, 0), (2, 2), TypeError, "^start must be a tuple of ints"),
    ((0, 0), None, TypeError, "^shape must be a tuple of ints"),
]


@pytest.mark.parametrize(("start", "shape", "error", "match"), BAD_PARTS)
def test_part_that_leaves_the_record_is_an_error(start: Any, shape: Any, error: Any, match: str) -> None:
    x, kept = np.ones((6, 8)), HALF[0, :1].repeat(6, axis=0)[:, :8]
    for record in (
        bitdrop.Mask((6, 8), 0.5, key=KEY),
        bitdrop.Mask.from_array(kept),
        bitdrop.ZoneoutMask((6, 8), 0.5, key=KEY),
        bitdrop.BlockMask((6, 8), 0.5, 2, key=KEY),
        bitdrop.Noise((6, 8), 0.5, key=KEY),
        bitdrop.fused_dropout(x, activation="relu")[1],
    ):
        applied_to = "noise" if isinstance(record, bitdrop.Noise) else "mask"
        with pytest.raises(error, match=match.format(applied_to)) as caught:
            record.part(start, shape)
        assert type(caught.value) is error


@pytest.mark.parametrize("kind", ["dropout", "alpha", "gaussian", "zoneout", "fused"])
def test_part_of_an_int_is_that_of_a_tuple(kind: str) -> None:
    layer = KINDS[kind].make(rng=0)
    KINDS[kind].forward(layer, KINDS[kind].arrays(np.float32, (9,)))
    assert record_of(layer).part(2, 3) == record_of(layer).part((2,), (3,))


# Records that a user makes


def test_arguments_of_records_become_plain_numbers() -> None:
    key: Any = np.array([1, 2], np.uint64)
    options: Any = {"key": key, "stream": np.uint8(1)}
    for make, name in (
        (bitdrop.Mask, "Mask((3, 4), 0.5, key=(1, 2), stream=1, scale=2.0)"),
        (bitdrop.Noise, "Noise((3, 4), 0.5, key=(1, 2), stream=1)"),
        (bitdrop.ZoneoutMask, "ZoneoutMask((3, 4), 0.5, key=(1, 2), stream=1)"),
    ):
        shape: Any = [np.int64(3), 4]
        record = make(shape, np.float32(0.5), **options)
        assert repr(record) == name
        assert make(9, 0.5, key=(1, 2)).shape == (9,)


@pytest.mark.parametrize(("p", "scale"), [(0.0, 1.0), (0.1, 1 / 0.9), (0.5, 2.0), (1.0, 0.0)])
def test_scale_is_1_over_1_minus_p_unless_given(p: float, scale: float) -> None:
    assert bitdrop.Mask(3, p, key=KEY).scale == scale
    assert bitdrop.Mask(3, p, key=KEY, scale=1.5).scale == 1.5


def test_records_of_passes_are_those_of_the_constructors() -> None:
    """Records of one key in one stream, made by hand."""
    expected = {
        "dropout": bitdrop.Mask(ROWS, 0.4, key=KEY),
        "vanilla": bitdrop.Mask(ROWS, 0.4, key=KEY, scale=1),
        "shared": bitdrop.Mask((7, 5, 64), 0.4, key=KEY, noise_shape=(7, 1, 64)),
        "channels 2d": bitdrop.Mask((6, 5, 4, 3), 0.4, key=KEY, noise_shape=(None, None, 1, 1)),
        "path": bitdrop.Mask((40, 3, 6), 0.4, key=KEY, noise_shape=(None, 1, 1)),
        "gaussian": bitdrop.Noise(ROWS, 0.4, key=KEY),
        "zoneout": bitdrop.ZoneoutMask(ROWS, 0.4, key=KEY),
        "blocks 1d": bitdrop.BlockMask((4, 3, 40), 0.4, 5, key=KEY, block_ndim=1),
        "blocks 2d": bitdrop.BlockMask((3, 4, 9, 11), 0.4, 3, key=KEY),
        "blocks 2d shared": bitdrop.BlockMask((9, 3, 7, 8), 0.4, 3, key=KEY, shared_channels=True),
        "blocks 3d": bitdrop.BlockMask((3, 2, 6, 7, 8), 0.4, 2, key=KEY, block_ndim=3),
    }
    for name, record in expected.items():
        layer = KINDS[name].make()
        layer.state = layer.state | {"key": list(KEY)}
        inputs = KINDS[name].arrays(np.float32)
        y = KINDS[name].forward(layer, inputs)
        assert record_of(layer) == record, name
        assert hash(record_of(layer)) == hash(record), name
        assert_identical(KINDS[name].apply(record, inputs), y)
        assert record.nbytes == 0
    alpha = KINDS["alpha"].make(rng=0)
    KINDS["alpha"].forward(alpha, KINDS["alpha"].arrays())
    assert eval(repr(alpha.mask), NAMES) == alpha.mask


def test_inference_leaves_the_mask_that_keeps_everything() -> None:
    for name, scale in (("dropout", 1.0), ("vanilla", 1 - 0.4), ("channels 2d", 1.0), ("alpha", 1.0)):
        kind = KINDS[name]
        layer = kind.make()
        kind.forward(layer, kind.arrays(), False)
        assert layer.mask == bitdrop.Mask(kind.shape, 0.0, key=(0, 0), scale=scale)
    layer = KINDS["gaussian"].make()
    KINDS["gaussian"].forward(layer, KINDS["gaussian"].arrays(), False)
    assert layer.noise == bitdrop.Noise(ROWS, 0, key=(0, 0))
    layer = KINDS["zoneout"].make()
    KINDS["zoneout"].forward(layer, KINDS["zoneout"].arrays(), False)
    assert layer.mask == bitdrop.ZoneoutMask(ROWS, 0.4, key=(0, 0), training=False)


def test_each_parameter_of_a_record_takes_part_in_equality() -> None:
    shape, shard = (4, 9, 9), bitdrop.Shard((8, 9, 9), (2, 0, 0))
    changes: dict[str, Any] = {"p": 0.4, "key": KEY[::-1], "stream": 4, "shape": (4, 9, 8)}
    places = {"noise_shape": (1, None, None), "shard": shard}
    further: dict[Any, dict[str, Any]] = {
        bitdrop.Mask: places | {"scale": 1.5, "shift": 0.5, "dropped": -2.0},
        bitdrop.Noise: places,
        bitdrop.ZoneoutMask: places | {"training": False},
        bitdrop.BlockMask: {"block_size": 4, "block_ndim": 3, "eps": 0.0, "shared_channels": True},
    }
    made = []
    for record, more in further.items():
        good: dict[str, Any] = {"shape": shape, "p": 0.3, "key": KEY, "stream": 3}
        good |= {"block_size": 3} if record is bitdrop.BlockMask else {}
        made.append(record(**good))
        made += [record(**good | {name: value}) for name, value in (changes | more).items()]
        assert record(**good) == record(**good)
    assert len(set(made)) == len(made)
    assert all((a == b) == (a is b) for a in made for b in made)


@settings(max_examples=100)
@given(st.data(), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9), st.sampled_from(DTYPES))
def test_mask_of_an_array_keeps_what_the_array_says(data: st.DataObject, shape: Any, dtype: Any) -> None:
    lengths = tuple(data.draw(st.sampled_from([1, n])) for n in shape)[
        data.draw(st.integers(0, len(shape))) :
    ]
    kept, scale = (
        data.draw(numpy_arrays(np.bool_, lengths)),
        data.draw(st.sampled_from([1.0, 2.0, -0.3, 0.0])),
    )
    whole = np.broadcast_to(kept, shape)
    mask = bitdrop.Mask.from_array(kept, scale=scale, shape=shape)
    zoneout = bitdrop.ZoneoutMask.from_array(whole)
    size = whole.size
    x, previous = (any_bits(dtype, size, seed).reshape(shape) for seed in (0, 1))
    zeros = np.zeros((), dtype)
    for found in (mask.apply(x), mask.backward(x)):
        assert_identical(found, oracle.applied(x, whole, scale))
    assert_identical(zoneout.apply(x, previous), np.where(whole, x, previous))
    for found, expected in zip(
        zoneout.backward(x), (np.where(whole, x, zeros), np.where(whole, zeros, x)), strict=True
    ):
        assert_identical(found, expected)
    for one in (mask, zoneout):
        assert np.array_equal(np.asarray(one), whole)
        assert np.array_equal(one.bits, np.packbits(whole.ravel(), bitorder="little"))
        assert (one.shape, one.size, one.shard) == (shape, size, None)
        assert one.nbytes == (size + 7) // 8
        assert pickle.loads(pickle.dumps(one)) == one
        assert size > 1000 or eval(repr(one), NAMES) == one  # NumPy abridges large arrays
    assert mask == bitdrop.Mask.from_array(whole, scale=scale)
    changed = np.array(whole)
    if size:
        changed.flat[-1] ^= True
        assert mask != bitdrop.Mask.from_array(changed, scale=scale)
    kept[...] = ~kept  # the mask has its own bits
    assert np.array_equal(np.asarray(zoneout), np.asarray(mask))


@pytest.mark.parametrize("name", ["p", "key", "stream"])
@pytest.mark.parametrize("own", OWN)
def test_mask_of_an_array_was_not_drawn(own: str, name: str) -> None:
    mask = record_named(own)
    with pytest.raises(AttributeError, match=rf"was not drawn at random, so it has no {name}\.$"):
        getattr(mask, name)
    assert not hasattr(mask, name)


def test_mask_of_an_array_differs_from_a_random_one_of_the_same_bits() -> None:
    mask = bitdrop.Mask(9, 0.5, key=KEY)
    other = bitdrop.Mask.from_array(np.asarray(mask), scale=mask.scale)
    assert np.array_equal(mask.bits, other.bits)
    assert mask != other


def test_size_may_exceed_memory_if_nothing_is_asked_for() -> None:
    for mask in (bitdrop.Mask((2**20, 2**20), 0.5, key=KEY), bitdrop.Noise((2**20, 2**20), 0.5, key=KEY)):
        assert mask.size == 2**40
        assert mask == pickle.loads(pickle.dumps(mask))
        assert mask.part((2**19, 0), (3, 4)).shape == (3, 4)


def test_far_shards_have_the_draws_of_far_elements() -> None:
    shape, start = (2**20, 2**20, 2**21), (2**20 - 1, 2**19, 2**21 - 5000)
    shard = bitdrop.Shard(shape, start)
    mask = bitdrop.Mask((1, 3, 5000), 0.3, key=(6, 7), shard=shard)
    noise = bitdrop.Noise((1, 3, 5000), 0.5, key=(6, 7), shard=shard)
    states = bitdrop.ZoneoutMask((1, 3, 5000), 0.3, key=(6, 7), shard=shard)
    for row in range(3):
        first = ((2**20 - 1) * 2**20 + 2**19 + row) * 2**21 + 2**21 - 5000
        kept = oracle.kept((6, 7), 0, 0.3, first, first + 5000)
        assert np.array_equal(np.asarray(mask)[0, row], kept)
        assert np.array_equal(np.asarray(states)[0, row], kept)
        z = noise_oracle.normals((6, 7), 0, first, first + 5000)
        assert_identical(np.asarray(noise)[0, row], np.float32(1) + z)


@pytest.mark.parametrize("place", [(2, 3, False), (2, 4, False), (3, 2, False), (1, 5, True), (2, 7, True)])
def test_seeds_of_blocks_are_a_mask_of_format_1(place: Any) -> None:
    ndim, size, shared = place
    shape = (4, 3, 9, 8, 7)[: ndim + 2]
    options = {"block_ndim": ndim, "shared_channels": shared}
    mask = bitdrop.BlockMask(shape, 0.3, size, key=KEY, stream=3, **options)
    assert mask.gamma == block_masks.gamma(0.3, shape, place)
    seeds = np.asarray(mask.seeds)
    assert np.array_equal(
        ~seeds.reshape(block_masks.places(shape, place)), block_masks.seeds(shape, 0.3, place, KEY, 3)
    )
    if size % 2 and not shared and ndim > 1:
        x = normal(np.dtype(np.float64), shape)
        np.testing.assert_allclose(mask.apply(x), block_masks.torchvision(x, ~seeds, size, ndim), rtol=1e-15)
