"""Where the records of a run go while it goes on: what loops ask of it, and what they hand it.

`storage.stores` keeps them on the disk.
"""

from typing import Any, NamedTuple, Protocol

import xarray as xr
from numpy.typing import NDArray

from .trajectory import State, Trajectory


class Snapshot(NamedTuple):
    """Everything that a run is at one moment, besides its records."""

    attributes: dict[str, Any]
    weights: list[NDArray[Any]]
    state: State
    status: str
    end: float  # the step, or the time of a flow, that the call goes to


class Keeper(Protocol):
    """Where the records of a run go while it goes on; see `storage.stores`."""

    def begin(self, template: xr.Dataset) -> None:
        """Take names, dtypes and dimensions of the records."""

    def append(self, rows: xr.Dataset) -> None:
        """Take more records."""

    def drop_last(self) -> None:
        """Forget the last record."""

    def is_due(self) -> bool:
        """Say whether to commit."""

    def commit(self, snapshot: Snapshot) -> None:
        """Keep the records for good, and the state with them."""

    def finish(self, snapshot: Snapshot) -> Trajectory:
        """Commit the end of the run and return the whole of it."""
