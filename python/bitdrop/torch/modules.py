"""Dropout modules: subclasses of torch's with the same names, arguments and state."""

from collections.abc import Callable, Sequence

from torch import Generator, Tensor, nn

from bitdrop._validate import as_noise_entries
from bitdrop.torch import _drop_path, _private, functional
from bitdrop.torch._served import Served

__all__ = [
    "AlphaDropout",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Module(Served, _private.DropoutNd):
    """Base class of the modules that torch has too."""

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
        self._set_options(recompute, generator)

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training, and return input itself otherwise."""
        return type(self)._function(input, self.p, self.training, self.inplace, **self._options(input))

    def extra_repr(self) -> str:
        """Return torch's text, and the options that torch lacks."""
        return super().extra_repr() + self._options_repr()


class _Shaped(_Module):
    """Base class of the modules with a noise shape."""

    noise_shape: tuple[int | None, ...] | None = None

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        recompute: bool = False,
        generator: Generator | None = None,
        noise_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(p, inplace, recompute=recompute, generator=generator)
        if noise_shape is not None:
            self.noise_shape = as_noise_entries(noise_shape)


class Dropout(_Shaped, nn.Dropout):
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
    noise_shape : sequence of ints and None, optional
        Shape of the draws: see `bitdrop.torch.functional.dropout`.

    Raises
    ------
    ValueError
        If p is not in [0, 1], or by the module if noise_shape does not fit its input.
    TypeError
        If noise_shape is not a sequence of ints and None.

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
    """`torch.nn.Dropout1d`, which drops whole channels of (N, C, L) or (C, L). Parameters: see `Dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.Dropout1d(p=0.5)(torch.ones(4, 8, 5))
    >>> bool((y == y[:, :, :1]).all())
    True
    """

    _function = staticmethod(functional.dropout1d)


class Dropout2d(_Module, nn.Dropout2d):
    """`torch.nn.Dropout2d`, which drops whole channels of (N, C, H, W). Parameters: see `Dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.Dropout2d(p=0.5)(torch.ones(4, 8, 5, 5))
    >>> bool((y == y[:, :, :1, :1]).all())
    True
    """

    _function = staticmethod(functional.dropout2d)


class Dropout3d(_Module, nn.Dropout3d):
    """`torch.nn.Dropout3d`, which drops whole channels of (N, C, D, H, W). Parameters: see `Dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.Dropout3d(p=0.5)(torch.ones(4, 8, 2, 5, 5))
    >>> bool((y == y[:, :, :1, :1, :1]).all())
    True
    """

    _function = staticmethod(functional.dropout3d)


class AlphaDropout(_Shaped, nn.AlphaDropout):
    """`torch.nn.AlphaDropout`, for self-normalising networks. Parameters: see `Dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.SELU(), bitdrop.torch.AlphaDropout(p=0.1))
    >>> model(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """

    _function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(_Module, nn.FeatureAlphaDropout):
    """`torch.nn.FeatureAlphaDropout`, which alpha-drops whole channels. Parameters: see `Dropout`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> y = bitdrop.torch.FeatureAlphaDropout(p=0.3)(torch.ones(4, 8, 5))
    >>> bool((y == y[:, :, :1]).all())
    True
    """

    _function = staticmethod(functional.feature_alpha_dropout)


class DropPath(Served, nn.Module):
    """Stochastic depth: drops the samples of a residual block, as in timm and torchvision.

    The method is from [1]_.

    Parameters
    ----------
    p : float, default 0.0
        Probability that a sample is dropped, in [0, 1].
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p) in training.
    mode : {"row", "batch"}
        "row": each index of the first axis owns a draw. "batch": all samples share one.
    recompute, generator
        As in `Dropout`.

    Raises
    ------
    ValueError
        If p is not in [0, 1], or mode is neither "row" nor "batch".

    References
    ----------
    .. [1] G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Weinberger, "Deep networks with stochastic depth",
       ECCV 2016.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> _ = torch.manual_seed(0)
    >>> y = bitdrop.torch.DropPath(p=0.5)(torch.ones(100, 3))
    >>> bool((y == y[:, :1]).all()), y.unique()
    (True, tensor([0., 2.]))
    """

    def __init__(
        self,
        p: float = 0.0,
        scale_by_keep: bool = True,
        mode: str = "row",
        *,
        recompute: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self._set_options(recompute, generator)
        _drop_path.check(p, mode)
        self.p, self.scale_by_keep, self.mode = p, scale_by_keep, mode

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training, and return input itself otherwise."""
        return functional.drop_path(
            input,
            self.p,
            self.training,
            self.scale_by_keep,
            self.mode,
            **self._options(input),
        )

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}, mode={self.mode!r}"


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
