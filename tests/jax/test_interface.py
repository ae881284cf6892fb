"""XLA's C interface as bitdrop declares it, compared with the header of the installed jaxlib."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT

jax: Any = pytest.importorskip("jax", reason="needs JAX: pip install '.[jax]'")

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_declared_structures_are_those_of_installed_header(tmp_path: Path) -> None:
    program = tmp_path / "interface"
    assert COMPILER is not None
    include = [f"-I{ROOT / 'cpp'}", f"-I{jax.ffi.include_dir()}"]
    source = str(ROOT / "tests/jax/interface.cpp")
    subprocess.run([COMPILER, "-std=c++17", *include, source, "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    rows = [line.rsplit(" ", 2) for line in printed.splitlines()]
    assert len(rows) > 90
    assert [row for row in rows if row[1] != row[2]] == []
