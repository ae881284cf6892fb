"""Dropout for dask arrays: lazy, and the same values for every chunking, scheduler and number of machines.

Needs dask: ``pip install '.[dask]'`` in a clone.

>>> import dask.array as da, numpy as np, bitdrop, bitdrop.dask
>>> x = np.ones((6, 8))
>>> y, mask = bitdrop.dask.dropout(da.from_array(x, chunks=(4, 3)), p=0.5, rng=0)
>>> whole, _ = bitdrop.dropout(x, p=0.5, rng=0)
>>> bool((y.compute() == whole).all())
True
>>> dx = mask.backward(da.ones((6, 8), chunks=2))
>>> bool((dx.compute() == whole).all())
True
"""

from __future__ import annotations

from typing import Literal

from bitdrop import _validate
from bitdrop._keywords import explains_keywords
from bitdrop._shard import units_of
from bitdrop._typing import NoiseShape, Number, RNGLike, Scaling
from bitdrop.dask._chunks import Call, ChunkedMask, da
from bitdrop.kinds.alpha import alpha_rule
from bitdrop.kinds.dropout import dropout_rule
from bitdrop.kinds.fused import Activation, check_activation, fused_rule
from bitdrop.kinds.path import MODES, path_rule
from bitdrop.records import FusedMask, Mask, Noise, ZoneoutMask
from bitdrop.records.noise import noise_rule
from bitdrop.records.zoneout import zoneout_rule

__all__ = [
    "ChunkedMask",
    "alpha_dropout",
    "drop_path",
    "dropout",
    "fused_dropout",
    "gaussian_dropout",
    "zoneout",
]


@explains_keywords
def dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Set each element of a dask array to zero with probability `p`, and scale the rest.

    Lazy, with one task for each chunk. The values are those of `bitdrop.dropout` for the whole array,
    whatever the chunks, the scheduler and the workers. The key is drawn here, once. A graph that is computed
    twice, or a task that runs again because its worker died, gives the same values.

    Parameters
    ----------
    x : dask array
        Of NumPy arrays, of any known shape, and of a dtype that `bitdrop.dropout` supports.
    p, training, scaling, rng, noise_shape
        As in `bitdrop.dropout`. noise_shape refers to the whole array.
    num_threads : int, default 1
        Threads that a chunk may use. One is right in general: dask works on as many chunks at a time as there
        are cores. `bitdrop.set_num_threads` has no effect here.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference if nothing is scaled.
    mask : ChunkedMask
        The dropped elements. ``mask.backward(dy)`` is the gradient with respect to x, in dy's own chunks.

    Raises
    ------
    TypeError
        If x is not a dask array of NumPy arrays of a supported dtype, or another argument is of the wrong
        type.
    ValueError
        If x has chunks of unknown size, noise_shape does not fit its shape, or another argument is out of
        range.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> images = da.ones((64, 3, 32, 32), chunks=(16, 3, 32, 32), dtype="float32")
    >>> y, mask = bitdrop.dask.dropout(images, p=0.1, rng=0, noise_shape=(None, None, 1, 1))
    >>> y.numblocks, mask.whole.shape
    ((4, 1, 1, 1), (64, 3, 32, 32))
    """
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
    rule = dropout_rule(probability, scaling, units_of(noise_shape))
    return Call(training, rng, num_threads).run(rule, Mask, x)


@explains_keywords
def alpha_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply alpha dropout to a dask array: the values of `bitdrop.AlphaDropout` for the whole array.

    Parameters
    ----------
    x, p, training, rng, noise_shape, num_threads
        As in `dropout`. ``noise_shape=(None, None, 1, 1)`` drops whole channels of images, as
        `bitdrop.FeatureAlphaDropout`.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    mask : ChunkedMask
        The dropped elements.

    Raises
    ------
    TypeError, ValueError
        As `dropout`.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> x = da.random.default_rng(0).standard_normal((1000, 1000), chunks=250)
    >>> y, _ = bitdrop.dask.alpha_dropout(x, p=0.3, rng=0)
    >>> print(f"mean {abs(y.mean().compute()):.2f}, standard deviation {y.std().compute():.2f}")
    mean 0.00, standard deviation 1.00
    """
    rule = alpha_rule(_validate.as_probability(p), units_of(noise_shape))
    return Call(training, rng, num_threads).run(rule, Mask, x)


@explains_keywords
def drop_path(
    x: da.Array,
    p: Number = 0.0,
    scale_by_keep: bool = True,
    mode: Literal["row", "batch"] = "row",
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply stochastic depth to a dask array: the values of `bitdrop.DropPath` for the whole array.

    Parameters
    ----------
    x, training, rng, num_threads
        As in `dropout`.
    p, scale_by_keep, mode
        As in `bitdrop.DropPath`.

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    mask : ChunkedMask
        The dropped samples.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if mode is neither "row" nor "batch".

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> y, _ = bitdrop.dask.drop_path(da.ones((3, 4), chunks=2), p=0.5, rng=0)
    >>> y.compute()[:, 0]
    array([0., 2., 2.])
    """
    scaled = _validate.as_flag(scale_by_keep, "scale_by_keep")
    _validate.check_choice(mode, "mode", tuple(MODES))
    rule = path_rule(_validate.as_probability(p), scaled, mode)
    return Call(training, rng, num_threads).run(rule, Mask, x)


@explains_keywords
def gaussian_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply Gaussian dropout to a dask array: the values of `bitdrop.gaussian_dropout` for the whole array.

    Parameters
    ----------
    x, training, rng, noise_shape, num_threads
        As in `dropout`.
    p : float, default 0.5
        Rate, in [0, 1).

    Returns
    -------
    y : dask array
        In x's chunks, or x itself at inference.
    noise : ChunkedMask
        The factors. ``noise.whole`` is a `bitdrop.Noise`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`.

    Examples
    --------
    >>> import dask.array as da, numpy as np, bitdrop, bitdrop.dask
    >>> y, noise = bitdrop.dask.gaussian_dropout(da.ones((4, 6), chunks=2), p=0.2, rng=0)
    >>> whole, _ = bitdrop.gaussian_dropout(np.ones((4, 6)), p=0.2, rng=0)
    >>> bool((y.compute() == whole).all())
    True
    """
    return Call(training, rng, num_threads).run(noise_rule(p, units_of(noise_shape)), Noise, x)


@explains_keywords
def zoneout(
    new: da.Array,
    previous: da.Array,
    p: Number = 0.1,
    *,
    training: bool = True,
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Apply zoneout to dask arrays: the values of `bitdrop.zoneout` for the whole arrays.

    Parameters
    ----------
    new, previous : dask array
        The state after a step and before it, of one shape and dtype. previous is cut into new's chunks.
    p, training, rng, noise_shape, num_threads
        As in `dropout`. p is the probability that an element keeps its previous value.

    Returns
    -------
    h : dask array
        In new's chunks.
    mask : ChunkedMask
        ``mask.backward(dh)`` is the pair of gradients.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if the states are of two shapes or dtypes.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> h, mask = bitdrop.dask.zoneout(da.ones(6, chunks=4), da.zeros(6, chunks=4), p=0.5, rng=0)
    >>> h.compute()
    array([0., 1., 1., 1., 0., 1.])
    """
    return Call(training, rng, num_threads).run(
        zoneout_rule(p, units_of(noise_shape)), ZoneoutMask, new, previous
    )


@explains_keywords
def fused_dropout(
    x: da.Array,
    p: Number = 0.5,
    *,
    activation: Activation | None = None,
    residual: da.Array | None = None,
    training: bool = True,
    scaling: Scaling = "inverted",
    rng: RNGLike | None = None,
    noise_shape: NoiseShape | None = None,
    num_threads: int = 1,
) -> tuple[da.Array, ChunkedMask]:
    """Return ``residual + dropout(activation(x))`` of dask arrays: the values of `bitdrop.fused_dropout`.

    A bias is not taken: add it to x, which is one task with the pass after dask's fusion.

    Parameters
    ----------
    x, p, training, scaling, rng, noise_shape, num_threads
        As in `dropout`.
    activation : {"relu"}, optional
        As in `bitdrop.fused_dropout`.
    residual : dask array, optional
        Added to the result, of x's shape and dtype. It is cut into x's chunks.

    Returns
    -------
    y : dask array
        In x's chunks.
    mask : ChunkedMask
        ``mask.backward(dy)`` is the gradient with respect to x. With an activation it computes x again, to
        find the active elements.

    Raises
    ------
    TypeError, ValueError
        As `dropout`, or if activation is unknown.

    Examples
    --------
    >>> import dask.array as da, bitdrop.dask
    >>> x = da.arange(-2.0, 4.0, chunks=3)
    >>> y, mask = bitdrop.dask.fused_dropout(x, p=0.0, activation="relu")
    >>> y.compute()
    array([0., 0., 0., 1., 2., 3.])
    >>> mask.backward(da.ones(6, chunks=3)).compute()
    array([0., 0., 0., 1., 1., 1.])
    """
    probability = _validate.as_probability(p)
    _validate.check_choice(scaling, "scaling", _validate.SCALINGS)
    check_activation(activation)
    rule = fused_rule(probability, scaling, activation is not None, units_of(noise_shape))
    inputs = (x,) if residual is None else (x, residual)
    y, mask = Call(training, rng, num_threads).run(rule, FusedMask, *inputs)
    if activation is None:
        return y, mask
    done = mask.whole._pass
    linear = fused_rule(probability, scaling, False, units_of(noise_shape))
    alone = linear.pass_with_key(x.shape, done.key, training=training)
    return y, ChunkedMask(FusedMask._of(alone), mask.num_threads, x)


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
