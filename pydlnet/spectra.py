"""Measures of a matrix by its singular values, in float64.

The values come from a backward-stable decomposition, never from a Gram matrix.
"""

import math
import sys

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._validation import FloatArray, as_array, as_matrix, as_real

__all__ = ["effective_rank", "nuclear_norm", "schatten_norm", "singular_values", "stable_rank"]


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
