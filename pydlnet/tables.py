"""What DataFrames and DataArrays call their rows and columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import is_dataarray, is_pandas
from .names import SIDES, Coords, agreed, as_names, of_objects, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["names_of", "names_of_layers"]

Table = tuple[Any, Sequence[str]]
"""What a user passed, and what its axes are: a side, or anything else, such as "sample"."""


def names_of(**tables: Table) -> Coords:
    """Return the names that tables bring along, by side.

    Parameters
    ----------
    **tables : tuple (value, axes)
        By the name of the argument. A DataFrame or a Series has its index and its columns or its
        name, a DataArray its coordinates, anything else nothing. Unnamed rows and columns, which
        pandas numbers 0, 1, 2, ..., bring nothing either.

    Returns
    -------
    dict of str to ndarray
        Of the sides that have names.

    Raises
    ------
    ValueError
        If a name is missing or is there twice; if two tables name the same places differently, or
        the same samples in another order; if the axes of a DataArray are exchanged.
    """
    first: dict[str, tuple[str, pd.Index]] = {}
    coords: list[tuple[str, Coords]] = []
    for argument, (value, axes) in tables.items():
        _check_order(value, axes, argument)
        for axis, label in enumerate(axes):
            index = _index_along(value, axis)
            if index is None:
                continue
            if label not in SIDES:
                _check_aligned(argument, index, *first.setdefault(label, (argument, index)))
            elif not _is_numbered(index):
                names = as_names(np.asarray(index), label, argument)
                coords.append((argument, {label: names}))
    return agreed(coords)


def names_of_layers(weights: Sequence[Any], argument: str = "weights") -> Coords:
    """Return the names that layers bring along, as `names_of`."""
    if all(type(layer) is np.ndarray for layer in weights):  # as those of large ensembles are
        return {}
    ends = ["input", *(f"hidden_{j}" for j in range(1, len(weights))), "output"]
    tables = {
        f"{argument}[{j}]": (layer, (ends[j + 1], ends[j])) for j, layer in enumerate(weights)
    }
    return names_of(**tables)


def _check_order(value: Any, axes: Sequence[str], argument: str) -> None:
    """Raise if the dimensions of a DataArray are called as axes at another place are."""
    if not is_dataarray(value):
        return
    for dim, axis in zip(value.dims, axes, strict=False):
        if dim != axis and dim in axes:
            raise ValueError(
                f"{argument}: expected the dimensions ({', '.join(axes)}) in this order, got "
                f"{tuple(value.dims)}; use .transpose, or .to_numpy() if only their names are wrong"
            )


def _index_along(value: Any, axis: int) -> "pd.Index | None":
    """Return what a table calls the places along an axis; None if it says nothing."""
    if is_pandas(value):
        return _as_index(value.axes[axis]) if axis < value.ndim else _single(value.name)
    if not is_dataarray(value):
        return None
    if axis >= value.ndim:
        return _single(value.name)
    dim = value.dims[axis]
    return value.coords[dim].to_index() if dim in value.coords else None


def _as_index(index: Any) -> "pd.Index":
    """Return an index of pandas', also for a table of Dask's, which has its own."""
    import pandas as pd

    if isinstance(index, pd.Index):
        return index
    return pd.Index(np.asarray(index), tupleize_cols=False)


def _single(name: Any) -> "pd.Index | None":
    """Return the name of a vector, which stands for one column."""
    import pandas as pd

    return None if name is None else pd.Index(of_objects([name]), tupleize_cols=False)


def _is_numbered(index: "pd.Index") -> bool:
    """Whether an index says no more than which place is which."""
    return getattr(index.dtype, "kind", "O") in "iu" and np.array_equal(
        index.to_numpy(), np.arange(len(index))
    )


def _check_aligned(argument: str, index: "pd.Index", first: str, expected: "pd.Index") -> None:
    """Raise if rows that belong together are called differently, unless one side only counts."""
    if index.equals(expected):
        return
    is_counted = _is_numbered(index) or _is_numbered(expected)
    if is_counted and not index.symmetric_difference(expected, sort=False).empty:
        return
    raise ValueError(
        f"{argument}: expected the index of {first}, {shown(np.asarray(expected))}, as rows belong "
        f"together by position, got {shown(np.asarray(index))}; align them, or use .to_numpy()"
    )
