"""What curves are drawn over: the steps of a run, or the times of a flow, on one shared axis."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..plots.axes import are_even

__all__ = ["Across", "across_of"]


class Across:
    """The horizontal axis that all curves of a page share, so that zooming one zooms them all.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Steps or times of the records; of an ensemble, the union.
    name : str
        "step" or "time".

    Attributes
    ----------
    is_log : bool
        Whether the axis is logarithmic, as it is for records that are not evenly spaced. What is
        at 0 is drawn at its left end.
    cursors : list of bokeh.models.Span
        Vertical lines at the step that the slider shows, one for each drawing.
    """

    def __init__(self, values: FloatArray, name: str) -> None:
        from bokeh.models import Range1d

        self.values = np.asarray(values, dtype=np.float64)
        self.name = name
        above = self.values[self.values > 0.0]
        self.is_log = len(above) > 2 and not are_even(self.values)
        self._zero = float(above.min()) / 2.0 if self.is_log else 0.0
        self.cursors: list[Any] = []
        low, high = (float(end) for end in self.positions(self.values[[0, -1]]))
        if self.is_log:
            self.range = Range1d(low / 1.15, high * 1.15)
        else:
            margin = 0.02 * (high - low) or 1.0
            self.range = Range1d(low - margin, high + margin)

    @property
    def label(self) -> str:
        """What is written at the axis."""
        return f"{self.name} (0 is at the left end)" if self.is_log else self.name

    def positions(self, values: FloatArray) -> FloatArray:
        """Return where values are on the axis."""
        at = np.asarray(values, dtype=np.float64)
        return np.where(at > 0.0, at, self._zero) if self.is_log else at


def across_of(data: xr.Dataset) -> Across:
    """Return the axis of a run or an ensemble: the time of a flow, else the steps."""
    method: Mapping[str, Any] = json.loads(data.attrs.get("method", "{}"))
    name = "time" if method.get("kind") == "GradientFlow" else "step"
    if not data.sizes["step"]:
        raise ValueError("source: expected at least one record, got none")
    return Across(data[name].values, name)
