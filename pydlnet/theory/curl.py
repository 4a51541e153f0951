"""Why no regulariser does what depth does: its velocities are not those of a gradient.

With one output, depth N moves the end-to-end vector w by -F(w), with

    F(w) = ||w||^(2-2/N) (g + (N-1) <w, g> / ||w||^2 w),    g = grad l(w).

If a regulariser R made gradient descent on l + R do the same, F would be the gradient of l + R: it
would have no curl, and its integral round any closed curve would be zero.
"""

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_count, as_matrix, as_real
from ..problems import Problem
from ._arguments import as_gradient
from .end_to_end import check_single_output, direction

__all__ = ["end_to_end_circulation", "end_to_end_curl"]


def end_to_end_curl(
    end_to_end: ArrayLike,
    problem: Problem | ArrayLike,
    depth: int,
    *,
    hessian: ArrayLike | None = None,
) -> FloatArray:
    """Return the curl of the field that balanced layers with one output descend.

    Parameters
    ----------
    end_to_end : array_like, shape (1, d_0)
        w.
    problem : Problem or array_like, shape (1, d_0)
        What is minimised, or its gradient g at w.
    depth : int
        N, at least 1.
    hessian : array_like, shape (d_0, d_0), optional
        H, symmetric: that of the loss at w; 0, the one of a linear loss, if not given.

    Returns
    -------
    ndarray, shape (d_0, d_0)
        The derivative of F_i in w_j less that of F_j in w_i, antisymmetric. Where it is not
        zero, no function has the gradient F.

    Raises
    ------
    ValueError, TypeError
        If there is more than one output, `hessian` is not symmetric, an argument is not as above,
        w is 0 at depth 2, where F has no derivative, or the curl leaves the range of float64.

    Notes
    -----
    It is -(N-1)(N-2)/N ||w||^(-2/N) (g w^T - w g^T)
    + (N-1) ||w||^(-2/N) (w (H w)^T - (H w) w^T).

    The first part is there for a linear loss already, from depth 3 on. It goes to zero more slowly
    than the second where w does, which is why Theorem 2 of [1]_ holds for every loss whose gradient
    is not zero there. At depth 2 only the second is left, which vanishes everywhere for H = c I
    alone: a linear loss does lead to a gradient then, that of ||w|| <w, g>.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.theory.end_to_end_curl([[1.0, 0.0]], [[0.0, 3.0]], depth=3).round(12)
    array([[ 0.,  2.],
           [-2.,  0.]])
    """
    matrix = as_matrix(end_to_end, "end_to_end")
    check_single_output(matrix)
    gradient = as_gradient(problem, matrix)[0]
    n_layers = as_count(depth, "depth", 1)
    second = _as_hessian(hessian, gradient.size)
    norm, along = direction(matrix)
    if norm == 0.0 and n_layers == 2:
        raise ValueError(
            "end_to_end: expected w other than 0 at depth 2, where the field has no derivative at 0"
        )
    if norm == 0.0 or n_layers == 1:
        return np.zeros((gradient.size, gradient.size))
    with np.errstate(over="ignore", invalid="ignore"):
        pull = (n_layers - 2) / n_layers * gradient + norm * (second @ along[0])
        half = (n_layers - 1) * norm ** (1.0 - 2.0 / n_layers) * np.outer(along[0], pull)
        curl: FloatArray = half - half.T
    if not np.isfinite(curl).all():
        raise ValueError("end_to_end: expected a curl in the range of float64, got an overflow")
    return curl


def _as_hessian(hessian: ArrayLike | None, size: int) -> FloatArray:
    if hessian is None:
        return np.zeros((size, size))
    matrix = as_matrix(hessian, "hessian", shape=(size, size))
    largest = float(np.max(np.abs(matrix)))
    difference = float(np.max(np.abs(matrix - matrix.T)))
    if difference > 1e-8 * largest:  # more than rounding leaves in any way of computing it
        raise ValueError(
            "hessian: expected a symmetric matrix, got entries that differ from their mirror "
            f"images by up to {difference:g}"
        )
    return matrix


def end_to_end_circulation(
    gradient_norm: float, depth: int, inner_radius: float, outer_radius: float
) -> float:
    """Return the integral of the field of a linear loss round a half ring: zero for a gradient.

    Parameters
    ----------
    gradient_norm : float
        ||g||, at least 0.
    depth : int
        N, at least 1.
    inner_radius, outer_radius : float
        r and R, 0 <= r <= R.

    Returns
    -------
    float
        2 (N-1)(N-2) / (3N-2) ||g|| (R^(3-2/N) - r^(3-2/N)): zero at depths 1 and 2 only.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the integral leaves the range of float64.

    Notes
    -----
    The curve is that of the proof of Theorem 2 of [1]_: along e = g / ||g|| from -R e to -r e, on a
    half circle of radius r to r e, along e to R e, and on a half circle of radius R back. On the
    straight parts F is N ||w||^(2-2/N) g, on the circles only g counts, as they are at right
    angles to w. A loss whose gradient is continuous and g at 0 has this integral up to a share that
    goes to 0 with R, for a fixed r / R.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import pydlnet as dln
    >>> [dln.theory.end_to_end_circulation(1.0, depth, 0.0, 1.0) for depth in (1, 2, 4)]
    [0.0, 0.0, 1.2]
    """
    norm = as_real(gradient_norm, "gradient_norm", minimum=0.0)
    n_layers = as_count(depth, "depth", 1)
    outer = as_real(outer_radius, "outer_radius", minimum=0.0)
    inner = as_real(inner_radius, "inner_radius", minimum=0.0)
    if inner > outer:
        raise ValueError(f"inner_radius: expected at most outer_radius, {outer:g}, got {inner:g}")
    factor = 2.0 * ((n_layers - 1) * (n_layers - 2) / (3 * n_layers - 2))
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.power([inner, outer], 3.0 - 2.0 / n_layers)
        integral = float(factor * norm * (powers[1] - powers[0]))
    if not np.isfinite(integral):
        raise ValueError("outer_radius: expected an integral in the range of float64")
    return integral
