"""bitdrop's dropout in models written for torch's, timm's and torchvision's."""

import importlib
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import nn

from bitdrop.torch import _foreign, _private, functional, modules
from bitdrop.torch._served import ORIGINALS, Served, check_model, has_options, replace, restore

_REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    getattr(nn, name): getattr(modules, name) for name in modules.__all__ if hasattr(nn, name)
}


def _copy(function: Any) -> Callable[..., Any]:
    """Return a copy of a function of torch: the compiler takes the original as one, and looks into a copy."""
    copied = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__, copied.__module__ = function.__kwdefaults__, function.__module__
    return copied


_PATCHES: dict[str, Callable[..., Any]] = {
    name: getattr(functional, name) for name in functional.__all__ if hasattr(nn.functional, name)
} | {"multi_head_attention_forward": _copy(nn.functional.multi_head_attention_forward)}
"""The functions that `patch` puts into `torch.nn.functional`."""

_TORCHS_OWN: dict[str, Callable[..., Any]] = {name: getattr(nn.functional, name) for name in _PATCHES}

ORIGINALS.update({ours: theirs for theirs, ours in _REPLACEMENTS.items()})


def replace_dropout(model: nn.Module, undo: bool = False) -> int:
    """Turn the dropout modules of a model into bitdrop's, in place.

    These are torch's, and if their libraries are loaded timm's `DropPath` and torchvision's
    `StochasticDepth` and `DropBlock`. The modules stay the same objects, with their p, mode, hooks, names and
    owners. Subclasses are left alone, because they may do something of their own. `find_dropout` lists them.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may be a dropout module itself.
    undo : bool, default False
        Whether to turn bitdrop's modules into those of the other libraries instead, also fused and thinned
        ones. Modules of kinds and with options that the libraries lack stay, with a warning that names them.

    Returns
    -------
    int
        Number of modules that were replaced, each counted once.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(p=0.1))
    >>> bitdrop.torch.replace_dropout(model)
    1
    >>> type(model[1])
    <class 'bitdrop.torch.modules.Dropout'>
    >>> bitdrop.torch.replace_dropout(model, undo=True)
    1
    >>> type(model[1])
    <class 'torch.nn.modules.dropout.Dropout'>
    """
    check_model(model)
    if undo:
        return _restore_all(model)
    replacements = _REPLACEMENTS | _foreign.replacements()
    found = [module for module in model.modules() if type(module) in replacements]
    for module in found:
        replace(module, replacements[type(module)])
    return len(found)


def _restore_all(model: nn.Module) -> int:
    """Give modules their former classes back, and warn of those that stay."""
    count, staying = 0, []
    for name, module in list(model.named_modules()):
        if type(module) in ORIGINALS and not has_options(module):
            count += isinstance(module, Served)
            restore(module)
        elif isinstance(module, Served):
            staying.append(name or type(module).__name__)
    if staying:
        warnings.warn(
            f"Modules that other libraries lack, or with options that they lack, stay bitdrop's: {staying}.",
            stacklevel=3,
        )
    return count


def find_dropout(model: nn.Module) -> list[tuple[str, str, bool]]:
    """List the modules of a model that drop, and whether bitdrop serves them now.

    A module drops if its class is one of dropout's or stochastic depth's, or if it has a rate of dropout in
    an attribute, such as ``dropout`` of `torch.nn.MultiheadAttention` and `torch.nn.LSTM`, ``drop_rate`` and
    ``hidden_dropout``. bitdrop serves its
    own modules. Inside `patch` it also serves torch's dropout modules and attention.

    Parameters
    ----------
    model : torch.nn.Module
        The model.

    Returns
    -------
    list of (str, str, bool)
        Name in the model, name of the class, and whether bitdrop serves the module. A module with several
        names is listed once.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(bitdrop.torch.Dropout(p=0.1), torch.nn.LSTM(3, 3, 2, dropout=0.1))
    >>> bitdrop.torch.find_dropout(model)
    [('0', 'Dropout', True), ('1', 'LSTM', False)]
    """
    check_model(model)
    return [
        (name, type(module).__name__, _is_served(module))
        for name, module in model.named_modules()
        if _drops(module)
    ]


def _drops(module: nn.Module) -> bool:
    if isinstance(module, (Served, _private.DropoutNd)):
        return True
    name = type(module).__name__.lower()
    if not any(True for _ in module.children()) and any(
        part in name for part in ("dropout", "droppath", "dropblock", "stochasticdepth")
    ):
        return True
    return any(
        "drop" in name and type(value) is float and value > 0.0 for name, value in vars(module).items()
    )


def _is_served(module: nn.Module) -> bool:
    if isinstance(module, Served):
        return True
    is_patched = nn.functional.dropout is functional.dropout
    return is_patched and (type(module) in _REPLACEMENTS or isinstance(module, nn.MultiheadAttention))


@contextmanager
def patch() -> Iterator[None]:
    """Replace functions of `torch.nn.functional` by bitdrop's until the block exits.

    They are the dropout functions and `scaled_dot_product_attention`, and are replaced for all threads. This
    reaches callers that look them up in that module: torch's dropout modules, models that call
    ``F.dropout``, and attention. Functions that were imported by name before stay torch's, and so does the
    dropout inside torch's recurrent layers.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> with bitdrop.torch.patch():
    ...     torch.nn.functional.dropout is bitdrop.torch.functional.dropout
    True
    >>> torch.nn.functional.dropout is bitdrop.torch.functional.dropout
    False
    """
    # The compiler looks torch's functions up by name when it is first imported, and must find torch's.
    with suppress(ImportError):
        importlib.import_module("torch._dynamo")
    _Patch.enter()
    try:
        yield
    finally:
        _Patch.leave()


class _Patch:
    """The patch of the process. It lasts while any block is inside."""

    _lock = threading.Lock()
    _blocks = 0
    _before: dict[str, Callable[..., Any]]

    @classmethod
    def enter(cls) -> None:
        with cls._lock:
            if not cls._blocks:
                cls._before = {name: getattr(nn.functional, name) for name in _PATCHES}
                cls._set(_PATCHES)
            cls._blocks += 1

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._blocks -= 1
            if not cls._blocks:
                cls._set(cls._before)

    @staticmethod
    def _set(functions: dict[str, Callable[..., Any]]) -> None:
        for name, function in functions.items():
            setattr(nn.functional, name, function)


def _scriptable(name: str, function: Callable[..., Any]) -> Callable[[], Callable[..., Any]]:
    """Return the answer to torch.jit.script, which asks a function for one that it can script."""

    def prepare() -> Callable[..., Any]:
        if getattr(nn.functional, name) is not function:
            raise TypeError(
                f"torch.jit.script does not take bitdrop.torch.functional.{name}: use "
                f"torch.nn.functional.{name} in a function to script."
            )
        return _TORCHS_OWN[name]  # torch's module looks the function up while it is patched

    return prepare


for _name, _function in _PATCHES.items():
    _function.__prepare_scriptable__ = _scriptable(_name, _function)  # type: ignore[attr-defined]
