"""Reading one variable of many points into one array, each point where its coordinates say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Folder
from .lookup import places_in
from .sealed import Damaged

__all__ = ["ArrayReader", "empty", "read_values"]


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of what stands for nothing: NaN, NaT or an empty string."""
    if dtype.kind in "biu":  # where every point has everything
        return np.zeros(shape, dtype)
    fill: Any = "" if dtype.kind == "O" else np.nan
    return np.full(shape, np.array("NaT", dtype) if dtype.kind in "mM" else fill, dtype)


def read_values(
    folder: Folder, record: dict[str, Any], names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return some variables of a point, from its record or its file.

    A record out of an index may be older than what another process has written since.

    Raises
    ------
    OSError
        Naming the file that is not as it was written.
    """
    try:
        return _read(folder, record, names)
    except Damaged as error:
        try:
            newer = folder.read_record(record["key"])
            if newer is None or newer["files"] == record["files"]:
                raise error
            return _read(folder, newer, names)
        except (Damaged, KeyError):
            raise OSError(f"{error}; launching the sweep again computes the point anew") from None


def _read(folder: Folder, record: dict[str, Any], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    values = record["values"]
    far = [name for name in names if name not in values]
    arrays = folder.read_arrays(record["key"], record, far) if far else {}
    return {name: arrays[name] if name in arrays else np.asarray(values[name]) for name in names}


class ArrayReader:
    """One variable of all points.

    Parameters
    ----------
    folder : Folder
        Where the points are.
    name : str
        What it is called in the records.
    dims : tuple of str
        Of a point's own.
    shape : tuple of int
        Sizes of them in the union.
    dtype : numpy.dtype
        Of the union.
    records : mapping of int to dict
        Those that have it, by point.
    indexes : mapping of str to ndarray
        The union's coordinates; along other dimensions points begin at place 0.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        dims: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        records: Mapping[int, dict[str, Any]],
        indexes: Mapping[str, NDArray[Any]],
    ) -> None:
        self._folder = folder
        self._name = name
        self._dims = dims
        self._records = records
        self._indexes = indexes
        self.shape = shape
        self.dtype = dtype

    def read(self, points: NDArray[np.int64], wanted: list[NDArray[np.int64]]) -> NDArray[Any]:
        """Return an array (point, ...) with the wanted places of the union.

        Parameters
        ----------
        points : ndarray of int64
            Which points.
        wanted : list of ndarray of int64
            For each dimension of the variable, which places.
        """
        result = empty((len(points), *map(len, wanted)), self.dtype)
        for row, point in enumerate(points.tolist()):
            record = self._records.get(point)
            if record is not None and result[row : row + 1].size:
                self._fill(result[row : row + 1], record, wanted)
        return result

    def _fill(
        self, target: NDArray[Any], record: dict[str, Any], wanted: list[NDArray[np.int64]]
    ) -> None:
        names = [self._name, *self._indexes]
        arrays = read_values(self._folder, record, list(dict.fromkeys(names)))
        values = arrays[self._name]
        there, mine = [], []
        for dim, places, size in zip(self._dims, wanted, values.shape, strict=True):
            own = self._own_places(dim, size, arrays)
            back = np.full(self.shape[self._dims.index(dim)], -1)
            back[own] = np.arange(size)
            found = back[places]
            there.append(np.flatnonzero(found >= 0))
            mine.append(found[found >= 0])
        if there:
            target[0][np.ix_(*there)] = values[np.ix_(*mine)]
        else:
            target[0] = values[()]

    def _own_places(
        self, dim: str, size: int, arrays: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.int64]:
        """Return where in the union the entries of a point are."""
        if dim not in self._indexes:
            return np.arange(size)
        try:
            return places_in(self._indexes[dim], arrays[dim])
        except KeyError:
            raise OSError(
                f"{self._folder.path}: a point has been computed anew since the sweep was opened; "
                "open it again"
            ) from None
