"""bitdrop's dropout in models written for torch's."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from bitdrop.torch import functional, modules

_REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    getattr(nn, name): getattr(modules, name) for name in modules.__all__
}


def replace_dropout(model: nn.Module) -> int:
    """Turn every dropout module of a model into bitdrop's, in place.

    The modules stay the same objects, with their p, mode, hooks, names and owners. Subclasses of torch's
    modules are left alone, because they may do something of their own.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may be a dropout module itself.

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
    """
    found = [module for module in model.modules() if type(module) in _REPLACEMENTS]
    for module in found:
        module.__class__ = _REPLACEMENTS[type(module)]
    return len(found)


@contextmanager
def patch() -> Iterator[None]:
    """Replace the dropout functions of `torch.nn.functional` by bitdrop's until the block exits.

    This holds for all threads. It reaches callers that look the functions up in that module: torch's own
    dropout modules, and models that call ``F.dropout``. Functions that were imported by name before stay
    torch's, and so does the dropout inside torch's fused attention and recurrent layers.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> with bitdrop.torch.patch():
    ...     torch.nn.functional.dropout is bitdrop.torch.functional.dropout
    True
    >>> torch.nn.functional.dropout is bitdrop.torch.functional.dropout
    False
    """
    before = {name: getattr(nn.functional, name) for name in functional.__all__}
    try:
        for name in before:
            setattr(nn.functional, name, getattr(functional, name))
        yield
    finally:
        for name, function in before.items():
            setattr(nn.functional, name, function)
