"""Whitening of regression data."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from .._display import as_table, brief
from .._validation import FloatArray, as_matrix, freeze
from ..tables import names_of
from .regression import as_outputs
from .target import TargetMatrix


class Whitened(NamedTuple):
    """What `whiten` returns.

    Attributes
    ----------
    problem : TargetMatrix
        Least squares on the whitened inputs, up to `constant`.
    transform : ndarray of float64, shape (d_0, d_0)
        Symmetric; the whitened inputs are `inputs @ transform`. Read-only.
    constant : float
        The mean squared-error loss is the problem's loss plus this: its smallest value.

    Examples
    --------
    >>> import pydlnet as dln
    >>> whitened = dln.whiten([[1.0], [-3.0]], [2.0, -6.0])
    >>> round(whitened.constant, 9), whitened.transform.round(6)
    (0.0, array([[0.447214]]))
    """

    problem: TargetMatrix
    transform: FloatArray
    constant: float

    def __repr__(self) -> str:
        """Show the shapes, not the numbers."""
        parts = zip(self._fields, self, strict=True)
        return f"Whitened({', '.join(f'{name}={brief(part)}' for name, part in parts)})"

    def _repr_html_(self) -> str:
        """Show the same as a table."""
        return as_table("Whitened", self._asdict().items())


def whiten(inputs: ArrayLike, outputs: ArrayLike) -> Whitened:
    """Turn least squares into the distance to a target matrix by whitening the inputs.

    Parameters
    ----------
    inputs : array_like, shape (n_samples, d_0)
        One sample a row, of rank d_0. Not centred here: subtract the mean first to whiten in
        the sense of principal components. Columns of a DataFrame or coordinates of a DataArray
        name the inputs of the problem: the transform is symmetric, so that whitened input i is made
        of input i above all.
    outputs : array_like, shape (n_samples, d_N) or (n_samples,)
        One sample a row; a vector stands for one column. Columns, or the name of a Series, name the
        outputs.

    Returns
    -------
    Whitened
        `problem`, `transform` and `constant`.

    Raises
    ------
    ValueError, TypeError
        If data is empty, not finite, not real or does not match; if the inputs are rank
        deficient, naming their rank.

    Notes
    -----
    With the uncentred covariances L_xx = X^T X / m, L_yx = Y^T X / m and L_yy = Y^T Y / m, the
    transform is L_xx^(-1/2), the target L_yx L_xx^(-1/2) and the constant
    tr(L_yy) / 2 - ||target||_F^2 / 2, Section 2 of [1]_. All three are taken from a QR
    factorisation of X and the singular value decomposition of its factor R, never from L_xx,
    whose condition is that of X squared; the constant is the residual of the least-squares
    fit, so nothing cancels in it.

    References
    ----------
    .. [1] S. Arora, N. Cohen, N. Golowich and W. Hu, ICLR 2019. arXiv:1810.02281

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> inputs = np.array([[2.0, 0.0], [0.0, 4.0], [-2.0, 0.0], [0.0, -4.0]])
    >>> outputs = np.array([1.0, 2.0, -1.0, 0.0])
    >>> problem, transform, constant = dln.whiten(inputs, outputs)
    >>> ((inputs @ transform).T @ (inputs @ transform) / 4).round(9) + 0.0
    array([[1., 0.],
           [0., 1.]])
    >>> problem.target.round(6), round(constant, 9)
    (array([[0.707107, 0.707107]]), 0.25)
    """
    samples = as_matrix(inputs, "inputs")
    targets = as_outputs(outputs, samples.shape[0])
    names = names_of(inputs=(inputs, ("sample", "input")), outputs=(outputs, ("sample", "output")))
    n_samples, n_inputs = samples.shape
    if n_samples < n_inputs:
        _check_rank(_core.singular_values(samples), samples.shape)
    factor, projected, residual = _core.reduce_least_squares(samples, targets)
    # X = Q R and R / sqrt(m) = U S V^T make (Q U) S V^T the decomposition of X / sqrt(m).
    root = np.sqrt(n_samples)
    left, values, right = _core.svd(factor / root)
    _check_rank(values, samples.shape)
    rows = np.ascontiguousarray(right.T)
    transform = _core.chain_product([rows, right / values])
    target = _core.chain_product([rows, left, np.ascontiguousarray(projected.T) / root])
    return Whitened(
        TargetMatrix(target).assign_coords(**names),
        freeze(0.5 * (transform + transform.T)),
        0.5 * residual / n_samples,
    )


def _check_rank(values: FloatArray, shape: tuple[int, ...]) -> None:
    # What rounding leaves of a zero singular value.
    noise = max(shape) * np.finfo(np.float64).eps * values[0]
    rank = int(np.count_nonzero(values > noise))
    if rank < shape[1]:
        raise ValueError(f"inputs: expected rank {shape[1]} (full column rank), got rank {rank}")
