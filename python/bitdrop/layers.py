"""The layers."""

from numpy.typing import ArrayLike

from bitdrop import _checks
from bitdrop._checks import NoiseShape, Number
from bitdrop._layer import Layer
from bitdrop._rng import RNGLike
from bitdrop.functional import SCALINGS, Scaling, inference_scale, training_scale

_DEFAULT_P = _checks.DefaultP(0.5)


class Dropout(Layer):
    """Dropout layer: drops units while training, passes gradients back where the signal passed.

    Parameters
    ----------
    p : float, default 0.5
        Probability that a unit is dropped, in [0, 1].
    keep_prob : float, optional
        Probability that a unit is kept, instead of p: p is 1 - keep_prob.
    scaling : {"inverted", "vanilla"}
        As in `bitdrop.dropout`.
    inplace : bool, default False
        Whether forward writes its result into x.
    recompute : bool, default False
        Whether to hold no bits between forward and backward, but make them again. It saves one bit a unit.
    noise_shape : sequence of ints and None, optional
        As in `bitdrop.dropout`: ``(None, 1, None)`` drops the same features at every time step.
    rng : None, int, sequence of ints, SeedSequence, BitGenerator or Generator, optional
        Where the layer's key is drawn from, once. With None, it is drawn again in a forked child.

    Attributes
    ----------
    training : bool
        The mode: whether forward drops units.

    Raises
    ------
    TypeError
        If p or keep_prob is not a number, if both are given, or if another argument is of the wrong type.
    ValueError
        If p or keep_prob is not in [0, 1], or scaling is no such convention.

    Notes
    -----
    Each successful forward pass in training takes the next stream number under the layer's key, also where p
    is 0. Several threads may call one layer: no number is used twice. `backward` goes through the mask of the
    last forward pass; where a layer is used more than once before backward, keep `mask` of each call and call
    its `Mask.backward`. A copy of a layer has its key and position, and so makes the same masks.

    Examples
    --------
    >>> import numpy as np, bitdrop
    >>> layer = bitdrop.Dropout(p=0.25, rng=0)
    >>> x = np.ones((2, 3))
    >>> layer(x)
    array([[0.        , 1.33333333, 1.33333333],
           [1.33333333, 1.33333333, 1.33333333]])
    >>> layer.backward(np.full((2, 3), 3.0))
    array([[0., 4., 4.],
           [4., 4., 4.]])
    """

    def __init__(
        self,
        p: Number = _DEFAULT_P,
        *,
        keep_prob: Number | None = None,
        scaling: Scaling = "inverted",
        inplace: bool = False,
        recompute: bool = False,
        noise_shape: NoiseShape | None = None,
        rng: RNGLike | None = None,
    ) -> None:
        _checks.choice(scaling, "scaling", SCALINGS)
        self._scaling: Scaling = scaling
        self._noise_shape = None if noise_shape is None else _checks.noise_entries(noise_shape)
        super().__init__(_checks.drop_probability(p, keep_prob), inplace, recompute, rng)

    def _set_numbers(self, p: float) -> None:
        self._scale = training_scale(p, self._scaling)
        self._inference_scale = inference_scale(p, self._scaling)

    def _noise_shape_of(self, x: ArrayLike) -> NoiseShape | None:
        return self._noise_shape

    def _arguments(self) -> str:
        shape = "" if self._noise_shape is None else f", noise_shape={self._noise_shape}"
        return (
            f"p={self._p!r}, scaling={self._scaling!r}, inplace={self._inplace}, "
            f"recompute={self._recompute}{shape}"
        )
