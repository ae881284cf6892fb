"""Networks that compute kept units alone: dropout modules and `Sequential` for it, and existing models."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional

from bitdrop.torch import _chains, _private, _thin, modules
from bitdrop.torch._chains import CONVOLUTIONS, Chain, Stretch
from bitdrop.torch._served import ORIGINALS, Served, as_generator, check_model, replace
from bitdrop.torch._thin import Link, Shared

__all__ = ["thin_dropout"]


class Thinned(Served):
    """Base class of dropout modules that draw one mask for a part of the batch."""

    p: float
    inplace: bool
    groups: int = 1
    _axis: int
    _ndim: int | None = None  # of inputs whose units lie along the axis; None: any

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training, and return input itself otherwise. All units are computed."""
        shared = self.shared(input)
        if shared is None:
            return super().forward(input)  # type: ignore[misc]
        return shared.drop(input, self.groups, self.inplace)

    def shared(self, input: Tensor) -> Shared | None:
        """Return the dropout for a forward pass, or None if it drops nothing, or not such units."""
        if not self.training or not self.p or (self._ndim is not None and input.dim() != self._ndim):
            return None
        generator = self._source(input)
        return Shared(float(self.p), self._axis, generator)

    def extra_repr(self) -> str:
        """Return the text of other dropouts, and the number of groups."""
        return f"{super().extra_repr()}, groups={self.groups}"  # type: ignore[misc]


class ThinnedDropout(Thinned, modules.Dropout):
    """`Dropout` that draws one mask for the batch, or for each of `groups` parts of it."""

    _axis = -1


class ThinnedDropout1d(Thinned, modules.Dropout1d):
    """`Dropout1d` that draws one mask for the batch, or for each of `groups` parts of it."""

    _axis, _ndim = 1, 3


class ThinnedDropout2d(Thinned, modules.Dropout2d):
    """`Dropout2d` that draws one mask for the batch, or for each of `groups` parts of it."""

    _axis, _ndim = 1, 4


class ThinnedDropout3d(Thinned, modules.Dropout3d):
    """`Dropout3d` that draws one mask for the batch, or for each of `groups` parts of it."""

    _axis, _ndim = 1, 5


class ThinnedSequential(nn.Sequential):
    """`Sequential` that computes kept units alone where its modules are layers around thinned dropouts.

    It looks at its modules in each forward pass. So modules may be exchanged, and hooks added.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Pass input through all modules."""
        if not isinstance(input, Tensor) or _private.has_global_hooks():
            return super().forward(input)
        modules = list(_chains.flattened(self, _SEQUENTIAL))
        for step in _chains.split(modules, _is_thinned):
            input = _run(step, input) if isinstance(step, list) else step(input)
        return input


_SEQUENTIAL = (nn.Sequential, ThinnedSequential)

# By the number of spatial axes of the layer: the class of a thinned dropout, and those it replaces.
_CLASSES: dict[int, tuple[type[Thinned], Sequence[type[nn.Module]]]] = {
    0: (ThinnedDropout, (nn.Dropout, modules.Dropout)),
    1: (ThinnedDropout1d, (nn.Dropout1d, modules.Dropout1d)),
    2: (ThinnedDropout2d, (nn.Dropout2d, modules.Dropout2d)),
    3: (ThinnedDropout3d, (nn.Dropout3d, modules.Dropout3d)),
}


ORIGINALS[ThinnedSequential] = nn.Sequential
ORIGINALS.update({thinned: replaced[0] for thinned, replaced in _CLASSES.values()})


def thin_dropout(model: nn.Module, groups: int = 1, *, generator: Generator | None = None) -> int:
    """Compute only the units that dropout keeps, in each `Sequential` of a model, in place.

    A dropout is thinned if it lies between two linear layers, or a channel dropout between two ungrouped
    convolutions. Elementwise activations may lie in between, after the dropout only such as map 0 to 0, and
    pooling between convolutions. The samples of a batch then share one mask. Neither the dropped outputs of
    the layer before nor their products in the layer after are computed, forward and backward.

    Names, parameters, p, modes and everything else of the modules stay as they were. Modules that are shared
    or have hooks are left alone, as is everything that is not such a chain. Small layers, and small p, are
    computed in full, because gathering the weights of kept units would cost more than it saves.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may be a `Sequential` itself.
    groups : int, default 1
        Number of parts of a batch that draw a mask each, cut as by `torch.tensor_split`.
    generator : torch.Generator, optional
        Source of the masks' keys. None leaves the generators of the modules as they are.

    Returns
    -------
    int
        Number of dropout modules that were thinned.

    Raises
    ------
    TypeError
        If model is not a module, groups not an int, or generator not a generator.
    ValueError
        If groups is less than 1.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Dropout(p=0.5), torch.nn.Linear(512, 10)
    ... )
    >>> bitdrop.torch.thin_dropout(model)
    1
    >>> model(torch.ones(256, 64)).sum().backward()
    >>> dropped = (model[3].weight.grad == 0).all(dim=0)
    >>> bool((model[0].weight.grad[dropped] == 0).all())
    True
    """
    check_model(model)
    count = _thin.as_groups(groups)
    source = None if generator is None else as_generator(generator)
    users = _chains.count_users(model)
    found: dict[int, Stretch] = {}
    for module in list(model.modules()):
        if type(module) in _SEQUENTIAL and (stretches := _stretches(module, users)):
            module.__class__ = ThinnedSequential
            found |= {id(one.dropout): one for one in stretches}
    for one in found.values():
        dropout: Any = one.dropout
        replace(dropout, _thinned_class(one.layer))
        dropout.groups = count
        if source is not None:
            dropout.generator = source
    return len(found)


def _stretches(sequential: nn.Sequential, users: Counter[int]) -> list[Stretch]:
    """Return the stretches whose dropout can be thinned."""
    steps = _chains.split(list(_chains.flattened(sequential, _SEQUENTIAL)), _can_be_thinned)
    pairs = [pair for step in steps if isinstance(step, list) for pair in pairwise(step)]
    return [
        one
        for one, following in pairs
        if all(users[id(module)] == 1 for module in (*one.modules(), following.layer))
    ]


def _can_be_thinned(module: nn.Module, layer: nn.Module) -> bool:
    thinned, replaced = _CLASSES[CONVOLUTIONS.get(type(layer), 0)]
    is_known = type(module) is thinned or type(module) in replaced
    return is_known and getattr(module, "noise_shape", None) is None


def _is_thinned(module: nn.Module, layer: nn.Module) -> bool:
    return type(module) is _thinned_class(layer)


def _thinned_class(layer: nn.Module) -> type[Thinned]:
    thinned, _ = _CLASSES[CONVOLUTIONS.get(type(layer), 0)]
    return thinned


def _run(chain: Chain, input: Tensor) -> Tensor:
    """Pass input through a chain of modules."""
    spatial = CONVOLUTIONS.get(type(chain[0].layer), 0)
    groups = {one.dropout.groups for one in chain if one.dropout is not None}
    if len(groups) > 1 or (spatial and input.dim() != spatial + 2):
        for one in chain:
            for module in one.modules():
                input = module(input)
        return input
    return _thin.run(input, [_link(*pair, input) for pair in zip_longest(chain, chain[1:])], *groups)


def _link(one: Stretch, following: Stretch | None, input: Tensor) -> Link:
    """Return a stretch as a link, for a pass of an input through the chain."""
    layer = one.layer
    product = functional.linear if isinstance(layer, nn.Linear) else _private.product_of(layer)
    if one.dropout is None or following is None:
        return Link(product, layer.weight, layer.bias)
    products = layer.weight.numel() + following.layer.weight.numel()
    shared = one.dropout.shared(input)
    return Link(product, layer.weight, layer.bias, one.before, shared, one.after, products)
