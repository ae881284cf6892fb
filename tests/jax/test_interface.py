"""XLA's C interface: structures as the installed jaxlib has them, and calls that do not fit."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.paths import ROOT

jax: Any = pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")
pytest.importorskip("bitdrop.jax")

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
ATTRIBUTES = {
    "operation": "scale",
    "coefficients": np.array([0.5, 2.0, 0.0, 0.0]),
    "axes": np.array([3, 3, 0]),
    "inputs": np.array([0]),
    "gradient": np.array([], np.int64),
}
KEY = np.zeros(2, np.uint32)
X = np.ones(3, np.float32)


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_declared_structures_are_those_of_installed_header(tmp_path: Path) -> None:
    assert COMPILER is not None
    program = tmp_path / "interface"
    include = [f"-I{ROOT / 'cpp'}", f"-I{jax.ffi.include_dir()}"]
    source = str(ROOT / "tests/jax/interface.cpp")
    subprocess.run([COMPILER, "-std=c++17", *include, source, "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    rows = [line.rsplit(" ", 2) for line in printed.splitlines()]
    assert len(rows) > 90
    assert [row for row in rows if row[1] != row[2]] == []


def call(*operands: Any, shape: tuple[int, ...] = (3,), **attributes: Any) -> Any:
    """Call the handler as no rule of the front-end does."""
    result = jax.ShapeDtypeStruct(shape, np.float32)
    return jax.ffi.ffi_call("bitdrop_pass", result)(*operands, **{**ATTRIBUTES, **attributes})


def test_call_with_all_attributes_is_a_pass() -> None:
    assert set(np.asarray(call(KEY, X)).tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize(
    ("operands", "attributes", "message"),
    [
        ((KEY, np.ones(4, np.float32)), {}, "do not fit each other"),
        ((KEY, np.ones((1, 3), np.float32)), {}, "do not fit each other"),
        ((KEY, np.ones(3, np.float16)), {}, "do not fit each other"),
        ((KEY[:1], X), {}, "do not fit each other"),
        ((X, X), {}, "do not fit each other"),
        ((KEY, np.zeros(2, np.int32), X), {"axes": np.array([3, 3, 0])}, None),
        ((KEY, np.zeros(0, np.int32), X), {}, "do not fit each other"),
        ((KEY, X), {"shape": (2, 3)}, "do not fit each other"),
        ((KEY, X), {"shape": ()}, "number of axes"),
        ((KEY,), {}, "number of arrays"),
        ((KEY, X), {"operation": "cube"}, "no such operation: cube"),
        ((KEY, X), {"operation": np.int64(1)}, "no attribute of the expected type is called operation"),
        ((KEY, X), {"operation": "select"}, "an input is missing"),
        ((KEY, X), {"inputs": np.array([1])}, "no such input"),
        ((KEY, X), {"gradient": np.array([1])}, "no such input"),
        ((KEY, X), {"axes": np.array([3.0, 3.0, 0.0])}, "another dtype: axes"),
        ((KEY, X), {"axes": np.array([3, 3])}, "another length"),
        ((KEY, X), {"coefficients": np.array([0.5])}, "another length"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_call_that_does_not_fit_is_refused(operands: Any, attributes: Any, message: str | None) -> None:
    if message is None:
        assert call(*operands, **attributes).shape == (3,)
        return
    with pytest.raises(Exception, match=message):
        call(*operands, **attributes)
