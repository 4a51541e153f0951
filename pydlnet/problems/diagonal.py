"""Squared regression in coordinates of the input where its statistic is diagonal.

With the singular value decomposition X = U S V^T of the inputs and W = W' V^T the loss of W is
1/2 ||W' S - (U^T Y)^T||_F^2 and a constant: one sweep over W' takes the place of two products.
"""

from typing import NamedTuple

import numpy as np

from .. import _core
from .._validation import FloatArray
from ..compression import multiply

__all__ = ["DiagonalStatistics", "diagonal_basis", "diagonal_statistics"]


class DiagonalStatistics(NamedTuple):
    """What is left of samples x_i, y_i in the coordinates of a diagonal basis."""

    scales: FloatArray  # (c_0,), the diagonal of S, signs included
    outputs: FloatArray  # (c_N, c_0), (U^T Y)^T
    residual: float  # ||Y - U U^T Y||_F^2


def diagonal_basis(inputs: FloatArray, basis: FloatArray | None) -> FloatArray:
    """Return a basis of the same span in which the inputs are orthogonal, the largest first.

    Parameters
    ----------
    inputs : ndarray of float64, shape (n, d_0)
        One sample a row.
    basis : ndarray of float64, shape (d_0, c_0), or None
        Orthonormal columns; None for all coordinates.

    Returns
    -------
    ndarray of float64, shape (d_0, c_0)
        Orthonormal columns.
    """
    core_width = inputs.shape[1] if basis is None else basis.shape[1]
    _, _, right = _core.svd(_with_rows(multiply(inputs, basis), core_width))
    return multiply(basis, right)


def diagonal_statistics(inputs: FloatArray, outputs: FloatArray) -> DiagonalStatistics:
    """Return the statistics of samples in the coordinates of a diagonal basis.

    Parameters
    ----------
    inputs : ndarray of float64, shape (n, c_0)
        In these coordinates: columns orthogonal to rounding, the largest first.
    outputs : ndarray of float64, shape (n, c_N)
        One sample a row.

    Returns
    -------
    DiagonalStatistics
        A function of the arguments alone, so that a run that goes on finds what it had.
    """
    # With the largest column first, what the triangle has off its diagonal is rounding of the
    # largest column, and the rotation is orthogonal whatever the smallest ones are.
    n = inputs.shape[1]
    triangle, rotated, residual = _core.reduce_least_squares(
        _with_rows(inputs, n), _with_rows(outputs, n)
    )
    scales = np.ascontiguousarray(np.diagonal(triangle))
    return DiagonalStatistics(scales, np.ascontiguousarray(rotated.T), residual)


def _with_rows(matrix: FloatArray, n: int) -> FloatArray:
    """Append rows of zeros until there are n."""
    missing = n - len(matrix)
    return matrix if missing <= 0 else np.vstack([matrix, np.zeros((missing, matrix.shape[1]))])
