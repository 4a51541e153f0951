"""Fewer points than were recorded, chosen so that the picture is the same."""

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray, IndexArray

__all__ = ["evenly", "outline"]


def evenly(count: int, limit: int) -> IndexArray:
    """Return at most `limit` of `count` places, evenly spaced, the first and the last included.

    Parameters
    ----------
    count, limit : int
        At least 1; of a single place the last one is taken.
    """
    if limit == 1:
        return np.array([count - 1])
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64))


def outline(values: NDArray[np.floating], limit: int) -> IndexArray:
    """Return the places of about `limit` values between which a line looks as through all of them.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Heights of a line over evenly spaced places; NaN where there is none.
    limit : int
        About how many to keep, at least 8; all of them if there are no more.

    Returns
    -------
    ndarray of int64
        Increasing; of every group of neighbours the first, the last, the lowest and the highest,
        so that no peak gets lost (M4, Jugel et al., VLDB 2014).
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    edges = np.linspace(0, count, max(1, limit // 4) + 1).round().astype(np.int64)
    heights: FloatArray = np.asarray(values, dtype=np.float64)
    low = np.where(np.isnan(heights), np.inf, heights)
    high = np.where(np.isnan(heights), -np.inf, heights)
    places = [
        place
        for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        for place in (
            first,
            end - 1,
            first + int(np.argmin(low[first:end])),
            first + int(np.argmax(high[first:end])),
        )
    ]
    return np.unique(np.array(places, dtype=np.int64))
