"""Measures of matrices and of layers, evaluated in float64.

Papers differ in some definitions, so each function states its formula. Everything spectral
comes from a backward-stable singular value decomposition, never from a Gram matrix.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._validation import FloatArray, as_matrix, as_weights

__all__ = [
    "balancedness",
    "deficiency_margin",
    "effective_rank",
    "imbalance",
    "nuclear_norm",
    "reconstruction_error",
    "singular_values",
    "stable_rank",
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
    >>> round(effective_rank([[2.0, 0.0], [0.0, 2.0]]), 12)
    2.0
    """
    values = singular_values(matrix)
    if values[0] == 0.0:
        return 0.0
    # Scaled by the largest first: the sum cannot overflow then.
    shares = values / values[0]
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
    """
    values = singular_values(matrix)
    return float(np.sum((values / values[0]) ** 2)) if values[0] > 0.0 else 0.0


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
    """
    return float(np.sum(singular_values(matrix)))


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
