"""Modules of other libraries on bitdrop: timm's `DropPath`, torchvision's `StochasticDepth` and `DropBlock`.

The classes here are subclasses of theirs. They are made when they are first wanted, because the libraries
need not be installed. Pickles find them by name.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor, nn

from bitdrop.torch import functional
from bitdrop.torch._served import ORIGINALS, Served


def _timm(self: Any, x: Tensor) -> Tensor:
    """Drop in training, and return x itself otherwise."""
    return functional.drop_path(
        x, self.drop_prob or 0.0, self.training, self.scale_by_keep, **self._options(x)
    )


def _torchvision(self: Any, input: Tensor) -> Tensor:
    """Drop in training, and return input itself otherwise."""
    return functional.drop_path(input, self.p, self.training, mode=self.mode, **self._options(input))


def _block2d(self: Any, input: Tensor) -> Tensor:
    """Drop in training, and return input itself otherwise."""
    arguments = self.p, self.block_size, self.inplace, self.eps, self.training
    return functional.drop_block2d(input, *arguments, **self._options(input))


def _block3d(self: Any, input: Tensor) -> Tensor:
    """Drop in training, and return input itself otherwise."""
    arguments = self.p, self.block_size, self.inplace, self.eps, self.training
    return functional.drop_block3d(input, *arguments, **self._options(input))


# By the name of the class here: the module and the class there, and its new forward.
_CLASSES: dict[str, tuple[str, str, Callable[..., Tensor]]] = {
    "DropPath": ("timm.layers.drop", "DropPath", _timm),
    "StochasticDepth": ("torchvision.ops.stochastic_depth", "StochasticDepth", _torchvision),
    "DropBlock2d": ("torchvision.ops.drop_block", "DropBlock2d", _block2d),
    "DropBlock3d": ("torchvision.ops.drop_block", "DropBlock3d", _block3d),
}


def replacements() -> dict[type[nn.Module], type[nn.Module]]:
    """Return the classes of the libraries that are loaded, and those that replace them."""
    loaded = {
        name: getattr(sys.modules.get(library), theirs, None)
        for name, (library, theirs, _) in _CLASSES.items()
    }
    return {theirs: _make(name) for name, theirs in loaded.items() if theirs is not None}


def __getattr__(name: str) -> type[nn.Module]:
    """Return a class by its name, for pickles."""
    if name in _CLASSES:
        importlib.import_module(_CLASSES[name][0])
        return _make(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _make(name: str) -> type[nn.Module]:
    library, theirs, forward = _CLASSES[name]
    base = getattr(sys.modules[library], theirs)
    contents = {"__module__": __name__, "__doc__": base.__doc__, "forward": forward}
    made: type[nn.Module] = type(name, (Served, base), contents)
    ORIGINALS[made] = base
    return made
