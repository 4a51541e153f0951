"""Linear regression by gradient descent over the layers of a deep linear network."""

import itertools
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import chain
from .._validation import FloatArray, as_flag
from ..problems import Problem, Regression, TargetMatrix
from ..recording import Stop
from .descent import (
    Layers,
    Options,
    check_range,
    checked,
    descend,
    start,
    warn,
)

# Hidden layers of a network with few outputs are wider than it needs: a chain of single numbers
# whose product has the wrong sign never leaves zero.
LEAST_WIDTH = 16


class DeepLinearRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Least squares by gradient descent over the layers of a deep linear network.

    Depth learns the strong directions first: a fit that ends early, by a large `tol` or a small
    `max_iter`, has a low rank. One that ends late is least squares, with the smallest norm where
    that leaves a choice.

    Parameters
    ----------
    depth : int, default 3
        Number of layers, at least 1.
    width : int, optional
        Width of the hidden layers, which bounds the rank of `coef_`; by default the smaller number
        of features and targets, and at least 16.
    scale : float, default 1e-3
        Of the end-to-end matrix at the start, in units of the largest singular value that is to be
        learned; the smaller, the more one direction is learned after the other.
    learning_rate : float or "auto", default "auto"
        Of gradient descent. "auto" takes 1 / depth, halved until the descent does not diverge.
    max_iter : int, default 20000
        Most steps of gradient descent.
    tol : float, default 1e-4
        The fit ends when R^2 on the data it is given, over all targets together, is within `tol` of
        the largest that the width allows, which is known from the start.
    whiten : bool, default True
        Whether descent sees the features whitened; otherwise it sees them as they are, divided by
        one number, and features that differ in scale or are correlated take many steps.
    fit_intercept : bool, default True
        Whether features and targets are centred first.
    random_state : int, RandomState or None
        Of the start.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (n_features,) or (n_targets, n_features)
        The end-to-end matrix, in the units of the data.
    intercept_ : float or ndarray of float64, shape (n_targets,)
        0.0 without `fit_intercept`.
    weights_ : list of ndarray of float64
        Layers whose product is `coef_`, in the units of the data.
    learning_rate_ : float
        The rate that was taken.
    n_iter_ : int
        Steps taken.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features,)
        If they were named.

    Notes
    -----
    With the singular value decomposition U S V^T of the centred features and targets Y, descent
    minimises ||T W^T - U^T Y / c||_F^2 / 2 over W = W_N ... W_1, with T the identity (`whiten`) or
    S over its largest entry, and c the largest singular value of U^T Y. A step costs the same for
    any number of samples. The smallest value for layers of width k is half the sum of the squares
    of the singular values of U^T Y / c after the k-th [1]_.

    References
    ----------
    .. [1] A. J. Izenman, "Reduced-rank regression for the multivariate linear model", Journal of
       Multivariate Analysis 5, 1975.

    Examples
    --------
    >>> import pydlnet as dln
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = dln.sklearn.DeepLinearRegressor(random_state=0)
    >>> round(regressor.fit(X, y).score(X, y), 3)
    0.518
    """

    def __init__(
        self,
        depth: int = 3,
        width: int | None = None,
        *,
        scale: float = 1e-3,
        learning_rate: float | str = "auto",
        max_iter: int = 20_000,
        tol: float = 1e-4,
        whiten: bool = True,
        fit_intercept: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.scale = scale
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.whiten = whiten
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the layers.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite real numbers.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
            Finite real numbers.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If data or a parameter is not as above; if a `learning_rate` of one's own diverges.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` steps do not reach `tol`.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # it adds the numbers up
            features, targets = validate_data(
                self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
            )
        outputs = np.asarray(targets, np.float64).reshape(len(features), -1)
        options = checked(self, max(min(features.shape[1], outputs.shape[1]), LEAST_WIDTH))
        whiten = as_flag(self.whiten, "whiten")
        center = np.mean if as_flag(self.fit_intercept, "fit_intercept") else _zeros
        with np.errstate(over="ignore", invalid="ignore"):
            feature_mean, target_mean = center(features, axis=0), center(outputs, axis=0)
            centred = features - feature_mean, outputs - target_mean
        for values, name in zip(centred, ("X", "y"), strict=True):
            # A mean may be beyond the range already, and what it is taken from no number.
            check_range(np.where(np.isnan(values), np.inf, values), name)
        reduced = _reduce(*centred, whiten)
        self.weights_ = self._descend(reduced, options)
        matrix = chain.product(self.weights_)
        shift = target_mean - matrix @ feature_mean
        single = np.ndim(targets) == 1
        self.coef_ = matrix[0] if single else matrix
        self.intercept_ = float(shift[0]) if single else shift
        if not self.fit_intercept:
            self.intercept_ = 0.0
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the fitted values.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite real numbers.

        Returns
        -------
        ndarray of float64, shape (n_samples,) or (n_samples, n_targets)
        """
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        values: NDArray[Any] = features @ self.coef_.T + self.intercept_
        return values

    def _descend(self, reduced: "_Reduced", options: Options) -> Layers:
        """Return layers in the units of the data; sets `learning_rate_` and `n_iter_`."""
        n_outputs = reduced.outputs.shape[1]
        largest_rate = 1.0 / (options.depth * reduced.largest_slope ** (2 - 2 / options.depth))
        self.learning_rate_, self.n_iter_ = options.rate or largest_rate, 0
        if reduced.scale == 0.0:
            widths = (reduced.basis.shape[1], *[options.width] * (options.depth - 1), n_outputs)
            return [np.zeros(shape[::-1]) for shape in itertools.pairwise(widths)]
        weights = start(options, reduced.basis.shape[0], n_outputs)
        width = options.width if options.depth > 1 else None
        smallest, whole = reduced.smallest_loss(width), reduced.smallest_loss(0)
        stop = Stop(loss=smallest + options.tol * reduced.total)
        result = descend(reduced.problem(), weights, options, largest_rate, lambda: stop)
        self.learning_rate_, self.n_iter_ = result.rate, result.n_steps
        if result.status != "converged":
            share = (whole - result.loss) / (whole - smallest)
            warn(f"after {result.n_steps} iterations the fit explains {share:.4%} of what it can")
        first = chain.product([reduced.basis, result.weights[0]])
        layers = [first, *result.weights[1:]]
        layers[-1] = layers[-1] * reduced.scale
        return layers


class _Reduced(NamedTuple):
    """The regression that descent sees, and the way back."""

    inputs: FloatArray  # (rank,), a diagonal
    outputs: FloatArray  # (rank, n_outputs), of spectral norm 1
    basis: FloatArray  # (rank, n_features), which the first layer is multiplied by
    scale: float  # which the last layer is multiplied by; 0 if there is nothing to learn
    total: float  # half the sum of the squares of the centred targets, over scale^2

    @property
    def largest_slope(self) -> float:
        """The spectral norm of the least-squares solution, at least 1."""
        if self.scale == 0.0:
            return 1.0
        return max(1.0, float(np.linalg.norm(self.outputs / self.inputs[:, np.newaxis], 2)))

    def problem(self) -> Problem:
        if np.all(self.inputs == 1.0):
            return TargetMatrix(self.outputs.T)
        return Regression(np.diag(self.inputs), self.outputs, reduction="sum")

    def smallest_loss(self, rank: int | None) -> float:
        """Return the smallest loss of an end-to-end matrix of that rank, or of any."""
        values = np.linalg.svd(self.outputs, compute_uv=False)
        return 0.5 * float(np.sum(values[rank:] ** 2)) if rank is not None else 0.0


def _reduce(features: FloatArray, targets: FloatArray, whiten: bool) -> _Reduced:
    left, values, right = np.linalg.svd(features, full_matrices=False)
    noise = max(features.shape) * np.finfo(np.float64).eps * values[0]
    rank = int(np.count_nonzero(values > noise))
    projected = left[:, :rank].T @ targets
    scale = float(np.linalg.norm(projected, 2)) if rank else 0.0
    if scale < np.finfo(np.float64).tiny:
        return _Reduced(np.ones(0), np.zeros((0, targets.shape[1])), right[:0], 0.0, 0.0)
    inputs = np.ones(rank) if whiten else values[:rank] / values[0]
    basis = (inputs / values[:rank])[:, np.newaxis] * right[:rank]
    total = 0.5 * float(np.sum((targets / scale) ** 2))
    return _Reduced(inputs, projected / scale, basis, scale, total)


def _zeros(array: FloatArray, axis: int) -> FloatArray:
    return np.zeros(array.shape[1 - axis])
