"""Stubs of `bitdrop._core` compared with the module."""

import ast
from pathlib import Path
from typing import Any

import bitdrop
from bitdrop import _core


def parameters(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Return the names of the parameters, each with whether it has a default."""
    arguments = function.args.args
    required = len(arguments) - len(function.args.defaults)
    return [(argument.arg, position >= required) for position, argument in enumerate(arguments)]


def signature_of(function: Any) -> ast.FunctionDef:
    """Parse the signature in the first line of a docstring by pybind11."""
    line = function.__doc__.splitlines()[0]
    definition = ast.parse(f"def {line}: ...").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def test_stubs_match_core_module() -> None:
    functions, others = {}, set()
    for node in ast.parse((Path(bitdrop.__file__).parent / "_core.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_"):  # not a type alias
                others.add(node.target.id)
        elif isinstance(node, ast.ClassDef):
            others.add(node.name)
            members = {target.id for line in node.body for target in getattr(line, "targets", [])}
            assert members == set(getattr(_core, node.name).__members__)
    assert {*functions, *others} == {name for name in dir(_core) if not name.startswith("__")}
    for name, function in functions.items():
        assert parameters(function) == parameters(signature_of(getattr(_core, name))), name


def test_package_is_typed() -> None:
    assert (Path(bitdrop.__file__).parent / "py.typed").exists()
