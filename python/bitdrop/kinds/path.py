"""Stochastic depth: whole samples are dropped."""

from __future__ import annotations

from typing import Literal

from bitdrop import _validate
from bitdrop._core import Operation, Rule, Units
from bitdrop._layer import Layer
from bitdrop._typing import Number, RNGLike
from bitdrop.records.mask import inverted_scale

MODES = {"row": Units(1, needs="DropPath needs x of shape (N, ...)"), "batch": Units(0)}


class DropPath(Layer):
    """Stochastic depth: drops whole samples, as `timm.layers.DropPath`.

    Before the sum of a residual block, it skips the block for the dropped samples [1]_.

    Parameters
    ----------
    p : float, default 0.0
        Probability that a sample, an index of x's first axis, is dropped, in [0, 1].
    scale_by_keep : bool, default True
        Whether kept samples are multiplied by 1 / (1 - p) in training. Without it nothing is scaled, in
        training or at inference.
    mode : {"row", "batch"}
        "row": each sample has its own draw. "batch": all of x has one draw, as in
        `torchvision.ops.stochastic_depth`.
    inplace, recompute, rng
        As in `Dropout`.

    Raises
    ------
    NdimError
        By `forward`, if x has no axes and mode is "row".
    ValueError
        If p is not in [0, 1], or mode is neither "row" nor "batch".

    References
    ----------
    .. [1] G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Weinberger, "Deep networks with stochastic depth",
       ECCV 2016.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> bitdrop.DropPath(p=0.5, rng=0)(np.ones((3, 2)))
    array([[0., 0.],
           [2., 2.],
           [2., 2.]])
    """

    def __init__(
        self,
        p: Number = 0.0,
        scale_by_keep: bool = True,
        mode: Literal["row", "batch"] = "row",
        *,
        inplace: bool = False,
        recompute: bool = False,
        rng: RNGLike | None = None,
    ) -> None:
        self._scale_by_keep = _validate.as_flag(scale_by_keep, "scale_by_keep")
        _validate.check_choice(mode, "mode", tuple(MODES))
        self._mode = mode
        super().__init__(p, inplace=inplace, recompute=recompute, rng=rng)

    def _units_of_class(self) -> Units:
        return MODES[self._mode]

    def _rule_of(self, p: float) -> Rule:
        return path_rule(p, self._scale_by_keep, self._mode, not self._recompute)

    @property
    def scale_by_keep(self) -> bool:
        """True if kept samples are multiplied by 1 / (1 - p) in training."""
        return self._scale_by_keep

    @property
    def mode(self) -> Literal["row", "batch"]:
        """Owner of a draw: "row" for each sample, "batch" for all of x."""
        return self._mode

    def _arguments(self) -> dict[str, object]:
        chosen = {"p": self.p, "scale_by_keep": self._scale_by_keep, "mode": self._mode}
        return chosen | self._switches()


def path_rule(p: float, scale_by_keep: bool, mode: str, store: bool = True) -> Rule:
    """Return the rule of stochastic depth, for validated arguments."""
    scale = inverted_scale(p) if scale_by_keep else 1.0
    return Rule(p, Operation.scale(scale), units=MODES[mode], store=store)
