"""Dropout modules that torch lacks, in torch's manner."""

from collections.abc import Callable, Sequence

from torch import Generator, Tensor, nn

from bitdrop._validate import as_noise_entries, as_noise_rate
from bitdrop.torch import functional
from bitdrop.torch._served import Served

__all__ = ["DropBlock1d", "DropBlock2d", "DropBlock3d", "GaussianDropout", "Zoneout"]


class GaussianDropout(Served, nn.Module):
    """Module of `functional.gaussian_dropout`: multiplies by normal numbers around 1.

    The method is from [1]_.

    Parameters
    ----------
    p : float, default 0.5
        Rate of the dropout, in [0, 1): the variance of the numbers is p / (1 - p).
    generator, noise_shape
        As in `Dropout`.

    Raises
    ------
    TypeError, ValueError
        If p is not a number in [0, 1), or noise_shape is not a sequence of ints and None.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way
       to prevent neural networks from overfitting", Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> module = bitdrop.torch.GaussianDropout(p=0.1)
    >>> module
    GaussianDropout(p=0.1)
    >>> module(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        generator: Generator | None = None,
        noise_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__()
        self._set_options(False, generator)
        self.p = as_noise_rate(p)
        if noise_shape is not None:
            self.noise_shape = as_noise_entries(noise_shape)

    def forward(self, input: Tensor) -> Tensor:
        """Multiply in training, and return input itself otherwise."""
        return functional.gaussian_dropout(
            input, self.p, self.training, generator=self._source(input), noise_shape=self.noise_shape
        )

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"p={self.p}{self._options_repr()}"


class Zoneout(Served, nn.Module):
    """Module of `functional.zoneout`: elements of a recurrent state keep their previous value.

    The method is from [1]_.

    Parameters
    ----------
    p : float, default 0.1
        Probability that an element keeps its previous value, in [0, 1].
    recompute, generator, noise_shape
        As in `Dropout`.

    Raises
    ------
    ValueError
        If p is not in [0, 1].

    References
    ----------
    .. [1] D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations",
       ICLR 2017.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> cell, zoneout = torch.nn.GRUCell(4, 8), bitdrop.torch.Zoneout(p=0.1)
    >>> h = torch.zeros(2, 8)
    >>> for x in torch.ones(5, 2, 4):
    ...     h = zoneout(cell(x, h), h)
    >>> h.shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        p: float = 0.1,
        *,
        recompute: bool = False,
        generator: Generator | None = None,
        noise_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__()
        self._set_options(recompute, generator)
        self.p = nn.Dropout(p).p  # checked as torch checks
        if noise_shape is not None:
            self.noise_shape = as_noise_entries(noise_shape)

    def forward(self, new: Tensor, previous: Tensor) -> Tensor:
        """Choose at random in training, and return the expectation otherwise."""
        return functional.zoneout(new, previous, self.p, self.training, **self._options(new))

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"p={self.p}{self._options_repr()}"


class _DropBlock(Served, nn.Module):
    """Base class of the modules that drop blocks."""

    _function: Callable[..., Tensor]

    def __init__(
        self,
        p: float = 0.1,
        block_size: int = 7,
        inplace: bool = False,
        eps: float = 1e-6,
        *,
        shared_channels: bool = False,
        recompute: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self._set_options(recompute, generator)
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps
        self.shared_channels = shared_channels

    def forward(self, input: Tensor) -> Tensor:
        """Drop in training, and return input itself otherwise."""
        arguments = self.p, self.block_size, self.inplace, self.eps, self.training
        options = self._options(input)
        return type(self)._function(input, *arguments, shared_channels=self.shared_channels, **options)

    def extra_repr(self) -> str:
        """Return the parameters."""
        shared = ", shared_channels=True" if self.shared_channels else ""
        text = f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"
        return f"{text}{shared}{self._options_repr()}"


class DropBlock1d(_DropBlock):
    """Module of `functional.drop_block1d`: drops intervals of sequences. Parameters: see `DropBlock2d`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> bitdrop.torch.DropBlock1d(p=0.1, block_size=5)(torch.ones(8, 4, 100)).shape
    torch.Size([8, 4, 100])
    """

    _function = staticmethod(functional.drop_block1d)


class DropBlock2d(_DropBlock):
    """`torchvision.ops.DropBlock2d`: drops squares of images.

    The method is from [1]_.

    Parameters
    ----------
    p : float, default 0.1
        Share of the elements that would be dropped if blocks did not overlap, in [0, 1].
    block_size : int, default 7
        Height and width of a block. A block that is larger than the maps is shrunk.
    inplace : bool, default False
        Whether forward writes into its input.
    eps : float, default 1e-6
        Number added to the number of kept elements before it divides.
    shared_channels : bool, default False
        Whether all channels of a sample lose the same blocks.
    recompute, generator
        As in `Dropout`.

    Raises
    ------
    ValueError
        If p is not in [0, 1].

    References
    ----------
    .. [1] G. Ghiasi, T.-Y. Lin and Q. V. Le, "DropBlock: a regularization method for convolutional networks",
       NeurIPS 2018.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> module = bitdrop.torch.DropBlock2d(p=0.1, block_size=5)
    >>> module
    DropBlock2d(p=0.1, block_size=5, inplace=False)
    >>> module(torch.ones(8, 4, 30, 30)).shape
    torch.Size([8, 4, 30, 30])
    """

    _function = staticmethod(functional.drop_block2d)


class DropBlock3d(_DropBlock):
    """`torchvision.ops.DropBlock3d`: drops cubes of volumes. Parameters: see `DropBlock2d`.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> bitdrop.torch.DropBlock3d(p=0.1, block_size=3)(torch.ones(8, 4, 9, 9, 9)).shape
    torch.Size([8, 4, 9, 9, 9])
    """

    _function = staticmethod(functional.drop_block3d)


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
