"""Singular modes followed along a trajectory, through crossings of their values."""

import itertools
from dataclasses import dataclass

import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray, IndexArray, as_real

__all__ = ["track_modes"]

_VALUES, _LEFT, _RIGHT = "singular_value", "left_singular_vector", "right_singular_vector"
_DIMS = {
    _VALUES: ("step", "mode"),
    _LEFT: ("step", "output", "mode"),
    _RIGHT: ("step", "input", "mode"),
}
_ADDED = {
    "mode_rank": "position of the mode among the singular values in descending order, from 0",
    "mode_overlap": "|u_r . u_r'| |v_r . v_r'| with the same mode at the record next to it",
}


def track_modes(dataset: xr.Dataset, *, tolerance: float = 1e-8) -> xr.Dataset:
    """Follow each singular mode by its vectors instead of by the rank of its value.

    Parameters
    ----------
    dataset : Dataset
        With `singular_value`, `left_singular_vector` and `right_singular_vector` over step and
        mode, as recorded by `Record(["singular_values", "singular_vectors"])`; of one run.
    tolerance : float, default 1e-8
        Share of the largest singular value, in [0, 1): closer values count as equal, smaller ones
        as zero.

    Returns
    -------
    Dataset
        The same with the modes of each record in another order, in all variables over step and
        mode, and two more such variables: `mode_rank`, where the value is among those of its
        record, and `mode_overlap`, how sure the step there is: near 1 if records are close.

    Raises
    ------
    ValueError, TypeError
        If a variable is missing or has other dimensions, the values are not in descending order
        (as those of a dataset that was tracked before), or the tolerance is not as above.

    Notes
    -----
    Singular values and vectors of an analytic path of matrices can be chosen analytic, in no fixed
    order [1]_ (Lemma 1). Recorded ones are in descending order; two modes whose values cross
    exchange their places there, and their curves seem to turn away from each other. Here
    consecutive records are joined by the permutation with the largest sum of
    ``|u_r . u_r'| |v_r . v_r'|``, and u_r and v_r are flipped together where that brings them
    nearer to those before. Curves follow what is recorded: of two crossings between two records
    nothing is seen.

    Equal values determine the span of their vectors alone. Such a span is matched as a whole, and
    in it the vectors are those nearest to the neighbouring record's (a Procrustes problem); each
    value is u_r^T W v_r, within the tolerance of the recorded one, and other variables over mode
    are NaN, as they belong to the recorded vectors. At zero the left and the right vectors are
    independent of each other, and turn so independently. Modes are numbered by
    the rank of their values at the first record with the most modes that are neither equal nor
    zero, and are followed from there in both directions. Undefined records (of a diverged run, say)
    are passed over.

    Singular values are at least 0. A mode that goes through zero, as may happen at depth 1, comes
    back from it, and its left or right vector is the negative of the one before.

    References
    ----------
    .. [1] S. Arora, N. Cohen, W. Hu and Y. Luo, NeurIPS 2019. arXiv:1905.13655

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = [np.diag([0.1, 0.5])]  # the second mode is larger at first
    >>> record = dln.Record(["singular_values", "singular_vectors"], every=1)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=20, record=record)
    >>> tracked = dln.metrics.track_modes(trajectory.data)
    >>> tracked.singular_value.isel(step=[0, 1, -1]).round(2).values
    array([[0.5 , 0.1 ],
           [0.55, 0.39],
           [0.94, 2.65]])
    """
    share = as_real(tolerance, "tolerance", minimum=0.0, below=1.0)
    data = _checked(dataset)
    arrays = {name: np.array(data[name].values, dtype=np.float64) for name in _DIMS}
    path = _Path(arrays[_VALUES], arrays[_LEFT], arrays[_RIGHT], share)
    order, overlap, mixed = path.follow()
    changes = {name: data[name].copy(data=array) for name, array in arrays.items()}
    for name, variable in data.data_vars.items():
        if name not in _DIMS and {"step", "mode"} <= set(variable.dims):
            changes[str(name)] = _reordered(variable, order, mixed)
    ranks = np.where(np.isnan(overlap), np.nan, order)
    result = data.assign(changes)
    for name, array in [("mode_rank", ranks), ("mode_overlap", overlap)]:
        attributes = {"long_name": _ADDED[name], "units": "1", "reference": "definition"}
        result[name] = (("step", "mode"), array, attributes)
    return result


def _checked(dataset: xr.Dataset) -> xr.Dataset:
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(
            f"dataset: expected an xarray.Dataset such as trajectory.data, "
            f"got {type(dataset).__name__}"
        )
    for name, dims in _DIMS.items():
        if name not in dataset:
            raise ValueError(
                f"dataset: expected the variable {name!r}, which "
                'Record(["singular_values", "singular_vectors"]) records, got none'
            )
        if set(dataset[name].dims) != set(dims):
            raise ValueError(
                f"dataset: expected {name!r} over {dims}, got {dataset[name].dims}"
                + ("; select one run first" if "run" in dataset[name].dims else "")
            )
    if np.any(np.diff(dataset[_VALUES].transpose("step", "mode").values) > 0.0):
        raise ValueError(f"dataset: expected {_VALUES!r} in descending order, as it is recorded")
    return dataset.assign({name: dataset[name].transpose(*dims) for name, dims in _DIMS.items()})


def _reordered(variable: xr.DataArray, order: IndexArray, mixed: NDArray[np.bool_]) -> xr.DataArray:
    """Return a variable over step and mode in the new order, NaN where modes were mixed."""
    dims = [dim for dim in variable.dims if dim not in ("step", "mode")]
    last = variable.transpose(*dims, "step", "mode")
    array = np.take_along_axis(
        np.asarray(last.values, dtype=np.float64), np.broadcast_to(order, last.shape), axis=-1
    )
    array[..., mixed] = np.nan
    return last.copy(data=array).transpose(*variable.dims)


@dataclass
class _Record:
    """The modes of one record, rotated and put in order once it is joined to its neighbour."""

    values: FloatArray  # (k,)
    left: FloatArray  # (d_N, k)
    right: FloatArray  # (d_0, k)
    spans: list[slice]  # of equal values
    rank: int  # number of values that are not zero

    @property
    def undetermined(self) -> list[slice]:
        """The spans of values that are zero or equal to another."""
        return [s for s in self.spans if s.stop - s.start > 1 or s.start >= self.rank]

    @property
    def n_determined(self) -> int:
        """How many modes lie in none of them."""
        return len(self.values) - sum(int(s.stop - s.start) for s in self.undetermined)


class _Path:
    """All records of a trajectory.

    Parameters
    ----------
    values, left, right : ndarray, shape (T, k), (T, d_N, k) and (T, d_0, k)
        Changed in place.
    tolerance : float
        Share of the largest singular value that counts as nothing.
    """

    def __init__(
        self, values: FloatArray, left: FloatArray, right: FloatArray, tolerance: float
    ) -> None:
        self._values, self._left, self._right = values, left, right
        defined = [
            np.isfinite(array).reshape(len(array), -1).all(axis=1)
            for array in (values, left, right)
        ]
        self._steps = np.flatnonzero(np.logical_and.reduce(defined))
        self._records = {int(t): self._record(int(t), tolerance) for t in self._steps}

    def follow(self) -> tuple[IndexArray, FloatArray, NDArray[np.bool_]]:
        """Put every record in order; return the order, the overlaps and which modes were mixed."""
        order = np.tile(np.arange(self._values.shape[1]), (len(self._values), 1))
        overlap = np.full(self._values.shape, np.nan)
        mixed = np.zeros(self._values.shape, dtype=np.bool_)
        if not self._records:
            return order, overlap, mixed
        first = max(self._records, key=lambda t: (self._records[t].n_determined, -t))
        overlap[first] = 1.0
        for steps in (self._steps[self._steps > first], self._steps[self._steps < first][::-1]):
            before = first
            for t in map(int, steps):
                order[t], overlap[t], mixed[t] = self._join(before, t)
                before = t
        return order, overlap, mixed

    def _record(self, t: int, tolerance: float) -> _Record:
        values = self._values[t]
        nothing = tolerance * values[0]
        rank = int(np.count_nonzero(values > nothing))
        gaps = values[: max(rank - 1, 0)] - values[1 : max(rank, 1)]
        breaks = np.flatnonzero(gaps > nothing) + 1
        edges = sorted({0, *breaks.tolist(), rank, values.size})
        spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
        return _Record(values, self._left[t], self._right[t], spans, rank)

    def _join(self, before: int, t: int) -> tuple[IndexArray, FloatArray, NDArray[np.bool_]]:
        """Put record t in the order of a neighbour that is in order."""
        record = self._records[t]
        left, right = self._left[before], self._right[before]
        _, order = scipy.optimize.linear_sum_assignment(_scores(record, left, right), maximize=True)
        mixed = np.zeros(order.size, dtype=np.bool_)
        result = [record.values[order], record.left[:, order], record.right[:, order]]
        signs = np.where(_dots(left, result[1]) + _dots(right, result[2]) < 0.0, -1.0, 1.0)
        result[1:] = [signs * vectors for vectors in result[1:]]
        for span in record.undetermined:
            modes = np.flatnonzero((order >= span.start) & (order < span.stop))
            mixed[modes] = modes.size > 1
            turned = _turned(record, span, left[:, modes], right[:, modes])
            for array, part in zip(result, turned, strict=True):
                array[..., modes] = part
        self._values[t], self._left[t], self._right[t] = result
        overlap = np.abs(_dots(left, result[1]) * _dots(right, result[2]))
        return order, overlap, mixed


def _scores(record: _Record, left: FloatArray, right: FloatArray) -> FloatArray:
    """Return |u_r . u_s| |v_r . v_s|, r being a mode before; the whole span's for equal ones."""
    squares = [_products(left, record.left) ** 2, _products(right, record.right) ** 2]
    for square in squares:
        for span in record.undetermined:
            square[:, span] = square[:, span].sum(axis=1, keepdims=True)
    scores: FloatArray = np.sqrt(squares[0] * squares[1])
    return scores


def _turned(
    record: _Record, span: slice, left: FloatArray, right: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values and vectors of a span, nearest to those of the same modes before."""
    values, own_left, own_right = (record.values[span], record.left[:, span], record.right[:, span])
    products = _products(own_left, left), _products(own_right, right)
    if span.start >= record.rank:
        turns = _nearest_rotation(products[0]), _nearest_rotation(products[1])
    else:
        turns = (_nearest_rotation(products[0] + products[1]),) * 2
    turned = np.einsum("ar,a,ar->r", turns[0], values, turns[1])
    return np.abs(turned), own_left @ turns[0], own_right @ turns[1]


def _nearest_rotation(matrix: FloatArray) -> FloatArray:
    """Return the orthogonal matrix nearest to a square one."""
    left, _, right = np.linalg.svd(matrix)
    rotation: FloatArray = left @ right
    return rotation


def _products(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return a^T b."""
    # Not by BLAS, whose threads take longer to meet on a busy machine than products this small.
    factors = [np.ascontiguousarray(b), np.ascontiguousarray(a.T)]
    products: FloatArray = _core.chain_product(factors)
    return products


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the scalar products of corresponding columns."""
    products: FloatArray = np.einsum("ir,ir->r", a, b)
    return products
