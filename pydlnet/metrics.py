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
from .curvature import HessianExtremes, hessian, hessian_extremes
from .modes import track_modes
from .spectra import effective_rank, nuclear_norm, schatten_norm, singular_values, stable_rank

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
