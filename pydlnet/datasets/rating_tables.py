"""Ratings from any table that a user has."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._validation import as_choice, as_count, as_path
from .frames import from_arrow, from_frame, from_parquet, is_parquet
from .rated import Ratings, from_table
from .tables import from_text

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["ratings"]

# How packed files begin, and what unpacks them.
_PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}


def ratings(
    path: str | os.PathLike[str] | pd.DataFrame,
    *,
    user: int | str = 0,
    item: int | str = 1,
    value: int | str = 2,
    separator: str | None = None,
    duplicates: str = "error",
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Ratings:
    r"""Read ratings from a table with the columns user, item and value.

    Parameters
    ----------
    path : str, path-like, pandas.DataFrame or table of Arrow
        A text file (CSV and its relatives, also packed by gzip, bzip2 or xz), a DataFrame, a
        Parquet file, or a table of Polars, pyarrow or DuckDB; the latter two need
        ``pip install "pydlnet[parquet]"``. Further columns are ignored.
    user, item, value : int or str
        The columns, by position from 0 or by name. Default: the first three.
    separator : str, optional
        What separates the fields of a line of text. Default: the one of comma, semicolon, tab,
        ``|`` and ``::`` that separates at least three in the first line.
    duplicates : {"error", "first", "last", "mean"}, default "error"
        What becomes of a user and an item that occur together again: an error that names both
        lines, the first or the last of the values, or their mean.
    decimal : {".", ","}, default "."
        What is before the decimals of a value, in a text file.
    encoding : str, default "utf-8"
        Of a text file: a name that Python knows, such as "cp1252", in which Excel writes many.

    Returns
    -------
    Ratings
        With users and items numbered in the order of their names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line has another number of fields than the first, no user, no item, or no finite
        number; if a pair occurs twice; if the text has another encoding, the separator is not
        clear, the file is damaged or empty, or no column has that name; if a column that is given
        by position, or by default, is the one without a name among columns that have one; if
        `separator`, `decimal` or `encoding` is given for what is no text file. The message names
        the line.
    TypeError
        If an argument is of a wrong type, or a column of a Parquet file or of a DataFrame is.
    ImportError
        If pyarrow is needed and missing.

    Notes
    -----
    The first line of text names the columns if a column is asked for by name, or if what it has in
    the column of values is not empty and not a number.

    Names of users are integers if every one of them is written as an integer of at most 64 bits
    without zeros in front, else all are text as it stands without spaces around it; so are those of
    items. Integers are ordered by size, text by its characters.

    Examples
    --------
    >>> from pydlnet import datasets
    >>> rated = datasets.ratings("ratings.csv", user="userId")  # doctest: +SKIP
    >>> problem = rated.completion(held_out=0.2, rng=0)  # doctest: +SKIP
    """
    columns = _as_column(user, "user"), _as_column(item, "item"), _as_column(value, "value")
    as_choice(duplicates, "duplicates", ("error", "first", "last", "mean"))
    _check_separator(separator)
    as_choice(decimal, "decimal", (".", ","))
    if not isinstance(encoding, str):
        raise TypeError(f"encoding: expected a str, got {type(encoding).__name__}")
    if hasattr(path, "iloc") and hasattr(path, "columns"):
        _refuse(separator, decimal, encoding, "a DataFrame")
        return from_table(from_frame(path, columns, "the DataFrame"), duplicates)
    if hasattr(path, "__arrow_c_stream__") and not hasattr(path, "iloc"):
        _refuse(separator, decimal, encoding, "a table")
        return from_table(from_arrow(path, columns), duplicates)
    location = _as_location(path)
    if not location.is_file():
        what = "a file, got the folder" if location.is_dir() else "a file of ratings, found none at"
        raise FileNotFoundError(f"path: expected {what} {str(location)!r}")
    if is_parquet(location):
        _refuse(separator, decimal, encoding, "a Parquet file")
        return from_table(from_parquet(location, columns), duplicates)
    content = _content(location)
    table = from_text(
        content, str(location), columns, separator, decimal=decimal, encoding=encoding
    )
    return from_table(table, duplicates)


def _refuse(separator: str | None, decimal: str, encoding: str, what: str) -> None:
    """Raise if something is given that says how text is read."""
    if separator is not None:
        raise ValueError(f"separator: expected none for {what}, got {separator!r}")
    if decimal != ".":
        raise ValueError(f"decimal: expected none for {what}, got {decimal!r}")
    if encoding != "utf-8":
        raise ValueError(f"encoding: expected none for {what}, got {encoding!r}")


def _as_location(path: Any) -> Path:
    try:
        return as_path(path, "path")
    except TypeError:
        raise TypeError(
            f"path: expected a path, a DataFrame or a table, got {type(path).__name__}"
        ) from None


def _content(location: Path) -> bytes:
    """Return the bytes of a file, unpacked."""
    content = location.read_bytes()
    if content.startswith(b"PK\3\4"):
        raise ValueError(f"path: {location} is a zip archive or a workbook; unpack or export it")
    unpack = next((unpack for mark, unpack in _PACKED.items() if content.startswith(mark)), None)
    if unpack is None:
        return content
    try:
        return unpack(content)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"path: cannot unpack {location}: {error}") from None


def _as_column(column: Any, name: str) -> int | str:
    if isinstance(column, str):
        return column
    try:
        return as_count(column, name)
    except TypeError:
        raise TypeError(
            f"{name}: expected the position or the name of a column, got {type(column).__name__}"
        ) from None


def _check_separator(separator: Any) -> None:
    if separator is not None and not isinstance(separator, str):
        raise TypeError(f"separator: expected a str or None, got {type(separator).__name__}")
    if separator is not None and (not separator or set(separator) & set('\r\n"')):
        raise ValueError(f"separator: expected text without quotes or line ends, got {separator!r}")
