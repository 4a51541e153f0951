"""The matrices that meet the data of completion and sensing exactly: projections and multipliers.

Both are sets {X : <A_i, X> = values_i}. A multiplier y_i for each of the conditions makes up the
matrix sum_i y_i A_i, which is orthogonal to the set.
"""

from typing import Protocol

import numpy as np
import scipy

from ._validation import FloatArray, check_finite
from .problems import MatrixCompletion, MatrixSensing

__all__ = ["Constraint", "Entries", "Measurements"]

# Rows of a Gram matrix above this reciprocal condition number come out of Cholesky orthonormal to
# about 1e-12; below it a singular value decomposition decides about their rank.
_WELL_CONDITIONED = 1e-4

# Residual, relative to the largest value, beyond which dependent measurements contradict each
# other: far above rounding, far below anything measured.
_CONTRADICTION = 1e-10


class Constraint(Protocol):
    """What the solver needs to know of the set."""

    shape: tuple[int, int]
    values: FloatArray

    def project(self, matrix: FloatArray, scale: float) -> FloatArray:
        """Return the nearest X with <A_i, X> = values_i / scale."""

    def multipliers(self, normal: FloatArray) -> FloatArray:
        """Return y with sum_i y_i A_i = normal, a matrix orthogonal to the set."""

    def combine(self, multipliers: FloatArray) -> FloatArray:
        """Return sum_i y_i A_i."""

    def residuals(self, matrix: FloatArray) -> FloatArray:
        """Return <A_i, matrix> - values_i."""


class Entries:
    """Observed entries: the A_i are matrices with a single one.

    Parameters
    ----------
    problem : MatrixCompletion
        What was observed.
    """

    def __init__(self, problem: MatrixCompletion) -> None:
        self.shape = problem.shape
        self.values = problem.values
        self._where = (problem.rows, problem.columns)

    def project(self, matrix: FloatArray, scale: float) -> FloatArray:
        """Return the nearest X with <A_i, X> = values_i / scale."""
        nearest = matrix.copy()
        nearest[self._where] = self.values / scale
        return nearest

    def multipliers(self, normal: FloatArray) -> FloatArray:
        """Return y with sum_i y_i A_i = normal, a matrix orthogonal to the set."""
        return normal[self._where]

    def combine(self, multipliers: FloatArray) -> FloatArray:
        """Return sum_i y_i A_i."""
        matrix = np.zeros(self.shape)
        matrix[self._where] = multipliers
        return matrix

    def residuals(self, matrix: FloatArray) -> FloatArray:
        """Return <A_i, matrix> - values_i."""
        return matrix[self._where] - self.values


class Measurements:
    """Measurements by matrices A_i, which may depend on each other as long as they agree.

    Parameters
    ----------
    problem : MatrixSensing
        What was measured.

    Raises
    ------
    ValueError
        If no matrix meets all the measurements.

    Notes
    -----
    With the normalised A_i as rows of a matrix A, the set is {X : B vec(X) = c} with orthonormal
    rows of B = T A, where T is the inverse of the Cholesky factor of A A^T if that is well
    conditioned, and S^-1 U^T from the singular value decomposition of A otherwise.
    """

    def __init__(self, problem: MatrixSensing) -> None:
        self.shape = problem.shape
        self.values = problem.values
        self._rows = problem.measurements.reshape(self.values.size, -1)
        self._norms = _norms(self._rows)
        with np.errstate(over="ignore"):
            goals = self.values / self._norms
        check_finite(goals, "values / norms of the measurements")
        self._basis, self._transform = _orthonormal_rows(self._rows / self._norms[:, np.newaxis])
        self._goals = self._transform(goals)
        self._check_consistent(goals)

    def project(self, matrix: FloatArray, scale: float) -> FloatArray:
        """Return the nearest X with <A_i, X> = values_i / scale."""
        missing = self._goals / scale - self._basis @ matrix.ravel()
        return matrix + (missing @ self._basis).reshape(self.shape)

    def multipliers(self, normal: FloatArray) -> FloatArray:
        """Return y with sum_i y_i A_i = normal, a matrix orthogonal to the set."""
        return self._transform.transposed(self._basis @ normal.ravel()) / self._norms

    def combine(self, multipliers: FloatArray) -> FloatArray:
        """Return sum_i y_i A_i."""
        matrix: FloatArray = (multipliers @ self._rows).reshape(self.shape)
        return matrix

    def residuals(self, matrix: FloatArray) -> FloatArray:
        """Return <A_i, matrix> - values_i."""
        residuals: FloatArray = self._rows @ matrix.ravel() - self.values
        return residuals

    def _check_consistent(self, goals: FloatArray) -> None:
        nearest = self.project(np.zeros(self.shape), 1.0).ravel()
        misses = np.abs((self._rows @ nearest) / self._norms - goals)
        worst = int(np.argmax(misses))
        if misses[worst] > _CONTRADICTION * float(np.max(np.abs(goals))):
            raise ValueError(
                "values: expected values that some matrix gives for these measurements, got "
                f"values[{worst}] = {self.values[worst]}, which contradicts the others by "
                f"{misses[worst] * self._norms[worst]:.3g}"
            )


class _Transform:
    """The matrix T with orthonormal T A, as a triangle L with T = L^-1 or as itself.

    Parameters
    ----------
    matrix : ndarray, shape (r, m)
        T, or L of shape (m, m).
    inverse : bool
        Whether `matrix` is L.
    """

    def __init__(self, matrix: FloatArray, *, inverse: bool) -> None:
        self._matrix = matrix
        self._inverse = inverse

    def __call__(self, vector: FloatArray) -> FloatArray:
        """Return T vector."""
        result: FloatArray = (
            scipy.linalg.solve_triangular(self._matrix, vector, lower=True, check_finite=False)
            if self._inverse
            else self._matrix @ vector
        )
        return result

    def transposed(self, vector: FloatArray) -> FloatArray:
        """Return T^T vector."""
        result: FloatArray = (
            scipy.linalg.solve_triangular(
                self._matrix, vector, trans="T", lower=True, check_finite=False
            )
            if self._inverse
            else vector @ self._matrix
        )
        return result


def _orthonormal_rows(rows: FloatArray) -> tuple[FloatArray, _Transform]:
    """Return a basis of the row space and the transform that makes it from the rows."""
    triangle = _cholesky(rows)
    if triangle is not None:
        basis = scipy.linalg.solve_triangular(triangle, rows, lower=True, check_finite=False)
        return np.ascontiguousarray(basis), _Transform(triangle, inverse=True)
    left, values, right = scipy.linalg.svd(rows, full_matrices=False, check_finite=False)
    rank = int(np.count_nonzero(values > max(rows.shape) * np.finfo(np.float64).eps * values[0]))
    scaled = np.ascontiguousarray(left[:, :rank].T) / values[:rank, np.newaxis]
    return right[:rank], _Transform(scaled, inverse=False)


def _cholesky(rows: FloatArray) -> FloatArray | None:
    """Return the lower factor of rows rows^T, or None if that is not well conditioned."""
    if rows.shape[0] > rows.shape[1]:
        return None
    gram = rows @ rows.T
    size = float(np.max(np.sum(np.abs(gram), axis=0)))
    factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=1, clean=1)
    if failed:
        return None
    reciprocal, _ = scipy.linalg.lapack.dpocon(factor, size, uplo="L")
    return np.asarray(factor) if reciprocal > _WELL_CONDITIONED else None


def _norms(rows: FloatArray) -> FloatArray:
    """Return the norm of each row, or 1 for a row of zeros."""
    largest = np.max(np.abs(rows), axis=1)
    largest[largest == 0.0] = 1.0
    # Scaled by the largest entry: squares of very small or very large entries leave the range.
    norms: FloatArray = largest * np.sqrt(np.sum((rows / largest[:, np.newaxis]) ** 2, axis=1))
    norms[norms == 0.0] = 1.0
    return norms
