"""The distance to a given matrix: regression on whitened data."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import FloatArray, as_matrix
from ..tables import names_of
from .base import Problem


class TargetMatrix(Problem):
    """Half the squared distance to a target, 1/2 ||W - target||_F^2.

    Parameters
    ----------
    target : array_like, shape (d_N, d_0)
        Finite real numbers; copied to float64. It is also the ground truth. Columns and index of a
        DataFrame, or the coordinates of a DataArray, name inputs and outputs: see `coords`.

    Raises
    ------
    ValueError, TypeError
        If `target` is not a non-empty matrix of finite real numbers, or names are missing or there
        twice.

    Notes
    -----
    Least squares on whitened inputs is this loss plus a constant [1]_; see `whiten`.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019, Section 2. arXiv:1810.02281

    Examples
    --------
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix([[1.0, 0.0], [0.0, 2.0]])
    >>> problem.value_and_gradient([[0.0, 0.0], [0.0, 0.0]])[0]
    2.5
    """

    target: FloatArray

    def __init__(self, target: ArrayLike) -> None:
        matrix = as_matrix(target, "target")
        names = names_of(target=(target, ("output", "input")))
        self._set(target=matrix, shape=matrix.shape, ground_truth=matrix, _coords=names)

    def _data(self) -> dict[str, NDArray[Any]]:
        return {"target": self.target}

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        return _core.target_loss(self.target, single)
