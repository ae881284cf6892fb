"""Recognition of chains in a `Sequential`: layers with activations and one dropout between them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import nn

from bitdrop.torch import _private

CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
"""Convolutions and their numbers of spatial axes."""

# Activations that compute each element by itself, and map 0 to 0.
_ZERO_TO_ZERO = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardswish, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU),
    *(nn.ReLU6, nn.SELU, nn.SiLU, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink),
)
_ELEMENTWISE = (*_ZERO_TO_ZERO, nn.Hardsigmoid, nn.Hardtanh, nn.LogSigmoid, nn.Sigmoid, nn.Softplus)

# Pooling treats each channel by itself, and maps channels of zeros to zeros.
_POOLING = tuple(getattr(nn, f"{kind}Pool{n}d") for kind in ("Max", "Avg") for n in (1, 2, 3))

Drops = Callable[[nn.Module, nn.Module], bool]
"""Test that a module is a dropout of all units of the layer, the second argument."""


class Stretch(NamedTuple):
    """A layer, and the modules between it and the next one. The last layer of a chain has none.

    Attributes
    ----------
    layer : torch.nn.Module
        A linear layer or a convolution.
    before, after : list of torch.nn.Module
        Modules before and after the dropout.
    dropout : torch.nn.Module, optional
        The dropout.
    """

    layer: nn.Module
    before: list[nn.Module]
    dropout: nn.Module | None
    after: list[nn.Module]

    def modules(self) -> list[nn.Module]:
        """Return all modules in their order."""
        dropout = [] if self.dropout is None else [self.dropout]
        return [self.layer, *self.before, *dropout, *self.after]


Chain = list[Stretch]


def count_users(model: nn.Module) -> Counter[int]:
    """Return how many modules of a model hold a module, by the module's id."""
    return Counter(
        id(child) for module in model.modules() for child in _private.children_of(module) if child is not None
    )


def flattened(sequential: nn.Sequential, types: Sequence[type[nn.Module]]) -> Iterator[nn.Module]:
    """Yield the modules of a sequential module, and of those in it that are exactly of the given types."""
    for module in sequential:
        if type(module) in types and not is_watched(module):
            yield from flattened(module, types)
        elif module is not None:
            yield module


def split(modules: Sequence[nn.Module], drops: Drops) -> Iterator[nn.Module | Chain]:
    """Yield the chains among modules that follow each other, and the modules between them."""
    place = 0
    while place < len(modules):
        chain: Chain = []
        while (found := _stretch(modules, place, drops)) is not None:
            stretch, place = found
            chain.append(stretch)
        if chain:
            chain.append(Stretch(modules[place], [], None, []))
            yield chain
        else:
            yield modules[place]
        place += 1


def _stretch(modules: Sequence[nn.Module], start: int, drops: Drops) -> tuple[Stretch, int] | None:
    """Return the stretch that begins at a place, and the place of the next layer."""
    layer = modules[start]
    if not _is_layer(layer):
        return None
    middle = _skip(modules, start + 1, layer, zero_to_zero=False)
    if middle == len(modules) or is_watched(modules[middle]) or not drops(modules[middle], layer):
        return None
    end = _skip(modules, middle + 1, layer, zero_to_zero=True)
    if end == len(modules) or type(modules[end]) is not type(layer) or not _is_layer(modules[end]):
        return None
    before, after = list(modules[start + 1 : middle]), list(modules[middle + 1 : end])
    return Stretch(layer, before, modules[middle], after), end


def _is_layer(module: nn.Module) -> bool:
    if type(module) in CONVOLUTIONS:
        return module.groups == 1 and not is_watched(module)
    return type(module) is nn.Linear and not is_watched(module)


def _skip(modules: Sequence[nn.Module], place: int, layer: nn.Module, zero_to_zero: bool) -> int:
    """Return the first place from here on without a module that treats each unit by itself."""
    types = _ZERO_TO_ZERO if zero_to_zero else _ELEMENTWISE
    while place < len(modules):
        module = modules[place]
        is_pooling = type(layer) in CONVOLUTIONS and type(module) in _POOLING
        is_single = type(module) is nn.PReLU and module.num_parameters == 1
        if not (type(module) in types or is_pooling or is_single) or is_watched(module):
            break
        if is_pooling and getattr(module, "return_indices", False):
            break
        place += 1
    return place


def is_watched(module: nn.Module) -> bool:
    """Return whether a module has hooks, which must see all units, or a `forward` of its own."""
    return "forward" in module.__dict__ or any(getattr(module, name) for name in _private.HOOKS)
