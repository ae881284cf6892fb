"""Fused passes as a module, and in existing models."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from torch import Generator, Tensor, nn

from bitdrop.kinds.fused import Activation, check_activation
from bitdrop.torch import _fused, _private, functional, modules
from bitdrop.torch._calls import Options
from bitdrop.torch._chains import is_watched
from bitdrop.torch._served import ORIGINALS, check_model, replace

__all__ = ["FusedDropout", "fuse_dropout"]


class FusedDropout(modules.Dropout):
    """Module of `functional.fused_dropout`: bias, ReLU, dropout and residual in one pass.

    It is a `torch.nn.Dropout`. A tool that removes dropout modules removes its activation, too.

    Parameters
    ----------
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    activation : {"relu"}, optional
        Applied after the bias. None: no activation.
    recompute, generator, noise_shape
        As in `Dropout`. `recompute` needs a module without an activation.

    Raises
    ------
    ValueError
        If p is not in [0, 1], the activation is unknown, or recompute is True with an activation.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> module = bitdrop.torch.FusedDropout(p=0.5, activation="relu")
    >>> module
    FusedDropout(p=0.5, activation='relu')
    >>> module.eval()(torch.tensor([-1.0, 2.0]), residual=torch.ones(2))
    tensor([1., 3.])
    """

    inplace: bool = False  # modules pickled by 0.1 lack it
    activation: Activation | None

    def __init__(
        self,
        p: float = 0.5,
        activation: Activation | None = None,
        *,
        recompute: bool = False,
        generator: Generator | None = None,
        noise_shape: Sequence[int | None] | None = None,
    ) -> None:
        check_activation(activation)
        _fused.check_recompute(recompute, activation)
        super().__init__(p, recompute=recompute, generator=generator, noise_shape=noise_shape)
        self.activation = activation

    def forward(self, x: Tensor, bias: Tensor | None = None, residual: Tensor | None = None) -> Tensor:
        """Return residual + dropout(activation(x + bias))."""
        return functional.fused_dropout(
            x,
            self.p,
            bias,
            self.activation,
            residual,
            self.training,
            **self._options(x),
        )

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"p={self.p}, activation={self.activation!r}{self._options_repr()}"


class FusedSequential(nn.Sequential):
    """`Sequential` that runs each ReLU and the dropout after it in one pass.

    It looks at its modules in each forward pass. So modules may be exchanged, removed, hooked and switched.
    """

    def forward(self, input: Any) -> Any:
        """Pass input through all modules."""
        children: list[Any] = list(self)
        fuses = isinstance(input, Tensor) and not _private.has_global_hooks()
        place = 0
        while place < len(children):
            module = children[place]
            following: Any = children[place + 1] if place + 1 < len(children) else None
            if fuses and type(module) is nn.ReLU and _drops_after(module, following, place == 0):
                options = Options(generator=following._source(input), noise_shape=following.noise_shape)
                input = _fused.fused((input, None, None), following.p, True, True, options)
                place += 2
            else:
                input = module(input)
                place += 1
        return input


def _drops_after(relu: nn.Module, dropout: Any, is_first: bool) -> bool:
    """Return whether a dropout drops now, and it and the ReLU before it may run in one pass."""
    return (
        type(dropout) is modules.Dropout
        and dropout.training
        and type(dropout.p) is float
        # A change of the input of the whole is seen outside.
        and not (is_first and relu.inplace)
        and _is_pair(relu, dropout)
    )


def _is_pair(relu: nn.Module | None, dropout: nn.Module | None) -> bool:
    """Return whether two modules are a ReLU and a dropout that may run in one pass."""
    return (
        type(relu) is nn.ReLU
        and type(dropout) in _DROPOUTS
        and not getattr(dropout, "recompute", False)
        and not is_watched(relu)
        and not is_watched(dropout)
    )


_DROPOUTS = (nn.Dropout, modules.Dropout)


ORIGINALS[FusedSequential] = nn.Sequential


@cache
def fused_class(base: Any) -> type[FusedSequential]:
    """Return the class that a Sequential takes: `FusedSequential`, or one that is also of its own class."""
    if base is nn.Sequential:
        return FusedSequential
    contents = {"__module__": __name__, "__reduce_ex__": _reduce}
    made = type(f"Fused{base.__name__}", (FusedSequential, base), contents)
    ORIGINALS[made] = base
    return made


def _reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
    return _new, (ORIGINALS[type(self)],), self.__getstate__()


def _new(base: Any) -> FusedSequential:
    made: Any = fused_class(base)
    return made.__new__(made)


def fuse_dropout(model: nn.Module) -> int:
    """Run each ReLU and the dropout after it in a `Sequential` in one pass, in place.

    The modules stay the same objects in their places. The dropout becomes bitdrop's, and the `Sequential` a
    subclass that looks at its modules in each forward pass. A pair runs in one pass if its dropout is in
    training and neither module has hooks or a `forward` of its own. Otherwise the two run one after the
    other, as they do in all tools that trace or change models.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may be a `Sequential` itself.

    Returns
    -------
    int
        Number of pairs that are fused now and were not before.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Dropout(p=0.1))
    >>> bitdrop.torch.fuse_dropout(model)
    1
    >>> model
    FusedSequential(
      (0): Linear(in_features=3, out_features=3, bias=True)
      (1): ReLU()
      (2): Dropout(p=0.1, inplace=False)
    )
    """
    check_model(model)
    count = 0
    for module in list(model.modules()):
        if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
            continue
        pairs = [pair for pair in pairwise(module) if _is_pair(*pair)]
        if pairs and "forward" not in vars(module):
            base: Any = type(module)
            module.__class__ = fused_class(base)
            for _, dropout in pairs:
                replace(dropout, modules.Dropout)
        count += len(pairs)
    return count
