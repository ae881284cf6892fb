"""PyTorch's versions: private names, refusal of old ones, and the public way on unknown ones."""

import ast
import re
from pathlib import Path

import pytest

from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

from bitdrop.torch import _private

PUBLIC_WAY = """
import warnings
import torch
{change}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import bitdrop.torch
from bitdrop.torch import _private, functional as F
print(len(caught), caught[0].message)
assert not _private.TRUSTED

def same(ours, theirs):
    torch.manual_seed(1)
    y = ours()
    torch.manual_seed(1)
    assert torch.equal(y, theirs())

x = torch.rand(50, 4)
same(lambda: F.dropout(x, 0.5), lambda: torch.nn.functional.dropout(x, 0.5))
same(lambda: bitdrop.torch.AlphaDropout(0.5)(x), lambda: torch.nn.AlphaDropout(0.5)(x))
same(lambda: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
     lambda: torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5))
y = F.dropout(x, 0.5, noise_shape=(None, 1))
assert torch.equal(y[:, :1] == 0, y[:, 1:2] == 0) and (y == 0).any()
assert (F.drop_path(x, 0.5) == 0).any()
assert (F.fused_dropout(-x, 0.5, activation="relu") == 0).all()
assert (F.gaussian_dropout(x, 0.5) != x).any()
assert set(F.zoneout(x, x + 1, 0.5).sub(x).round().flatten().tolist()) == {{0.0, 1.0}}
assert (F.drop_block1d(torch.ones(8, 2, 30), 0.3, 3) == 0).any()
model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.5))
bitdrop.torch.fuse_dropout(model)
model(x.requires_grad_()).sum().backward()
"""

CHANGES = {
    "a newer version": ("torch.__version__ = '2.99.1'", "2.99.1 is newer than any"),
    "missing names": (
        "del torch._C._dispatch_keys, torch._C._after_autograd_keyset",
        "lacks torch._C._dispatch_keys",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_unknown_pytorch_is_served_by_its_own_functions_after_one_warning(change: str) -> None:
    code, message = CHANGES[change]
    process = run_python("-W", "ignore", "-c", PUBLIC_WAY.format(change=code))
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("1 PyTorch ")
    assert message in process.stdout


def test_an_old_pytorch_is_refused() -> None:
    code = (
        "import torch; torch.__version__ = '2.7.1'\n"
        "try:\n    import bitdrop.torch\nexcept ImportError as error:\n    print(error)"
    )
    assert run_python("-c", code).stdout.strip() == (
        "bitdrop.torch needs PyTorch 2.8 or newer, but this is 2.7.1: pip install -U torch."
    )


def test_the_installed_pytorch_has_every_private_name() -> None:
    assert _private._missing == []
    assert _private.TRUSTED


def test_private_names_of_torch_are_read_in_one_file() -> None:
    known = {"_asdict", "_replace", "_getframe"}  # Python's
    used: dict[str, set[str]] = {}
    for file in Path(_private.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                known.add(node.name)
            elif isinstance(node, ast.alias):
                known.add((node.asname or node.name).rpartition(".")[2])
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                known.add(node.attr)
            elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                used.setdefault(node.attr, set()).add(file.name)
    foreign = {name: files for name, files in used.items() if name not in known}
    assert len(foreign) > 3
    assert {file for files in foreign.values() for file in files} == {"_private.py"}
