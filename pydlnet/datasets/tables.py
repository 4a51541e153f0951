"""Columns of users, items and values out of text; every problem names the line that it is in."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray, hint

__all__ = ["SEPARATORS", "Columns", "Table", "check_finite", "from_text", "positions_of"]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", "::": "double colons"}
"""Separators that are looked for in the first line, and what they are called."""

# Zeros in front make "007" and "7" different names, which they are not as integers.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")

# The name that pandas gives to a column of a file without one.
_UNNAMED = re.compile(r"(Unnamed: [0-9]+)?")

Columns = tuple[int | str, int | str, int | str]
"""Positions from 0 or names of the columns of users, items and values."""


@dataclass(frozen=True, eq=False)
class Table:
    """Three columns as they were read.

    Attributes
    ----------
    users, items : ndarray of int64 or of str objects, shape (n,)
        Who and what.
    values : ndarray of float64, shape (n,)
        Finite numbers.
    place : callable
        Says where the row with a given number is, for messages.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    values: FloatArray
    place: Callable[[int], str]


def from_text(
    content: bytes,
    name: str,
    columns: Columns,
    separator: str | None,
    header: bool | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Table:
    """Read delimited text.

    Parameters
    ----------
    content : bytes
        With or without a byte order mark, and any kind of line ends.
    name : str
        Of the file, for messages.
    columns : tuple of int or str
        See `Columns`.
    separator : str or None
        None finds it, see `SEPARATORS`.
    header : bool, optional
        Whether the first line names the columns. Default: it does if a column is given by name, or
        if its field in the column of values is neither empty nor a number.
    decimal : {".", ","}, default "."
        What is before the decimals of a value.
    encoding : str, default "utf-8"
        Of the bytes.

    Returns
    -------
    Table
        Of all lines that are not empty.

    Raises
    ------
    ValueError
        Naming the line.
    """
    text = _decoded(content, name, encoding)
    separator = _found_separator(text, name) if separator is None else separator
    lines = _lines(text, name, separator)
    number, first = next(lines, (0, []))
    if not first:
        raise ValueError(f"path: {name} is empty")
    positions = positions_of(columns, [field.strip() for field in first], name)
    if header is None:
        header = any(isinstance(column, str) for column in columns) or _is_header(
            [first[position] for position in positions], decimal, f"{name}, line {number}"
        )
    if header:
        check_named(columns, first, name)
    rest = lines if header else itertools.chain([(number, first)], lines)
    numbers, (users, items, values) = _columns(rest, positions)
    if not numbers:
        raise ValueError(f"path: {name} has no line but the names of the columns")

    def place(row: int) -> str:
        return f"{name}, line {numbers[row]}"

    return Table(
        _identifiers(users, "user", place),
        _identifiers(items, "item", place),
        _numbers(values, decimal, place),
        place,
    )


def _columns(
    lines: Iterable[tuple[int, list[str]]], positions: Sequence[int]
) -> tuple[list[int], list[list[str]]]:
    """Return the numbers of the lines, and of each column what is in it."""
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in positions]
    for number, fields in lines:
        numbers.append(number)
        for texts, position in zip(columns, positions, strict=True):
            texts.append(fields[position].strip())
    return numbers, columns


def _decoded(content: bytes, name: str, encoding: str) -> str:
    is_utf8 = False
    try:
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        text = content.decode("utf-8-sig" if is_utf8 else encoding)
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"path: {name}, line {number}: expected {'UTF-8' if is_utf8 else encoding}: "
            f"{error.reason}; give the encoding of the file, such as encoding='cp1252'"
        ) from None
    except (LookupError, ValueError):
        raise ValueError(
            f"encoding: expected that of a text, such as 'cp1252', got {encoding!r}"
        ) from None
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"path: {name}, line {number}: expected text, got a zero byte")
    return text


def _found_separator(text: str, name: str) -> str:
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    found = [separator for separator in SEPARATORS if first.count(separator) >= 2]
    if len(found) == 1:
        return found[0]
    if not first:
        raise ValueError(f"path: {name} is empty")
    what = "it" if found else "another"
    raise ValueError(
        f"path: {name}, first line: expected at least three fields separated by one of "
        f"{', '.join(SEPARATORS.values())}, got {first.strip()[:60]!r}; give {what} as separator="
    )


def _lines(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of the lines that are not empty, all of one length."""
    width = None
    for number, fields in _split(text, name, separator):
        if len(fields) <= 1 and not "".join(fields).strip():
            continue
        width = len(fields) if width is None else width
        if len(fields) != width:
            raise ValueError(
                f"path: {name}, line {number}: expected {width} fields as in the first line, got "
                f"{len(fields)}"
            )
        yield number, fields


def _split(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    if len(separator) > 1:  # which the csv module does not know, nor anybody who writes quotes
        for number, line in enumerate(io.StringIO(text, newline=None), start=1):
            yield number, line.rstrip("\n").split(separator)
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 1  # where the record begins, which quotes may spread over several lines
    try:
        for fields in reader:
            yield number, fields
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"path: {name}, line {number}: {error}") from None


def positions_of(columns: Columns, names: Sequence[str], name: str) -> list[int]:
    """Return the positions of the columns of a file with certain names of columns."""
    arguments = ("user", "item", "value")
    positions = [
        _position(argument, column, names, name)
        for argument, column in zip(arguments, columns, strict=True)
    ]
    if len(set(positions)) < len(positions):
        raise ValueError(f"user, item, value: expected three different columns, got {columns}")
    return positions


def _position(argument: str, column: int | str, names: Sequence[str], name: str) -> int:
    if isinstance(column, str):
        if names.count(column) != 1:
            what = "more than one column" if column in names else "no column"
            meant = "" if column in names else hint(column, names)
            raise ValueError(
                f"{argument}: {what} {column!r} in {name}, whose columns are "
                f"{', '.join(map(repr, names))}{meant}"
            )
        return names.index(column)
    if column >= len(names):
        raise ValueError(
            f"{argument}: expected a column from 0 to {len(names) - 1} of {name}, got {column}"
        )
    return column


def check_named(columns: Columns, names: Sequence[str], name: str) -> None:
    """Raise ValueError if a column that is given by its position has no name among columns that do.

    Tables are often written with the numbers of their rows as a first column without a name.
    """
    for argument, column in zip(("user", "item", "value"), columns, strict=True):
        if not isinstance(column, str) and _UNNAMED.fullmatch(names[column].strip()):
            raise ValueError(
                f"{argument}: column {column} of {name} has no name, so it may hold the numbers of "
                f"the rows; the columns are {', '.join(map(repr, names))}: give user=, item= and "
                "value= by name"
            )


def _is_header(fields: Sequence[str], decimal: str, place: str) -> bool:
    *identifiers, value = (field.strip() for field in fields)
    if not value or _is_number(value, decimal):
        return False
    if any(_is_number(identifier) for identifier in identifiers):
        raise ValueError(
            f"path: {place}: expected names of columns or a number in the column of values, got "
            f"{value!r}{_help(value, decimal, 1)}"
        )
    return True


def _is_number(text: str, decimal: str = ".") -> bool:
    try:
        _number(text, decimal)
    except ValueError:
        return False
    return True


def _number(text: str, decimal: str) -> float:
    # Python allows "_", which no other program writes; a point beside a decimal comma is one of
    # thousands, or a decimal point.
    if "_" in text or (decimal != "." and "." in text):
        raise ValueError
    return float(text.replace(decimal, "."))


def _numbers(texts: Sequence[str], decimal: str, place: Callable[[int], str]) -> FloatArray:
    values = np.empty(len(texts))
    for row, text in enumerate(texts):
        try:
            values[row] = _number(text, decimal)
        except ValueError:
            got = repr(text[:40]) if text else "nothing"
            raise ValueError(
                f"path: {place(row)}: expected a number, got {got}{_help(text, decimal, row)}"
            ) from None
    check_finite(values, place)
    return values


def _help(text: str, decimal: str, row: int) -> str:
    """Return what to do about a text that is no number."""
    other = "," if decimal == "." else "."
    if _is_number(text, other):
        return f"; give decimal={other!r}"
    # Where the first row is wrong, so are the others.
    return "; value= says in which column the numbers are" if row == 0 and text else ""


def check_finite(values: FloatArray, place: Callable[[int], str]) -> None:
    """Raise ValueError that says where the first value is that is missing or infinite."""
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        row = int(wrong[0])
        what = "a missing value" if math.isnan(values[row]) else str(values[row])
        raise ValueError(f"path: {place(row)}: expected a finite number, got {what}")


def _identifiers(texts: Sequence[str], what: str, place: Callable[[int], str]) -> NDArray[Any]:
    """Return int64 if all are integers, else the texts themselves."""
    if "" in texts:
        raise ValueError(f"path: {place(texts.index(''))}: expected a name of the {what}, got none")
    if all(map(_INTEGER.fullmatch, texts)):
        integers = [int(text) for text in texts]
        if -(2**63) <= min(integers) and max(integers) < 2**63:
            return np.array(integers, dtype=np.int64)
    return np.array(texts, dtype=object)
