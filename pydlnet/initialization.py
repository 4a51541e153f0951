"""Starts: functions that return the layers of a network, W_1 first, as a list of arrays.

`scale` multiplies the end-to-end matrix W = W_N ... W_1 and so scale^(1/N) each layer. Random
starts are drawn in float64 and rounded at the end, so both dtypes start at the same place.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core
from ._validation import FloatArray, as_dtype, as_matrix, as_real, as_rng, as_widths, check_finite

__all__ = [
    "balanced",
    "balanced_from",
    "gaussian",
    "identity",
    "orthogonal",
    "spectral",
    "uniform",
]

Layers = list[NDArray[Any]]
Rng = int | np.random.Generator | None


def balanced(
    widths: Sequence[int], scale: float, rng: Rng = None, *, dtype: DTypeLike = np.float64
) -> Layers:
    """Draw a balanced start whose end-to-end matrix has independent normal entries.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    scale : float
        Standard deviation of the entries of the end-to-end matrix, at least 0.
    rng : int, numpy.random.Generator or None
        Randomness, as in SPEC 7.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        Layers with W_{j+1}^T W_{j+1} = W_j W_j^T.

    Raises
    ------
    ValueError, TypeError
        If the widths, the scale or the dtype are not as above.

    Notes
    -----
    Procedure 1 of [1]_: A with independent N(0, scale^2) entries is factored as in
    `balanced_from`. The draw depends on d_0 and d_N only: the same `rng` gives the same A for
    any hidden widths. If a hidden layer is narrower than min(d_0, d_N), the end-to-end matrix
    is the best approximation of A whose rank is the smallest width.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> [layer.shape for layer in dln.init.balanced((4, 3, 2), 0.1, rng=0)]
    [(3, 4), (2, 3)]
    """
    sizes = as_widths(widths)
    factor = as_real(scale, "scale", minimum=0.0)
    matrix = _scaled(factor, as_rng(rng).standard_normal((sizes[-1], sizes[0])), "scale")
    return _round(_factor(matrix, sizes), dtype, "scale")


def balanced_from(
    matrix: ArrayLike, widths: Sequence[int], *, dtype: DTypeLike = np.float64
) -> Layers:
    """Factor a matrix into balanced layers.

    Parameters
    ----------
    matrix : array_like, shape (d_N, d_0)
        The end-to-end matrix; its rank is at most the smallest width.
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        Layers with W_N ... W_1 = matrix and W_{j+1}^T W_{j+1} = W_j W_j^T.

    Raises
    ------
    ValueError, TypeError
        If the matrix does not fit the widths, its rank exceeds the smallest width, or the
        widths or the dtype are not as above.

    Notes
    -----
    From matrix = U S V^T: W_N = U S^(1/N), W_j = S^(1/N), W_1 = S^(1/N) V^T, padded with zeros,
    Procedure 1 of [1]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019. arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> weights = dln.init.balanced_from(np.diag([8.0, 1.0]), (2, 2, 2, 2))
    >>> weights[0].round(9)
    array([[2., 0.],
           [0., 1.]])
    >>> dln.chain.product(weights).round(9)
    array([[8., 0.],
           [0., 1.]])
    """
    sizes = as_widths(widths)
    target = as_matrix(matrix, "matrix", shape=(sizes[-1], sizes[0]))
    values = _core.singular_values(target)
    noise = max(target.shape) * np.finfo(np.float64).eps * values[0]
    rank = int(np.count_nonzero(values > noise))
    if rank > min(sizes):
        raise ValueError(
            f"matrix: expected a rank of at most {min(sizes)}, the smallest of widths, got {rank}"
        )
    return _round(_factor(target, sizes), dtype, "matrix")


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
        _scaled(deviation, generator.standard_normal(shape), name)
        for deviation, shape in zip(deviations, _shapes(sizes), strict=True)
    ]
    return _round(layers, dtype, name)


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
        _scaled(bound, generator.uniform(-1.0, 1.0, shape), "scale")
        for bound, shape in zip(bounds, _shapes(sizes), strict=True)
    ]
    return _round(layers, dtype, "scale")


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
    factor = _layer_scale(scale, "scale", sizes)
    generator = as_rng(rng)
    layers = [factor * _draw_orthogonal(shape, generator) for shape in _shapes(sizes)]
    return _round(layers, dtype, "scale")


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
    factor = _layer_scale(scale, "scale", sizes)
    return _round([factor * np.eye(*shape) for shape in _shapes(sizes)], dtype, "scale")


def spectral(
    matrix: ArrayLike,
    widths: Sequence[int],
    scale: float = 1.0,
    *,
    dtype: DTypeLike = np.float64,
) -> Layers:
    """Align the first and the last layer with the leading singular vectors of a matrix.

    Parameters
    ----------
    matrix : array_like, shape (d_N, d_0)
        Matrix whose singular vectors are taken, such as the target or a surrogate of it.
    widths : sequence of int
        (d_0, ..., d_N), each at least 1.
    scale : float, default 1
        Scale s of the end-to-end matrix, at least 0.
    dtype : {float64, float32}
        Of the layers.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        With k the smallest width, W_1 = s^(1/N) V_k^T, W_j = s^(1/N) I_k and
        W_N = s^(1/N) U_k, padded with zeros; for a single layer s U_k V_k^T.

    Raises
    ------
    ValueError, TypeError
        If the matrix does not fit the widths, or the widths, the scale or the dtype are not as
        above.

    References
    ----------
    .. [1] S. M. Kwon, Z. Zhang, D. Song, L. Balzano and Q. Qu, "Efficient low-dimensional
       compression of overparameterized models", 2023. arXiv:2311.05061

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> target = np.diag([3.0, 2.0, 1.0])
    >>> weights = dln.init.spectral(target, (3, 2, 3), scale=0.01)
    >>> np.abs(dln.chain.product(weights)).round(9)
    array([[0.01, 0.  , 0.  ],
           [0.  , 0.01, 0.  ],
           [0.  , 0.  , 0.  ]])
    """
    sizes = as_widths(widths)
    target = as_matrix(matrix, "matrix", shape=(sizes[-1], sizes[0]))
    factor = _layer_scale(scale, "scale", sizes)
    left, _, right = _core.svd(target)
    ones = np.ones(min(sizes))
    return _round([factor * layer for layer in _chain(left, ones, right, sizes)], dtype, "scale")


def _factor(matrix: FloatArray, widths: tuple[int, ...]) -> list[FloatArray]:
    """Return balanced layers of the best approximation of rank min(widths)."""
    if len(widths) == 2:
        return [matrix]
    left, values, right = _core.svd(matrix)
    return _chain(left, values[: min(widths)] ** (1.0 / (len(widths) - 1)), right, widths)


def _chain(
    left: FloatArray, diagonal: FloatArray, right: FloatArray, widths: tuple[int, ...]
) -> list[FloatArray]:
    """Return layers U D, D, ..., D, D V^T padded with zeros, with D of size k <= min(widths)."""
    k = diagonal.size
    first = diagonal[:, np.newaxis] * right[:, :k].T
    last = left[:, :k] * diagonal
    depth = len(widths) - 1
    if depth == 1:
        return [_core.chain_product([np.ascontiguousarray(right[:, :k].T), last])]
    blocks = [first, *[np.diag(diagonal)] * (depth - 2), last]
    layers = [np.zeros(shape) for shape in _shapes(widths)]
    for layer, block in zip(layers, blocks, strict=True):
        layer[: block.shape[0], : block.shape[1]] = block
    return layers


def _draw_orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    tall = (max(shape), min(shape))
    q, r = _core.qr(rng.standard_normal(tall))
    # The signs that make the diagonal of R positive make Q uniform (Mezzadri 2007).
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    layer: FloatArray = q if shape == tall else q.T
    return layer


def _shapes(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(widths[1:], widths, strict=False))


def _layer_scale(scale: Any, name: str, widths: tuple[int, ...]) -> float:
    return math.pow(as_real(scale, name, minimum=0.0), 1.0 / (len(widths) - 1))


def _layer_deviations(scale: Any, name: str, widths: tuple[int, ...]) -> list[float]:
    factor = _layer_scale(scale, name, widths)
    return [factor / math.sqrt(width) for width in widths[:-1]]


def _scaled(factor: float, array: FloatArray, name: str) -> FloatArray:
    with np.errstate(over="ignore"):
        scaled = factor * array
    check_finite(scaled, name)
    return scaled


def _round(layers: list[FloatArray], dtype: DTypeLike, name: str) -> Layers:
    """Return C-contiguous layers of the dtype, checked to be in its range."""
    target = as_dtype(dtype)
    with np.errstate(over="ignore"):
        rounded = [np.ascontiguousarray(layer, dtype=target) for layer in layers]
    if not all(np.isfinite(layer).all() for layer in rounded):
        raise ValueError(f"{name}: expected layers in the range of {target}, got an overflow")
    return rounded
