"""The document's table of reached calls: each line is a test."""

import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import bitdrop.torch
import torch
from bitdrop.torch import _calls
from torch import Tensor, nn
from torch.nn.functional import dropout as imported_before

from tests.helpers.paths import ROOT

F = nn.functional
X = torch.ones(2, 6, 8)


class Subclass(nn.Dropout):
    """A subclass that does what its parent does."""


def attention() -> nn.Module:
    make: Callable[..., nn.Module] = nn.MultiheadAttention
    return make(8, 2, dropout=0.5, batch_first=True)


def attend(need_weights: bool) -> Callable[[Any], Any]:
    return lambda module: module(X, X, X, need_weights=need_weights)


def run(module: nn.Module) -> Any:
    return module(X)


class Calls(nn.Module):
    """A model that calls a function."""

    call: Callable[[Tensor], Tensor]

    def __init__(self, function: Callable[..., Tensor], *args: Any) -> None:
        super().__init__()
        self.call = lambda x: function(x, *args)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)


# By the start of the table's line: a model, how it is run, and the numbers of bitdrop's calls with
# `replace_dropout` and with `patch`.
LINES: dict[str, list[tuple[Callable[[], nn.Module], Callable[[nn.Module], Any], int, int]]] = {
    "`torch.nn.Dropout` and the other": [
        (nn.Dropout, run, 1, 1),
        (nn.Dropout1d, run, 1, 1),
        (nn.AlphaDropout, run, 1, 1),
        (nn.FeatureAlphaDropout, run, 1, 1),
    ],
    "`F.dropout(...)` and the other": [
        (lambda: Calls(lambda x: F.dropout(x, 0.5)), run, 0, 1),
        (lambda: Calls(lambda x: F.alpha_dropout(x, 0.5, True)), run, 0, 1),
    ],
    "`from torch.nn.functional import dropout`": [(lambda: Calls(imported_before, 0.5), run, 0, 0)],
    "`F.scaled_dot_product_attention": [
        (lambda: Calls(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)), run, 0, 1)
    ],
    "`torch.nn.MultiheadAttention": [(attention, attend(True), 0, 1), (attention, attend(False), 0, 1)],
    "`torch.nn.TransformerEncoderLayer": [(layer, run, 3, 4)],
    "the same: the attention weights": [(layer, run, 3, 4)],
    "`torch.nn.LSTM`": [(lambda: nn.LSTM(8, 8, 2, dropout=0.5), run, 0, 0)],
    "`torch.dropout`": [
        (lambda: Calls(torch.dropout, 0.5, True), run, 0, 0),
        (lambda: Calls(torch.ops.aten.dropout, 0.5, True), run, 0, 0),
    ],
    "subclasses of these modules": [(Subclass, run, 0, 1)],
}
# Tested elsewhere: timm, torchvision, Keras.
ELSEWHERE = {
    "`timm.layers.DropPath`": "test_drop_path.py",
    "`torchvision.ops.StochasticDepth`": "test_drop_path.py",
    "`torchvision.ops.DropBlock2d`": "test_drop_path.py",
    "`keras.layers.Dropout(p)`": "test_keras.py",
    "the same with `seed=`": "test_keras.py",
}


def table() -> list[tuple[str, str, str]]:
    text = (ROOT / "docs/how-to/pytorch.md").read_text(encoding="utf-8")
    rows = re.search(r"\| call \|.*?\n\|---.*?\n(.*?)\n\n", text, re.DOTALL)
    assert rows is not None
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[1].splitlines()]
    return [(call, replaced, patched) for call, replaced, patched in cells]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    original = _calls.drop

    def drop(*args: Any) -> Tensor:
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(_calls, "drop", drop)
    return calls


def test_each_line_of_the_table_is_tested() -> None:
    starts = [*LINES, *ELSEWHERE]
    for call, _, _ in table():
        assert any(call.startswith(start) for start in starts), call
    for start in starts:
        assert any(call.startswith(start) for call, _, _ in table()), start


@pytest.mark.parametrize("start", LINES)
def test_a_line_is_true(start: str, count: list[int]) -> None:
    ((_, replaced, patched),) = [row for row in table() if row[0].startswith(start)]
    is_part = start.startswith("the same")
    for make, call, in_replaced, in_patched in LINES[start]:
        model = make()
        bitdrop.torch.replace_dropout(model)
        call(model)
        assert len(count) == in_replaced
        assert replaced == ("yes" if in_replaced and not is_part else "no")
        count.clear()
        with bitdrop.torch.patch():
            call(make())
        assert len(count) == in_patched
        assert patched in (("no",) if not in_patched else ("yes", "if they call `F.dropout`"))
        count.clear()
        call(make())
        assert not count
