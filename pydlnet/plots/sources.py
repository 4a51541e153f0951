"""What a picture is drawn from: a dataset, or anything that has one."""

from collections.abc import Iterable
from typing import Any, Protocol

import xarray as xr

__all__ = ["HasData", "dataset_of", "recorded", "require_one_run"]


class HasData(Protocol):
    """A Trajectory, an EnsembleTrajectory, a Sweep, a Tuning."""

    @property
    def data(self) -> xr.Dataset:
        """The dataset."""


def dataset_of(source: "HasData | xr.Dataset", name: str) -> xr.Dataset:
    """Return the dataset of what a user passed as the argument `name`."""
    data: Any = source if isinstance(source, xr.Dataset) else getattr(source, "data", None)
    if not isinstance(data, xr.Dataset):
        raise TypeError(
            f"{name}: expected a Trajectory, an EnsembleTrajectory, a Sweep or an xarray.Dataset, "
            f"got {type(source).__name__}"
        )
    return data


def recorded(data: xr.Dataset, variable: str, quantities: Iterable[str], name: str) -> xr.DataArray:
    """Return a variable, or say which quantities `Record` takes for it."""
    if variable not in data.variables:
        asked = [repr(quantity).replace("'", '"') for quantity in quantities]
        raise ValueError(
            f"{name}: {variable!r} was not recorded; ask for it with "
            f"Record([{', '.join([*asked, '...'])}])"
        )
    return data[variable]


def require_one_run(variable: xr.DataArray, dims: Iterable[str], name: str) -> xr.DataArray:
    """Return the variable with these dimensions in this order; raise if it has others."""
    wanted = tuple(dims)
    others = [str(dim) for dim in variable.dims if dim not in wanted]
    if others:
        chosen = ", ".join(f"{dim}=0" for dim in others)
        raise ValueError(
            f"{name}: expected one run, got {variable.name!r} over {tuple(variable.dims)}; pick "
            f"one with data.isel({chosen})"
        )
    missing = [dim for dim in wanted if dim not in variable.dims]
    if missing:
        raise ValueError(
            f"{name}: expected {variable.name!r} over {wanted}, got it over {tuple(variable.dims)}"
        )
    return variable.transpose(*wanted)
