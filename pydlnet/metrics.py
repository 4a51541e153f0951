"""Measures of matrices and of layers, evaluated in float64.

Papers differ in some definitions, so each function states its formula. Everything spectral
comes from a backward-stable singular value decomposition, never from a Gram matrix.
"""

import itertools
import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._validation import FloatArray, as_array, as_matrix, as_real, as_weights
from .curvature import HessianExtremes, hessian, hessian_extremes
from .modes import track_modes

__all__ = [
    "HessianExtremes",
    "balancedness",
    "deficiency_margin",
    "effective_rank",
    "hessian",
    "hessian_extremes",
    "imbalance",
    "nuclear_norm",
    "reconstruction_error",
    "schatten_norm",
    "singular_values",
    "stable_rank",
    "track_modes",
]


def singular_values(matrix: ArrayLike) -> FloatArray:
    """Return the singular values of a matrix.

    Parameters
    ----------
    matrix : array_like, shape (m, n)
        Finite real numbers.

    Returns
    -------
    ndarray, shape (min(m, n),)
        In descending order, right to a few units in the last place of the largest.

    Raises
    ------
    ValueError, TypeError
        If `matrix` is not a non-empty matrix of finite real numbers.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.metrics.singular_values([[0.0, 2.0], [-3.0, 0.0]]).round(9)
    array([3., 2.])
    """
    values: FloatArray = _core.singular_values(as_matrix(matrix, "matrix"))
    return values


def effective_rank(matrix: ArrayLike) -> float:
    """Return the exponential of the entropy of the normalised singular values.

    Parameters
    ----------
    matrix : array_like, shape (m, n)
        Finite real numbers.

    Returns
    -------
    float
        Between 1 and the rank; 0 for the zero matrix.

    Raises
    ------
    ValueError, TypeError
        If `matrix` is not a non-empty matrix of finite real numbers.

    Notes
    -----
    exp(-sum_r p_r ln p_r) with p_r = sigma_r / sum(sigma) [1]_.

    References
    ----------
    .. [1] O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality",
       EUSIPCO 2007.

    Examples
    --------
    >>> import pydlnet as dln
    >>> round(dln.metrics.effective_rank([[2.0, 0.0], [0.0, 2.0]]), 12)
    2.0
    """
    shares = _relative_values(matrix)
    if shares[0] == 0.0:
        return 0.0
    shares = shares[shares > 0.0] / shares.sum()
    return math.exp(-float(np.sum(shares * np.log(shares))))


def stable_rank(matrix: ArrayLike) -> float:
    """Return the squared Frobenius norm over the squared spectral norm.

    Parameters
    ----------
    matrix : array_like, shape (m, n)
        Finite real numbers.

    Returns
    -------
    float
        Between 1 and the rank; 0 for the zero matrix.

    Raises
    ------
    ValueError, TypeError
        If `matrix` is not a non-empty matrix of finite real numbers.

    Notes
    -----
    ||W||_F^2 / ||W||_2^2 [1]_.

    References
    ----------
    .. [1] M. Rudelson and R. Vershynin, "Sampling from large matrices: an approach through
       geometric functional analysis", J. ACM 54, 2007. arXiv:math/0503442

    Examples
    --------
    >>> import pydlnet as dln
    >>> round(dln.metrics.stable_rank([[4.0, 0.0], [0.0, 2.0]]), 9)
    1.25
    """
    return float(np.sum(_relative_values(matrix) ** 2))


def _relative_values(matrix: ArrayLike) -> FloatArray:
    """Return the singular values over the largest of them; zeros for the zero matrix."""
    array = as_matrix(matrix, "matrix")
    # In units of a power of two: the largest can leave the range where no entry does.
    exponent = int(np.frexp(np.max(np.abs(array)))[1])
    values: FloatArray = _core.singular_values(np.ldexp(array, -exponent))
    return values / values[0] if values[0] > 0.0 else values


def nuclear_norm(matrix: ArrayLike) -> float:
    """Return the sum of the singular values.

    Parameters
    ----------
    matrix : array_like, shape (m, n)
        Finite real numbers.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    ValueError, TypeError
        If `matrix` is not a non-empty matrix of finite real numbers.

    Examples
    --------
    >>> import pydlnet as dln
    >>> round(dln.metrics.nuclear_norm([[3.0, 0.0], [0.0, -4.0]]), 9)
    7.0
    """
    return float(np.sum(singular_values(matrix)))


def schatten_norm(matrix_or_values: ArrayLike, p: float) -> float:
    """Return the Schatten-p norm, or quasi-norm for p < 1.

    Parameters
    ----------
    matrix_or_values : array_like, shape (m, n) or (k,)
        A matrix, or singular values, at least 0 in any order.
    p : float
        Positive and finite: 1 is the nuclear norm, 2 the Frobenius norm.

    Returns
    -------
    float
        At least 0; infinite if it leaves the range of float64, which happens for small p.

    Raises
    ------
    ValueError, TypeError
        If the numbers are not finite and real, a singular value is negative, or p is not as above.

    Notes
    -----
    (sum_r sigma_r^p)^(1/p), evaluated in units of the largest. For small p what rounding leaves
    of a zero would count: (1e-17)^0.1 is 0.02. So singular values of a matrix below
    max(m, n) eps sigma_1, which cannot be told from zero, are taken as zero; values that are
    given are taken as they are. With p = 2 / N it is the penalty that N balanced layers of least
    norm stand for, and not what their gradient descent minimises [1]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.metrics.schatten_norm([[3.0, 0.0], [0.0, 4.0]], 2)
    5.0
    >>> dln.metrics.schatten_norm([1.0, 1.0, 0.0], 0.5)
    4.0
    """
    power = as_real(p, "p", positive=True)
    values = _schatten_values(matrix_or_values)
    largest = float(np.max(values))
    if largest == 0.0 or math.isinf(largest):
        return largest
    total = float(np.sum((values / largest) ** power))
    exponent = math.log(total) / power
    if exponent + math.log(largest) > math.log(sys.float_info.max):
        return math.inf
    if exponent < 700.0:  # the largest value keeps all its digits
        return largest * math.exp(exponent)
    return math.exp(exponent + math.log(largest))


def _schatten_values(matrix_or_values: ArrayLike) -> FloatArray:
    array = as_array(matrix_or_values, "matrix_or_values")
    if array.ndim == 1:
        if np.any(array < 0.0):
            raise ValueError(
                f"matrix_or_values: expected singular values >= 0, got {np.min(array)}"
            )
        return array
    values = singular_values(as_matrix(array, "matrix_or_values"))
    # Not of an infinite value: it would count itself as zero.
    noise = max(array.shape) * sys.float_info.epsilon * min(values[0], sys.float_info.max)
    return np.where(values > noise, values, 0.0)


def imbalance(weights: Sequence[ArrayLike]) -> FloatArray:
    """Return how far each pair of neighbouring layers is from being balanced.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers, W_1 first.

    Returns
    -------
    ndarray, shape (N - 1,)
        ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F for j = 1, ..., N - 1; empty for a single layer.

    Raises
    ------
    ValueError, TypeError
        If the layers are not finite matrices of matching shapes and of one dtype.

    Notes
    -----
    Gradient flow conserves the matrix inside the norm [1]_ [2]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509
    .. [2] S. Du, W. Hu and J. Lee, NeurIPS 2018. arXiv:1806.00900

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> dln.metrics.imbalance([np.eye(2), np.diag([2.0, 1.0]), np.eye(2)])
    array([3., 3.])
    """
    layers = [layer.astype(np.float64) for layer in as_weights(weights)]
    return np.array(
        [_pair_imbalance(before, after) for before, after in itertools.pairwise(layers)],
        dtype=np.float64,
    )


def _pair_imbalance(before: FloatArray, after: FloatArray) -> float:
    outer = _core.chain_product([np.ascontiguousarray(before.T), before])
    inner = _core.chain_product([after, np.ascontiguousarray(after.T)])
    return _frobenius(inner - outer)


def balancedness(weights: Sequence[ArrayLike]) -> float:
    """Return the largest imbalance of neighbouring layers.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers, W_1 first.

    Returns
    -------
    float
        The smallest delta for which the layers are delta-balanced [1]_; 0 for a single layer.

    Raises
    ------
    ValueError, TypeError
        If the layers are not finite matrices of matching shapes and of one dtype.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Definition 1.
       arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> dln.metrics.balancedness([np.eye(2), np.diag([2.0, 1.0]), np.eye(2)])
    3.0
    >>> dln.metrics.balancedness(dln.init.balanced((4, 4, 4), 0.1, rng=0)) < 1e-12
    True
    """
    return float(np.max(imbalance(weights), initial=0.0))


def deficiency_margin(matrix: ArrayLike, target: ArrayLike) -> float:
    """Return by how much a matrix is closer to the target than any rank-deficient one.

    Parameters
    ----------
    matrix, target : array_like, shape (d_N, d_0)
        Finite real numbers.

    Returns
    -------
    float
        sigma_min(target) - ||matrix - target||_F [1]_. Negative if there is no margin.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ or the entries are not finite real numbers.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Definition 2.
       arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> round(dln.metrics.deficiency_margin(np.diag([1.0, 1.5]), np.diag([1.0, 2.0])), 9)
    0.5
    >>> dln.metrics.deficiency_margin(np.zeros((2, 2)), np.eye(2)) > 0  # near zero there is none
    False
    """
    goal = as_matrix(target, "target")
    difference = as_matrix(matrix, "matrix", shape=(goal.shape[0], goal.shape[1])) - goal
    return float(singular_values(goal)[-1]) - _frobenius(difference)


def reconstruction_error(matrix: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean over all entries of the squared difference.

    Parameters
    ----------
    matrix, truth : array_like, shape (d_N, d_0)
        Finite real numbers.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ or the entries are not finite real numbers.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.metrics.reconstruction_error([[1.0, 0.0]], [[1.0, 2.0]])
    2.0
    """
    goal = as_matrix(truth, "truth")
    difference = as_matrix(matrix, "matrix", shape=(goal.shape[0], goal.shape[1])) - goal
    return float(np.mean(difference * difference))


def _frobenius(matrix: FloatArray) -> float:
    # Scaled by the largest entry: squares of very small or very large entries leave the range.
    largest = float(np.max(np.abs(matrix)))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.sum((matrix / largest) ** 2)))
