"""Base class of bitdrop's modules: options, locks, and what tools ask of modules."""

import threading
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from torch import Generator, Tensor, nn

from bitdrop._keywords import ExplainsKeywords
from bitdrop.torch._locks import Lock, locked
from bitdrop.torch._plain import is_ours, why_torch_drops


def make_leaf(module: nn.Module) -> None:
    """Make a module a leaf for torch.fx, whose tracers take modules of torch.nn alone.

    Without it a tracer would follow `forward`, and record the mode of the moment. Tracers ask the object for
    its module's name. The class keeps its own name, by which it is pickled.
    """
    module.__dict__["__module__"] = nn.modules.dropout.__name__


def replace(module: nn.Module, kind: type[nn.Module]) -> None:
    """Turn a module into one of another class, in place."""
    module.__class__ = kind
    make_leaf(module)


def as_generator(generator: Any) -> Generator:
    """Return `generator` if it is one."""
    if not isinstance(generator, Generator):
        raise TypeError(f"generator must be a torch.Generator or None, but got {generator!r}.")
    return generator


def check_model(model: Any) -> None:
    """Check that `model` is a module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but got {model!r}.")


class Served(ExplainsKeywords):
    """Base class of all modules that bitdrop serves.

    Attributes that torch's modules lack have defaults in the classes, for `replace_dropout`.
    """

    training: bool
    recompute: bool = False
    generator: Generator | None = None
    noise_shape: tuple[int | None, ...] | None = None  # of modules that have one
    _locks: dict[int, Lock] | None = None  # of threads, since the first one

    def __prepare_scriptable__(self) -> NoReturn:
        """Raise the error of torch.jit.script, which asks this method for a module that it can script."""
        name = type(self).__name__
        raise TypeError(
            f"torch.jit.script does not take bitdrop.torch.{name}: use torch.nn.{name} in a model to script."
        )

    def locked(self) -> AbstractContextManager[None]:
        """Return a context manager: inside, every forward pass in training draws the same mask.

        The first pass inside draws from the generator, the others repeat it. Shapes may differ. The lock
        holds for the thread that entered it, and may be nested. Tensors must be those that bitdrop drops.
        Compiled functions run a locked module in eager mode. A checkpointed function must enter the lock
        itself, because it draws again in the backward pass.

        Examples
        --------
        One mask for all steps of a sequence:

        >>> import torch, bitdrop.torch
        >>> module = bitdrop.torch.Dropout(p=0.5)
        >>> with module.locked():
        ...     steps = [module(torch.ones(100)) for _ in range(3)]
        >>> bool((steps[0] == steps[2]).all())
        True
        """
        return locked(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and copy, without locks."""
        return {name: value for name, value in vars(self).items() if name != "_locks"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state of a pickle or copy. Modules pickled by 0.1 may not be leaves yet."""
        super().__setstate__(state)  # type: ignore[misc]
        make_leaf(self)  # type: ignore[arg-type]

    def _set_options(self, recompute: bool, generator: Generator | None) -> None:
        """Set the options of all modules, and make a leaf of this one."""
        make_leaf(self)  # type: ignore[arg-type]
        if recompute:
            self.recompute = True
        if generator is not None:
            self.generator = as_generator(generator)

    def _options(self, input: Tensor) -> dict[str, Any]:
        """Return the options of a pass that torch's functions lack."""
        options = {"recompute": self.recompute, "generator": self._source(input)}
        return options if self.noise_shape is None else {**options, "noise_shape": self.noise_shape}

    def _options_repr(self) -> str:
        """Return the options that are set."""
        recompute = ", recompute=True" if self.recompute else ""
        return recompute if self.noise_shape is None else f"{recompute}, noise_shape={self.noise_shape}"

    def _source(self, input: Tensor) -> Generator | None:
        """Return the generator for a pass: that of the lock, if the thread has locked the module."""
        if not self._locks or not self.training:
            return self.generator
        lock = self._locks.get(threading.get_ident())
        if lock is None:
            return self.generator
        if not is_ours(input):
            raise ValueError(f"A locked module must draw masks of bitdrop, but {why_torch_drops()}.")
        return lock.generator(self.generator)


def has_options(module: nn.Module) -> bool:
    """Return whether a module has options that torch's modules lack."""
    return any(getattr(module, name, None) for name in ("recompute", "generator", "noise_shape"))


ORIGINALS: dict[type[nn.Module], type[nn.Module]] = {}
"""Classes that modules took in place, and those that they had before."""


def restore(module: nn.Module) -> None:
    """Give a module its former class back."""
    module.__class__ = ORIGINALS[type(module)]
    for name in ("__module__", "_locks", "groups"):
        module.__dict__.pop(name, None)
