"""The Hessian of 1/2 ||W_N ... W_1 - target||_F^2 at its minima: spectrum, sharpness and trace.

Minima are those with W = target, which exist if no hidden width is below its rank. There the
Hessian is J^T J with the derivative J of W in the layers. Its eigenvalues other than zero are those
of J J^T, which takes a matrix D to the sum over j of S_j S_j^T D P_{j-1}^T P_{j-1}, with
P_j = W_j ... W_1 and S_j = W_N ... W_{j+1}.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from .._validation import FloatArray, IndexArray, as_count, as_matrix, as_weights

__all__ = [
    "balanced_hessian_spectrum",
    "hessian_trace",
    "smallest_hessian_trace",
    "smallest_sharpness",
]


def balanced_hessian_spectrum(target: ArrayLike, depth: int) -> FloatArray:
    """Return the Hessian's eigenvalues at a balanced minimum, but for further zeros.

    Parameters
    ----------
    target : array_like, shape (d_N, d_0)
        Finite real numbers.
    depth : int
        The number N of layers, at least 1.

    Returns
    -------
    ndarray, shape (d_N, d_0)
        The eigenvalue of each pair (r, q) of a left and a right singular vector of the target, both
        in the order of descending singular values and those of value zero included. The first one
        is the largest, `smallest_sharpness`. All other eigenvalues of the Hessian are zero.

    Raises
    ------
    ValueError, TypeError
        If the target is not a finite matrix or the depth is not as described.

    Notes
    -----
    sum_{j=1}^N sigma_r^(2(N-j)/N) sigma_q^(2(j-1)/N) with 0^0 = 1, as in [1]_ for square targets.
    In a balanced minimum S_j S_j^T is U Sigma^(2(N-j)/N) U^T and P_{j-1}^T P_{j-1} likewise; the
    empty products S_N and P_0 are identities of full rank.

    References
    ----------
    .. [1] A. Ghosh, S. Kwon, R. Wang, S. Ravishankar and Q. Qu, "Learning dynamics of deep matrix
       factorization beyond the edge of stability", ICLR 2025. arXiv:2502.20531

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> dln.theory.balanced_hessian_spectrum(np.diag([4.0, 1.0]), 2)
    array([[8., 5.],
           [5., 2.]])
    """
    matrix = as_matrix(target, "target")
    n_layers = as_count(depth, "depth", 1)
    values = _core.singular_values(matrix)
    left, right = (np.pad(values, (0, size - len(values))) for size in matrix.shape)
    powers = 2.0 * np.arange(n_layers) / n_layers
    # NumPy's 0.0**0.0 is 1.
    rows, columns = (side[np.newaxis, :] ** powers[:, np.newaxis] for side in (left, right))
    return np.asarray(np.sum(rows[::-1, :, np.newaxis] * columns[:, np.newaxis, :], axis=0))


def smallest_sharpness(target: ArrayLike, depth: int) -> float:
    """Return the sharpness of the flattest minimum.

    Parameters
    ----------
    target : array_like, shape (d_N, d_0)
        Finite real numbers.
    depth : int
        The number N of layers, at least 1.

    Returns
    -------
    float
        N sigma_1^(2-2/N), sigma_1 being the largest singular value of the target. Every minimum is
        at least as sharp; balanced layers are exactly so. So gradient descent with a rate above 2
        over this, `stability_limit` of sigma_1, leaves every minimum.

    Raises
    ------
    ValueError, TypeError
        If the target is not a finite matrix or the depth is not as described.

    Notes
    -----
    Due to [1]_ for deep linear networks. With the first singular vectors u and v of the target the
    largest eigenvalue is at least u v^T : J J^T u v^T = sum_j ||S_j^T u||^2 ||P_{j-1} v||^2, which
    is at least N times the geometric mean of its terms; and ||S_j^T u|| ||P_j v|| is at least
    u^T S_j P_j v = sigma_1.

    References
    ----------
    .. [1] R. Mulayoff and T. Michaeli, "Unique properties of flat minima in deep networks",
       ICML 2020. arXiv:2002.04710

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> round(dln.theory.smallest_sharpness(np.diag([4.0, 1.0]), depth=2), 9)
    8.0
    >>> problem = dln.TargetMatrix(np.diag([4.0, 1.0]))
    >>> weights = dln.init.balanced_from(problem.target, (2, 2, 2))
    >>> round(dln.metrics.hessian_extremes(weights, problem).largest, 6)
    8.0
    """
    matrix = as_matrix(target, "target")
    n_layers = as_count(depth, "depth", 1)
    return float(n_layers * _core.singular_values(matrix)[0] ** (2.0 - 2.0 / n_layers))


def hessian_trace(weights: Sequence[ArrayLike]) -> float:
    """Return the trace of the Hessian, the sum of its eigenvalues, at any layers.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32. They need not be a minimum.

    Returns
    -------
    float
        Whatever the target. Infinite if it leaves the range of float64.

    Raises
    ------
    ValueError, TypeError
        If the layers do not form a finite chain.

    Notes
    -----
    sum_j ||S_j||_F^2 ||P_{j-1}||_F^2, empty products being identities: the loss is quadratic in
    each layer alone, so the trace knows nothing of the target.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.hessian_trace([[[2.0]], [[3.0]]])
    13.0
    """
    layers = [np.asarray(layer, dtype=np.float64) for layer in as_weights(weights)]
    transposed = [np.ascontiguousarray(layer.T) for layer in reversed(layers)]
    before, powers_before = _norms(layers)
    after, powers_after = _norms(transposed)
    terms, powers = before * after[::-1], powers_before + powers_after[::-1]
    with np.errstate(over="ignore", under="ignore"):
        return float(np.sum(np.ldexp(terms * terms, 2 * powers)))


def smallest_hessian_trace(target: ArrayLike, depth: int) -> float:
    """Return the smallest trace of the Hessian among all minima.

    Parameters
    ----------
    target : array_like, shape (d_N, d_0)
        Finite real numbers.
    depth : int
        The number N of layers, at least 1.

    Returns
    -------
    float
        N (d_0 d_N)^(1/N) ||target||_*^(2-2/N) with the nuclear norm. Reached by layers that are not
        balanced: the flattest minima by trace and by sharpness are different ones.

    Raises
    ------
    ValueError, TypeError
        If the target is not a finite matrix or the depth is not as described.

    Notes
    -----
    Studied in [1]_. By `hessian_trace` and the inequality of the means it is at least N times the
    N-th root of the product of all ||S_j||_F^2 ||P_{j-1}||_F^2, and ||S_j||_F ||P_j||_F is at
    least ||S_j P_j||_*. Equality needs P_j = c_j Q_j Sigma^(1/2) V^T with orthogonal Q_j: hidden
    layers are multiples of orthogonal matrices, and the numbers c_j can make all terms equal.

    References
    ----------
    .. [1] K. Gatmiry, Z. Li, T. Ma, S. Reddi, S. Jegelka and C.-Y. Chuang, "What is the inductive
       bias of flatness regularization?", NeurIPS 2023. arXiv:2306.13239

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> round(dln.theory.smallest_hessian_trace(np.diag([4.0, 1.0]), depth=2), 9)
    20.0
    """
    matrix = as_matrix(target, "target")
    n_layers = as_count(depth, "depth", 1)
    nuclear = float(np.sum(_core.singular_values(matrix)))
    return float(n_layers * matrix.size ** (1.0 / n_layers) * nuclear ** (2.0 - 2.0 / n_layers))


def _norms(layers: list[FloatArray]) -> tuple[FloatArray, IndexArray]:
    """Return ||P_0||_F, ..., ||P_{N-1}||_F, each to be multiplied by a power of two.

    One of these may leave the range of float64 where the trace does not.
    """
    product, power = np.eye(layers[0].shape[1]), 0
    norms, powers = [np.linalg.norm(product)], [power]
    for layer in layers[:-1]:
        factor, of_layer = _scaled(layer)
        product, of_product = _scaled(_multiply(product, factor))
        power += of_layer + of_product
        norms.append(np.linalg.norm(product))
        powers.append(power)
    return np.array(norms), np.array(powers, dtype=np.int64)


def _scaled(matrix: FloatArray) -> tuple[FloatArray, int]:
    """Return the matrix with its largest entry in size between 1/2 and 1, and the power taken out.

    A matrix of zeros stays as it is.
    """
    power = int(np.frexp(np.abs(matrix).max())[1])
    scaled: FloatArray = np.ldexp(matrix, -power)
    return scaled, power


def _multiply(product: FloatArray, layer: FloatArray) -> FloatArray:
    result: FloatArray = _core.chain_product([product, layer])
    return result
