"""Kinds that torch lacks, all kinds beside NumPy's, and modules pickled by 0.1."""

import pickle
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import numpy as np
import torch
from bitdrop._core import Units
from bitdrop.kinds.alpha import alpha_rule
from bitdrop.kinds.dropout import dropout_rule
from bitdrop.kinds.fused import fused_rule
from bitdrop.kinds.path import path_rule
from bitdrop.records.blocks import as_blocks, block_rule
from bitdrop.records.noise import noise_rule
from bitdrop.records.zoneout import zoneout_rule
from bitdrop.torch import _keys, functional
from torch import Tensor

from tests.helpers.paths import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SHAPE = (6, 5, 8, 9)
CHANNELS = Units(noise_shape=(None, None, 1, 1))

# The function of torch's manner, the rule of NumPy's layer, and the number of inputs.
KINDS: dict[str, tuple[Any, Any, int]] = {
    "dropout": (lambda x: functional.dropout(x, 0.3), dropout_rule(0.3, "inverted"), 1),
    "noise_shape": (
        lambda x: functional.dropout(x, 0.3, noise_shape=(None, None, 1, 1)),
        dropout_rule(0.3, "inverted", CHANNELS),
        1,
    ),
    "dropout2d": (lambda x: functional.dropout2d(x, 0.3), dropout_rule(0.3, "inverted", Units(2)), 1),
    "alpha_dropout": (lambda x: functional.alpha_dropout(x, 0.3, True), alpha_rule(0.3, Units()), 1),
    "alpha, noise_shape": (
        lambda x: functional.alpha_dropout(x, 0.3, True, noise_shape=(None, None, 1, 1)),
        alpha_rule(0.3, CHANNELS),
        1,
    ),
    "drop_path": (lambda x: functional.drop_path(x, 0.3), path_rule(0.3, True, "row"), 1),
    "drop_path, unscaled": (
        lambda x: functional.drop_path(x, 0.3, True, False, "batch"),
        path_rule(0.3, False, "batch"),
        1,
    ),
    "gaussian_dropout": (lambda x: functional.gaussian_dropout(x, 0.3), noise_rule(0.3, Units()), 1),
    "zoneout": (lambda x, previous: functional.zoneout(x, previous, 0.3), zoneout_rule(0.3, Units()), 2),
    "drop_block1d": (
        lambda x: functional.drop_block1d(x.flatten(1, 2), 0.3, 3).view(x.shape),
        block_rule(0.3, as_blocks(1, 3, 1e-6, False), Units()),
        1,
    ),
    "drop_block2d": (
        lambda x: functional.drop_block2d(x, 0.3, 3, shared_channels=True),
        block_rule(0.3, as_blocks(2, 3, 1e-6, True), Units()),
        1,
    ),
    "fused_dropout": (
        lambda *x: functional.fused_dropout(x[0], 0.3, None, "relu", x[1]),
        fused_rule(0.3, "inverted", True, Units()),
        2,
    ),
    "fused, noise_shape": (
        lambda *x: functional.fused_dropout(x[0], 0.3, None, "relu", x[1], noise_shape=(None, None, 1, 1)),
        fused_rule(0.3, "inverted", True, CHANNELS),
        2,
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_the_bits_of_numpys_for_one_key(name: str, dtype: Any) -> None:
    call, rule, count = KINDS[name]
    inputs = [np.random.default_rng(n).standard_normal(SHAPE).astype(dtype) for n in range(count)]
    torch.manual_seed(3)
    y = call(*map(torch.from_numpy, inputs))
    torch.manual_seed(3)
    done = rule.pass_with_key(SHAPE, _keys.draw(None))
    given = (inputs[0], None, inputs[1]) if "fused" in name else tuple(inputs)
    assert np.array_equal(y.numpy(), done.repeat(given))


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
    from bitdrop.torch import _autograd  # noqa: PLC0415

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
def test_compiled_and_mapped_calls_equal_eager(name: str) -> None:
    x, y = torch.rand(2, 3, 4, 5)
    torch._dynamo.reset()
    results = []
    for call in (FUNCTIONS[name], torch.compile(FUNCTIONS[name], backend="aot_eager", fullgraph=True)):
        torch.manual_seed(3)
        results.append(call(x, y))
    assert torch.equal(*results)
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
