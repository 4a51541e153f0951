"""Fixed points of slowly converging maps, with Anderson's acceleration."""

import math

import numpy as np

from ._validation import FloatArray

__all__ = ["Anderson"]

# Relative to the trace of the normal equations: keeps their solution bounded where differences of
# residuals are nearly dependent.
_REGULARISATION = 1e-10

# An accelerated point may have this many times the least residual so far; beyond that the plain
# step is taken instead.
_TOLERATED_GROWTH = 2.0


class Anderson:
    """Points at which to evaluate a map next, to reach z = z + f(z).

    Parameters
    ----------
    size : int
        Number of entries of a point.
    memory : int
        Number of earlier differences that the next point is extrapolated from.

    Notes
    -----
    Type II of [1]_: the next point is z + f - (dZ + dF) g, where g minimises ||f - dF g||, with
    the safeguard that a point whose residual has grown is replaced by the plain z + f before it,
    from which the memory starts afresh.

    References
    ----------
    .. [1] H. Walker and P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer.
       Anal. 49, 2011.
    """

    def __init__(self, size: int, memory: int) -> None:
        self._residuals = np.zeros((memory, size))  # dF
        self._images = np.zeros((memory, size))  # dZ + dF
        self._gram = np.zeros((memory, memory))  # dF dF^T
        self._count = 0
        self._last: tuple[FloatArray, FloatArray] | None = None
        self._plain: FloatArray | None = None
        self._least = math.inf

    def next(self, point: FloatArray, residual: FloatArray) -> FloatArray:
        """Return where to evaluate next, from a point z and f(z) there.

        Parameters
        ----------
        point, residual : ndarray
            Of any shape with `size` entries; not modified, and kept until the next call.

        Returns
        -------
        ndarray
            Of the same shape.
        """
        norm = math.sqrt(float(np.sum(residual * residual)))
        if self._plain is not None and norm > _TOLERATED_GROWTH * self._least:
            fallback = self._plain
            self._forget()
            return fallback
        self._least = min(self._least, norm)
        self._remember(point, residual)
        plain = point + residual
        self._plain = plain if self._count else None
        return plain - self._correction(residual) if self._count else plain

    def _forget(self) -> None:
        self._count = 0
        self._last = None
        self._plain = None

    def _remember(self, point: FloatArray, residual: FloatArray) -> None:
        if self._last is not None:
            row = self._count % len(self._gram)
            self._residuals[row] = (residual - self._last[1]).ravel()
            self._images[row] = (point - self._last[0]).ravel() + self._residuals[row]
            self._count += 1
            products = _products(self._residuals, self._residuals[row])
            self._gram[row], self._gram[:, row] = products, products
        self._last = (point, residual)

    def _correction(self, residual: FloatArray) -> FloatArray:
        n_known = min(self._count, len(self._gram))
        normal = self._gram[:n_known, :n_known].copy()
        normal[np.diag_indices(n_known)] += _REGULARISATION * np.trace(normal)
        # Least squares: differences that have come to rest are zero, and so is their matrix.
        sides = _products(self._residuals[:n_known], residual.ravel())
        weights = np.linalg.lstsq(normal, sides, rcond=None)[0]
        correction: FloatArray = np.einsum("i,ij->j", weights, self._images[:n_known])
        return correction.reshape(residual.shape)


def _products(rows: FloatArray, vector: FloatArray) -> FloatArray:
    # Not by BLAS, whose threads take longer to meet on a busy machine than products this small.
    products: FloatArray = np.einsum("ij,j->i", rows, vector)
    return products
