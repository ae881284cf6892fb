"""The house: each thing stands once, on few floors, and a call passes few functions of Python."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.kinds import KINDS, Kind, for_all_kinds
from tests.helpers.paths import ROOT

PACKAGE = ROOT / "python" / "bitdrop"
MOST_IMPORTS, MOST_FLOORS, MOST_CALLS = 110, 7, 5
MOST_LINES, MOST_LINES_OF_FUNCTION, MOST_PARAMETERS = 420, 60, 6


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


TREES = dict(trees())


def room(path: Path) -> str:
    """Return the part of the house that a file belongs to: a folder is one, but for those of kinds."""
    parts = path.relative_to(PACKAGE).parts
    return "/".join(parts[:2]) if parts[0] == "kinds" else parts[0]


def imported(path: Path, tree: ast.Module) -> Iterator[Path]:
    """Yield the files of the package that a file imports, those for types alone left out."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        for name in names if id(node) not in for_types else ():
            file = PACKAGE.parent.joinpath(*name.split("."))
            yield from (found for found in (file.with_suffix(".py"), file / "__init__.py") if found in TREES)


def imports() -> set[tuple[str, str]]:
    pairs = {(room(path), room(other)) for path, tree in TREES.items() for other in imported(path, tree)}
    top = {pair for pair in pairs if pair[1] == "__init__.py"}  # `from bitdrop import _core` names no file
    return {pair for pair in pairs - top if pair[0] != pair[1]}


def test_imports_are_few_and_run_downwards_on_few_floors() -> None:
    pairs = imports()
    assert len(pairs) <= MOST_IMPORTS, len(pairs)
    below: dict[str, set[str]] = {}
    for upper, lower in pairs:
        below.setdefault(upper, set()).add(lower)

    def floor(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        return 1 + max((floor(other, (*path, name)) for other in below.get(name, ())), default=0)

    floors = {name: floor(name) for name in below}
    assert max(floors.values()) <= MOST_FLOORS, sorted(floors.items(), key=lambda item: -item[1])[:5]


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions of a file, with the names of their classes."""
    for node in ast.walk(tree):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.FunctionDef):
                yield (f"{node.name}." if isinstance(node, ast.ClassDef) else "") + inner.name, inner


def test_layers_have_one_forward_and_one_backward() -> None:
    """A kind may write the signature of its own, of other inputs, if its body is one statement."""
    found = [
        (path.name, name)
        for path, tree in TREES.items()
        if "torch" not in path.parts and "jax" not in path.parts
        for name, function in functions(tree)
        if name.rpartition(".")[2] in ("forward", "backward") and len(code_of(function)) > 1
    ]
    layers = [one for one in found if one[1].startswith("Layer.")]
    assert [name for _, name in layers] == ["Layer.forward", "Layer.backward"]
    assert [
        one for one in found if one not in layers and "Mask" not in one[1] and "Noise" not in one[1]
    ] == []


def code_of(function: ast.FunctionDef) -> list[ast.stmt]:
    """Return the statements of a function without its docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def test_operations_and_dtypes_are_listed_once() -> None:
    """Python reads the tables of C++: it has no literal with the names of several dtypes, and no codes."""
    dtypes = {"float16", "bfloat16", "float32", "float64", "complex64", "complex128"}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set):
                words = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
                assert len(dtypes & words) < 3, f"{path.name}:{node.lineno}"


def test_files_functions_and_parameters_are_few_lines() -> None:
    for path, tree in TREES.items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path.name
        for name, function in functions(tree):
            last = function.body[-1].end_lineno or 0
            first = code_of(function)[0].lineno if code_of(function) else last
            assert last - first < MOST_LINES_OF_FUNCTION, (path.name, name)
            arguments = function.args
            by_place = [*arguments.posonlyargs, *arguments.args]
            public = not name.rpartition(".")[2].startswith("_") or name.endswith("__init__")
            assert public or len(by_place) + len(arguments.kwonlyargs) <= MOST_PARAMETERS + 1, (
                path.name,
                name,
            )


@for_all_kinds
@pytest.mark.parametrize("training", [True, False])
def test_a_forward_call_enters_few_functions_of_python(kind: Kind, training: bool) -> None:
    layer, inputs = kind.make(rng=0), kind.arrays(np.float32)
    arguments: list[Any] = [inputs[name] for name in kind.inputs]
    further = {name: inputs[name] for name in kind.further}
    layer(*arguments, training, **further)
    entered: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            entered.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        layer(*arguments, training, **further)
    finally:
        sys.setprofile(None)
    assert len(entered) <= MOST_CALLS, entered


def test_every_kind_is_in_the_contract() -> None:
    import bitdrop  # noqa: PLC0415

    layers = {
        value for name, value in vars(bitdrop).items() if isinstance(value, type) and hasattr(value, "locked")
    }
    assert {kind.layer for kind in KINDS.values()} == layers
