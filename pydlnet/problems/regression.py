"""Regression: the p-th power of the residuals."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import FloatArray, as_array, as_matrix, as_real
from ..tables import names_of
from .base import Problem, as_ground_truth, as_reduction, check_single_range


class _Reduced(NamedTuple):
    inputs: FloatArray  # (d_0, d_0)
    outputs: FloatArray  # (d_0, d_N)
    constant: float


class Regression(Problem):
    """The mean over samples of ``sum |W x - y|^p / p``.

    Parameters
    ----------
    inputs : array_like, shape (n_samples, d_0)
        One sample a row, finite real numbers; copied to float64. Columns of a DataFrame or
        coordinates of a DataArray name the inputs: see `coords`.
    outputs : array_like, shape (n_samples, d_N) or (n_samples,)
        One sample a row; a vector stands for one column. Columns, or the name of a Series, name the
        outputs.
    power : float, default 2
        The exponent p > 1.
    reduction : {"mean", "sum"}, default "mean"
        Mean or sum over samples. Outputs are always summed.
    ground_truth : array_like, shape (d_N, d_0), optional
        Matrix that `reconstruction_error` compares with.

    Raises
    ------
    ValueError, TypeError
        If data is empty, not finite, not real or does not match; if p <= 1; if names are missing
        or there twice, or two tables have the same samples in another order.

    Notes
    -----
    For p = 2 and more samples than inputs the loss is evaluated through sufficient statistics:
    with the factorisation X = Q R of the inputs, ||X W^T - Y||_F^2 is
    ||R W^T - Q^T Y||_F^2 plus the residual ||Y - Q Q^T Y||_F^2. A step then costs the same for
    any number of samples, and no digits are lost as they would be in X^T X. `run` makes R diagonal
    where the method commutes with rotations, see there. The entries of R and
    Q^T Y are up to sqrt(n_samples) times as large as those of X and Y; a run in float32 raises
    ValueError if they leave its range.

    Examples
    --------
    >>> import pydlnet as dln
    >>> problem = dln.Regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0], power=4)
    >>> problem.shape
    (1, 1)
    """

    inputs: FloatArray
    outputs: FloatArray
    power: float
    reduction: str
    n_samples: int

    def __init__(
        self,
        inputs: ArrayLike,
        outputs: ArrayLike,
        power: float = 2,
        *,
        reduction: str = "mean",
        ground_truth: ArrayLike | None = None,
    ) -> None:
        samples = as_matrix(inputs, "inputs")
        targets = as_outputs(outputs, samples.shape[0])
        shape = (targets.shape[1], samples.shape[1])
        truth = as_ground_truth(ground_truth, shape)
        self._set(
            inputs=samples,
            outputs=targets,
            power=as_real(power, "power", above=1.0),
            reduction=as_reduction(reduction),
            shape=shape,
            n_samples=samples.shape[0],
            ground_truth=truth,
            _coords=names_of(
                inputs=(inputs, ("sample", "input")),
                outputs=(outputs, ("sample", "output")),
                ground_truth=(ground_truth, ("output", "input")),
            ),
        )

    @cached_property
    def _reduced(self) -> _Reduced:
        inputs, outputs, residual = _core.reduce_least_squares(self.inputs, self.outputs)
        scale = 1.0 / self.n_samples if self.reduction == "mean" else 1.0
        return _Reduced(inputs, outputs, 0.5 * scale * residual)

    def check_curvature(self) -> None:
        """Raise ValueError if p < 2: the curvature is infinite where a residual is zero."""
        if self.power < 2.0:
            raise ValueError(
                "problem: expected a power of at least 2 for curvature, as |r|^p has no second "
                f"derivative at r = 0 below, got {self.power}"
            )

    def _data(self) -> dict[str, NDArray[Any]]:
        return {"inputs": self.inputs, "outputs": self.outputs}

    def _details(self) -> dict[str, Any]:
        return {"n_samples": self.n_samples, "power": self.power, "reduction": self.reduction}

    @property
    def exact_algebra(self) -> str:
        """Whether a step works on sufficient statistics instead of the samples."""
        reducible = self.power == 2.0 and self.n_samples > self.shape[1]
        return "sufficient statistics" if reducible else "none"

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        if self.exact_algebra == "none":
            return self._sample_loss(single, n_outputs)
        reduced = self._reduced
        if single:  # the constant is kept in float64
            check_single_range(reduced.inputs, "inputs, reduced to sufficient statistics")
            check_single_range(reduced.outputs, "outputs, reduced to sufficient statistics")
        return _core.power_loss(
            reduced.inputs,
            reduced.outputs,
            self.power,
            self.reduction == "mean",
            single,
            n_samples=self.n_samples,
            constant=reduced.constant,
        )

    def _sample_loss(self, single: bool, n_outputs: int) -> object:
        mean = self.reduction == "mean"
        return _core.power_loss(self.inputs, self.outputs, self.power, mean, single)


def as_outputs(outputs: ArrayLike, n_samples: int) -> FloatArray:
    """Return outputs as a matrix with one sample a row."""
    targets = as_array(outputs, "outputs")
    if targets.ndim == 1:
        targets = targets[:, np.newaxis]
    if targets.ndim != 2 or targets.shape[0] != n_samples:
        raise ValueError(
            f"outputs: expected shape ({n_samples}, d_N), one row for each row of inputs, "
            f"got {np.shape(outputs)}"
        )
    return targets
