"""All points of a sweep as one dataset: scalars from the records, arrays when they are used.

Points may have different coordinates, as runs that stop at different steps do: the dataset has the
union, with NaN where a point has nothing.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from .folder import Folder
from .grid import Grid
from .lookup import union_of_indexes
from .reading import ArrayReader, empty

__all__ = ["assemble"]

Record = dict[str, Any]
Records = Mapping[int, Record]


@dataclass(frozen=True)
class _Column:
    """One variable of all points.

    Attributes
    ----------
    name : str
        What it is called in the records.
    dims : tuple of str
        Of a point's own.
    records : dict of int to dict
        Those that have it, by point.
    descriptions : list of dict
        What the records say about it, each that they share once.
    """

    name: str
    dims: tuple[str, ...]
    records: dict[int, Record]
    descriptions: list[dict[str, Any]]


def assemble(folder: Folder, grid: Grid, records: Records) -> xr.Dataset:
    """Return the results over the grid.

    Parameters
    ----------
    folder : Folder
        Where the arrays are.
    grid : Grid
        All points.
    records : mapping of int to dict
        Records by point; points without one are missing.

    Returns
    -------
    xarray.Dataset
        Its arrays are read when they are used.
    """
    done = {i: record for i, record in records.items() if record["status"] == "done"}
    columns = _columns(done)
    names = _names(columns, grid)
    indexes = _indexes(folder, columns)
    sizes = _sizes(columns, indexes)
    data: dict[str, xr.Variable] = {}
    coordinates = _grid_coordinates(grid)
    for name, values in indexes.items():
        attrs = columns[name].descriptions[0].get("attrs", {})
        coordinates[names[name]] = xr.Variable((names[name],), values, attrs)
    for name, column in columns.items():
        if name in indexes:
            continue
        variable = _variable(folder, grid, column, sizes, indexes, names)
        is_coordinate = any(d.get("coordinate") for d in column.descriptions)
        # Another one for every point, it cannot be the coordinate of its dimension.
        shown = f"{names[name]}_values" if name in column.dims else names[name]
        (coordinates if is_coordinate else data)[shown] = variable
    data["status"] = _status(grid, records, data.get("status"))
    return xr.Dataset(data, coordinates, _common_attributes(done))


def _columns(done: Records) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    odd: dict[str, int] = {}
    for group in _alike(done):
        for name, description in next(iter(group.values()))["variables"].items():
            dims = tuple(description["dims"])
            column = columns.setdefault(name, _Column(name, dims, {}, []))
            if column.dims == dims:
                column.records.update(group)
                column.descriptions.append(description)
            else:
                odd[name] = odd.get(name, 0) + len(group)
    for name, count in odd.items():
        warnings.warn(
            f"{count} points have {name!r} with other dimensions than {columns[name].dims}: it is "
            "left out there",
            stacklevel=2,
        )
    return columns


def _alike(records: Records) -> Iterable[dict[int, Record]]:
    """Return the records in groups that share what they say about their variables."""
    groups: dict[int, dict[int, Record]] = {}
    for i, record in records.items():
        groups.setdefault(id(record["variables"]), {})[i] = record
    return groups.values()


def _names(columns: Mapping[str, _Column], grid: Grid) -> dict[str, str]:
    """Return what variables and dimensions are called: the grid's names are taken.

    So is "status", unless what is recorded under it are words, as of runs.
    """
    taken = {*grid.dims, *(name for axis in grid.axes for name in axis.labels)}
    if "status" in columns and not _are_words(columns["status"]):
        taken.add("status")
    own = {name for column in columns.values() for name in (column.name, *column.dims)}
    names = {name: name for name in own - taken}
    for name in sorted(own & taken):
        names[name] = f"{name}_recorded"
        while names[name] in own | taken:
            names[name] += "_"
    return names


def _are_words(column: _Column) -> bool:
    return not column.dims and all(np.dtype(d["dtype"]).kind == "U" for d in column.descriptions)


def _grid_coordinates(grid: Grid) -> dict[str, Any]:
    coordinates: dict[str, Any] = {}
    for axis in grid.axes:
        for name, labels in axis.labels.items():
            attrs = {"long_name": f"parameter {name}"}
            coordinates[name] = xr.Variable((axis.name,), _as_labels(labels), attrs)
    return coordinates


def _as_labels(labels: list[Any]) -> NDArray[Any]:
    """Return numbers if all are, else strings; a missing number is NaN."""
    kinds = {type(value) for value in labels}
    if kinds == {bool}:
        return np.array(labels)
    if kinds <= {int, float, type(None)} and kinds != {type(None)}:
        if kinds == {int} and all(-(2**63) <= value < 2**63 for value in labels):
            return np.array(labels, np.int64)
        return np.array([np.nan if value is None else value for value in labels], np.float64)
    return np.array(["" if value is None else str(value) for value in labels], dtype=object)


def _indexes(folder: Folder, columns: Mapping[str, _Column]) -> dict[str, NDArray[Any]]:
    """Return the union of the coordinates of each dimension that has one wherever it is."""
    indexes = {}
    for name, column in columns.items():
        if column.dims != (name,):
            continue
        having = {i for other in columns.values() if name in other.dims for i in other.records}
        if having <= set(column.records):
            union = union_of_indexes(folder, name, column.records)
            if union is not None:
                indexes[name] = union
    return indexes


def _sizes(columns: Mapping[str, _Column], indexes: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for column in columns.values():
        for description in column.descriptions:
            for dim, size in zip(column.dims, description["shape"], strict=True):
                sizes[dim] = max(sizes.get(dim, 0), size)
    return {**sizes, **{name: len(values) for name, values in indexes.items()}}


def _variable(
    folder: Folder,
    grid: Grid,
    column: _Column,
    sizes: Mapping[str, int],
    indexes: Mapping[str, NDArray[Any]],
    names: Mapping[str, str],
) -> xr.Variable:
    shape = tuple(sizes[dim] for dim in column.dims)
    dtype = _dtype(column, len(grid), shape)
    attrs = column.descriptions[0].get("attrs", {})
    dims = (*grid.dims, *(names[dim] for dim in column.dims))
    if not column.dims and all(column.name in r["values"] for r in column.records.values()):
        return xr.Variable(dims, _scalars(column, grid, dtype), attrs)
    own = {dim: indexes[dim] for dim in column.dims if dim in indexes}
    reader = ArrayReader(folder, column.name, column.dims, shape, dtype, column.records, own)
    lazy = _LazyArray(reader, grid.shape)
    return xr.Variable(dims, indexing.LazilyIndexedArray(lazy), attrs)


def _dtype(column: _Column, n_points: int, shape: tuple[int, ...]) -> np.dtype[Any]:
    """Return a dtype for all points, one that has something for those that are missing."""
    descriptions = column.descriptions
    kinds = {description["dtype"] for description in descriptions}
    if any(np.dtype(kind).kind == "U" for kind in kinds):
        return np.dtype(object)
    dtype: np.dtype[Any] = np.result_type(*map(np.dtype, kinds))
    gaps = len(column.records) < n_points or any(tuple(d["shape"]) != shape for d in descriptions)
    return np.result_type(dtype, np.float64) if gaps and dtype.kind in "biu" else dtype


def _scalars(column: _Column, grid: Grid, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = empty((len(grid),), dtype)
    for i, record in column.records.items():
        values[i] = record["values"][column.name]
    return values.reshape(grid.shape)


def _status(grid: Grid, records: Records, recorded: xr.Variable | None) -> xr.Variable:
    """Return how runs ended, or that points are done; and which failed or are missing."""
    ours = np.full(len(grid), "missing", dtype=object)
    for i, record in records.items():
        ours[i] = record["status"]
    status = ours.reshape(grid.shape)
    if recorded is not None:
        status = np.where(status == "done", recorded.values, status)
    attrs = {"long_name": "how the point ended", "units": "1", "reference": "definition"}
    return xr.Variable(grid.dims, status, attrs)


def _common_attributes(done: Records) -> dict[str, Any]:
    """Return what holds for all points."""
    common: dict[str, Any] | None = None
    for record in done.values():
        attrs = record["attrs"]
        if common is None:
            common = dict(attrs)
        elif common != attrs:
            common = {k: v for k, v in common.items() if k in attrs and attrs[k] == v}
    return common or {}


class _LazyArray(BackendArray):
    """What xarray indexes before anything is read."""

    def __init__(self, reader: ArrayReader, grid_shape: tuple[int, ...]) -> None:
        self._reader = reader
        self._grid_shape = grid_shape
        self.shape = (*grid_shape, *reader.shape)
        self.dtype = reader.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._get
        )

    def _get(self, key: tuple[Any, ...]) -> NDArray[Any]:
        picked = [_as_places(part, size) for part, size in zip(key, self.shape, strict=True)]
        n = len(self._grid_shape)
        points = np.arange(np.prod(self._grid_shape)).reshape(self._grid_shape)[np.ix_(*picked[:n])]
        values = self._reader.read(points.ravel(), picked[n:])
        values = values.reshape(*points.shape, *values.shape[1:])
        return values[tuple(slice(None) if _is_many(part) else 0 for part in key)]


def _is_many(part: Any) -> bool:
    return isinstance(part, slice) or np.ndim(part) > 0


def _as_places(part: Any, size: int) -> NDArray[np.int64]:
    if isinstance(part, slice):
        return np.arange(size)[part]
    return np.atleast_1d(np.arange(size)[part])
