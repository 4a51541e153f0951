"""Gradient flow of two layers in closed form: the matrix Riccati equation.

With Q = [W_1^T; W_2] and balanced layers, X = Q Q^T satisfies dX/dt = F X + X F - X^2. Its blocks
are W_1^T W_1, the end-to-end matrix W_2 W_1 with its transpose, and W_2 W_2^T.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .. import _core, chain
from .._validation import FloatArray, IndexArray, as_matrix, as_weights
from ._arguments import as_times

__all__ = ["two_layer_flow", "two_layer_gram"]

_EPSILON = float(np.finfo(np.float64).eps)

# How far W_2^T W_2 - W_1 W_1^T may be from a multiple of the identity, relative to the layers'
# squares. Rounding alone stays below 1e-13 up to a thousand hidden units.
_BALANCE_TOLERANCE = 1e-10


def two_layer_flow(weights: Sequence[ArrayLike], target: ArrayLike, times: ArrayLike) -> FloatArray:
    """Return the end-to-end matrix of two balanced layers under gradient flow.

    Parameters
    ----------
    weights : sequence of two array_like, shapes (h, d_0) and (d_2, h)
        The layers at time 0, with W_2^T W_2 - W_1 W_1^T = lambda I up to rounding; lambda = 0 is
        a balanced start, and with one hidden unit every start qualifies.
    target : array_like, shape (d_2, d_0)
        Any finite matrix, also of low rank.
    times : array_like, shape (n_times,)
        At least 0.

    Returns
    -------
    ndarray, shape (n_times, d_2, d_0)
        W at each of the times.

    Raises
    ------
    ValueError, TypeError
        If there are not two layers, they are not balanced as described, shapes do not fit,
        times are negative or something is not finite.

    Notes
    -----
    The lower left block of `two_layer_gram`, which has the formula. Directions of the start that
    are zero to rounding are taken as zero and stay zero: the flow is exact on the stable manifold
    of a saddle, which a computed network leaves.

    References
    ----------
    .. [1] L. Braun, C. Domine, J. Fitzgerald and A. Saxe, "Exact learning dynamics of deep linear
       networks with prior knowledge", NeurIPS 2022.

    Examples
    --------
    >>> import pydlnet as dln
    >>> w = [[[0.1]], [[0.1]]]
    >>> dln.theory.two_layer_flow(w, [[2.0]], [0.0, 0.7]).ravel().round(7)
    array([0.01     , 0.1526577])
    """
    factors, n_inputs = _factors(weights, target, times)
    return np.stack([chain.product([q[:n_inputs].T, q[n_inputs:]]) for q in factors])


def two_layer_gram(weights: Sequence[ArrayLike], target: ArrayLike, times: ArrayLike) -> FloatArray:
    """Return Q Q^T, Q = [W_1^T; W_2], of two balanced layers under gradient flow.

    Parameters
    ----------
    weights : sequence of two array_like, shapes (h, d_0) and (d_2, h)
        The layers at time 0, with W_2^T W_2 - W_1 W_1^T = lambda I up to rounding.
    target : array_like, shape (d_2, d_0)
        Any finite matrix, also of low rank.
    times : array_like, shape (n_times,)
        At least 0.

    Returns
    -------
    ndarray, shape (n_times, d_0 + d_2, d_0 + d_2)
        [[W_1^T W_1, W^T], [W, W_2 W_2^T]] at each of the times.

    Raises
    ------
    ValueError, TypeError
        As `two_layer_flow`.

    Notes
    -----
    e^(Ft) Q_0 [I + Q_0^T S Q_0]^(-1) Q_0^T e^(Ft) with S the integral of e^(2Fs) from 0 to t and
    F = [[-lambda/2 I, target^T], [target, lambda/2 I]] [1]_, the diagonal blocks being those of
    [2]_. Both exponentials are kept as logarithms: with their scales taken out of [S^(1/2) Q_0; I]
    by elimination with complete pivoting, no time is too long.

    References
    ----------
    .. [1] L. Braun, C. Domine, J. Fitzgerald and A. Saxe, NeurIPS 2022.
    .. [2] C. Domine, N. Anguita, A. Proca, L. Braun, D. Kunin, P. Mediano and A. Saxe, "From lazy
       to rich: exact learning dynamics in deep linear networks", 2024. arXiv:2409.14623

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> start = dln.init.balanced_from(0.1 * np.eye(1), (1, 1, 1))
    >>> dln.theory.two_layer_gram(start, [[2.0]], [10.0]).round(6)
    array([[[2., 2.],
            [2., 2.]]])
    """
    factors, _ = _factors(weights, target, times)
    return np.stack([chain.product([q.T, q]) for q in factors])


def _factors(
    weights: Sequence[ArrayLike], target: ArrayLike, times: ArrayLike
) -> tuple[list[FloatArray], int]:
    """Return a matrix Y with Y Y^T = Q Q^T for every time, and d_0."""
    first, second = _as_two_layers(weights)
    goal = as_matrix(target, "target", shape=(second.shape[0], first.shape[1]))
    t = as_times(times, "times")
    if t.ndim != 1:
        raise ValueError(f"times: expected a vector, got an array of shape {t.shape}")
    rates, vectors = _eigen(goal, _balance(first, second))
    start = np.vstack([first.T, second])
    coefficients = chain.product([start, vectors.T])
    noise = chain.product([np.abs(start), np.abs(vectors.T)])
    coefficients[np.abs(coefficients) <= 4.0 * _EPSILON * noise] = 0.0
    return [
        chain.product([_evolve(coefficients, rates, time), vectors]) for time in t.tolist()
    ], first.shape[1]


def _as_two_layers(weights: Sequence[ArrayLike]) -> tuple[FloatArray, FloatArray]:
    layers = [layer.astype(np.float64) for layer in as_weights(weights)]
    if len(layers) != 2:
        raise ValueError(f"weights: expected two layers, got {len(layers)}")
    return layers[0], layers[1]


def _balance(first: FloatArray, second: FloatArray) -> float:
    """Return lambda of W_2^T W_2 - W_1 W_1^T = lambda I."""
    # Scaled by the largest entry: squares of very small or very large entries leave the range.
    unit = max(float(np.max(np.abs(first))), float(np.max(np.abs(second)))) or 1.0
    first, second = first / unit, second / unit
    inner = chain.product([second, second.T])
    outer = chain.product([first.T, first])
    imbalance = inner - outer
    allowed = _BALANCE_TOLERANCE * max(np.max(np.abs(inner)), np.max(np.abs(outer)))
    lam = float(np.trace(imbalance)) / len(imbalance)
    gap = float(np.max(np.abs(imbalance - lam * np.eye(len(imbalance)))))
    if gap > allowed:
        raise ValueError(
            "weights: expected W_2^T W_2 - W_1 W_1^T to be a multiple of the identity, "
            f"got a matrix whose entries are up to {gap * unit * unit:g} away from it"
        )
    return lam * unit * unit if abs(lam) > allowed else 0.0


def _eigen(target: FloatArray, lam: float) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues (n,) and eigenvectors (n, n) of F, through the SVD of the target."""
    n_outputs, n_inputs = target.shape
    left, sigma, right = np.linalg.svd(target)
    k, half = len(sigma), 0.5 * lam
    size = np.hypot(sigma, half)
    # (sigma, size + half) and (size - half, sigma) are parallel; the longer one is accurate.
    x, y = (sigma, size + half) if half >= 0.0 else (size - half, sigma)
    length = np.hypot(x, y)
    length[length == 0.0] = 1.0
    x, y = np.where(size > 0.0, x / length, 1.0), y / length
    upper, lower = right[:k].T, left[:, :k]
    vectors = np.zeros((n_inputs + n_outputs, n_inputs + n_outputs))
    vectors[:n_inputs, :k], vectors[n_inputs:, :k] = x * upper, y * lower
    vectors[:n_inputs, k : 2 * k], vectors[n_inputs:, k : 2 * k] = -y * upper, x * lower
    vectors[:n_inputs, 2 * k : n_inputs + k] = right[k:].T
    vectors[n_inputs:, n_inputs + k :] = left[:, k:]
    null = np.repeat([-half, half], [n_inputs - k, n_outputs - k])
    return np.concatenate([size, -size, null]), vectors


def _evolve(start: FloatArray, rates: FloatArray, time: float) -> FloatArray:
    """Return the factor at a time, in eigenvectors of F: (n, h) like the start."""
    n, h = start.shape
    growth = np.concatenate([np.maximum(rates, 0.0), np.zeros(h)])
    offset = np.concatenate([0.5 * _log_integral(rates, time), np.zeros(h)])
    basis, pivots = _eliminate(np.vstack([start, np.eye(h)]), growth * time + offset)
    signs = np.sign(basis)
    with np.errstate(divide="ignore", under="ignore"):
        # Differences of rates before the time multiplies them: a pivot's own cancels exactly.
        logs = np.log(np.abs(basis)) - offset[pivots]
        scaled = np.subtract.outer(growth, growth[pivots]) * time + offset[:, None]
        triangle = _core.qr(signs * np.exp(logs + scaled))[1]
        grown = np.exp(logs[:n] + np.subtract.outer(rates, growth[pivots]) * time)
    # Row by row, Y R = grown: small rows keep their own relative accuracy.
    solution: FloatArray = np.linalg.solve(triangle.T, (signs[:n] * grown).T).T
    return np.ascontiguousarray(solution)


def _log_integral(rates: FloatArray, time: float) -> FloatArray:
    """Return ln of the integral of e^(2 f s) from 0 to t, over e^(2 f t) for f > 0."""
    x = 2.0 * np.abs(rates) * time
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        general = np.log(-np.expm1(-x) / (2.0 * np.abs(rates)))
        return np.where(x > 1e-8, general, np.log(time) - 0.5 * x)


def _eliminate(matrix: FloatArray, scales: FloatArray) -> tuple[FloatArray, IndexArray]:
    """Change the column basis so that each column has a 1 where it is largest when scaled.

    Row i stands for e^(scales[i]) matrix[i]. Returns the new basis, unscaled, and the row of each
    column's pivot; scaled and divided by the scale of that row, no entry exceeds 1.
    """
    z, size = matrix.copy(), np.abs(matrix)
    n_columns = z.shape[1]
    free_rows = np.ones(len(z), dtype=np.bool_)
    pivots = np.zeros(n_columns, dtype=np.int64)
    for k in range(n_columns):
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(z[:, k:])) + scales[:, None]
        logs[~free_rows] = -np.inf
        row, offset = divmod(int(np.argmax(logs)), n_columns - k)
        for array in (z, size):
            array[:, [k, k + offset]] = array[:, [k + offset, k]]
        pivot = z[row, k]
        z[:, k] /= pivot
        size[:, k] /= abs(pivot)
        change = z[:, k, None] * z[row, k + 1 :]
        np.maximum(size[:, k + 1 :], np.abs(change), out=size[:, k + 1 :])
        z[:, k + 1 :] -= change
        # What cancels to rounding is zero: its scale could make anything of it.
        z[:, k + 1 :][np.abs(z[:, k + 1 :]) <= 16.0 * _EPSILON * size[:, k + 1 :]] = 0.0
        free_rows[row] = False
        pivots[k] = row
    return z, pivots
