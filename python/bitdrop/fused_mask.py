"""The mask of a fused pass: which elements are kept and active."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitdrop import _core, _engine, _validate
from bitdrop._affine import Affine
from bitdrop._arrays import as_array, as_output
from bitdrop._plan import Plan
from bitdrop._typing import Array, Key, Shape
from bitdrop.mask import Mask


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

    __slots__ = ("_bias_shape",)

    _bias_shape: Shape | None
    _bits: NDArray[np.uint8] | None

    def __init__(self) -> None:
        raise TypeError("A FusedMask is made by a fused pass: call bitdrop.fused_dropout.")

    @classmethod
    def _of_pass(
        cls,
        shape: Shape,
        plan: Plan,
        affine: Affine,
        bits: NDArray[np.uint8] | None,
        bias_shape: Shape | None,
    ) -> "FusedMask":
        """Return the mask of a pass. Without bits, the plan says everything."""
        self = object.__new__(cls)
        self._shape, self._plan, self._affine, self._bits = shape, plan, affine, bits
        self._layout = None
        self._bias_shape = bias_shape
        return self

    @property
    def bias_shape(self) -> Shape | None:
        """Shape of the bias of the pass, or None if it had none."""
        return self._bias_shape

    def apply(self, x: ArrayLike, *, out: Array | None = None) -> Array:
        """Drop the mask's elements from an array, and scale the others. It adds no bias and no residual.

        Parameters, results and errors are those of `Mask.apply`.
        """
        return super().apply(x, out=out)

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
        if bias_gradient is None:
            return super().backward(dy, out=out)
        values, dtype = as_array(dy, "dy")
        _validate.check_same_shape(values.shape, self._shape, "dy")
        y = as_output(out, values, "dy")
        self._check_bias_gradient(bias_gradient, values, y)
        _engine.apply_and_sum((dtype, (y, values)), self._affine, self._packed(), bias_gradient)
        return y

    def _check_bias_gradient(self, gradient: Any, dy: Array, y: Array) -> None:
        name = "bias_gradient"
        if self._bias_shape is None:
            raise ValueError(f"{name} must be None, because the forward pass had no bias.")
        usual = type(gradient) is np.ndarray and gradient.shape == self._bias_shape
        if not (usual and gradient.dtype == dy.dtype and gradient.flags.carray):
            as_output(gradient, np.empty(self._bias_shape, dy.dtype), "the bias", name)
        for other, its_name in (y, "out"), (dy, "dy"):
            if np.shares_memory(gradient, other):
                raise ValueError(f"{name} overlaps {its_name}: pass an array apart from it.")
            if y is dy:
                break

    def _packed(self) -> NDArray[np.uint8]:
        if self._bits is not None:
            return self._bits
        return self.bits

    def _parameters(self) -> tuple[Any, ...]:
        bits = None if self._bits is None else self._bits.tobytes()
        return *super()._parameters(), bits, self._bias_shape

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parameters, the bits and the number of the mask format."""
        key, stream, p = self._plan
        bits = None if self._bits is None else self._bits.tobytes()
        rest = (self.scale, bits, self._bias_shape)
        return _unpickled, (_core.MASK_FORMAT, self._shape, p, key, stream, rest)

    def __repr__(self) -> str:
        """Return a description. No expression makes the mask, because it depends on x."""
        (key, stream, p), shape = self._plan, self._shape
        bias = "" if self._bias_shape is None else f", bias_shape={self._bias_shape}"
        return f"<FusedMask {shape}, {p!r}, key={key}, stream={stream}, scale={self.scale!r}{bias}>"


def _unpickled(
    mask_format: int,
    shape: Shape,
    p: float,
    key: Key,
    stream: int,
    rest: tuple[float, bytes | None, Shape | None],
) -> FusedMask:
    _validate.check_format(mask_format, "mask", "The pickled mask")
    scale, packed, bias_shape = rest
    bits = None if packed is None else np.frombuffer(packed, np.uint8).copy()
    return FusedMask._of_pass(shape, Plan(key, stream, p), Affine(scale), bits, bias_shape)
