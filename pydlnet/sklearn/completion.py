"""Filling in missing entries by deep matrix factorisation."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import chain
from .._validation import FloatArray, as_real
from ..problems import MatrixCompletion
from ..recording import Stop
from .descent import Layers, Options, check_range, checked, descend, start, warn

# Bounds the rank, and the time of a step.
MOST_WIDTH = 50
# Iterations between looks at the held-out entries, and the fewest before they may end a fit.
CHECK_EVERY = 10
LEAST_ITERATIONS = 500


class DeepMatrixCompletion(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill in missing values by the low rank that depth prefers.

    `fit` completes the matrix of its samples by gradient descent over the layers of a deep linear
    network from a small start, and keeps what rows of the completed matrix look like. `transform`
    fills in each row, seen in `fit` or not, with the values most likely given its known ones.

    Parameters
    ----------
    depth : int, default 3
        Number of layers, at least 1; from 2 on ranks are low, from 3 on lower.
    width : int, optional
        Width of the hidden layers, which bounds the rank; by default the smaller number of samples
        and features, and at most 50.
    scale : float, default 1e-3
        Of the end-to-end matrix at the start, in units of about the largest singular value of the
        matrix; the smaller, the lower the rank.
    learning_rate : float or "auto", default "auto"
        Of gradient descent. "auto" takes 1 / depth, halved until the descent does not diverge.
    max_iter : int, default 20000
        Most steps of gradient descent.
    tol : float, default 1e-5
        The fit ends when the mean square error at the known entries is this times their variance.
    validation_fraction : float, default 0.1
        Share of the known entries, at least 0 and below 1, that descent does not see. It ends when
        its error there has not fallen for as many iterations as led to its lowest, and at least
        500, and goes back there. 0 turns this off: right for data without noise.
    random_state : int, RandomState or None
        Of the start and of the entries that are held out.

    Attributes
    ----------
    components_ : ndarray of float64, shape (rank, n_features_out)
        Directions in which rows vary, each with its standard deviation as length, in units of
        `scale_`, descending.
    mean_, scale_ : ndarray of float64, shape (n_features_out,)
        Mean and standard deviation of the known values of each feature; 1 where that is 0.
    noise_variance_ : float
        Mean square error of the completed matrix at the held-out entries, or if there are none, at
        the known ones, in units of `scale_`.
    learning_rate_ : float
        The rate that was taken.
    n_iter_ : int
        Steps that led to the layers that were kept.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features,)
        If they were named.

    Notes
    -----
    Missing values are NaN. As in `sklearn.impute.KNNImputer`, known values come through unchanged,
    and a feature without any known value in `fit` is left out.

    Features are centred and divided by their standard deviation first. The completed matrix W, of
    n rows, has the covariance C = W^T W / n of low rank. A row with the known values x_o gets
    C_mo (C_oo + s I)^-1 x_o as its missing ones, with s the `noise_variance_`: their mean given
    x_o if rows are normal with this covariance and the noise is white. Without known values this
    is the mean. ``fit_transform(X)`` is ``fit(X).transform(X)``.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, "Implicit Regularization in Deep Matrix
       Factorization", NeurIPS 2019. arXiv:1905.13655
    .. [2] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis", Journal of
       the Royal Statistical Society B 61, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> X = np.multiply.outer(np.arange(1.0, 9.0), [1.0, 2.0, 3.0])
    >>> X[0, 2] = X[5, 1] = np.nan
    >>> completion = dln.sklearn.DeepMatrixCompletion(validation_fraction=0.0, random_state=0)
    >>> completion.fit_transform(X)[[0, 5]].round()
    array([[ 1.,  2.,  3.],
           [ 6., 12., 18.]])
    """

    def __init__(
        self,
        depth: int = 3,
        width: int | None = None,
        *,
        scale: float = 1e-3,
        learning_rate: float | str = "auto",
        max_iter: int = 20_000,
        tol: float = 1e-5,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.scale = scale
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """Say that missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Complete the matrix and learn what its rows look like.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Real numbers, NaN where missing, with at least one known.
        y : None
            Not used; there for pipelines.

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
            If `max_iter` steps reach neither `tol` nor the end at the held-out entries.
        """
        samples = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        fraction = as_real(self.validation_fraction, "validation_fraction", minimum=0, below=1)
        self._known = ~np.all(np.isnan(samples), axis=0)
        if not self._known.any():
            raise ValueError("X: expected at least one known value, got NaN everywhere")
        kept = samples[:, self._known]
        options = checked(self, min(*kept.shape, MOST_WIDTH))
        self.mean_, deviation = _moments(kept)
        self.scale_ = np.where(deviation > 0.0, deviation, 1.0)
        self._learn(self._scaled(kept) * (deviation > 0.0), fraction, options)
        self.components_[:, deviation == 0.0] = 0.0
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Fill in what is missing.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Real numbers, NaN where missing.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_features_out)
            Without NaN.
        """
        check_is_fitted(self)
        samples = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False, copy=True
        )
        filled: FloatArray = samples[:, self._known]
        missing = np.isnan(filled)
        scaled = self._scaled(filled)
        for row in np.flatnonzero(missing.any(axis=1)):
            expected = self._expect(scaled[row], ~missing[row])
            filled[row, missing[row]] = (expected * self.scale_ + self.mean_)[missing[row]]
        return filled

    def _scaled(self, samples: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            scaled: FloatArray = (samples - self.mean_) / self.scale_
        check_range(scaled, "X")
        return scaled

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the features that `transform` returns.

        Parameters
        ----------
        input_features : array_like of str, shape (n_features,), optional
            Names, if `fit` saw none.

        Returns
        -------
        ndarray of str, shape (n_features_out,)
        """
        names: NDArray[Any] = super().get_feature_names_out(input_features)[self._known]
        return names

    def _learn(self, samples: FloatArray, fraction: float, options: Options) -> None:
        """Set what is learned from centred samples of variance 1."""
        entries = _split(samples, fraction, options.rng)
        norm = float(np.linalg.norm(np.nan_to_num(samples), 2) / np.mean(~np.isnan(samples)))
        self.learning_rate_, self.n_iter_ = options.rate or 1.0 / options.depth, 0
        self.noise_variance_, end_to_end = 0.0, np.zeros(samples.shape)
        if norm > 0.0:
            weights, error = self._descend(samples.shape, entries, norm, options)
            end_to_end = chain.product(weights) * norm
            self.noise_variance_ = error * norm**2
        _, values, right = np.linalg.svd(end_to_end, full_matrices=False)
        rank = np.count_nonzero(values > np.finfo(np.float64).eps * max(samples.shape) * values[0])
        deviations = values[:rank, np.newaxis] / np.sqrt(samples.shape[0])
        self.components_ = deviations * right[:rank]

    def _descend(
        self, shape: tuple[int, ...], entries: "_Entries", norm: float, options: Options
    ) -> tuple[Layers, float]:
        """Return layers and their mean square error, both for values divided by `norm`."""
        rows, columns, values = entries.seen
        problem = MatrixCompletion(shape, rows, columns, values / norm, reduction="sum")  # type: ignore[arg-type]
        total = 0.5 * float(np.sum((values / norm) ** 2))
        watch = _HeldOut(entries.held_out, norm)

        def stop() -> Stop:
            watch.forget()
            watched = watch.is_over if watch.values.size else None
            return Stop(loss=options.tol * total, condition=watched, check_every=CHECK_EVERY)

        weights = start(options, shape[1], shape[0])
        result = descend(problem, weights, options, 1.0 / options.depth, stop)
        self.learning_rate_, self.n_iter_ = result.rate, result.n_steps
        if result.status != "converged":
            share = result.loss / total
            warn(f"after {result.n_steps} iterations {share:.4%} of the variance is not fitted")
        if not watch.values.size:
            return result.weights, 2.0 * result.loss / values.size
        if watch.error(result.weights) > watch.lowest:
            self.n_iter_ = watch.best_step
            return watch.best, watch.lowest
        return result.weights, watch.error(result.weights)

    def _expect(self, row: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
        """Return the mean of a row given its known values."""
        loadings = self.components_[:, known]
        covariance = loadings @ loadings.T
        # Where nothing is noise, of what fits the known values the most likely.
        floor = 1e-12 * float(np.sum(self.components_**2))
        covariance[np.diag_indices_from(covariance)] += max(self.noise_variance_, floor)
        if not len(loadings):
            return np.zeros(row.shape)
        position = np.linalg.solve(covariance, loadings @ row[known])
        expected: FloatArray = position @ self.components_
        return expected


def _moments(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of what is known of each feature.

    Numbers of any size have them, and a constant has its value and exactly 0.
    """
    low, high = np.nanmin(samples, axis=0), np.nanmax(samples, axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    size[size == 0.0] = 1.0
    mean = np.clip(np.nanmean(samples / size, axis=0) * size, low, high)
    deviation = np.nanstd(samples / size, axis=0) * size
    return mean, np.where(low == high, 0.0, deviation)


Entries = tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]


class _Entries(NamedTuple):
    seen: Entries
    held_out: Entries


def _split(samples: FloatArray, fraction: float, rng: np.random.RandomState) -> _Entries:
    """Return the known entries that descent sees, and those that it does not."""
    rows, columns = np.nonzero(~np.isnan(samples))
    order = rng.permutation(rows.size)
    parts = np.split(order, [int(fraction * rows.size)])
    held_out, seen = ((rows[i], columns[i], samples[rows[i], columns[i]]) for i in parts)
    return _Entries(seen, held_out)


class _HeldOut:
    """Looks at the entries that descent does not see, and keeps the best layers."""

    def __init__(self, entries: Entries, norm: float) -> None:
        self.rows, self.columns, values = entries
        self.values = values / norm
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.step, self.best_step, self.lowest = 0, 0, np.inf
        self.best: Layers = []

    def error(self, weights: Layers) -> float:
        """Return the mean square error."""
        residual = chain.product(weights)[self.rows, self.columns] - self.values
        return float(np.mean(residual**2))

    def is_over(self, weights: Layers) -> bool:
        """Whether the error has not fallen for long."""
        self.step += CHECK_EVERY
        error = self.error(weights)
        if error < self.lowest:
            self.lowest, self.best_step = error, self.step
            self.best = [np.array(layer) for layer in weights]
        return self.step - self.best_step >= max(self.best_step, LEAST_ITERATIONS)
