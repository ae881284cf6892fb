"""The contract with torch: each module under each tool answers as torch's own does."""

import gc
from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch
from bitdrop.torch import _thin
from torch import distributed

from tests.helpers.paths import ROOT
from tests.helpers.torch_contract import TOOLS, table
from tests.helpers.torch_rows import ROWS

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]
CELLS = [(tool, row) for tool, (_, rows) in TOOLS.items() for row in rows]


@pytest.fixture(autouse=True, scope="module")
def _group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make a process group of one, for distributed models."""
    if not distributed.is_available():
        yield
        return
    file = tmp_path_factory.mktemp("group") / "store"
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    gc.collect()  # models hold the group, which aborts the process if it lives until the interpreter ends
    distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def _thin_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute kept units alone however small the layers are."""
    monkeypatch.setattr(_thin, "_LEAST_ROWS", 0)
    monkeypatch.setattr(_thin, "_LEAST_PRODUCTS", 0)


@pytest.mark.parametrize(("tool", "row"), CELLS)
def test_tools_treat_modules_as_torchs(tool: str, row: str) -> None:
    ask, (ours, theirs, shape) = TOOLS[tool][0], ROWS[row]
    answers = []
    for make in (theirs, ours):
        torch.manual_seed(2)
        answers.append(ask(make, torch.rand(shape) + 0.5))
    assert answers[1] == answers[0]


def test_the_document_has_the_table_of_modules_and_tools() -> None:
    text = (ROOT / "docs/reference/pytorch-behaviour.md").read_text(encoding="utf-8")
    assert table() in text
