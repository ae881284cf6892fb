"""Two linear layers with a thinned dropout between them, as a function."""

from collections.abc import Callable

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from bitdrop.torch import _thin


def thinned_mlp(  # noqa: PLR0917 - the order of torch's weights, as in multi_head_attention_forward
    x: Tensor,
    w1: Tensor,
    b1: Tensor | None,
    w2: Tensor,
    b2: Tensor | None,
    p: float = 0.5,
    activation: str | Callable[[Tensor], Tensor] = "relu",
    training: bool = True,
    groups: int = 1,
) -> Tensor:
    """Return ``dropout(activation(x @ w1.T + b1)) @ w2.T + b2``, computed for the kept hidden units alone.

    The samples of a batch share one mask, or those of each of `groups` parts of it, cut as by
    `torch.tensor_split`. So dropped hidden units need not be computed, forward and backward.

    Parameters
    ----------
    x : Tensor
        Of shape (N, ..., inputs).
    w1, b1 : Tensor
        Weight of shape (hidden, inputs) and bias of shape (hidden,), or None, as of `torch.nn.Linear`.
    w2, b2 : Tensor
        Weight of shape (outputs, hidden) and bias of shape (outputs,), or None.
    p : float, default 0.5
        Probability that a hidden unit is dropped, in [0, 1].
    activation : str or callable, default "relu"
        A function that treats elements by themselves, or its name in `torch.nn.functional`.
    training : bool, default True
        Whether to drop.
    groups : int, default 1
        Number of parts of the batch that draw a mask each.

    Returns
    -------
    Tensor
        Of shape (N, ..., outputs).

    Raises
    ------
    ValueError
        If p is not in [0, 1], groups is less than 1, or there is no such activation.
    TypeError
        If groups is not an int.

    Notes
    -----
    The mask is that of `dropout` with ``noise_shape=(1, ..., hidden)``. Small layers, and small p, are
    computed in full, because gathering the weights of kept units would cost more than it saves.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> w1, w2 = torch.randn(512, 64, requires_grad=True), torch.randn(10, 512, requires_grad=True)
    >>> y = bitdrop.torch.functional.thinned_mlp(torch.ones(256, 64), w1, None, w2, None, p=0.5)
    >>> y.sum().backward()
    >>> dropped = (w2.grad == 0).all(dim=0)
    >>> bool((w1.grad[dropped] == 0).all())
    True
    """
    tensors = tuple(tensor for tensor in (x, w1, b1, w2, b2) if tensor is not None)
    if has_torch_function(tensors):
        result: Tensor = handle_torch_function(
            thinned_mlp,
            tensors,
            x,
            w1,
            b1,
            w2,
            b2,
            p=p,
            activation=activation,
            training=training,
            groups=groups,
        )
        return result
    function = _thin.as_activation(activation)
    return _thin.mlp(x, (w1, b1), (w2, b2), function, _thin.shared(p, training), _thin.as_groups(groups))
