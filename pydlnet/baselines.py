"""What the implicit bias of deep factorisations is compared with: explicit least norms."""

import math
from dataclasses import dataclass, field

import numpy as np

from . import _core
from ._display import Shown
from ._validation import FloatArray, as_count, as_real, freeze
from .constraints import Constraint, Entries, Measurements
from .fixed_points import Anderson
from .problems import MatrixCompletion, MatrixSensing

__all__ = ["NuclearNormMinimum", "minimum_nuclear_norm"]

# Threshold of the singular values, relative to the largest one of the least-squares solution. It
# decides about speed alone: between half and four times of it, completion problems from 8 x 8 to
# 100 x 100 around the recovery limit differed by a factor of up to three either way.
_THRESHOLD = 0.15

_MEMORY = 20
_CHECK_EVERY = 10


@dataclass(frozen=True, eq=False, repr=False)
class NuclearNormMinimum(Shown):
    """A matrix of least nuclear norm among those that meet the data, with the proof.

    Any numbers y_i with ``||sum_i y_i A_i||_2 <= 1`` bound the nuclear norm of every X that meets
    the data from below: ||X||_* >= <sum_i y_i A_i, X> = sum_i y_i values_i. So `dual` proves how
    far `matrix` is from the optimum at most, whatever way it was found.

    Attributes
    ----------
    matrix : ndarray of float64, shape (d_N, d_0)
        Meets the data to `residual`.
    nuclear_norm : float
        Of `matrix`.
    lower_bound : float
        ``sum_i dual_i values_i``: no matrix that meets the data has a smaller nuclear norm.
    dual : ndarray of float64, shape (n_samples,)
        The y_i, one for each entry or measurement.
    residual : float
        Largest ``|<A_i, matrix> - values_i|``.
    n_iterations : int
        Singular value decompositions that were taken.
    converged : bool
        Whether `relative_gap` is within the tolerance that was asked for.

    Examples
    --------
    >>> import pydlnet as dln
    >>> problem = dln.MatrixCompletion((2, 2), [0, 0, 1], [0, 1, 0], values=[1.0, 1.0, 1.0])
    >>> least = dln.baselines.minimum_nuclear_norm(problem)
    >>> least.converged, round(least.nuclear_norm, 6), bool(least.relative_gap < 1e-7)
    (True, 2.0, True)
    """

    matrix: FloatArray = field(repr=False)
    nuclear_norm: float
    lower_bound: float
    dual: FloatArray = field(repr=False)
    residual: float
    n_iterations: int
    converged: bool

    @property
    def gap(self) -> float:
        """nuclear_norm - lower_bound: at least 0 up to rounding."""
        return self.nuclear_norm - self.lower_bound

    @property
    def relative_gap(self) -> float:
        """The gap as a share of the nuclear norm; 0 for the zero matrix."""
        return self.gap / self.nuclear_norm if self.nuclear_norm > 0.0 else 0.0


def minimum_nuclear_norm(
    problem: MatrixCompletion | MatrixSensing,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 20_000,
) -> NuclearNormMinimum:
    """Find the matrix of least nuclear norm that meets the data of a problem exactly.

    Parameters
    ----------
    problem : MatrixCompletion or MatrixSensing
        Observed entries or measurements; `reduction`, `held_out` and `ground_truth` do not matter.
    tolerance : float, default 1e-8
        Relative duality gap at which to stop, positive. Rounding sets a limit at about 1e-14.
    max_iterations : int, default 20000
        At least 1; one takes a singular value decomposition of a matrix of the problem's shape.

    Returns
    -------
    NuclearNormMinimum
        The best matrix and the best bound that were found; `converged` says whether the tolerance
        was reached. Where several matrices have the least norm it is one of them.

    Raises
    ------
    ValueError, TypeError
        If the problem is of another kind, no matrix meets its data (measurements that contradict
        each other), norms leave the range of float64, or an option is not as above.

    Notes
    -----
    min ||X||_* subject to <A_i, X> = values_i is the convex surrogate of the least rank [1]_ and
    what gradient flow on two factors finds where the A_i commute [2]_; deeper factors leave it on
    few observations [3]_. Solved by Douglas-Rachford splitting [4]_ between the data and the
    thresholding of singular values, with Anderson acceleration; X is always feasible, and X minus
    the iterate is always a combination of the A_i, which gives the dual. Where X has singular
    values close to zero, or the bound is attained by more directions than X has, convergence
    takes thousands of iterations instead of hundreds.

    References
    ----------
    .. [1] E. Candes and B. Recht, "Exact matrix completion via convex optimization", Found.
       Comput. Math. 9, 2009. arXiv:0805.4471
    .. [2] S. Gunasekar, B. Woodworth, S. Bhojanapalli, B. Neyshabur and N. Srebro, "Implicit
       regularization in matrix factorization", NeurIPS 2017. arXiv:1705.09280
    .. [3] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655
    .. [4] P. L. Combettes and J.-C. Pesquet, "A Douglas-Rachford splitting approach to nonsmooth
       convex variational signal recovery", IEEE J. Sel. Top. Signal Process. 1, 2007.

    Examples
    --------
    >>> import pydlnet as dln
    >>> problem = dln.MatrixCompletion((2, 2), [0, 0, 1], [0, 1, 0], [1.0, 2.0, 2.0])
    >>> solution = dln.baselines.minimum_nuclear_norm(problem)
    >>> solution.matrix.round(4)  # the matrix of least rank has a 4 here and the norm 5
    array([[1., 2.],
           [2., 1.]])
    >>> round(solution.nuclear_norm, 6), solution.converged
    (4.0, True)
    """
    goal = as_real(tolerance, "tolerance", positive=True)
    n_allowed = as_count(max_iterations, "max_iterations", 1)
    return _Search(_constraint(problem)).run(goal, n_allowed)


def _constraint(problem: MatrixCompletion | MatrixSensing) -> Constraint:
    if isinstance(problem, MatrixCompletion):
        return Entries(problem)
    if isinstance(problem, MatrixSensing):
        return Measurements(problem)
    raise TypeError(
        f"problem: expected a MatrixCompletion or a MatrixSensing, got {type(problem).__name__}"
    )


class _Search:
    """The iteration, in units in which the least-squares solution has the norm 1.

    Parameters
    ----------
    constraint : Constraint
        The data.
    """

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        least_squares = constraint.project(np.zeros(constraint.shape), 1.0)
        self._scale = float(_core.singular_values(least_squares)[0])
        self._best = least_squares
        self._norm = float(np.sum(_core.singular_values(least_squares)))
        if not math.isfinite(self._norm):
            raise ValueError(
                "problem: expected values whose least-squares solution has a nuclear norm in the "
                "range of float64, got one that leaves it"
            )
        self._dual = np.zeros(constraint.values.size)
        self._bound = 0.0

    def run(self, tolerance: float, max_iterations: int) -> NuclearNormMinimum:
        """Iterate until the relative gap is within the tolerance."""
        if self._scale == 0.0:
            return self._result(0, converged=True)
        point = np.zeros(self._constraint.shape)
        acceleration = Anderson(point.size, _MEMORY)
        for iteration in range(1, max_iterations + 1):
            feasible = self._constraint.project(point, self._scale)
            residual = _shrink(2.0 * feasible - point) - feasible
            if iteration % _CHECK_EVERY == 0 or iteration == max_iterations:
                self._keep(feasible, point)
                if self._norm - self._bound <= tolerance * self._norm:
                    return self._result(iteration, converged=True)
            point = acceleration.next(point, residual)
        return self._result(max_iterations, converged=False)

    def _keep(self, feasible: FloatArray, point: FloatArray) -> None:
        """Take over the matrix and the bound, each if it is better than what there is."""
        matrix = self._constraint.project(self._scale * feasible, 1.0)
        norm = float(np.sum(_core.singular_values(matrix)))
        if norm < self._norm:
            self._best, self._norm = matrix, norm
        dual = self._constraint.multipliers(feasible - point) / _THRESHOLD
        size = float(_core.singular_values(self._constraint.combine(dual))[0])
        dual /= max(1.0, size)
        bound = math.fsum(dual * self._constraint.values)
        if bound > self._bound:
            self._dual, self._bound = dual, bound

    def _result(self, n_iterations: int, *, converged: bool) -> NuclearNormMinimum:
        residuals = self._constraint.residuals(self._best)
        return NuclearNormMinimum(
            matrix=freeze(self._best),
            nuclear_norm=self._norm,
            lower_bound=self._bound,
            dual=freeze(self._dual),
            residual=float(np.max(np.abs(residuals))),
            n_iterations=n_iterations,
            converged=converged,
        )


def _shrink(matrix: FloatArray) -> FloatArray:
    """Lower all singular values by the threshold, to zero at least."""
    left, values, right = _core.svd(matrix)
    rank = int(np.count_nonzero(values > _THRESHOLD))
    if rank == 0:
        return np.zeros(matrix.shape)
    first = np.ascontiguousarray(right[:, :rank].T)
    shrunk: FloatArray = _core.chain_product([first, left[:, :rank] * (values[:rank] - _THRESHOLD)])
    return shrunk
