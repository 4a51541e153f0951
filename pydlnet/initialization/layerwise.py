"""Starts whose layers are made one by one, each for itself."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _core
from .._validation import FloatArray, as_real, as_rng, as_widths
from .layers import Layers, Rng, layer_scale, rounded, scaled, shapes_of


def gaussian(
    widths: Sequence[int],
    end_to_end_scale: float | None = None,
    rng: Rng = None,
    *,
    std: float | None = None,
    dtype: DTypeLike = np.float64,
) -> Layers:
    """Draw layers with independent normal entries.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    end_to_end_scale : float, optional
        Scale s of the end-to-end matrix, at least 0: layer j gets the standard deviation
        s^(1/N) / sqrt(d_{j-1}), so that E ||W||_F^2 = s^2 d_N.
    rng : int, numpy.random.Generator or None
        Randomness, as in SPEC 7.
    std : float, optional
        Standard deviation of all entries of all layers, at least 0, instead of
        `end_to_end_scale`.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The layers.

    Raises
    ------
    ValueError, TypeError
        If not exactly one of `end_to_end_scale` and `std` is given, or the widths, the scale or
        the dtype are not as above.

    Examples
    --------
    >>> import pydlnet as dln
    >>> weights = dln.init.gaussian((100, 50, 10), end_to_end_scale=1e-3, rng=0)
    >>> [layer.shape for layer in weights]
    [(50, 100), (10, 50)]
    >>> round(float(weights[0].std()), 4)  # 0.001^(1/2) / 100^(1/2)
    0.0031
    >>> dln.init.gaussian((100, 50, 10), std=0.01, rng=0)[1].shape
    (10, 50)
    """
    sizes = as_widths(widths)
    if (end_to_end_scale is None) == (std is None):
        found = "neither" if std is None else "both"
        raise ValueError(f"std: expected either end_to_end_scale or std, got {found}")
    if std is None:
        name = "end_to_end_scale"
        deviations = _layer_deviations(end_to_end_scale, name, sizes)
    else:
        name = "std"
        deviations = [as_real(std, name, minimum=0.0)] * (len(sizes) - 1)
    generator = as_rng(rng)
    layers = [
        scaled(deviation, generator.standard_normal(shape), name)
        for deviation, shape in zip(deviations, shapes_of(sizes), strict=True)
    ]
    return rounded(layers, dtype, name)


def uniform(
    widths: Sequence[int],
    scale: float = 1.0,
    rng: Rng = None,
    *,
    dtype: DTypeLike = np.float64,
) -> Layers:
    """Draw layers with independent uniform entries.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    scale : float, default 1
        Scale s of the end-to-end matrix, at least 0: the entries of layer j are uniform around
        0 with variance s^(2/N) / d_{j-1}, so that E ||W||_F^2 = s^2 d_N.
    rng : int, numpy.random.Generator or None
        Randomness, as in SPEC 7.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The layers.

    Raises
    ------
    ValueError, TypeError
        If the widths, the scale or the dtype are not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> weights = dln.init.uniform((4, 4, 4), scale=0.01, rng=0)
    >>> bool(np.abs(weights[0]).max() <= 3**0.5 * 0.1 / 2)  # 3^(1/2) times the standard deviation
    True
    """
    sizes = as_widths(widths)
    generator = as_rng(rng)
    # A uniform distribution on [-a, a] has variance a^2 / 3.
    bounds = [math.sqrt(3.0) * std for std in _layer_deviations(scale, "scale", sizes)]
    layers = [
        scaled(bound, generator.uniform(-1.0, 1.0, shape), "scale")
        for bound, shape in zip(bounds, shapes_of(sizes), strict=True)
    ]
    return rounded(layers, dtype, "scale")


def orthogonal(
    widths: Sequence[int],
    scale: float = 1.0,
    rng: Rng = None,
    *,
    dtype: DTypeLike = np.float64,
) -> Layers:
    """Draw layers with orthonormal rows or columns, whichever are fewer.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    scale : float, default 1
        Scale s of the end-to-end matrix, at least 0: all singular values of all layers are
        s^(1/N).
    rng : int, numpy.random.Generator or None
        Randomness, as in SPEC 7.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The layers, uniformly (Haar) distributed up to `scale`.

    Raises
    ------
    ValueError, TypeError
        If the widths, the scale or the dtype are not as above.

    Examples
    --------
    >>> import pydlnet as dln
    >>> first, second = dln.init.orthogonal((4, 2, 3), scale=0.25, rng=0)
    >>> dln.metrics.singular_values(first).round(9), dln.metrics.singular_values(second).round(9)
    (array([0.5, 0.5]), array([0.5, 0.5]))
    >>> (first @ first.T).round(9) + 0.0
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """
    sizes = as_widths(widths)
    factor = layer_scale(scale, "scale", sizes)
    generator = as_rng(rng)
    layers = [factor * _draw_orthogonal(shape, generator) for shape in shapes_of(sizes)]
    return rounded(layers, dtype, "scale")


def identity(widths: Sequence[int], scale: float = 1.0, *, dtype: DTypeLike = np.float64) -> Layers:
    """Return multiples of the identity, padded with zeros where a layer is not square.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    scale : float, default 1
        Scale s of the end-to-end matrix, at least 0: layer j is s^(1/N) I.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The layers.

    Raises
    ------
    ValueError, TypeError
        If the widths, the scale or the dtype are not as above.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.init.identity((3, 2, 2), scale=0.25)
    [array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ]]), array([[0.5, 0. ],
           [0. , 0.5]])]
    """
    sizes = as_widths(widths)
    factor = layer_scale(scale, "scale", sizes)
    return rounded([factor * np.eye(*shape) for shape in shapes_of(sizes)], dtype, "scale")


def _layer_deviations(scale: Any, name: str, widths: tuple[int, ...]) -> list[float]:
    factor = layer_scale(scale, name, widths)
    return [factor / math.sqrt(width) for width in widths[:-1]]


def _draw_orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    tall = (max(shape), min(shape))
    q, r = _core.qr(rng.standard_normal(tall))
    # The signs that make the diagonal of R positive make Q uniform (Mezzadri 2007).
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    layer: FloatArray = q if shape == tall else q.T
    return layer
