"""Stubs of `bitdrop._core` compared with the module."""

import ast
import re
from pathlib import Path
from typing import Any

import bitdrop
from bitdrop import _core


def parameters(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Return the names of the parameters, each with whether it has a default. `self` is left out."""
    arguments = function.args.posonlyargs + function.args.args
    required = len(arguments) - len(function.args.defaults)
    found = [(argument.arg, position >= required) for position, argument in enumerate(arguments)]
    found += [
        (argument.arg, default is not None)
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    ]
    return [parameter for parameter in found if parameter[0] != "self"]


def doc_line(function: Any) -> str:
    line: str = function.__doc__.splitlines()[0]
    return line


def signature_of(function: Any) -> ast.FunctionDef:
    """Parse the signature in the first line of a docstring by pybind11."""
    by_position = getattr(function, "__text_signature__", None)  # of a method that pybind11 does not dispatch
    line = function.__name__ + by_position.replace("$self", "self") if by_position else doc_line(function)
    line = re.sub(r"bitdrop\._core\.[A-Za-z.]+", "Any", line)  # of `self`
    line = re.sub(r"<Any object at 0x[0-9a-f]+>", "None", line)  # of defaults
    line = re.sub(r" = <[^>]+>", " = None", line)  # of enumerated defaults
    definition = ast.parse(f"def {line}: ...").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def public_names(scope: Any) -> set[str]:
    return {name for name in dir(scope) if not name.startswith("_")}


def check_functions(nodes: list[ast.stmt], scope: Any) -> set[str]:
    """Compare the functions of a stub with those of a module or class. Return the names of its members."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
            if any(getattr(decorator, "id", "") == "property" for decorator in node.decorator_list):
                assert isinstance(getattr(scope, node.name), property), node.name
            else:
                function = getattr(scope, node.name)
                if function is object.__init__:
                    function = scope  # whose docstring begins with the constructor
                assert parameters(node) == parameters(signature_of(function)), node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)  # a member of an enum, or a type alias
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
    return names


def test_stubs_match_core_module() -> None:
    stub = ast.parse((Path(bitdrop.__file__).parent / "_core.pyi").read_text()).body
    names = {name for name in check_functions(stub, _core) if not name.startswith("_")}
    assert names == public_names(_core)
    for node in stub:
        if isinstance(node, ast.ClassDef):
            scope = getattr(_core, node.name)
            members = {member for member in check_functions(node.body, scope) if not member.startswith("_")}
            enumerated = getattr(scope, "__members__", None)
            assert members == (public_names(scope) if enumerated is None else set(enumerated)), node.name


def test_package_is_typed() -> None:
    assert (Path(bitdrop.__file__).parent / "py.typed").exists()
