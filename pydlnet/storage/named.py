"""Names of inputs and outputs on disk: as coordinates that xarray reads, and in JSON for stores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..names import SIDES, Coords, as_names, with_names, without_names
from .sealed import read_sealed, write_sealed

__all__ = ["decoded", "encoded", "read_names", "write_names"]

# Times as the CF conventions write them, in whole nanoseconds.
_TIME = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"}


def encoded(data: xr.Dataset) -> xr.Dataset:
    """Return the data with coordinates that every format holds as they are."""
    times = {
        side: xr.Variable(
            (side,), data[side].values.astype(np.int64), {**data[side].attrs, **_TIME}
        )
        for side in SIDES
        if side in data.coords and data[side].dtype.kind == "M"
    }
    return data.assign_coords(times)


def decoded(data: xr.Dataset) -> xr.Dataset:
    """Return data from a file, read with ``decode_times=False``, with the names that it had."""
    names = {}
    for side in SIDES:
        if side in data.coords:
            values = data[side].values
            is_time = str(data[side].attrs.get("units")) == _TIME["units"]
            names[side] = as_names(values.view("M8[ns]") if is_time else values, side, "path")
    return with_names(without_names(data), names)


def write_names(path: Path, names: Mapping[str, NDArray[Any]]) -> None:
    """Write names to a sealed file, with all of their digits."""
    header = {
        side: {"kind": values.dtype.kind, "values": _plain(values).tolist()}
        for side, values in names.items()
    }
    write_sealed(path, header, {})


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int64) if values.dtype.kind == "M" else values


def read_names(path: Path) -> Coords:
    """Return what `write_names` wrote; nothing if there is no such file.

    Raises
    ------
    ValueError
        If the file is not what was written.
    """
    if not path.exists():
        return {}
    header, _ = read_sealed(path)
    dtypes: dict[str, Any] = {"O": object, "M": "M8[ns]"}
    return {
        side: as_names(np.array(about["values"], dtypes.get(about["kind"])), side, "store")
        for side, about in header.items()
    }
