"""Who rated what, and how, and the completion problem that ratings make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import (
    FloatArray,
    IndexArray,
    as_count,
    as_real,
    as_rng,
    check_finite,
    freeze,
    hint,
)
from ..problems import MatrixCompletion
from .tables import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ratings", "from_table"]


_FEW = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Values that users gave to items, each pair at most once.

    Users and items are numbered from 0 in the order of their names, which need not be numbers:
    rating k stands at ``(users[k], items[k])`` of a matrix whose row i belongs to ``user_ids[i]``
    and whose column j belongs to ``item_ids[j]``.

    Attributes
    ----------
    users, items : ndarray of int64, shape (n,)
        Row and column of each rating, read-only.
    values : ndarray of float64, shape (n,)
        The ratings, finite, read-only.
    user_ids : ndarray of int64 or of str objects, shape (n_users,)
        Names of the users, ascending, read-only.
    item_ids : ndarray of int64 or of str objects, shape (n_items,)
        Names of the items, ascending, read-only.

    Examples
    --------
    >>> import pandas as pd
    >>> from pydlnet import datasets
    >>> table = pd.DataFrame({"who": ["bob", "ann", "bob"], "what": [7, 7, 9], "stars": [1, 5, 4]})
    >>> rated = datasets.ratings(table)
    >>> rated
    Ratings(3 values from 1 to 5, 2 users, 2 items)
    >>> rated.row("bob"), rated.column(9)
    (1, 1)
    >>> rated.completion(held_out=1, rng=0)
    MatrixCompletion(shape=(2, 2), n_observed=2, n_held_out=1, reduction='mean')
    """

    users: IndexArray
    items: IndexArray
    values: FloatArray
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """(number of users, number of items)."""
        return self.user_ids.size, self.item_ids.size

    def row(self, user: int | str) -> int:
        """Return the row of a user.

        Parameters
        ----------
        user : int or str
            As in `user_ids`.

        Returns
        -------
        int
            From 0.

        Raises
        ------
        KeyError
            If there is no such user.
        """
        return _place_of(user, self.user_ids, "user")

    def column(self, item: int | str) -> int:
        """Return the column of an item.

        Parameters
        ----------
        item : int or str
            As in `item_ids`.

        Returns
        -------
        int
            From 0.

        Raises
        ------
        KeyError
            If there is no such item.
        """
        return _place_of(item, self.item_ids, "item")

    def split(
        self, held_out: float = 0.2, rng: int | np.random.Generator | None = None
    ) -> tuple[IndexArray, IndexArray]:
        """Divide the ratings at random into those to learn from and those to be tested on.

        Parameters
        ----------
        held_out : float or int, default 0.2
            How many to hold out: a fraction in [0, 1), which leaves at least one on either side
            unless it is 0, or a number of ratings.
        rng : int, numpy.random.Generator or None
            Randomness, as in SPEC 7.

        Returns
        -------
        kept, held_out : ndarray of int64
            Numbers of the ratings, ascending. Every rating is held out with the same probability,
            so a user or an item may have none that is kept.

        Raises
        ------
        ValueError, TypeError
            If `held_out` is out of range, or leaves no rating to learn from.
        """
        count = _count(held_out, self.values.size)
        order = as_rng(rng).permutation(self.values.size)
        return np.sort(order[count:]), np.sort(order[:count])

    def completion(
        self,
        held_out: float = 0.2,
        rng: int | np.random.Generator | None = None,
        *,
        reduction: str = "mean",
    ) -> MatrixCompletion:
        """Return the problem of completing the matrix of users and items.

        Parameters
        ----------
        held_out : float or int, default 0.2
            How many ratings the loss does not see, see `split`; `held_out_error` is measured on
            them.
        rng : int, numpy.random.Generator or None
            Randomness, as in SPEC 7.
        reduction : {"mean", "sum"}, default "mean"
            As in `MatrixCompletion`.

        Returns
        -------
        MatrixCompletion
            Of shape (n_users, n_items). Its outputs are named by `user_ids`, its inputs by
            `item_ids`.

        Raises
        ------
        ValueError, TypeError
            As in `split`.
        """
        kept, rest = self.split(held_out, rng)
        entries = [(self.users[k], self.items[k], self.values[k]) for k in (kept, rest)]
        problem = MatrixCompletion(
            self.shape, *entries[0], entries[1] if rest.size else None, reduction=reduction
        )
        return problem.assign_coords(output=self.user_ids, input=self.item_ids)

    def __len__(self) -> int:
        return self.values.size

    def __repr__(self) -> str:
        low, high = self.values.min(), self.values.max()
        counts = f"{self.shape[0]:,} users, {self.shape[1]:,} items"
        return f"Ratings({self.values.size:,} values from {low:g} to {high:g}, {counts})"


def _count(held_out: Any, size: int) -> int:
    if isinstance(held_out, float | np.floating):
        fraction = as_real(held_out, "held_out", minimum=0.0, below=1.0)
        if fraction == 0.0:
            return 0
        count = max(1, min(round(fraction * size), size - 1))
    else:
        try:
            count = as_count(held_out, "held_out")
        except TypeError:
            kind = type(held_out).__name__
            raise TypeError(f"held_out: expected a fraction or a number, got {kind}") from None
    if count >= size:
        raise ValueError(f"held_out: expected to leave one of {size} ratings, got {held_out}")
    return count


def _place_of(name: Any, names: NDArray[Any], what: str) -> int:
    if isinstance(name, str) == (names.dtype == object):
        found = np.flatnonzero(names == name)
        if found.size:
            return int(found[0])
    kind = "text" if names.dtype == object else "integers"
    # Looking for the nearest of very many takes longer than anybody waits for a message.
    near = hint(name, names.tolist()) if kind == "text" and names.size <= _FEW else ""
    raise KeyError(f"{what}: no {name!r} among {names.size:,} names, which are {kind}{near}")


def from_table(table: Table, duplicates: str) -> Ratings:
    """Return the ratings of a table, with users and items numbered.

    Parameters
    ----------
    table : Table
        What was read.
    duplicates : {"error", "first", "last", "mean"}
        What becomes of pairs that occur more than once.
    """
    user_ids, users = np.unique(table.users, return_inverse=True)
    item_ids, items = np.unique(table.items, return_inverse=True)
    pairs = users.astype(np.int64) * item_ids.size + items
    _, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    if duplicates == "error" and first.size < pairs.size:
        _refuse_repetition(table, first[which])
    values = _merged(table.values, first, which, duplicates)
    order = np.argsort(first)  # that of the file, in which every pair stands where it came first
    arrays = (users[first[order]], items[first[order]], values[order], user_ids, item_ids)
    return Ratings(*map(freeze, arrays))


def _merged(values: FloatArray, first: IndexArray, which: IndexArray, rule: str) -> FloatArray:
    merged = values[first]
    if rule == "last":
        merged[which] = values  # where an index occurs again, NumPy keeps the last value
    if rule == "mean":
        merged = np.bincount(which, values) / np.bincount(which)
    check_finite(merged, "value")
    return merged


def _refuse_repetition(table: Table, first: IndexArray) -> None:
    row = int(np.flatnonzero(first != np.arange(first.size))[0])
    raise ValueError(
        f"path: {table.place(row)}: user {table.users[row]!s} and item {table.items[row]!s} occur "
        f"again after {table.place(int(first[row])).rpartition(', ')[2]}; datasets.ratings takes "
        "duplicates='first', 'last' or 'mean'"
    )
