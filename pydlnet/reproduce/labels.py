"""Names and attributes of what the convergence experiments measure."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

__all__ = ["stacked", "words"]


def words(long_name: str) -> dict[str, str]:
    """Return the attributes of a variable without dimension."""
    return {"long_name": long_name, "units": "1", "reference": "arXiv:1810.02281"}


def stacked(parts: Sequence[xr.Dataset], name: str, values: Sequence[Any]) -> xr.Dataset:
    """Put datasets beside each other along a new dimension with these coordinates."""
    coordinate = xr.DataArray(list(values), dims=name, name=name)
    result: xr.Dataset = xr.concat(parts, coordinate)
    return result
