"""Ratings, read from the file in which MovieLens-100K comes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._validation import FloatArray, IndexArray

__all__ = ["Ratings", "read"]

_ADDRESS = "https://grouplens.org/datasets/movielens/100k/"


@dataclass(frozen=True, eq=False)
class Ratings:
    """Who rated what, and how.

    Attributes
    ----------
    users, items : ndarray of int64, shape (n,)
        Places among the users and items that occur, from 0.
    values : ndarray of float64, shape (n,)
        The ratings.
    """

    users: IndexArray
    items: IndexArray
    values: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """(number of users, number of items)."""
        return int(self.users.max()) + 1, int(self.items.max()) + 1


def read(path: Path) -> Ratings:
    """Read a file of ratings.

    Parameters
    ----------
    path : Path
        Lines "user<tab>item<tab>rating<tab>time", as in `u.data` of MovieLens-100K.

    Returns
    -------
    Ratings
        Users and items in the order of their numbers, without those that do not occur.

    Raises
    ------
    ValueError
        If the file is no such file or has fewer than 10 ratings; the message names the line.
    """
    if not path.is_file():
        raise ValueError(f"ratings: expected the file u.data from {_ADDRESS}, got {str(path)!r}")
    table = np.array(list(_lines(path)), dtype=np.float64).reshape(-1, 3)
    if len(table) < 10:
        raise ValueError(f"ratings: expected at least 10 ratings, got {len(table)} in {path}")
    users = np.unique(table[:, 0], return_inverse=True)[1].astype(np.int64)
    items = np.unique(table[:, 1], return_inverse=True)[1].astype(np.int64)
    return Ratings(users, items, table[:, 2])


def _lines(path: Path) -> Iterator[tuple[int, int, float]]:
    seen: dict[tuple[int, int], int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8", errors="replace").strip("\r\n")
            if not text.strip():
                continue
            try:
                user, item, rating = _fields(text)
            except ValueError as error:
                raise ValueError(
                    f"ratings: {path}, line {number}: expected 'user<tab>item<tab>rating<tab>time' "
                    f"as in u.data from {_ADDRESS}, got {text[:40]!r} ({error})"
                ) from None
            if (user, item) in seen:
                raise ValueError(
                    f"ratings: {path}, line {number}: user {user} has rated item {item} before, in "
                    f"line {seen[user, item]}"
                )
            seen[user, item] = number
            yield user, item, rating


def _fields(text: str) -> tuple[int, int, float]:
    fields = text.split("\t")
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields instead of 4")
    user, item, rating = int(fields[0]), int(fields[1]), float(fields[2])
    int(fields[3])
    if not (0 <= user < 2**31 and 0 <= item < 2**31):
        raise ValueError("a number of a user or an item is out of range")
    if not (math.isfinite(rating) and abs(rating) <= 1e6):
        raise ValueError("the rating is not a number of usual size")
    return user, item, rating
