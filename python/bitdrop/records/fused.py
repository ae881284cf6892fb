"""The mask of a fused pass: which elements are kept and active."""

from __future__ import annotations

from numpy.typing import ArrayLike

from bitdrop._typing import Array, Shape
from bitdrop.records.mask import Mask


class FusedMask(Mask):
    """The elements that a fused pass kept and found active, and their scale.

    `fused_dropout` and `FusedDropout` return it. It has the attributes of `Mask`. `bits` and
    ``np.asarray(mask)`` tell whether an element is kept *and* active, that is, whether a gradient passes.
    Without an activation every element is active. Because the activation depends on x, the mask holds its
    bits, compares by them, and pickles them. ``Mask(mask.shape, mask.p, key=mask.key, stream=mask.stream)``
    is the dropout alone.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> x = np.array([-1.0, 2.0, 3.0, -4.0, 5.0, 6.0])
    >>> y, mask = bitdrop.fused_dropout(x, p=0.5, activation="relu", rng=1)
    >>> y
    array([0., 0., 6., 0., 0., 0.])
    >>> np.asarray(mask)
    array([False, False,  True, False, False, False])
    >>> mask.backward(np.ones(6))
    array([0., 0., 2., 0., 0., 0.])
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("A FusedMask is made by a fused pass: call bitdrop.fused_dropout.")

    @property
    def bias_shape(self) -> Shape | None:
        """Shape of the bias of the pass, or None if it had none."""
        return self._pass.bias_shape

    def apply(self, x: ArrayLike, *, out: Array | None = None) -> Array:
        """Drop the mask's elements from an array, and scale the others. It adds no bias and no residual.

        Parameters, results and errors are those of `Mask.apply`.
        """
        return self._pass.drop(x, out)

    def backward(
        self, dy: ArrayLike, *, out: Array | None = None, bias_gradient: Array | None = None
    ) -> Array:
        """Return the gradient with respect to x, and write that with respect to the bias.

        The gradient with respect to the residual is dy itself.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the output, of the mask's shape, and of dtype float16, bfloat16, float32
            or float64.
        out : ndarray, optional
            Where to write the result: an array of dy's shape and dtype, or dy itself.
        bias_gradient : ndarray, optional
            Where to write the gradient with respect to the bias, of the bias's shape and dy's dtype: the sum
            of the result over the axes along which the bias was broadcast.

        Returns
        -------
        ndarray
            ``out``, or a new array: ``scale * dy`` where kept and active, +0.0 elsewhere.

        Raises
        ------
        TypeError, ValueError
            As `Mask.backward`, or if bias_gradient is of another shape or dtype, read-only, or overlaps dy,
            out or itself, or if the pass had no bias.

        Notes
        -----
        The sum is made of the elements of the result, in float32 (float64 for float64), in an order that does
        not depend on threads or instruction set: see ``docs/reference/fused-passes.md``.
        """
        dx: Array = self._pass.gradient(dy, out, bias_gradient)
        return dx

    def __repr__(self) -> str:
        """Return a description. No expression makes the mask, because it depends on x."""
        done = self._pass
        more = {"key": done.key, "stream": done.stream, "scale": self.scale} | self._places()
        if self.bias_shape is not None:
            more["bias_shape"] = self.bias_shape
        shown = ", ".join(f"{name}={value!r}" for name, value in more.items())
        return f"<FusedMask {done.shape}, {done.p!r}, {shown}>"
