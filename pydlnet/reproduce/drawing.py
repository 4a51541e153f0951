"""What the figures of all experiments have in common."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..plots.style import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "panels", "spread"]


def panels(
    rows: int, columns: int, *, width: float = 4.5, height: float = 3.6
) -> "tuple[Figure, list[Axes]]":
    """Return a figure that pyplot knows nothing of, and its axes row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def spread(values: ArrayLike, digits: int = 3) -> str:
    """Return the median of several seeds and their range; values that are not finite are counted.

    Examples
    --------
    >>> from pydlnet.reproduce.drawing import spread
    >>> spread([1.0, 2.0, 4.0])
    '2 (1 to 4, n = 3)'
    >>> spread([1.0, 3.0, float("nan")])
    '2 (1 to 3, n = 2; 1 of 3 not reached)'
    """
    array = np.ravel(np.asarray(values, dtype=np.float64))
    reached = array[np.isfinite(array)]
    if reached.size == 0:
        return f"not reached (n = {array.size})"
    median, low, high = (
        _plain(value, digits) for value in (np.median(reached), reached.min(), reached.max())
    )
    missing = array.size - reached.size
    rest = f"; {missing} of {array.size} not reached" if missing else ""
    return f"{median} ({low} to {high}, n = {reached.size}{rest})"


def _plain(value: float, digits: int) -> str:
    """Return a number with so many significant digits, integers below a million in full."""
    if abs(value) >= 10**digits and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"
