"""Copies of modules with a planted fault."""

import types
from pathlib import Path
from typing import Any


def altered_function(module: types.ModuleType, name: str, old: str, new: str) -> Any:
    """Return a function of a copy of a module, with one piece of its source text replaced."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{old!r} must be in {path.name} once, but is there {text.count(old)} times.")
    copied = types.ModuleType(f"altered_{path.stem}")
    exec(compile(text.replace(old, new), f"altered {path}", "exec"), vars(copied))
    return getattr(copied, name)
