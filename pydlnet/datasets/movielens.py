"""Ratings of films that GroupLens offers, from its archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import as_path
from .archives import base_name, existing, opened
from .downloads import Remote, fetch
from .rated import Ratings, from_table
from .rating_tables import ratings
from .tables import from_text

if TYPE_CHECKING:
    import os

__all__ = ["movielens_1m", "movielens_100k", "ratings_at"]


@dataclass(frozen=True)
class _Release:
    """One of GroupLens's data sets: where it is, and what is in it according to its README."""

    name: str
    remote: Remote
    file: str
    separator: str
    n_ratings: int
    shape: tuple[int, int]

    def is_file(self, name: str) -> bool:
        return base_name(name) == self.file


_SMALL = _Release(
    "MovieLens-100K",
    Remote(
        "ml-100k.zip",
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "https://grouplens.org/datasets/movielens/100k/",
        "md5:0e33842e24a9c977be4e0107933c0723",
    ),
    "u.data",
    "\t",
    100_000,
    (943, 1682),
)
_LARGE = _Release(
    "MovieLens-1M",
    Remote(
        "ml-1m.zip",
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "https://grouplens.org/datasets/movielens/1m/",
        "md5:c4d9eecfca2ab87c1945afe126590906",
    ),
    "ratings.dat",
    "::",
    1_000_209,
    (6040, 3706),
)


def movielens_100k(path: str | os.PathLike[str] | None = None) -> Ratings:
    """Read MovieLens-100K: 100,000 ratings of 1,682 films by 943 users, from 1 to 5 stars.

    Parameters
    ----------
    path : str or path-like, optional
        The archive ``ml-100k.zip`` as downloaded from
        https://grouplens.org/datasets/movielens/100k/, the folder it was unpacked into, or the file
        ``u.data`` in it. Default: the archive is downloaded to the user's cache
        (``~/.cache/pydlnet/ml-100k.zip`` on Linux) when it is not there, and compared with the MD5
        that GroupLens publishes.

    Returns
    -------
    Ratings
        `user_ids` and `item_ids` are the numbers in GroupLens's files.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If it holds no ``u.data``, is damaged, or does not hold all the ratings. `ratings` reads
        parts of the file.
    ConnectionError
        If the archive has to be downloaded and cannot be; the message says where to put one that
        was obtained in another way.

    Notes
    -----
    For research; GroupLens allows neither redistribution nor commercial use without permission, and
    asks users to cite [1]_. The package ships no copy.

    References
    ----------
    .. [1] F. M. Harper, J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
       Transactions on Interactive Intelligent Systems 5 (2015) 19:1-19:19, doi:10.1145/2827872.

    Examples
    --------
    >>> from pydlnet import datasets
    >>> problem = datasets.movielens_100k().completion(held_out=0.2, rng=0)  # doctest: +SKIP
    """
    return _read(_SMALL, path)


def movielens_1m(path: str | os.PathLike[str] | None = None) -> Ratings:
    """Read MovieLens-1M: 1,000,209 ratings of 3,706 films by 6,040 users, from 1 to 5 stars.

    Parameters
    ----------
    path : str or path-like, optional
        The archive ``ml-1m.zip`` as downloaded from https://grouplens.org/datasets/movielens/1m/,
        the folder it was unpacked into, or the file ``ratings.dat`` in it. Default: the archive is
        downloaded to the user's cache (``~/.cache/pydlnet/ml-1m.zip`` on Linux) when it is not
        there, and compared with the MD5 that GroupLens publishes.

    Returns
    -------
    Ratings
        `user_ids` and `item_ids` are the numbers in GroupLens's files; of 3,952 numbers of films
        only those that were rated occur.

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError
        As in `movielens_100k`.

    Notes
    -----
    For research; GroupLens allows neither redistribution nor commercial use without permission, and
    asks users to cite [1]_. The package ships no copy.

    References
    ----------
    .. [1] F. M. Harper, J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
       Transactions on Interactive Intelligent Systems 5 (2015) 19:1-19:19, doi:10.1145/2827872.

    Examples
    --------
    >>> from pydlnet import datasets
    >>> problem = datasets.movielens_1m().completion(held_out=0.2, rng=0)  # doctest: +SKIP
    """
    return _read(_LARGE, path)


def ratings_at(path: str | os.PathLike[str], **options: Any) -> Ratings:
    """Read ratings from an archive or a folder of MovieLens, or from any table.

    Parameters
    ----------
    path : str or path-like
        What `movielens_100k`, `movielens_1m` or `ratings` reads; of a table also a part.
    **options : object
        Keywords of `ratings`, for a table alone.
    """
    location = as_path(path, "path")
    if not location.is_dir() and location.suffix.lower() != ".zip":
        return ratings(location, **options)
    existing(location, _SMALL.remote.page)
    if options:
        raise ValueError(f"{', '.join(options)}: for tables only, {location} is none")
    with opened(location, _SMALL.remote.page, _is_known) as files:
        names = {base_name(name) for name in files}
    return _read(_LARGE if _LARGE.file in names else _SMALL, location)


def _is_known(name: str) -> bool:
    return _SMALL.is_file(name) or _LARGE.is_file(name)


def _read(release: _Release, path: str | os.PathLike[str] | None) -> Ratings:
    page = release.remote.page
    location = fetch(release.remote) if path is None else existing(path, page)
    name, content = _content(release, location)
    table = from_text(content, name, (0, 1, 2), release.separator, header=False)
    rated = from_table(table, "error")
    wrong = np.flatnonzero(~np.isin(table.values, np.arange(1.0, 6.0)))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"path: {table.place(row)}: expected 1 to 5 stars, got {table.values[row]:g}"
        )
    if (len(rated), rated.shape) != (release.n_ratings, release.shape):
        raise ValueError(
            f"path: expected the {release.n_ratings:,} ratings of {release.shape[1]:,} films by "
            f"{release.shape[0]:,} users of {release.name}, got {rated} in {location}; "
            "datasets.ratings reads parts"
        )
    return rated


def _content(release: _Release, location: Path) -> tuple[str, bytes]:
    """Return name and bytes of the file of ratings."""
    if location.is_file() and release.is_file(location.name):
        return str(location), location.read_bytes()
    with opened(location, release.remote.page, release.is_file) as files:
        names = [name for name in files if release.is_file(name)]
        if len(names) != 1:
            found = f"{len(names)} of them" if names else "none"
            raise ValueError(
                f"path: expected one file {release.file} of {release.name} in {location}, found "
                f"{found}; the archive is at {release.remote.page}"
            )
        with files[names[0]]() as stream:
            return f"{location}: {names[0]}", stream.read()
