"""Losses that orthogonal changes of input and output leave alone, in fewer or other coordinates.

With orthonormal columns P_0 and P_N and W = P_N V P_0^T the loss of W is that of V on rotated data,
plus a constant for what the data has outside of the range of P_N. Gradients are right as well if
P_0 and P_N span what the data spans.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _core
from .._validation import FloatArray
from ..compression import Compression, multiply
from .base import Problem
from .diagonal import diagonal_statistics
from .regression import Regression
from .target import TargetMatrix

__all__ = ["RotatedLosses", "data", "is_rotatable", "n_statistics", "rotated_losses", "spans"]

Sides = tuple[FloatArray | None, ...]


class RotatedLosses(NamedTuple):
    """Losses of V for the core."""

    full: object
    batch: object | None
    constant: float  # to be added to the full loss


def is_rotatable(problem: Problem) -> bool:
    """Say whether a problem has such a loss."""
    if type(problem) is Regression:
        return problem.power == 2.0
    return type(problem) is TargetMatrix


def n_statistics(problem: Problem) -> int:
    """Return how many rows the full loss multiplies in a step; 0 if there are none to multiply."""
    if not isinstance(problem, Regression) or not is_rotatable(problem):
        return 0
    return min(problem.n_samples, problem.shape[1])


def data(problem: Problem, batches: bool) -> tuple[FloatArray, FloatArray]:
    """Return the matrices whose rows input and output have to span.

    Parameters
    ----------
    problem : Problem
        A rotatable one.
    batches : bool
        Whether steps go along mini-batches of raw samples.

    Returns
    -------
    inputs : ndarray of float64, shape (n, d_0)
    outputs : ndarray of float64, shape (m, d_N)
    """
    if isinstance(problem, Regression):
        if batches or problem.exact_algebra == "none":
            return problem.inputs, problem.outputs
        return problem._reduced.inputs, problem._reduced.outputs
    assert isinstance(problem, TargetMatrix)
    return problem.target, problem.target.T


def spans(
    problem: Problem, batches: bool, largest: tuple[int, int]
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return matrices whose columns span what the data spans on the side of input and output.

    Parameters
    ----------
    problem : Problem
        A rotatable one.
    batches : bool
        Whether steps go along mini-batches of raw samples.
    largest : tuple of int
        Ranks of input and output above which the span is of no use; negative: none is.

    Returns
    -------
    inputs : ndarray of float64, shape (d_0, rank), or None
    outputs : ndarray of float64, shape (d_N, rank), or None
        None where the rank is larger.
    """
    if isinstance(problem, TargetMatrix):
        bound = max(largest)
        if bound < 0:
            return None, None
        sides: Sides = _row_space(problem.target, bound + 1)
    else:
        sides = tuple(
            None if bound < 0 else _row_space(matrix, bound + 1)[0]
            for matrix, bound in zip(data(problem, batches), largest, strict=True)
        )
    inputs, outputs = (
        None if side is None or side.shape[1] > bound else side
        for side, bound in zip(sides, largest, strict=True)
    )
    return inputs, outputs


def _row_space(matrix: FloatArray, largest: int) -> tuple[FloatArray, FloatArray]:
    rounding = max(matrix.shape) * float(np.finfo(np.float64).eps)
    return _core.row_space(matrix, rounding, largest)


def rotated_losses(
    problem: Problem, compression: Compression, dtype: DTypeLike, batches: bool
) -> RotatedLosses:
    """Return the losses that the core takes instead of the problem's own.

    Parameters
    ----------
    problem : Problem
        A rotatable one.
    compression : Compression
        With the bases P_0 and P_N.
    dtype : dtype_like
        Of the run.
    batches : bool
        Whether mini-batches will be drawn.

    Returns
    -------
    RotatedLosses
        The loss on the full data and, if asked for, the one on raw samples.
    """
    single = problem._is_single(dtype)
    if isinstance(problem, TargetMatrix):
        target, outside = compression.split(problem.target)
        return RotatedLosses(_core.target_loss(target, single), None, 0.5 * outside)
    assert isinstance(problem, Regression)
    samples = data(problem, False)
    if compression.diagonal:
        return RotatedLosses(_diagonal_loss(problem, compression, samples, single), None, 0.0)
    full = _power_loss(problem, compression, samples, single)
    batch = _power_loss(problem, compression, data(problem, True), single) if batches else None
    return RotatedLosses(full, batch, 0.0)


def _power_loss(
    problem: Regression,
    compression: Compression,
    samples: tuple[FloatArray, FloatArray],
    single: bool,
) -> object:
    """Return the squared loss on rotated data; the core adds the constants."""
    inputs, outputs = samples
    first, last = compression.ends
    return _core.power_loss(
        multiply(inputs, first),
        multiply(outputs, last),
        2.0,
        problem.reduction == "mean",
        single,
        n_samples=problem.n_samples,
        constant=_constant(problem, samples, _outside(outputs, last)),
    )


def _diagonal_loss(
    problem: Regression,
    compression: Compression,
    samples: tuple[FloatArray, FloatArray],
    single: bool,
) -> object:
    """Return the same loss where the basis of the input makes the data diagonal."""
    inputs, outputs = samples
    first, last = compression.ends
    statistics = diagonal_statistics(multiply(inputs, first), multiply(outputs, last))
    return _core.diagonal_loss(
        statistics.outputs,
        statistics.scales,
        _scale(problem),
        _constant(problem, samples, _outside(outputs, last) + statistics.residual),
        single,
    )


def _scale(problem: Regression) -> float:
    return 1.0 / problem.n_samples if problem.reduction == "mean" else 1.0


def _constant(problem: Regression, samples: tuple[FloatArray, FloatArray], outside: float) -> float:
    """Return what the loss has that no end-to-end matrix changes."""
    is_reduced = samples[0] is not problem.inputs
    constant = problem._reduced.constant if is_reduced else 0.0
    return constant + 0.5 * _scale(problem) * outside


def _outside(rows: FloatArray, basis: FloatArray | None) -> float:
    """Return the squared norm of what rows have outside of the range of a basis."""
    if basis is None:
        return 0.0
    rest: NDArray[np.float64] = rows - multiply(rows, basis, np.ascontiguousarray(basis.T))
    return float(np.sum(rest * rest))
