"""Fused passes as a module, and in existing models."""

from collections import Counter
from itertools import pairwise

from torch import Tensor, nn

from bitdrop._fusion import Activation, check_activation
from bitdrop.torch import functional, modules

__all__ = ["FusedDropout", "fuse_dropout"]


class FusedDropout(nn.Module):
    """Module of `functional.fused_dropout`: bias, ReLU, dropout and residual in one pass.

    Parameters
    ----------
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    activation : {"relu"}, optional
        Applied after the bias. None: no activation.

    Raises
    ------
    ValueError
        If p is not in [0, 1], or the activation is unknown.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> module = bitdrop.torch.FusedDropout(p=0.5, activation="relu")
    >>> module
    FusedDropout(p=0.5, activation='relu')
    >>> module.eval()(torch.tensor([-1.0, 2.0]), residual=torch.ones(2))
    tensor([1., 3.])
    """

    p: float
    activation: Activation | None

    def __init__(self, p: float = 0.5, activation: Activation | None = None) -> None:
        super().__init__()
        check_activation(activation)
        self.p = nn.Dropout(p).p  # checked as torch checks
        self.activation = activation

    def forward(self, x: Tensor, bias: Tensor | None = None, residual: Tensor | None = None) -> Tensor:
        """Return residual + dropout(activation(x + bias))."""
        return functional.fused_dropout(x, self.p, bias, self.activation, residual, self.training)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"p={self.p}, activation={self.activation!r}"


def fuse_dropout(model: nn.Module) -> int:
    """Turn each ReLU that a dropout follows in a `Sequential` into one fused module, in place.

    The dropout's place takes an `Identity`, so that indices and keys of the state stay. p and mode stay too.
    Both torch's and bitdrop's dropout are taken. Pairs are left alone if one of the two has hooks, is used
    elsewhere in the model, is of a subclass, or has a generator or recompute of its own.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may be a `Sequential` itself.

    Returns
    -------
    int
        Number of pairs that were fused.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Dropout(p=0.1))
    >>> bitdrop.torch.fuse_dropout(model)
    1
    >>> model
    Sequential(
      (0): Linear(in_features=3, out_features=3, bias=True)
      (1): FusedDropout(p=0.1, activation='relu')
      (2): Identity()
    )
    """
    uses = Counter(
        id(child) for module in model.modules() for child in module._modules.values() if child is not None
    )
    fused = 0
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            fused += _fuse_neighbours(module, uses)
    return fused


def _fuse_neighbours(sequential: nn.Sequential, uses: Counter[int]) -> int:
    names = list(sequential._modules)
    fused = 0
    for name, following in pairwise(names):
        relu, dropout = sequential._modules[name], sequential._modules[following]
        if relu is None or dropout is None or not _is_pair(relu, dropout):
            continue
        if uses[id(relu)] != 1 or uses[id(dropout)] != 1 or _has_hooks(relu) or _has_hooks(dropout):
            continue
        sequential._modules[name] = _fused_module(dropout)
        sequential._modules[following] = nn.Identity().train(dropout.training)
        fused += 1
    return fused


def _is_pair(relu: nn.Module, dropout: nn.Module) -> bool:
    if type(relu) is not nn.ReLU or type(dropout) not in (nn.Dropout, modules.Dropout):
        return False
    return not getattr(dropout, "recompute", False) and getattr(dropout, "generator", None) is None


def _fused_module(dropout: nn.Module) -> FusedDropout:
    module = FusedDropout(activation="relu")
    module.p = dropout.p  # type: ignore[assignment]
    return module.train(dropout.training)


def _has_hooks(module: nn.Module) -> bool:
    names = [name for name in vars(module) if name.endswith("_hooks")]
    return any(vars(module)[name] for name in names)
