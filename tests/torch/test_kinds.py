"""Kinds of the contract in torch's manner, kinds that torch lacks, and modules pickled by 0.1."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import numpy as np
import torch
from bitdrop.torch import _autograd, _passes, functional
from torch import Tensor

from tests.contract.kinds import KINDS
from tests.contract.reference import Reference
from tests.helpers.paths import ROOT
from tests.helpers.pytorch_support import compiled_fresh, next_key
from tests.helpers.support import DTYPES, any_bits, assert_identical, normal

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# By the name of a kind of the contract: the function, called with its inputs, p and options.
CALLS: dict[str, Callable[..., Tensor]] = {
    "dropout": functional.dropout,
    "shared": functional.dropout,
    "channels 1d": functional.dropout1d,
    "channels 1d, one sample": functional.dropout1d,
    "channels 2d": functional.dropout2d,
    "channels 3d": functional.dropout3d,
    "channels 3d, one sample": functional.dropout3d,
    "path": functional.drop_path,
    "path unscaled": functional.drop_path,
    "path of a batch": functional.drop_path,
    "alpha": functional.alpha_dropout,
    "alpha shared": functional.alpha_dropout,
    "alpha of channels": functional.feature_alpha_dropout,
    "gaussian": functional.gaussian_dropout,
    "gaussian shared": functional.gaussian_dropout,
    "zoneout": functional.zoneout,
    "blocks 1d": functional.drop_block1d,
    "blocks 2d": functional.drop_block2d,
    "blocks 2d shared": functional.drop_block2d,
    "blocks 3d": functional.drop_block3d,
    "fused": functional.fused_dropout,
    "fused bias": functional.fused_dropout,
    "fused relu": functional.fused_dropout,
    "fused bias, relu, residual": functional.fused_dropout,
}


def tensor_of(x: Any) -> Tensor:
    """Return an array as a tensor. NumPy's bfloat16 is another library's dtype."""
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def array_of(x: Tensor, dtype: Any) -> Any:
    """Return a tensor as an array of a dtype of its size."""
    x = x.detach()
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy().view(dtype)


@pytest.mark.parametrize("way", ["in C", "in Python", "in Python, held bits"])
@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_those_of_the_contract(
    name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any bit patterns, for the key that torch draws."""
    if way != "in C":
        monkeypatch.setattr(_passes, "drop", lambda *_: NotImplemented)
    if way == "in Python, held bits":
        monkeypatch.setattr(_autograd, "_RECOMPUTED", 0)  # small masks are generated again otherwise
    kind = KINDS[name]
    for dtype in DTYPES:
        for p in (0.4,) if kind.rule == "noise" else (0.4, 1.0):
            inputs = {
                part: any_bits(dtype, x.size, n).reshape(x.shape)
                for n, (part, x) in enumerate(kind.arrays(dtype).items())
            }
            leaves = {part: tensor_of(x).requires_grad_() for part, x in inputs.items()}
            torch.manual_seed(3)
            reference = Reference(kind, kind.shape, p, next_key())
            torch.manual_seed(3)
            by_place = [leaves[part] for part in kind.inputs]
            further = {part: leaves[part] for part in kind.further}
            y = CALLS[name](*by_place, p, training=True, **kind.options, **further)
            assert_identical(array_of(y, dtype), reference.forward(inputs), f"{dtype}, {p}")
            dy = normal(dtype, kind.shape, 5)
            found = torch.autograd.grad(y, by_place, tensor_of(dy))
            for gradient, expected in zip(found, reference.gradients(dy, inputs), strict=True):
                assert_identical(array_of(gradient, dtype), expected, f"gradient in {dtype}, {p}")


@pytest.mark.parametrize("name", CALLS)
def test_compiled_calls_and_their_gradients_equal_eager(name: str) -> None:
    kind, results = KINDS[name], []
    inputs = [tensor_of(x).requires_grad_() for x in kind.arrays(np.float32).values()]

    def call(*tensors: Tensor) -> Tensor:
        further = dict(zip(kind.further, tensors[len(kind.inputs) :], strict=True))
        y = CALLS[name](*tensors[: len(kind.inputs)], 0.4, training=True, **kind.options, **further)
        return y * 2

    for function in (call, compiled_fresh(call, "aot_eager")):
        torch.manual_seed(3)
        y = function(*inputs)
        results.append([y, *torch.autograd.grad(y.sum(), inputs)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
        assert found.stride() == expected.stride()


FUNCTIONS: dict[str, Any] = {
    "gaussian": lambda x, y: functional.gaussian_dropout(x, 0.4),
    "zoneout": lambda x, y: functional.zoneout(x, y, 0.4),
    "zoneout, channels": lambda x, y: functional.zoneout(x, y, 0.4, noise_shape=(None, 1, 1)),
    "zoneout, inference": lambda x, y: functional.zoneout(x, y, 0.4, False),
    "blocks": lambda x, y: functional.drop_block1d(x, 0.4, 2),
    "blocks, recompute": lambda x, y: functional.drop_block1d(x, 0.4, 2, recompute=True),
}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_equal_finite_differences(name: str, transposed: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(_autograd, "_RECOMPUTED", 0)  # hold the bits of small masks, too

    def call(x: Tensor, y: Tensor) -> Tensor:
        torch.manual_seed(3)
        return FUNCTIONS[name](x, y)

    x, y = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    if transposed:
        x, y = (z.transpose(0, 2).contiguous().transpose(0, 2) for z in (x, y))
    inputs = x.requires_grad_(), y.requires_grad_()
    assert torch.autograd.gradcheck(call, inputs, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_sample_of_a_mapped_call_has_a_mask_of_its_own(name: str) -> None:
    x, y = torch.rand(2, 3, 4, 5)
    mapped = torch.func.vmap(FUNCTIONS[name], randomness="different")(
        x.expand(2, 3, 4, 5), y.expand(2, 3, 4, 5)
    )
    assert torch.equal(mapped[0], mapped[1]) == (name == "zoneout, inference")


def test_zoneout_blends_at_inference_as_numpys() -> None:
    new, previous = np.random.default_rng(0).standard_normal((2, 50)).astype(np.float16)
    y, _ = bitdrop.zoneout(new, previous, 0.3, training=False)
    found = bitdrop.torch.Zoneout(0.3).eval()(torch.from_numpy(new), torch.from_numpy(previous))
    assert np.array_equal(found.numpy(), y)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "gaussian p": (lambda x: functional.gaussian_dropout(x, 1.0), ValueError, "p must be less than 1"),
    "gaussian complex": (lambda x: functional.gaussian_dropout(x + 0j, 0.5), TypeError, "input must be real"),
    "zoneout p": (lambda x: functional.zoneout(x, x, 1.5), ValueError, "between 0 and 1, but got 1.5"),
    "zoneout shape": (
        lambda x: functional.zoneout(x, x[0]),
        ValueError,
        "previous must have the shape of new",
    ),
    "zoneout dtype": (lambda x: functional.zoneout(x, x.double()), TypeError, "previous must have the dtype"),
    "block p": (lambda x: functional.drop_block1d(x, -1, 3), ValueError, "between 0 and 1, but got -1"),
    "block axes": (
        lambda x: functional.drop_block2d(x, 0.5, 3),
        ValueError,
        "should be 4 dimensional. Got 3",
    ),
    "block size": (lambda x: functional.drop_block1d(x, 0.5, 0), ValueError, "block_size must be at least 1"),
    "recompute": (lambda x: bitdrop.torch.FusedDropout(0.5, "relu", recompute=True), ValueError, "recompute"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused_before_a_draw(name: str) -> None:
    call, error, message = BAD[name]
    state = torch.get_rng_state()
    with pytest.raises(error, match=message):
        call(torch.ones(3, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_block_larger_than_the_map_is_shrunk_as_in_torchvision() -> None:
    torch.manual_seed(0)
    y = functional.drop_block2d(torch.ones(200, 1, 3, 4), 0.5, 7)
    assert all((y[:, :, :, columns] == y[:, :, :1, columns]).all() for columns in range(4))
    assert (y == 0).any()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_numbers_are_dropped_whole_with_their_gradients(dtype: torch.dtype) -> None:
    x = torch.randn(5000, dtype=dtype, requires_grad=True)
    for y in (functional.dropout(x, 0.5), functional.dropout(x, 0.5, recompute=True)):
        assert torch.equal(y, torch.where(y == 0, y, 2 * x))
        (gradient,) = torch.autograd.grad(y.real.sum(), x)
        assert torch.equal(gradient != 0, y != 0)
    for view in (x.conj(), x.detach()[::2], (x.detach() * 1j).real):
        assert (functional.dropout(view, 0.5) == 0).any()


def test_modules_pickled_by_0_1_load_and_drop() -> None:
    model = pickle.loads((ROOT / "tests/golden/torch_modules_0.1.pkl").read_bytes())
    x = torch.randn(40, 6, 5, 4)
    assert [type(m) for m in model["replaced"]] == [
        bitdrop.torch.Dropout,
        bitdrop.torch.AlphaDropout,
        bitdrop.torch.Dropout2d,
    ]
    fused = model["fused"]
    assert isinstance(fused[0], bitdrop.torch.FusedDropout)
    torch.manual_seed(1)
    y = fused(x)
    torch.manual_seed(1)
    assert torch.equal(y, functional.fused_dropout(x, 0.5, activation="relu"))
    assert torch.equal(fused.eval()(x), torch.relu(x))
    assert model["path"].recompute
    assert (model["shaped"].noise_shape, model["shaped"].recompute) == ((None, 1), True)
    with fused[0].train().locked():
        assert torch.equal(fused[0](x), fused[0](x))
    assert any(node.op == "call_module" for node in torch.fx.symbolic_trace(fused).graph.nodes)
