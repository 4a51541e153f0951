"""Problems that are made of a whole file: ratings and pictures."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pydlnet import MatrixCompletion, datasets
from pydlnet.datasets.movielens import ratings_at

from .config import PUBLISHED

__all__ = ["WHOLE", "WholeFile"]

WHOLE = ("ratings", "image")
"""Kinds of problems in experiment files; each is a method of `WholeFile`."""


_OF_TABLES = {
    **{"user": 0, "item": 1, "value": 2, "separator": None, "duplicates": "error"},
    **{"decimal": ".", "encoding": "utf-8"},
}
"""Keywords of `datasets.ratings` with their defaults."""


class WholeFile:
    """A file, or published data by name, as `data` of an experiment file gives it.

    Parameters
    ----------
    data : str or None
        Path or name; None if there is none.
    """

    def __init__(self, data: str | None) -> None:
        self._data = data
        self._read: dict[object, datasets.Ratings] = {}

    def ratings(
        self,
        held_out: float = 0.2,
        rng: int | np.random.Generator | None = None,
        reduction: str = "mean",
        user: int | str = 0,
        item: int | str = 1,
        value: int | str = 2,
        separator: str | None = None,
        duplicates: str = "error",
        decimal: str = ".",
        encoding: str = "utf-8",
    ) -> MatrixCompletion:
        """Return the completion of ratings, which are read once.

        Parameters
        ----------
        held_out, rng, reduction
            As in `datasets.Ratings.completion`.
        user, item, value, separator, duplicates, decimal, encoding
            As in `datasets.ratings`; not for MovieLens.

        Returns
        -------
        MatrixCompletion
            Of shape (n_users, n_items).

        Raises
        ------
        ValueError, TypeError, OSError
            If the file is none of ratings, or an argument is wrong.
        """
        given: dict[str, int | str | None] = {"user": user, "item": item, "value": value}
        given |= {"separator": separator, "duplicates": duplicates}
        given |= {"decimal": decimal, "encoding": encoding}
        options = {name: given[name] for name in given if given[name] != _OF_TABLES[name]}
        key = repr(options)
        if key not in self._read:
            with _of_data():
                self._read[key] = self._ratings(options)
        return self._read[key].completion(held_out, rng, reduction=reduction)

    def image(
        self,
        fraction: float = 0.3,
        rng: int | np.random.Generator | None = None,
        size: int | None = None,
    ) -> MatrixCompletion:
        """Return the completion of a picture.

        Parameters
        ----------
        fraction, rng, size
            As in `datasets.image`.

        Returns
        -------
        MatrixCompletion
            Of its brightness.

        Raises
        ------
        ValueError, TypeError, OSError
            If the file is no picture, or an argument is wrong.
        """
        with _of_data():
            return datasets.image(self._data or "", fraction, rng, size=size)

    def _ratings(self, options: dict[str, int | str | None]) -> datasets.Ratings:
        named = {"movielens_100k": datasets.movielens_100k, "movielens_1m": datasets.movielens_1m}
        if self._data not in PUBLISHED:
            return ratings_at(self._data or "", **options)
        if self._data not in named:
            raise ValueError(f"path: expected ratings, {self._data} has none")
        if options:
            raise ValueError(f"{', '.join(options)}: for tables only, not for {self._data}")
        return named[self._data]()


@contextmanager
def _of_data() -> Iterator[None]:
    """Let messages name the key of the experiment file in place of the argument."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        if str(error).startswith("path: "):
            raise type(error)(f"data: {str(error).removeprefix('path: ')}") from error
        raise
