"""Monte Carlo dropout: predictions of many sub-networks, with all before the first dropout computed once."""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, SupportsIndex

import torch
from torch import Generator, Tensor, nn
from torch.func import vmap

from bitdrop.torch import patching, thinning
from bitdrop.torch._served import as_generator, check_model

__all__ = ["monte_carlo"]

Model = Callable[[Tensor], Tensor]


def monte_carlo(
    model: nn.Module,
    x: Tensor,
    samples: int = 20,
    *,
    chunk: int | None = None,
    functional: bool = False,
    same_for_batch: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Return the predictions of a model under many masks of its dropout.

    All modules that `find_dropout` lists draw; everything else is in eval mode. What does not depend on a
    mask is computed once, because `torch.func.vmap` runs the samples together. Modes are put back. The method
    is from [1]_.

    Parameters
    ----------
    model : torch.nn.Module
        The model. It takes a tensor and returns one.
    x : Tensor
        Input of the model, with the batch along the first axis.
    samples : int, default 20
        Number of predictions.
    chunk : int, optional
        Number of samples to compute together, which bounds memory. None: all. What comes before the first
        dropout is computed once a chunk.
    functional : bool, default False
        Whether to reach calls of ``F.dropout(x, p, self.training)`` too: all modules but normalisation layers
        are then in training mode.
    same_for_batch : bool, default False
        Whether all samples of the batch share a mask, so that each prediction is that of one sub-network.
    generator : torch.Generator, optional
        Source of all draws, on the CPU. None means torch's default generator, and those that modules have.

    Returns
    -------
    Tensor
        The predictions, of shape ``(samples, *output.shape)``.

    Raises
    ------
    ValueError
        If the model has no dropout, samples or chunk is less than 1, or the generator is not on the CPU.
    TypeError
        If model is not a module, samples or chunk not an int, or generator not a generator.

    Notes
    -----
    Models that vmap cannot follow, such as those that change tensors in place or branch on their values, get
    the input repeated instead. The distribution of the results is the same, but nothing is shared between
    predictions. If one of them has modules that share masks along the batch, such as thinned ones, it runs
    once for each prediction, and with ``same_for_batch`` once for each prediction and element of the batch.
    Attention is followed through bitdrop's function, as in `patch`.

    References
    ----------
    .. [1] Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in
       deep learning", ICML 2016.

    Examples
    --------
    >>> import torch, bitdrop.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Dropout(p=0.5), torch.nn.Linear(64, 2))
    >>> with torch.no_grad():
    ...     predictions = bitdrop.torch.monte_carlo(model.eval(), torch.ones(5, 3), samples=50)
    >>> predictions.shape
    torch.Size([50, 5, 2])
    >>> mean, spread = predictions.mean(dim=0), predictions.std(dim=0)
    """
    check_model(model)
    count = _as_count(samples, "samples")
    size = count if chunk is None else min(count, _as_count(chunk, "chunk"))
    sizes = [size] * (count // size) + [count % size] * (count % size > 0)
    dropouts = [module for module in model.modules() if patching._drops(module)]
    if not dropouts and not functional:
        raise ValueError(
            "model has no dropout module, so all samples would be equal: pass functional=True if its forward "
            "calls functions such as F.dropout(x, p, self.training)."
        )
    with _drawing(model, dropouts, functional), _drawn_from(generator, dropouts):
        states = _states(dropouts)
        for reach in (nullcontext, patching.patch):  # vmap follows bitdrop's attention, and not torch's
            with reach(), suppress(RuntimeError):  # of vmap; an error of the model itself comes again
                return torch.cat([_together(model, x, size, same_for_batch) for size in sizes])
            for source, state in states:
                source.set_state(state)
        return torch.cat([_apart(model, x, size, dropouts, same_for_batch) for size in sizes])


def _as_count(number: SupportsIndex, name: str) -> int:
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{name} must be an int, but got {number!r}.")
    if (count := operator.index(number)) < 1:
        raise ValueError(f"{name} must be at least 1, but got {count}.")
    return count


@contextmanager
def _drawing(model: nn.Module, dropouts: list[nn.Module], functional: bool) -> Iterator[None]:
    """Let a model draw, and nothing else train, until the block exits."""
    modes = [(module, module.training) for module in model.modules()]
    in_place = [module for module in dropouts if getattr(module, "inplace", False)]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # it would leave out the dropout of an encoder layer
        for module, _ in modes:
            module.training = functional and not _normalises(module)
        for module in dropouts:
            module.training = True
        for module in in_place:
            module.inplace = False  # vmap cannot write samples into what they share
        yield
    finally:
        for module in in_place:
            module.inplace = True
        for module, mode in modes:
            module.training = mode
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _normalises(module: nn.Module) -> bool:
    return any("norm" in kind.__name__.lower() for kind in type(module).__mro__)


@contextmanager
def _drawn_from(generator: Generator | None, dropouts: list[nn.Module]) -> Iterator[None]:
    """Draw everything from a generator, unless it is None, until the block exits."""
    if generator is None:
        yield
        return
    if as_generator(generator).device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, but is on {generator.device}.")
    own = [
        (module, module.generator) for module in dropouts if getattr(module, "generator", None) is not None
    ]
    default = torch.default_generator
    before = default.get_state()
    default.set_state(generator.get_state())
    try:
        for module, _ in own:
            module.generator = None
        yield
    finally:
        for module, source in own:
            module.generator = source
        generator.set_state(default.get_state())
        default.set_state(before)


def _states(dropouts: list[nn.Module]) -> list[tuple[Generator, Tensor]]:
    """Return the generators that may be drawn from, with their states."""
    own = {id(source): source for module in dropouts if (source := getattr(module, "generator", None))}
    return [(source, source.get_state()) for source in (torch.default_generator, *own.values())]


def _together(model: nn.Module, x: Tensor, samples: int, same_for_batch: bool) -> Tensor:
    """Return samples by vmap. Whatever no draw has reached has no axis of samples."""

    def one(_: Tensor) -> Tensor:
        if not same_for_batch:
            return model(x)
        row = vmap(lambda row: model(row.unsqueeze(0)).squeeze(0), randomness="same")
        result: Tensor = row(x)
        return result

    predictions: Tensor = vmap(one, randomness="different")(torch.empty(samples, 0))
    return predictions


def _apart(
    model: nn.Module, x: Tensor, samples: int, dropouts: list[nn.Module], same_for_batch: bool
) -> Tensor:
    """Return samples without vmap."""
    if same_for_batch:
        return torch.stack([_same_for_rows(model, x, dropouts) for _ in range(samples)])
    if any(map(_shares_batch, dropouts)):
        return torch.stack([model(x) for _ in range(samples)])
    repeated = x.repeat(samples, *[1] * (x.dim() - 1))
    y = model(repeated)
    if y.shape[:1] != repeated.shape[:1]:
        raise ValueError(
            "torch.func.vmap cannot follow this model, so its output must have the batch along the first "
            f"axis, but for {len(repeated)} samples it is of shape {tuple(y.shape)}."
        )
    return y.unflatten(0, (samples, len(x)))


def _same_for_rows(model: nn.Module, x: Tensor, dropouts: list[nn.Module]) -> Tensor:
    """Return the prediction of one sub-network, each row computed from the same state of the generators."""
    states = _states(dropouts)
    rows = []
    for row in x.split(1):
        for source, state in states:
            source.set_state(state)
        rows.append(model(row))
    return torch.cat(rows)


def _shares_batch(module: Any) -> bool:
    """Return whether all samples of a batch share a draw of a module."""
    noise_shape = getattr(module, "noise_shape", None)
    is_shared = isinstance(module, thinning.Thinned) or getattr(module, "mode", None) == "batch"
    return is_shared or bool(noise_shape and noise_shape[0] == 1)
