"""Starts whose layers are factors of one matrix, from its singular value decomposition."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import _core
from .._validation import FloatArray, as_matrix, as_real, as_rng, as_widths
from .layers import Layers, Rng, layer_scale, rounded, scaled, shapes_of


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
    matrix = scaled(factor, as_rng(rng).standard_normal((sizes[-1], sizes[0])), "scale")
    return rounded(_factor(matrix, sizes), dtype, "scale")


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
    return rounded(_factor(target, sizes), dtype, "matrix")


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
    factor = layer_scale(scale, "scale", sizes)
    left, _, right = _core.svd(target)
    ones = np.ones(min(sizes))
    return rounded([factor * layer for layer in _chain(left, ones, right, sizes)], dtype, "scale")


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
    layers = [np.zeros(shape) for shape in shapes_of(widths)]
    for layer, block in zip(layers, blocks, strict=True):
        layer[: block.shape[0], : block.shape[1]] = block
    return layers
