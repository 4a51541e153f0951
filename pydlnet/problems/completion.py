"""Matrix completion: some entries of a matrix are observed."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._arrays import as_numpy
from .._validation import (
    FloatArray,
    IndexArray,
    as_array,
    as_count,
    as_indices,
    as_matrix,
    as_rng,
    as_shape,
)
from ..tables import names_of
from .base import HeldOut, Problem, as_ground_truth, as_reduction
from .low_rank import draw_low_rank


class MatrixCompletion(Problem):
    """The mean over the observed entries of (W_ij - value)^2 / 2.

    Parameters
    ----------
    shape : tuple of int
        (d_N, d_0).
    rows, columns : array_like of int, shape (n_observed,)
        Where the observed entries are; none twice.
    values : array_like, shape (n_observed,)
        What was observed, finite real numbers; copied to float64.
    held_out : tuple of array_like (rows, columns, values), optional
        Entries that the loss does not see, for `held_out_error`; none of them observed.
    ground_truth : array_like, shape (d_N, d_0), optional
        Matrix that `reconstruction_error` compares with.
    reduction : {"mean", "sum"}, default "mean"
        Mean or sum over the observed entries.

    Raises
    ------
    ValueError, TypeError
        If an entry is out of range or named twice, or data is empty, not finite or of
        different lengths.

    Notes
    -----
    Deep matrix factorisation of [1]_, whose released code has no factor 1/2.

    Where a step sees few of the entries, the end-to-end matrix is evaluated there only and its
    gradient stays sparse: the attribute `exact_algebra` of the trajectory's data then says "sparse
    residual". The results are those of the dense matrices to rounding.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.MatrixCompletion((2, 2), [0, 1], [1, 0], [1.0, 1.0])
    MatrixCompletion(shape=(2, 2), n_observed=2, n_held_out=0, reduction='mean')
    """

    rows: IndexArray
    columns: IndexArray
    values: FloatArray
    reduction: str
    n_samples: int

    def __init__(
        self,
        shape: tuple[int, int],
        rows: ArrayLike,
        columns: ArrayLike,
        values: ArrayLike,
        held_out: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
        ground_truth: ArrayLike | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        size = as_shape(shape)
        observed = _as_entries((rows, columns, values), size, "")
        entries = ("entry",)
        names = names_of(
            rows=(rows, entries),
            columns=(columns, entries),
            values=(values, entries),
            ground_truth=(ground_truth, ("output", "input")),
        )
        _check_distinct(observed, size, "rows, columns")
        self._set(
            shape=size,
            rows=observed[0],
            columns=observed[1],
            values=observed[2],
            n_samples=observed[2].size,
            held_out=_as_held_out(held_out, observed, size),
            ground_truth=as_ground_truth(ground_truth, size),
            reduction=as_reduction(reduction),
            _coords=names,
        )

    @classmethod
    def from_dense(
        cls,
        matrix: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        held_out: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
        ground_truth: ArrayLike | None = None,
        reduction: str = "mean",
    ) -> "MatrixCompletion":
        """Take the observed entries from a matrix.

        Parameters
        ----------
        matrix : array_like, shape (d_N, d_0)
            Real numbers; only the observed ones need be finite. Columns and index of a DataFrame,
            or the coordinates of a DataArray, name inputs and outputs: see `coords`.
        mask : array_like of bool, shape (d_N, d_0), optional
            True where the entry is observed. Default: where it is not NaN.
        held_out, ground_truth, reduction
            As in `MatrixCompletion`.

        Returns
        -------
        MatrixCompletion
            Its entries in row-major order.

        Raises
        ------
        ValueError, TypeError
            If the shapes differ, the mask is not boolean, or nothing is observed; if names are
            missing or there twice, or those of matrix and mask differ.

        Examples
        --------
        >>> import pandas as pd
        >>> import pydlnet as dln
        >>> stars = pd.DataFrame({"Alien": [5.0, None], "Brazil": [4.0, 2.0]}, ["ann", "bob"])
        >>> problem = dln.MatrixCompletion.from_dense(stars)
        >>> problem
        MatrixCompletion(shape=(2, 2), n_observed=3, n_held_out=0, reduction='mean')
        >>> problem.coords["input"]
        array(['Alien', 'Brazil'], dtype=object)
        """
        dense = as_matrix(matrix, "matrix", finite=False)
        observed = ~np.isnan(dense) if mask is None else as_numpy(mask, "mask")
        if observed.dtype != np.bool_:
            raise TypeError(f"mask: expected booleans, got dtype {observed.dtype}")
        if observed.shape != dense.shape:
            raise ValueError(f"mask: expected shape {dense.shape}, got {observed.shape}")
        if not observed.any():
            raise ValueError("mask: expected at least one observed entry, got none")
        sides = ("output", "input")
        names = names_of(
            matrix=(matrix, sides), mask=(mask, sides), ground_truth=(ground_truth, sides)
        )
        rows, columns = np.nonzero(observed)
        problem = cls(
            (dense.shape[0], dense.shape[1]),
            rows,
            columns,
            as_array(dense[rows, columns], "matrix where mask is True"),
            held_out,
            ground_truth,
            reduction=reduction,
        )
        return problem.assign_coords(**names)

    @classmethod
    def synthetic(
        cls,
        shape: tuple[int, int],
        rank: int,
        n_observed: int,
        rng: int | np.random.Generator | None = None,
        *,
        held_out: int = 0,
        reduction: str = "mean",
    ) -> "MatrixCompletion":
        """Draw a random low-rank matrix and observe some of its entries.

        Parameters
        ----------
        shape : tuple of int
            (d_N, d_0).
        rank : int
            Rank of the ground truth, from 1 to min(d_N, d_0).
        n_observed : int
            Number of observed entries, drawn uniformly without replacement.
        rng : int, numpy.random.Generator or None
            Randomness, as in SPEC 7.
        held_out : int, default 0
            Number of further entries to hold out. It does not change the observed ones.
        reduction : {"mean", "sum"}, default "mean"
            As in `MatrixCompletion`.

        Returns
        -------
        MatrixCompletion
            With its ground truth.

        Raises
        ------
        ValueError, TypeError
            If the rank or the numbers of entries do not fit the shape.

        Notes
        -----
        The ground truth is U V^T with standard normal U and V, scaled to a root mean square
        of 1, as in [1]_.

        References
        ----------
        .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655
        """
        size = as_shape(shape)
        n_entries = size[0] * size[1]
        n_seen = as_count(n_observed, "n_observed", 1, n_entries)
        n_kept = as_count(held_out, "held_out", 0, n_entries - n_seen)
        generator = as_rng(rng)
        truth = draw_low_rank(size, rank, generator)
        order = generator.permutation(n_entries)
        rows, columns = np.divmod(order[:n_seen], size[1])
        kept = np.divmod(order[n_seen : n_seen + n_kept], size[1])
        return cls(
            size,
            rows,
            columns,
            truth[rows, columns],
            (*kept, truth[kept]) if n_kept else None,
            truth,
            reduction=reduction,
        )

    def _data(self) -> dict[str, NDArray[Any]]:
        return {"rows": self.rows, "columns": self.columns, "values": self.values}

    def _details(self) -> dict[str, Any]:
        return {
            "n_observed": self.n_samples,
            "n_held_out": 0 if self.held_out is None else int(self.held_out[2].size),
            "reduction": self.reduction,
        }

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        mean = self.reduction == "mean"
        return _core.entries_loss(*self.shape, self.rows, self.columns, self.values, mean, single)


def _as_held_out(
    held_out: tuple[ArrayLike, ArrayLike, ArrayLike] | None,
    observed: HeldOut,
    shape: tuple[int, int],
) -> HeldOut | None:
    if held_out is None:
        return None
    if not isinstance(held_out, tuple | list) or len(held_out) != 3:
        raise TypeError("held_out: expected a tuple (rows, columns, values)")
    entries = _as_entries(tuple(held_out), shape, "held_out ")
    _check_distinct(entries, shape, "held_out")
    seen = np.isin(_flat(entries, shape), _flat(observed, shape))
    if seen.any():
        i = int(np.argmax(seen))
        raise ValueError(
            f"held_out: expected entries that are not observed, "
            f"got ({entries[0][i]}, {entries[1][i]})"
        )
    for array in entries:
        array.flags.writeable = False
    return entries


def _as_entries(entries: tuple[Any, ...], shape: tuple[int, int], prefix: str) -> HeldOut:
    rows = as_indices(entries[0], f"{prefix}rows", shape[0])
    columns = as_indices(entries[1], f"{prefix}columns", shape[1])
    values = as_array(entries[2], f"{prefix}values", 1)
    if not rows.size == columns.size == values.size:
        raise ValueError(
            f"{prefix}rows, columns, values: expected equal lengths, "
            f"got {rows.size}, {columns.size} and {values.size}"
        )
    return rows, columns, values


def _check_distinct(entries: HeldOut, shape: tuple[int, int], name: str) -> None:
    unique, counts = np.unique(_flat(entries, shape), return_counts=True)
    if unique.size < entries[0].size:
        row, column = divmod(int(unique[np.argmax(counts > 1)]), shape[1])
        raise ValueError(f"{name}: expected each entry once, got ({row}, {column}) more than once")


def _flat(entries: HeldOut, shape: tuple[int, int]) -> IndexArray:
    return entries[0] * shape[1] + entries[1]
