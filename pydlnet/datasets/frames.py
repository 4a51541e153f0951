"""Columns of users, items and values out of DataFrames and Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray
from .tables import Columns, Table, check_finite, check_named, positions_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_arrow", "from_frame", "from_parquet", "is_parquet"]


def is_parquet(path: Path) -> bool:
    """Say whether a file is one of Parquet, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def from_parquet(path: Path, columns: Columns) -> Table:
    """Read a Parquet file, see `from_frame`.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If the file is damaged.
    """
    import pandas as pd

    pyarrow = _pyarrow("Parquet")
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except Exception as error:  # pyarrow lets out whatever wrong bytes come to
        raise ValueError(f"path: cannot read {path}: {error}") from None
    try:
        return from_frame(frame, columns, str(path))
    except pyarrow.ArrowException as error:  # of text that is decoded when it is looked at
        raise ValueError(f"path: cannot read {path}: {error}") from None


def from_arrow(table: Any, columns: Columns) -> Table:
    """Take the columns of a table of Polars, pyarrow, DuckDB, ..., see `from_frame`.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError
        If what is given is no table.
    """
    pyarrow = _pyarrow("tables of Arrow")
    try:
        frame = pyarrow.table(table).to_pandas()
    except (pyarrow.ArrowException, TypeError) as error:
        raise TypeError(f"path: expected a table, got {type(table).__name__} ({error})") from None
    return from_frame(frame, columns, "the table")


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError(
            f"path: reading {what} needs pyarrow: pip install 'pydlnet[parquet]'"
        ) from None
    return pyarrow


def from_frame(frame: pd.DataFrame, columns: Columns, name: str) -> Table:
    """Take the columns of a DataFrame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its index is ignored.
    columns : tuple of int or str
        See `Columns`.
    name : str
        For messages.

    Returns
    -------
    Table
        Users and items that are integers or text, values that are real numbers.

    Raises
    ------
    ValueError, TypeError
        Naming the column, and the row where that is one.
    """
    if len(frame) == 0:
        raise ValueError(f"path: {name} has no rows")
    names = [str(label) for label in frame.columns]
    positions = positions_of(columns, names, name)
    check_named(columns, names, name)

    def place(row: int) -> str:
        return f"{name}, row {row} (the first is row 0)"

    users, items, values = (frame.iloc[:, position] for position in positions)
    return Table(
        _labels(users, "user", place), _labels(items, "item", place), _reals(values, place), place
    )


def _labels(column: pd.Series[Any], what: str, place: Callable[[int], str]) -> NDArray[Any]:
    import pandas as pd

    missing = np.flatnonzero(column.isna())
    if missing.size:
        raise ValueError(f"path: {place(int(missing[0]))}: expected a name of the {what}, got none")
    if pd.api.types.is_integer_dtype(column.dtype):
        if column.max() < 2**63:
            return np.asarray(column.to_numpy(dtype=np.int64))
    objects = np.asarray(column.to_numpy(dtype=object))
    # Categories and columns of objects may hold integers as well.
    if pd.api.types.infer_dtype(objects, skipna=False) == "integer":
        if -(2**63) <= min(objects) and max(objects) < 2**63:
            return objects.astype(np.int64)
    wrong = next((row for row, value in enumerate(objects) if not isinstance(value, str)), None)
    if wrong is not None:
        raise TypeError(
            f"{what}: expected a column of integers of at most 64 bits or of text, got "
            f"{type(objects[wrong]).__name__} {objects[wrong]!r} in {place(wrong)}"
        )
    return np.array(objects, dtype=object)


def _reals(column: pd.Series[Any], place: Callable[[int], str]) -> FloatArray:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        kind = getattr(column.dtype.categories.dtype, "kind", "O")
        # Integers would have no place for what is missing.
        column = column.astype(np.float64 if kind in "iuf" else object)
    if getattr(column.dtype, "kind", "O") not in "iuf":
        raise TypeError(f"value: expected a column of real numbers, got dtype {column.dtype}")
    values: FloatArray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    check_finite(values, place)
    return values
