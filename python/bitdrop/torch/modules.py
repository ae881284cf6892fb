"""Dropout modules: subclasses of torch's, of the same names, arguments and state."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

from bitdrop.torch import functional

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Module(nn.modules.dropout._DropoutNd):
    """Base class of the modules. Attributes that torch's lack have defaults here, for `replace_dropout`."""

    recompute: bool = False
    generator: Generator | None = None
    _function: Callable[..., Tensor]

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        recompute: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, inplace)
        if recompute:
            self.recompute = True
        if generator is not None:
            self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training, and return input itself otherwise."""
        return type(self)._function(
            input, self.p, self.training, self.inplace, recompute=self.recompute, generator=self.generator
        )

    def extra_repr(self) -> str:
        """Return torch's text, and `recompute` if it is set."""
        return super().extra_repr() + (", recompute=True" if self.recompute else "")


class Dropout(_Module, nn.Dropout):
    """`torch.nn.Dropout` at about the cost of a copy.

    Parameters
    ----------
    p : float, default 0.5
        Probability that an element is dropped, in [0, 1].
    inplace : bool, default False
        Whether forward writes into its input.
    recompute : bool, default False
        Whether to generate the bits again in the backward pass instead of holding them.
    generator : torch.Generator, optional
        Source of the masks' keys. None means torch's default generator of the CPU.

    Raises
    ------
    ValueError
        If p is not in [0, 1].

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> module = bitdrop.torch.Dropout(p=0.2)
    >>> module
    Dropout(p=0.2, inplace=False)
    >>> isinstance(module, torch.nn.Dropout)
    True
    >>> x = torch.ones(3)
    >>> module.eval()(x) is x
    True
    """

    _function = staticmethod(functional.dropout)


class Dropout1d(_Module, nn.Dropout1d):
    """`torch.nn.Dropout1d`, which drops whole channels of (N, C, L) or (C, L). Parameters: see `Dropout`."""

    _function = staticmethod(functional.dropout1d)


class Dropout2d(_Module, nn.Dropout2d):
    """`torch.nn.Dropout2d`, which drops whole channels of (N, C, H, W). Parameters: see `Dropout`."""

    _function = staticmethod(functional.dropout2d)


class Dropout3d(_Module, nn.Dropout3d):
    """`torch.nn.Dropout3d`, which drops whole channels of (N, C, D, H, W). Parameters: see `Dropout`."""

    _function = staticmethod(functional.dropout3d)


class AlphaDropout(_Module, nn.AlphaDropout):
    """`torch.nn.AlphaDropout`, for self-normalising networks. Parameters: see `Dropout`."""

    _function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(_Module, nn.FeatureAlphaDropout):
    """`torch.nn.FeatureAlphaDropout`, which alpha-drops whole channels. Parameters: see `Dropout`."""

    _function = staticmethod(functional.feature_alpha_dropout)


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
