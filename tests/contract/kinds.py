"""The kinds of dropout: how a layer is made and called, and what it cannot have, with the reason."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest

from tests.helpers.strategies import NoiseShape, Shape, lengths_of
from tests.helpers.support import COMPLEX, DTYPES, Array, normal

Inputs = dict[str, Array]
Reason = tuple[type[Exception], str]
REAL_ALONE = "drop x.real and x.imag with the same mask"
SQUARES = "blocks cross parts"


@dataclass(frozen=True)
class Kind:
    """A kind of dropout.

    Attributes
    ----------
    layer : type
        The class of the layers.
    shape : tuple of ints
        Shape of the inputs; a test draws others of as many axes.
    rule : {"scale", "alpha", "noise", "fused", "select"}
        What becomes of an element: see `reference.Reference`.
    options : dict
        Further arguments of layer and function that the reference needs.
    function : callable, optional
        The kind as a function.
    inputs : tuple of str
        Names of the arrays that are passed by position.
    further : tuple of str
        Names of the arrays that are passed by keyword.
    shared : tuple of None and 1
        Axes that share a draw, of the layer's own accord.
    dtypes : list of dtypes
        Those that are accepted; the others are a TypeError.
    lacks : dict
        Properties that the kind cannot have: the error and a part of its sentence.
    """

    layer: type[Any]
    shape: Shape
    rule: str = "scale"
    options: dict[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = None
    inputs: tuple[str, ...] = ("x",)
    further: tuple[str, ...] = ()
    shared: NoiseShape | None = None
    dtypes: list[np.dtype[Any]] = field(default_factory=lambda: [*DTYPES, *COMPLEX])
    lacks: dict[str, Reason] = field(default_factory=dict)

    def make(self, p: Any = 0.4, **options: Any) -> Any:
        """Return a layer."""
        return self.layer(p, **(self.options | options))

    def draws(self, shape: Shape, noise_shape: NoiseShape | None = None) -> Shape:
        """Return the shape of the draws of an array."""
        return lengths_of(noise_shape or self.options.get("noise_shape") or self.shared, shape)

    def arrays(self, dtype: Any = np.float64, shape: Shape | None = None, seed: int = 0) -> Inputs:
        """Return inputs of normal numbers."""
        shape = self.shape if shape is None else shape
        names = enumerate((*self.inputs, *self.further))
        return {name: normal(np.dtype(dtype), self.shape_of(name, shape), seed + 10 * i) for i, name in names}

    def shape_of(self, name: str, shape: Shape) -> Shape:
        """Return the shape of an input: a bias has the last axis alone."""
        return shape[-1:] if name == "bias" else shape

    def forward(self, layer: Any, inputs: Inputs, training: bool | None = None, **options: Any) -> Array:
        """Do a forward pass of a layer."""
        mode = [] if training is None else [training]
        further = {name: inputs[name] for name in self.further}
        y: Array = layer(*(inputs[name] for name in self.inputs), *mode, **further, **options)
        return y

    def call(self, inputs: Inputs, p: Any = 0.4, **options: Any) -> tuple[Array, Any]:
        """Call the function."""
        assert self.function is not None
        further = self.options | {name: inputs[name] for name in self.further}
        found: tuple[Array, Any] = self.function(
            *(inputs[name] for name in self.inputs), p, **(further | options)
        )
        return found

    def apply(self, record: Any, inputs: Inputs, **options: Any) -> Array:
        """Apply a record, which has neither bias nor residual."""
        y: Array = record.apply(*(inputs[name] for name in self.inputs), **options)
        return y

    @property
    def gradient(self) -> str:
        """Name of the argument of backward."""
        return "dh" if self.rule == "select" else "dy"

    @property
    def applied(self) -> str:
        """Name of what a forward pass records, in messages."""
        return "noise" if self.rule == "noise" else "mask"


NO_SHARD: dict[str, Reason] = {"shard": (TypeError, SQUARES)}
NO_COMPLEX: dict[str, Reason] = {"complex": (TypeError, REAL_ALONE)}
NO_RECOMPUTE: dict[str, Reason] = {"recompute": (ValueError, "activation")}
OWN_UNITS: dict[str, Reason] = {"noise_shape": (TypeError, "which says itself which elements share a draw")}
ROWS = (7, 5, 24)
real = partial(Kind, dtypes=DTYPES, lacks=NO_COMPLEX)
alpha = partial(real, bitdrop.AlphaDropout, ROWS, "alpha")
gaussian = partial(real, bitdrop.GaussianDropout, ROWS, "noise", function=bitdrop.gaussian_dropout)
fused = partial(real, bitdrop.FusedDropout, ROWS, "fused", function=bitdrop.fused_dropout)
blocks = partial(Kind, lacks=NO_SHARD | OWN_UNITS)
units = partial(Kind, lacks=OWN_UNITS)
path = partial(Kind, bitdrop.DropPath, lacks=OWN_UNITS)

KINDS: dict[str, Kind] = {
    "dropout": Kind(bitdrop.Dropout, ROWS, function=bitdrop.dropout),
    "vanilla": Kind(bitdrop.Dropout, ROWS, options={"scaling": "vanilla"}, function=bitdrop.dropout),
    "shared": Kind(
        bitdrop.Dropout, (7, 5, 64), options={"noise_shape": (None, 1, None)}, function=bitdrop.dropout
    ),
    "channels 1d": units(bitdrop.Dropout1d, (9, 5, 14), shared=(None, None, 1)),
    "channels 1d, one sample": units(bitdrop.Dropout1d, (40, 9), shared=(None, 1)),
    "channels 2d": units(bitdrop.Dropout2d, (6, 5, 4, 3), shared=(None, None, 1, 1)),
    "channels 2d, one sample": units(bitdrop.Dropout2d, (40, 4, 5), shared=(None, 1, 1)),
    "channels 3d": units(bitdrop.Dropout3d, (6, 5, 4, 3, 2), shared=(None, None, 1, 1, 1)),
    "channels 3d, one sample": units(bitdrop.Dropout3d, (40, 3, 2, 5), shared=(None, 1, 1, 1)),
    "path": path((40, 3, 6), shared=(None, 1, 1)),
    "path unscaled": path((40, 7), options={"scale_by_keep": False}, shared=(None, 1)),
    "path of a batch": path((4, 7), options={"mode": "batch"}, shared=(1, 1)),
    "alpha": alpha(),
    "alpha shared": alpha(options={"noise_shape": (None, None, 1)}),
    "alpha of channels": Kind(
        bitdrop.FeatureAlphaDropout,
        (6, 7, 3, 2),
        "alpha",
        shared=(None, None, 1, 1),
        dtypes=DTYPES,
        lacks=NO_COMPLEX | OWN_UNITS,
    ),
    "gaussian": gaussian(),
    "gaussian shared": gaussian(options={"noise_shape": (1, None, None)}),
    "fused": fused(),
    "fused bias": fused(further=("bias",)),
    "fused vanilla residual": fused(further=("residual",), options={"scaling": "vanilla"}),
    "fused relu": fused(options={"activation": "relu"}, lacks=NO_COMPLEX | NO_RECOMPUTE),
    "fused bias, relu, residual": fused(
        options={"activation": "relu"}, further=("bias", "residual"), lacks=NO_COMPLEX | NO_RECOMPUTE
    ),
    "blocks 1d": blocks(bitdrop.DropBlock1d, (4, 3, 40), options={"block_size": 5}),
    "blocks 2d": blocks(bitdrop.DropBlock2d, (3, 4, 9, 11), options={"block_size": 3}),
    "blocks 2d, one sample": blocks(bitdrop.DropBlock2d, (4, 9, 11), options={"block_size": 2}),
    "blocks 2d shared": blocks(
        bitdrop.DropBlock2d, (9, 3, 7, 8), options={"block_size": 3, "shared_channels": True}
    ),
    "blocks 3d": blocks(bitdrop.DropBlock3d, (3, 2, 6, 7, 8), options={"block_size": 2}),
    "zoneout": Kind(bitdrop.Zoneout, ROWS, "select", function=bitdrop.zoneout, inputs=("new", "previous")),
}
DRAWN_BY_ELEMENT = {name for name, kind in KINDS.items() if "noise_shape" not in kind.lacks}

for_all_kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def for_kinds_with(what: str) -> pytest.MarkDecorator:
    """Parametrise by the kinds that have a property."""
    having = {name: kind for name, kind in KINDS.items() if what not in kind.lacks}
    return pytest.mark.parametrize("kind", having.values(), ids=having)


FUNCTIONS = {name: kind for name, kind in KINDS.items() if kind.function}
for_all_functions = pytest.mark.parametrize("kind", FUNCTIONS.values(), ids=FUNCTIONS)
