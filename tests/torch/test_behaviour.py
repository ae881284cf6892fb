"""Functions and modules do what the installed torch does: each is run on both, and compared."""

import copy
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch

from tests.helpers.pytorch_support import DTYPES, MODULES, NAMES, outcome, pair, shape_for

Functional = bitdrop.torch.functional


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DTYPES, ids=str)
def torch_dtype(request: pytest.FixtureRequest) -> torch.dtype:
    dtype: torch.dtype = request.param
    return dtype


def assert_same_outcome(name: str, make_x: Any, *args: Any, **kwargs: Any) -> None:
    ours, theirs = pair(name)
    mine, others = make_x(), make_x()
    expected = outcome(lambda: theirs(others, *args, **kwargs), others)
    assert outcome(lambda: ours(mine, *args, **kwargs), mine) == expected


def test_signature_is_torchs_plus_keyword_only_arguments(name: str) -> None:
    ours, theirs = (inspect.signature(function).parameters for function in pair(name))
    own = [p for p in ours.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in theirs.values()]
    assert set(ours) - set(theirs) == {"recompute", "generator"}


@pytest.mark.parametrize("axes", range(7))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [0.5, 0.0, 1.0])
def test_number_of_axes_warns_or_fails_as_in_torch(name: str, axes: int, training: bool, p: float) -> None:
    without_samples = (name, axes) == ("dropout1d", 2) or (name == "dropout3d" and axes != 5)
    if without_samples and (not training or p == 0):
        pytest.skip("torch gives a view of the whole input back, bitdrop the input itself")
    assert_same_outcome(name, lambda: torch.ones((2, 3, 2, 2, 2, 2)[:axes]), p, training)


@pytest.mark.parametrize(
    "p",
    [-0.1, 1.5, math.nan, "0.5", None, 1, 0, True, np.float32(0.25), np.float64(0.25), 1j, [0.5]],
    ids=repr,
)
def test_p_is_accepted_or_refused_as_in_torch(name: str, p: Any) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), p, True)


def test_tensor_as_p_is_accepted_as_in_torch(name: str) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), torch.tensor(0.5), True)


@pytest.mark.parametrize("training", [1, 0, None, "yes", np.True_], ids=repr)
def test_training_is_accepted_or_refused_as_in_torch(name: str, training: Any) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)), 0.5, training)


@pytest.mark.parametrize("x", [[1.0], 1.0, None, np.ones(3)], ids=["list", "float", "None", "array"])
def test_input_other_than_tensor_is_refused_as_in_torch(x: Any) -> None:
    assert_same_outcome("dropout", lambda: x)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_other_dtypes_go_to_torch(name: str, dtype: torch.dtype) -> None:
    assert_same_outcome(name, lambda: torch.ones(shape_for(name)).to(dtype), 0.5, True)


def test_other_devices_and_layouts_go_to_torch() -> None:
    assert_same_outcome("dropout", lambda: torch.ones(3, device="meta"), 0.5)
    assert_same_outcome("dropout", lambda: torch.ones(2, 3).to_sparse(), 0.5)


def test_generator_is_refused_for_tensors_that_go_to_torch() -> None:
    with pytest.raises(ValueError, match="generator must be None"):
        Functional.dropout(torch.ones(3, device="meta"), 0.5, generator=torch.Generator())


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (0, 3, 2, 2)])
def test_empty_tensor_is_returned_as_in_torch(shape: tuple[int, ...]) -> None:
    for training in (True, False):
        assert_same_outcome("dropout", lambda: torch.ones(shape), 0.5, training)
    assert_same_outcome("feature_alpha_dropout", lambda: torch.ones(shape), 0.5, True)


def test_kept_elements_are_scaled_as_in_torch(name: str, torch_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape_for(name), dtype=torch_dtype)
    tolerance = 2e-2 if torch_dtype.itemsize == 2 else 1e-6
    for p in (0.25, 0.5, 0.75):
        mine, others = (
            torch.stack([function(x, p, True) for _ in range(100)]).double() for function in pair(name)
        )
        # In a hundred draws every element shows both of the values that it can have.
        for extreme in (torch.amin, torch.amax):
            torch.testing.assert_close(extreme(mine, 0), extreme(others, 0), rtol=tolerance, atol=tolerance)


def test_scaling_equals_torchs_to_last_digit_of_float32() -> None:
    x = torch.linspace(0.5, 2, 1000)
    for p in (0.1, 0.3, 0.5, 0.9):
        y, reference = Functional.dropout(x, p), pair("dropout")[1](x, p)
        both = (y != 0) & (reference != 0)
        assert both.any()
        torch.testing.assert_close(y[both], reference[both], rtol=2e-7, atol=0)


def test_channels_are_dropped_whole(name: str) -> None:
    if name in {"dropout", "alpha_dropout"}:
        pytest.skip("drops elements")
    x = torch.ones(50, 20, 2, 3, 2)[(..., *[0] * (5 - len(shape_for(name))))]
    y = pair(name)[0](x, 0.3, True)
    channels = y.flatten(2)
    assert (channels == channels[:, :, :1]).all()
    low = channels[:, :, 0] == channels.min()
    assert low.double().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / 1000))
    assert 0 < low[0].sum() < 20  # within a sample
    assert 0 < low[:, 0].sum() < 50  # and within a channel


def test_channels_are_dropped_alike_in_every_memory_format() -> None:
    x = torch.rand(5, 70, 3, 4) + 1
    results = []
    for layout in (
        x,
        x.to(memory_format=torch.channels_last),
        x.transpose(0, 1).contiguous().transpose(0, 1),
    ):
        torch.manual_seed(6)
        results.append(Functional.dropout2d(layout, 0.5))
        assert results[-1].stride() == layout.stride()
    assert torch.equal(results[1], results[0])
    assert torch.equal(results[2], results[0])


@pytest.mark.parametrize(("name", "shape"), [("dropout1d", (40, 6)), ("dropout3d", (40, 2, 3, 2))])
def test_tensors_without_samples_drop_along_first_axis(name: str, shape: tuple[int, ...]) -> None:
    y = pair(name)[0](torch.ones(shape), 0.5).flatten(1)
    assert (y == y[:, :1]).all()
    assert len(y.unique()) == 2


def test_alpha_dropout_keeps_mean_and_deviation() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 2000)
    for name in ("alpha_dropout", "feature_alpha_dropout"):
        for function in pair(name):
            y = function(x, 0.3, True)
            assert y.mean().item() == pytest.approx(0, abs=0.02)
            assert y.std().item() == pytest.approx(1, abs=0.02)


def test_two_values_of_alpha_dropout_are_torchs() -> None:
    x = torch.full((1000,), 0.7, dtype=torch.float64)
    for p in (0.05, 0.5, 0.95):
        mine, others = (function(x, p, True).unique() for function in pair("alpha_dropout"))
        torch.testing.assert_close(mine, others, rtol=1e-12, atol=1e-12)


def test_dropped_special_value_is_positive_zero() -> None:
    for value in (math.nan, math.inf, -1.0, -0.0):
        for p in (0.5, 1.0):
            y = Functional.dropout(torch.full((1000,), value), p)
            dropped = y[y == 0] if value else y
            assert p < 1 or len(dropped) == 1000
            assert not torch.signbit(dropped).any() or (value == 0 and p < 1)


def steps_that_count(x: torch.Tensor) -> list[int]:
    """Return the strides, but those of axes of length 1, along which nobody steps."""
    return [step for step, length in zip(x.stride(), x.shape, strict=True) if length > 1]


@given(st.data())
def test_result_has_strides_of_torchs_result(data: st.DataObject) -> None:
    base_shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(base_shape))))
    x = torch.ones(base_shape).permute(order)
    slices = [slice(None, None, data.draw(st.integers(1, 2))) for _ in base_shape]
    x = x[tuple(slices)]
    if data.draw(st.booleans()):
        x = x.unsqueeze(data.draw(st.integers(0, x.dim())))
        x = x.expand([data.draw(st.integers(1, 3)) if length == 1 else length for length in x.shape])
    for name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
        if name == "feature_alpha_dropout" and x.dim() < 2:
            continue
        ours, theirs = pair(name)
        assert steps_that_count(ours(x, 0.5, True)) == steps_that_count(theirs(x, 0.5, True))


@pytest.mark.parametrize("inplace", [False, True])
def test_memory_format_is_kept_and_mask_follows_memory_order(inplace: bool, torch_dtype: torch.dtype) -> None:
    x = torch.rand(2, 3, 4, 5).to(torch_dtype) + 1
    key = torch.random.get_rng_state()
    plain = Functional.dropout(x.permute(0, 2, 3, 1).contiguous(), 0.5)
    torch.random.set_rng_state(key)
    last = Functional.dropout(x.to(memory_format=torch.channels_last), 0.5, True, inplace)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last.permute(0, 2, 3, 1), plain)


def test_strided_input_is_dropped_like_its_dense_copy(name: str, torch_dtype: torch.dtype) -> None:
    whole = (torch.rand([2 * length for length in shape_for(name)]) + 1).to(torch_dtype).transpose(0, 1)
    x = whole[tuple([slice(1, None, 2)] * whole.dim())]
    dense = torch.empty_like(x).copy_(x)
    state = torch.random.get_rng_state()
    y = pair(name)[0](x, 0.4, True)
    torch.random.set_rng_state(state)
    assert torch.equal(y, pair(name)[0](dense, 0.4, True))
    assert torch.equal(x, dense)


def test_in_place_writes_into_input_only(name: str, torch_dtype: torch.dtype) -> None:
    whole = torch.ones([2 * length for length in shape_for(name)], dtype=torch_dtype)
    x = whole[tuple([slice(1, None, 2)] * whole.dim())]
    state = torch.random.get_rng_state()
    assert pair(name)[0](x, 0.4, True, True) is x
    torch.random.set_rng_state(state)
    expected = pair(name)[0](torch.ones_like(x), 0.4, True)
    assert torch.equal(x, expected)
    x.fill_(1)
    assert (whole == 1).all()


def test_dropout_allocates_only_its_result() -> None:
    x = torch.ones(2**18, dtype=torch.bfloat16)  # small enough not to be taken from the pool
    with torch.profiler.profile(profile_memory=True) as profile:
        Functional.dropout(x, 0.5)
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    assert 2 * 2**18 <= allocated < 2 * 2**18 + 4096


def test_memory_of_dead_large_result_is_reused() -> None:
    x = torch.rand(4, 8, 512, 128).to(memory_format=torch.channels_last).requires_grad_()
    y = Functional.dropout(x, 0.5)
    place, kept = y.data_ptr(), y.detach()
    assert y.stride() == x.stride()
    assert Functional.dropout(x, 0.5).data_ptr() != place
    y.relu_()  # a result is a tensor like others, to autograd too
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, kept != 0)
    del y, kept
    assert Functional.dropout(x, 0.5).data_ptr() == place


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("arguments", [(), (0.1,), (0.1, True)], ids=str)
def test_modules_have_repr_type_and_attributes_of_torchs(kind: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(bitdrop.torch, kind)(*arguments), getattr(torch.nn, kind)(*arguments)
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    assert (ours.p, ours.inplace, ours.training) == (theirs.p, theirs.inplace, theirs.training)
    assert ours.state_dict() == theirs.state_dict()


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("p", [-0.1, 1.1, "a"], ids=repr)
def test_modules_refuse_p_as_in_torch(kind: str, p: Any) -> None:
    expected = outcome(lambda: getattr(torch.nn, kind)(p), None)
    assert expected.error is not None
    assert outcome(lambda: getattr(bitdrop.torch, kind)(p), None) == expected


@pytest.mark.parametrize(("kind", "name"), [*zip(MODULES, NAMES, strict=True)])
def test_modules_drop_in_training_only(kind: str, name: str) -> None:
    module, x = getattr(bitdrop.torch, kind)(0.5), torch.ones(shape_for(name))
    torch.manual_seed(5)
    y = module(x)
    torch.manual_seed(5)
    assert torch.equal(y, pair(name)[0](x, 0.5, True))
    assert len(y.unique()) == 2
    assert module.eval()(x) is x
    in_place = getattr(bitdrop.torch, kind)(0.5, inplace=True)
    assert in_place(x) is x


def test_repr_of_module_shows_recompute() -> None:
    assert repr(bitdrop.torch.Dropout(0.1, recompute=True)) == "Dropout(p=0.1, inplace=False, recompute=True)"


def test_copied_or_pickled_module_continues_identically() -> None:
    module = bitdrop.torch.Dropout(0.3, recompute=True, generator=torch.Generator().manual_seed(1))
    x = torch.ones(100)
    others = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    y = module(x)
    for other in others:
        assert repr(other) == repr(module)
        assert torch.equal(other(x), y)


def test_negated_view_is_read_with_its_sign() -> None:
    numbers = torch.complex(torch.ones(100), torch.ones(100)).conj()
    assert numbers.imag.is_neg()
    assert set(Functional.dropout(numbers.imag, 0.5).tolist()) == {0.0, -2.0}
    Functional.dropout(numbers.imag, 0.5, True, True)
    assert set(numbers.imag.tolist()) == {0.0, -2.0}


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_tracing_records_torchs_function() -> None:
    traced = torch.jit.trace(lambda x: Functional.dropout(x, 0.5), torch.ones(100), check_trace=False)
    y = traced(torch.full((100,), 3.0))
    assert set(y.tolist()) == {0.0, 6.0}
    assert not torch.equal(y, traced(torch.full((100,), 3.0)))


def test_default_device_does_not_change_cpu_tensors() -> None:
    with torch.device("meta"):
        x = torch.ones(3, device="cpu", requires_grad=True)
        y = Functional.dropout(x, 0.5)
        y.backward(torch.ones(3, device="cpu"))
    assert x.grad is not None
    assert torch.equal(x.grad, y)


def test_subclass_of_tensor_is_kept_as_in_torch() -> None:
    class Named(torch.Tensor):
        pass

    x = torch.ones(100).as_subclass(Named)
    assert type(Functional.dropout(x, 0.5)) is type(pair("dropout")[1](x, 0.5)) is Named
    parameter = torch.nn.Parameter(torch.ones(100))
    assert type(Functional.dropout(parameter, 0.5)) is torch.Tensor


def test_torch_function_of_subclass_is_called() -> None:
    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func, kwargs

    function, arguments = Functional.dropout(torch.ones(3).as_subclass(Watching), 0.3)  # type: ignore[misc]
    assert function is Functional.dropout
    assert arguments["p"] == 0.3
