"""Matrix sensing: linear measurements of a matrix."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import FloatArray, as_array, as_count, as_rng, as_shape
from ..tables import names_of
from .base import Problem, as_ground_truth, as_reduction
from .low_rank import draw_low_rank


class MatrixSensing(Problem):
    """The mean over measurements of (<A_i, W> - value_i)^2 / 2.

    Parameters
    ----------
    measurements : array_like, shape (n_measurements, d_N, d_0)
        The matrices A_i, finite real numbers; copied to float64. Coordinates of a DataArray name
        outputs and inputs: see `coords`.
    values : array_like, shape (n_measurements,)
        What was measured.
    ground_truth : array_like, shape (d_N, d_0), optional
        Matrix that `reconstruction_error` compares with.
    reduction : {"mean", "sum"}, default "mean"
        Mean or sum over the measurements.

    Raises
    ------
    ValueError, TypeError
        If data is empty, not finite, not real or does not match.

    Notes
    -----
    <A, W> is the sum of the entry-wise products; the setting is that of [1]_.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.MatrixSensing([[[1.0, 0.0], [0.0, 1.0]]], [2.0])
    MatrixSensing(shape=(2, 2), n_measurements=1, reduction='mean')
    """

    measurements: FloatArray
    values: FloatArray
    reduction: str
    n_samples: int

    def __init__(
        self,
        measurements: ArrayLike,
        values: ArrayLike,
        ground_truth: ArrayLike | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        matrices = as_array(measurements, "measurements", 3)
        n_measurements, d_out, d_in = matrices.shape
        names = names_of(
            measurements=(measurements, ("measurement", "output", "input")),
            values=(values, ("measurement",)),
            ground_truth=(ground_truth, ("output", "input")),
        )
        self._set(
            measurements=matrices,
            values=as_array(values, "values", shape=(n_measurements,)),
            shape=(d_out, d_in),
            n_samples=n_measurements,
            ground_truth=as_ground_truth(ground_truth, (d_out, d_in)),
            reduction=as_reduction(reduction),
            _coords=names,
        )

    @classmethod
    def synthetic(
        cls,
        shape: tuple[int, int],
        rank: int,
        n_measurements: int,
        rng: int | np.random.Generator | None = None,
        *,
        reduction: str = "mean",
    ) -> "MatrixSensing":
        """Draw a random low-rank matrix and measure it with Gaussian matrices.

        Parameters
        ----------
        shape : tuple of int
            (d_N, d_0).
        rank : int
            Rank of the ground truth, from 1 to min(d_N, d_0).
        n_measurements : int
            Number of measurements, at least 1.
        rng : int, numpy.random.Generator or None
            Randomness, as in SPEC 7.
        reduction : {"mean", "sum"}, default "mean"
            As in `MatrixSensing`.

        Returns
        -------
        MatrixSensing
            With its ground truth.

        Raises
        ------
        ValueError, TypeError
            If the rank does not fit the shape or there are no measurements.

        Notes
        -----
        As in [1]_: the ground truth is U V^T with standard normal U and V, scaled to a root
        mean square of 1; the entries of A_i are N(0, 1) / sqrt(d_N d_0).

        References
        ----------
        .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655
        """
        size = as_shape(shape)
        count = as_count(n_measurements, "n_measurements", 1)
        generator = as_rng(rng)
        truth = draw_low_rank(size, rank, generator)
        matrices = generator.standard_normal((count, *size))
        matrices /= np.sqrt(size[0] * size[1])
        values = [float(np.sum(matrix * truth)) for matrix in matrices]
        return cls(matrices, values, truth, reduction=reduction)

    def _data(self) -> dict[str, NDArray[Any]]:
        return {"measurements": self.measurements, "values": self.values}

    def _details(self) -> dict[str, Any]:
        return {"n_measurements": self.n_samples, "reduction": self.reduction}

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        mean = self.reduction == "mean"
        return _core.sensing_loss(self.measurements, self.values, mean, single)
