"""What a reader sees of a column: the rows on the disk, and the last ones, which a commit carries.

Read when they are used, and never beyond the commit: what a writer adds meanwhile is not seen.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from .columns import Column, open_column

__all__ = ["Rows", "lazily"]


class Rows(BackendArray):
    """Committed rows of one column.

    Parameters
    ----------
    path : Path
        Folder of the column.
    n_stored : int
        Rows that are read from there.
    tail : ndarray, shape (n_rows - n_stored, ...)
        The rows after them.
    """

    def __init__(self, path: Path, n_stored: int, tail: NDArray[Any]) -> None:
        self._path = path
        self._n_stored = n_stored
        self._tail = tail
        self.shape = (n_stored + len(tail), *tail.shape[1:])
        self.dtype = tail.dtype

    @cached_property
    def _column(self) -> Column:
        return open_column(self._path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_column"}

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        rows, *others = key
        if not isinstance(rows, slice):
            return self._pick(np.atleast_1d(rows), others, is_single=np.ndim(rows) == 0)
        first, end, step = rows.indices(self.shape[0])
        n_before = len(range(first, min(end, self._n_stored), step))
        from_tail = slice(max(0, first + n_before * step - self._n_stored), None, step)
        tail = _orthogonal(self._tail[: max(0, end - self._n_stored)], (from_tail, *others))
        if n_before == 0:
            return tail
        stop = min(end, self._n_stored)
        stored = self._column.read_at((slice(first, stop, step), *others), first, stop)
        return np.concatenate([stored, tail]) if len(tail) else stored

    def _pick(self, rows: NDArray[Any], others: list[Any], *, is_single: bool) -> NDArray[Any]:
        stored = rows < self._n_stored
        tail = _orthogonal(self._tail, (rows[~stored] - self._n_stored, *others))
        picked = np.empty((len(rows), *tail.shape[1:]), self.dtype)
        picked[~stored] = tail
        if stored.any():
            wanted = rows[stored]
            picked[stored] = self._column.read_at(
                (wanted, *others), int(wanted.min()), int(wanted.max()) + 1
            )
        result: NDArray[Any] = picked[0] if is_single else picked
        return result


def _orthogonal(array: NDArray[Any], key: tuple[Any, ...]) -> NDArray[Any]:
    """Return what a key selects if every axis is indexed on its own."""
    for axis in reversed(range(len(key))):  # from the back, as integers take axes away
        array = array[(slice(None),) * axis + (key[axis],)]
    return array


def lazily(rows: Rows, dims: tuple[str, ...], attributes: dict[str, Any]) -> xr.Variable:
    """Return a variable that is read when it is used."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(rows), attributes)
