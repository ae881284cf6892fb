"""Chains of layers computed without the units that a dropout between them drops.

All samples of a batch, or of a part of it, share one mask. So the rows of a layer's weight that make dropped
units, and the columns of the next one that read them, have no effect. The others are gathered.
"""

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple, SupportsIndex

import torch
from torch import Generator, Tensor
from torch.nn import functional

from bitdrop.torch import _calls
from bitdrop.torch._kept_weights import Choice, Kept, gathered
from bitdrop.torch._plain import is_exporting, is_plain
from bitdrop.torch._private import disable_dynamo

# Thinning costs some passes over the weights, and about 100 microseconds. It saves p of the products. Where
# these break even was measured for widths from 128 to 1,024, 32 to 512 rows and p from 0.1 to 0.8.
_LEAST_ROWS = 10  # of the batch, times p squared
_LEAST_PRODUCTS = 6_000_000  # of weights and rows, times p


class Shared(NamedTuple):
    """A dropout whose masks are shared by a part of the batch.

    Attributes
    ----------
    p : float
        Probability that a unit is dropped, above 0.
    axis : int
        The axis of units.
    generator : torch.Generator or None
        Source of the keys.
    """

    p: float
    axis: int
    generator: Generator | None

    def drop(self, x: Tensor, groups: int = 1, inplace: bool = False) -> Tensor:
        """Drop units of x by one mask for each part."""
        if len(parts := parts_of(x, groups)) > 1:
            y = torch.cat([self.drop(part) for part in parts])
            return x.copy_(y) if inplace else y
        noise_shape = [1] * x.dim()
        if noise_shape:
            noise_shape[self.axis] = x.shape[self.axis]
        options = _calls.Options(generator=self.generator, noise_shape=tuple(noise_shape))
        return _calls.drop(_calls.DROPOUT, x, self.p, True, inplace, options)

    def kept(self, units: int) -> Kept:
        """Draw the same mask as `drop` would, and return its kept units."""
        return Kept.draw(units, self.p, self.generator)

    @property
    def scale(self) -> float:
        """Factor of the kept units."""
        return 1.0 / (1.0 - self.p)


def shared(p: float, training: bool) -> Shared | None:
    """Return a dropout of the last axis, after a check of p, or None if it drops nothing."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return Shared(float(p), -1, None) if training and p else None


def as_groups(groups: SupportsIndex) -> int:
    """Return a number of groups as an int, after a check."""
    if isinstance(groups, bool) or not hasattr(groups, "__index__"):
        raise TypeError(f"groups must be an int, but got {groups!r}.")
    if (count := operator.index(groups)) < 1:
        raise ValueError(f"groups must be at least 1, but got {count}.")
    return count


def as_activation(activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function of elements by its name in `torch.nn.functional`."""
    function = getattr(functional, activation, None) if isinstance(activation, str) else activation
    if not callable(function):
        raise ValueError(
            f"activation must be a function or a name in torch.nn.functional, but got {activation!r}."
        )
    return function


class Link(NamedTuple):
    """A layer of a chain, and what follows it up to the next one.

    Attributes
    ----------
    product : callable
        Returns the layer's output for an input, a weight and a bias.
    weight, bias : Tensor
        The layer's. Axis 0 of the weight is that of the outputs, axis 1 that of the inputs.
    before : sequence of callables
        Functions of units between the layer and the dropout.
    dropout : Shared, optional
        None at the end of a chain, and if nothing is to be dropped.
    after : sequence of callables
        Functions of units between the dropout and the next layer. They map 0 to 0.
    products : int
        Number of weights that read or make the units of this link: of this layer and the next one.
    """

    product: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    before: Sequence[Callable[[Tensor], Tensor]] = ()
    dropout: Shared | None = None
    after: Sequence[Callable[[Tensor], Tensor]] = ()
    products: int = 0

    def pays(self, x: Tensor) -> bool:
        """Return whether to compute kept units alone saves more than it costs, for an input of the chain."""
        if self.dropout is None:
            return False
        p, axis = self.dropout.p, self.dropout.axis
        rows = x.numel() // max(1, x.shape[axis])
        return p < 1.0 and p * p * rows >= _LEAST_ROWS and p * rows * self.products >= _LEAST_PRODUCTS


class Part(NamedTuple):
    """A part of the batch between two layers: its units, with a factor that the next layer applies.

    Attributes
    ----------
    x : Tensor
        The units that are computed.
    kept : Kept, optional
        Which they are. None: all.
    scale : float
        The factor.
    """

    x: Tensor
    kept: Kept | None = None
    scale: float = 1.0


def parts_of(x: Tensor, groups: int) -> Sequence[Tensor]:
    """Cut a batch as `torch.tensor_split` does. Parts without samples are left out."""
    if groups == 1 or x.dim() < 2 or x.shape[0] == 0:
        return (x,)
    return [part for part in x.tensor_split(groups) if part.shape[0]]


Affine = tuple[Tensor, Tensor | None]
"""Weight and bias of a linear layer."""


def mlp(
    x: Tensor,
    first: Affine,
    second: Affine,
    activation: Callable[[Tensor], Tensor],
    dropout: Shared | None,
    groups: int,
) -> Tensor:
    """Return the output of two linear layers."""
    products = first[0].numel() + second[0].numel()
    hidden = Link(functional.linear, *first, [activation], dropout, products=products)
    return run(x, [hidden, Link(functional.linear, *second)], groups)


def run(x: Tensor, links: Sequence[Link], groups: int) -> Tensor:
    """Return the output of a chain."""
    if is_exporting():
        return _run(x, links, groups, False)
    return _run_eagerly(x, links, groups)


@disable_dynamo
def _run_eagerly(x: Tensor, links: Sequence[Link], groups: int) -> Tensor:
    """Return the output of a chain, thinned if only autograd watches: the number of kept units is data."""
    tensors = (x, *(link.weight for link in links), *(link.bias for link in links if link.bias is not None))
    return _run(x, links, groups, all(map(is_plain, tensors)))


def _run(x: Tensor, links: Sequence[Link], groups: int, thin: bool) -> Tensor:
    parts = parts_of(x, groups)
    if not (thin and any(link.pays(parts[0]) for link in links)):
        for link in links:
            x = _in_full(link, x, groups)
        return x
    thinned = [Part(part) for part in parts]
    for link in links:
        thinned = [_through(link, part) for part in thinned]
    return thinned[0].x if len(thinned) == 1 else torch.cat([part.x for part in thinned])


def _in_full(link: Link, x: Tensor, groups: int) -> Tensor:
    """Pass a batch through a layer and what follows it, all units computed."""
    x = link.product(x, link.weight, link.bias)
    for function in link.before:
        x = function(x)
    if link.dropout is not None:
        x = link.dropout.drop(x, groups)
    for function in link.after:
        x = function(x)
    return x


def _through(link: Link, part: Part) -> Part:
    """Pass a part of the batch through a layer and what follows it, kept units alone if that pays."""
    dropout = link.dropout
    kept = dropout.kept(len(link.weight)) if dropout is not None and link.pays(part.x) else None
    none_kept = kept is not None and kept.size == 0
    rows = None if none_kept else kept
    x = link.product(part.x, *gathered(link.weight, link.bias, Choice(rows, part.kept, part.scale)))
    for function in link.before:
        x = function(x)
    scale = 1.0
    if none_kept:
        x = x.masked_fill(x.new_ones((), dtype=torch.bool), 0.0)
    elif dropout is not None and kept is None:
        x = dropout.drop(x)
    elif dropout is not None:
        scale = dropout.scale
    if link.after and scale != 1.0:
        x, scale = x * scale, 1.0
    for function in link.after:
        x = function(x)
    return Part(x, rows, scale)
