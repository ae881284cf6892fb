"""Helpers for `bitdrop.torch`: pairs of functions, outcomes of calls, fresh compilation."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bitdrop.torch
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NAMES = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
MODULES = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]
SHAPES = {"dropout1d": (4, 5, 6), "dropout2d": (4, 5, 2, 3), "dropout3d": (4, 5, 2, 3, 2)}
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]

for_all_functions = pytest.mark.parametrize("name", NAMES)
for_all_dtypes = pytest.mark.parametrize("torch_dtype", DTYPES, ids=str)

# The functions of torch, taken before any test patches them.
TORCHS_OWN = {name: getattr(torch.nn.functional, name) for name in NAMES}


def pair(name: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Return the functions of this name in bitdrop.torch and in torch."""
    return getattr(bitdrop.torch.functional, name), TORCHS_OWN[name]


def shape_for(name: str) -> tuple[int, ...]:
    """Return a shape that the function accepts without a warning."""
    return SHAPES.get(name, (4, 5, 2, 3))


def next_key() -> tuple[int, int]:
    """Return the key that a call draws from the default generator, as the documents say."""
    first, second = torch.randint(-(2**63), 2**63 - 1, (2,)).tolist()
    return first % 2**64, second % 2**64


@dataclass
class Outcome:
    """Outcome of a call: facts about its result, or the error, and the warnings."""

    facts: tuple[Any, ...] | None
    error: tuple[type[BaseException], str] | None
    warned: list[tuple[type[Warning], str]]


def outcome(call: Callable[[], Any], x: Any) -> Outcome:
    """Call, and return the parts of the outcome that do not depend on the mask."""
    facts = error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            y = call()
        except Exception as caught_error:
            error = type(caught_error), str(caught_error)
        else:
            facts = facts_of(y, x)
    return Outcome(facts, error, [(w.category, str(w.message)) for w in caught])


def facts_of(y: Tensor, x: Any) -> tuple[Any, ...]:
    """Return the facts about a result that do not depend on the mask."""
    return (
        type(y),
        y.dtype,
        y.device,
        y.layout,
        tuple(y.shape),
        y.stride() if y.layout is torch.strided else None,
        y is x,
        y.requires_grad,
        y.is_leaf,
        isinstance(x, Tensor) and x._version,
    )


def compiled_fresh(function: Callable[..., Any], backend: str, **options: Any) -> Callable[..., Any]:
    """Compile into one graph, after a reset of earlier compilations."""
    torch._dynamo.reset()
    compiled: Callable[..., Any] = torch.compile(function, backend=backend, fullgraph=True, **options)
    return compiled


def assert_same_outcome(name: str, make_x: Any, *args: Any, **kwargs: Any) -> None:
    ours, theirs = pair(name)
    mine, others = make_x(), make_x()
    expected = outcome(lambda: theirs(others, *args, **kwargs), others)
    assert outcome(lambda: ours(mine, *args, **kwargs), mine) == expected


class Quiet(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
