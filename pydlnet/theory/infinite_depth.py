"""The end-to-end dynamics of infinitely many balanced layers: a logarithmic mean.

At depth N gradient flow moves the end-to-end matrix along a preconditioned gradient whose
eigenvalues are sums of N powers of singular values; divided by N, in time N t, they have a limit.
"""

import numpy as np
from numpy.typing import ArrayLike

from .. import _core, chain
from .._validation import FloatArray, as_array, as_matrix

__all__ = ["infinite_depth_spectrum", "infinite_depth_velocity"]


def infinite_depth_spectrum(singular_values: ArrayLike) -> FloatArray:
    """Return the eigenvalues of the preconditioner at infinite depth.

    Parameters
    ----------
    singular_values : array_like, shape (k,)
        At least 0, of the end-to-end matrix.

    Returns
    -------
    ndarray, shape (k, k)
        The eigenvalue of the direction u_r v_q^T: (sigma_r^2 - sigma_q^2) / ln(sigma_r^2 /
        sigma_q^2), sigma_r^2 where both are equal, and 0 where one is 0.

    Raises
    ------
    ValueError, TypeError
        If a number is negative or not finite, or its square leaves the range of float64.

    Notes
    -----
    The limit of sum_j sigma_r^(2(j-1)/N) sigma_q^(2(N-j)/N) / N [1]_, which is the logarithmic
    mean of the squares: the integral of sigma_r^(2 x) sigma_q^(2 (1 - x)) over 0 < x < 1.

    References
    ----------
    .. [1] N. Cohen, G. Menon and Z. Veraszto, "Deep linear networks for matrix completion: an
       infinite depth limit", SIAM J. Appl. Dyn. Syst., 2023. arXiv:2210.12497

    Examples
    --------
    >>> import pydlnet as dln
    >>> float(dln.theory.infinite_depth_spectrum([1.7, 0.6])[0, 1].round(7))
    1.2146481
    """
    sigma = as_array(singular_values, "singular_values", 1)
    with np.errstate(over="ignore"):
        outside = (sigma < 0.0) | np.isinf(sigma * sigma)
    if outside.any():
        raise ValueError(
            "singular_values: expected numbers >= 0 with squares in the range of float64, "
            f"got {sigma[outside][0]}"
        )
    larger = np.maximum.outer(sigma, sigma)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        # Differences of equal zeros are NaN here, and 0 in the result.
        gap = 2.0 * np.abs(np.subtract.outer(np.log(sigma), np.log(sigma)))
        mean = np.where(gap == 0.0, 1.0, -np.expm1(-gap) / gap)
        return np.where(larger > 0.0, larger * larger * mean, 0.0)


def infinite_depth_velocity(end_to_end: ArrayLike, gradient: ArrayLike) -> FloatArray:
    """Return dW / d(N t) under gradient flow of infinitely many balanced layers.

    Parameters
    ----------
    end_to_end : array_like, shape (d_N, d_0)
        W.
    gradient : array_like, shape (d_N, d_0)
        G, the gradient of any loss at W.

    Returns
    -------
    ndarray, shape (d_N, d_0)
        -sum_{r,q} lambda_{r,q} u_r u_r^T G v_q v_q^T, in the singular vectors of W and with the
        eigenvalues of `infinite_depth_spectrum`. The null spaces of W do not move; singular
        values below max(d_N, d_0) rounding errors of the largest count as zero.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, something is not finite, or squares leave the range of float64.

    Notes
    -----
    The limit of the end-to-end dynamics [1]_ divided by N [2]_:
    -integral over 0 < x < 1 of (W W^T)^x G (W^T W)^(1 - x).

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018, Theorem 1. arXiv:1802.06509
    .. [2] N. Cohen, G. Menon and Z. Veraszto, 2023. arXiv:2210.12497

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> limit = dln.theory.infinite_depth_velocity(np.diag([0.5, 0.1]), -np.eye(2))
    >>> limit.round(9) + 0.0
    array([[0.25, 0.  ],
           [0.  , 0.01]])
    >>> many = dln.theory.end_to_end_velocity(np.diag([0.5, 0.1]), -np.eye(2), depth=1000) / 1000
    >>> bool(np.abs(many - limit).max() < 1e-2)
    True
    """
    matrix = as_matrix(end_to_end, "end_to_end")
    slope = as_matrix(gradient, "gradient", shape=(matrix.shape[0], matrix.shape[1]))
    left, sigma, right = _core.svd(matrix)
    # The logarithm makes 1 / 70 of a strength out of a zero that is rounded to 1e-16.
    sigma[sigma <= max(matrix.shape) * np.finfo(np.float64).eps * sigma[0]] = 0.0
    inner = chain.product([right, slope, left.T])
    moved = -infinite_depth_spectrum(sigma) * inner
    result: FloatArray = chain.product([right.T, moved, left])
    return result
