"""Stores: the records of a run on their way to the disk, and the state that belongs to them.

A store is a folder:

    zarr.json, step/, loss/, ...  a Zarr group; every array in chunks of whole records
    pydlnet/origin                what the run was called with (sealed; written once)
    pydlnet/commit                state of the core, newest records, attributes (sealed; replaced)
    pydlnet/names                 of inputs and outputs, if they have any (sealed; replaced)
    pydlnet/lock                  held by the writer

Chunks that are full are written, and flushed to the disk, before the commit that counts on them.
The records after them are in the commit itself. So a commit is one file that is replaced in one
piece: a writer that is killed leaves the previous one or the new one, and readers see either.
"""

import os
import shutil
import time
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import as_path
from ..keeping import Snapshot
from ..loop import Setup
from ..names import Coords, agreed, as_coordinates
from ..trajectory import Trajectory, append
from .columns import (
    Column,
    create_column,
    extended,
    open_column,
    write_coordinate,
    write_group,
)
from .identity import check_same_run, describe_stop
from .lock import WriterLock
from .named import encoded, read_names, write_names
from .reader import (
    FOLDER,
    NAMES,
    check_digest,
    has_commit,
    is_store,
    read_commit,
    read_origin,
    trajectory_of,
)
from .sealed import remove_drafts, write_sealed
from .state import state_dataset

__all__ = ["RunStore"]

BYTES_A_CHUNK = 4 * 2**20  # of all columns together
LONGEST_CHUNK = 2**16

SECONDS_A_COMMIT = 1.0
# Commits that take long are rarer: they and the run share the time 1 : 30.
SHARE_OF_COMMITS = 30.0

# A run that has ended so has nothing to go on with.
ENDS = ("converged", "diverged", "step_too_small")


class RunStore:
    """A store that this process writes.

    Parameters
    ----------
    path : path-like
        Ending in ``.zarr``; made if there is nothing.
    origin : dict
        Identity of the run; see `identity`.
    setup : Setup
        Of the run.

    Attributes
    ----------
    earlier : Trajectory or None
        What was committed before.

    Raises
    ------
    ValueError
        If something else is at that path, or a store of another run, or it is damaged.
    RuntimeError
        If somebody else writes it.
    """

    def __init__(self, path: str | PathLike[str], origin: dict[str, Any], setup: Setup) -> None:
        self._path = as_path(path, "store").absolute()
        self._origin = origin
        self._setup = setup
        self._columns: dict[str, Column] = {}
        self._about: dict[str, dict[str, Any]] = {}  # their dimensions and attributes
        self._digests: dict[str, bytes] = {}
        self._tail: dict[str, list[NDArray[Any]]] = {}
        self._n_stored = self._n_tail = 0
        self._undefined: set[str] = set()
        self._due = 0.0
        self._stop: dict[str, Any] = {}  # of the call that has committed last
        self._named: set[str] = set()  # sides whose names are arrays beside the columns
        self.earlier: Trajectory | None = None
        _check_place(self._path)
        (self._path / FOLDER).mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(self._path / FOLDER / "lock")
        try:
            self._resume()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "RunStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
        if isinstance(error, OSError):
            error.add_note(
                f"store: {self._path} keeps what was committed; run again to go on from there"
            )

    def _resume(self) -> None:
        remove_drafts(self._path)
        if not has_commit(self._path):
            _clear(self._path)
            return
        theirs = read_origin(self._path)
        check_same_run(self._origin, theirs, self._path)
        self._origin = theirs
        commit = read_commit(self._path)
        self.earlier = trajectory_of(self._path, commit, is_running=False)
        n_rows = commit.header["n_rows"]
        self._stop = commit.header["stop"]
        self._about = commit.header["columns"]
        for name in self._about:
            self._columns[name] = open_column(self._path / name, writable=True)
        n_stored = int(commit.header["n_stored"])
        # The chunk that is not full will be written anew.
        length = next(iter(self._columns.values())).chunk_length
        self._n_stored = n_stored // length * length
        self._n_tail = n_rows - self._n_stored
        self._undefined = set(commit.header["undefined"])
        for name, column in self._columns.items():
            self._digests[name] = column.digest(self._n_stored)
            partial = column.read(self._n_stored, n_stored)
            digest = extended(self._digests[name], partial)
            check_digest(column, digest, commit.header["digests"][name])
            self._tail[name] = [partial, commit.tail[name]]
        before = read_names(self._path / FOLDER / NAMES)
        if self._keep_names(before):
            self._publish(commit.header["attributes"])

    def _keep_names(self, before: Coords) -> bool:
        """Write names of inputs and outputs that the store does not have; return if there were any.

        They are no part of what a run is, so that it goes on with them or without, but two lists of
        them that differ are a mistake in one of the two.
        """
        names = agreed([("store", before), ("problem", self._setup.names)])
        dims = {dim for about in self._about.values() for dim in about["dims"]}
        self._named = names.keys() & dims
        if names.keys() == before.keys():
            return False
        # The arrays first: once the names are there, so are they.
        coordinates = encoded(xr.Dataset(coords=as_coordinates(names)))
        for side in self._named:
            write_coordinate(self._path / side, coordinates[side])
        write_names(self._path / FOLDER / NAMES, names)
        return True

    def is_over(self) -> bool:
        """Say whether the run has ended already, and would not go on if it was called again."""
        if self.earlier is None or self.earlier.status not in ENDS:
            return False
        return self.earlier.status == "diverged" or self._stop == describe_stop(self._setup)

    def begin(self, template: xr.Dataset) -> None:
        """Create the columns, or see that they are the ones of the store.

        Parameters
        ----------
        template : xarray.Dataset
            Without records: names, dimensions, dtypes and attributes of what will be recorded.
        """
        self._lock.check_owner()
        if FOLDER in template.variables:
            raise ValueError(f"record: the name {FOLDER!r} is taken by the store; choose another")
        if self.earlier is not None:
            self._check_columns(template)
        elif self._setup.earlier is None:
            self._create_columns(template)
        else:
            self._copy(self._setup.earlier.data, template)

    def _copy(self, history: xr.Dataset, template: xr.Dataset) -> None:
        """Begin with the records of a trajectory that the run goes on from."""
        self._create_columns(append(history.isel(step=slice(0)), template))
        length = next(iter(self._columns.values())).chunk_length
        for first in range(0, history.sizes["step"], length):
            self.append(append(history.isel(step=slice(first, first + length)), template))

    def _create_columns(self, template: xr.Dataset) -> None:
        sizes = [
            variable.dtype.itemsize * int(np.prod(variable.shape[1:]))
            for variable in template.variables.values()
        ]
        length = max(1, min(LONGEST_CHUNK, BYTES_A_CHUNK // sum(sizes)))
        for key, variable in template.variables.items():
            name = str(key)
            dims = tuple(map(str, variable.dims))
            self._about[name] = {"dims": dims, "attributes": variable.attrs}
            self._columns[name] = create_column(
                self._path / name, variable.values, dims, variable.attrs, length
            )
            self._tail[name] = []
            self._digests[name] = b""
        self._keep_names({})
        self._publish({})
        write_sealed(self._path / FOLDER / "origin", self._origin, {})

    def _publish(self, attributes: dict[str, Any]) -> None:
        """Say to those who read the arrays without the commits what there is."""
        coordinates = {"coordinates": "time"} if "time" in self._columns else {}
        write_group(self._path, [*self._columns, *self._named], {**coordinates, **attributes})

    def _check_columns(self, template: xr.Dataset) -> None:
        for name, variable in template.variables.items():
            column = self._columns.get(str(name))
            if column is None or column.array.shape[1:] != variable.shape[1:]:
                raise ValueError(
                    f"store: expected a column {name} with records of shape "
                    f"{variable.shape[1:]} in {self._path}, got "
                    f"{'none' if column is None else column.array.shape[1:]}"
                )

    def append(self, rows: xr.Dataset) -> None:
        """Add records; they are on the disk with the next commit."""
        self._lock.check_owner()
        n = rows.sizes["step"]
        for name, parts in self._tail.items():
            column = self._columns[name].array
            if name not in rows.variables:  # which an earlier part of the trajectory has recorded
                parts.append(np.full((n, *column.shape[1:]), np.nan, column.dtype))
                continue
            values = rows.variables[name].values
            if values.dtype.kind == "f" and column.dtype.kind != "f":  # NaN, of a diverged run
                self._undefined.add(name)
                values = np.zeros_like(values)
            parts.append(values.astype(column.dtype, copy=False))
        self._n_tail += n
        self._write_full_chunks()

    def drop_last(self) -> None:
        """Take the last record away."""
        for name in self._tail:
            self._tail[name] = [self._joined(name)[:-1]]
        self._n_tail -= 1

    def _joined(self, name: str) -> NDArray[Any]:
        parts = self._tail[name]
        if len(parts) != 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def _write_full_chunks(self) -> None:
        length = next(iter(self._columns.values())).chunk_length
        # The last record stays, so that it can be dropped.
        n = (self._n_tail - 1) // length * length
        if n <= 0:
            return
        for name, column in self._columns.items():
            rows = self._joined(name)
            column.write(self._n_stored, rows[:n])
            for first in range(0, n, length):
                self._digests[name] = extended(self._digests[name], rows[first : first + length])
            self._tail[name] = [rows[n:].copy()]
        self._n_stored += n
        self._n_tail -= n
        self._publish({})

    def is_due(self) -> bool:
        """Say whether it is time for a commit."""
        return time.monotonic() >= self._due

    def commit(self, snapshot: Snapshot) -> None:
        """Bring all records and the state they belong to to the disk, both or neither."""
        tail = {name: self._joined(name) for name in self._tail}
        self._write_commit(snapshot, self._n_stored, self._digests, tail)

    def finish(self, snapshot: Snapshot) -> Trajectory:
        """Commit the end of the run, with all records in the arrays, and open it."""
        self._lock.check_owner()
        n_left = max(0, self._n_tail - 1)
        digests = dict(self._digests)
        tail = {}
        for name, column in self._columns.items():
            rows = self._joined(name)
            column.write(self._n_stored, rows)
            digests[name] = extended(digests[name], rows[:n_left])
            tail[name] = rows[n_left:]
        self._write_commit(snapshot, self._n_stored + n_left, digests, tail)
        self._publish(snapshot.attributes)
        return self.opened(snapshot.status)

    def opened(self, status: str | None = None) -> Trajectory:
        """Return what was committed, as this call of `run` knows it."""
        setup = self._setup
        commit = read_commit(self._path)
        found = trajectory_of(self._path, commit, is_running=False)
        return Trajectory(
            found.data,
            found.weights,
            found.status if status is None else status,
            setup.method,
            setup.record,
            found.state,
            setup.problem,
        )

    def _write_commit(
        self,
        snapshot: Snapshot,
        n_stored: int,
        digests: dict[str, bytes],
        tail: dict[str, NDArray[Any]],
    ) -> None:
        self._lock.check_owner()
        began = time.monotonic()
        state = state_dataset(snapshot.weights, snapshot.state, self._setup.method, snapshot.status)
        header = {
            "n_rows": self._n_stored + self._n_tail,
            "n_stored": n_stored,
            "columns": self._about,
            "digests": {name: digest.hex() for name, digest in digests.items()},
            "undefined": sorted(self._undefined),
            "attributes": snapshot.attributes,
            "state": state.attrs,
            "stop": describe_stop(self._setup),
            "end": snapshot.end,
        }
        arrays = {f"state {name}": variable.values for name, variable in state.variables.items()}
        arrays.update({f"tail {name}": rows for name, rows in tail.items()})
        write_sealed(self._path / FOLDER / "commit", header, arrays)
        now = time.monotonic()
        self._due = now + max(SECONDS_A_COMMIT, SHARE_OF_COMMITS * (now - began))


def _check_place(path: Path) -> None:
    if path.suffix != ".zarr":
        raise ValueError(f"store: expected a name ending in .zarr, got {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"store: expected an existing folder, found none at {path.parent}")
    is_empty = path.is_dir() and not any(path.iterdir())
    if os.path.lexists(path) and not is_store(path) and not is_empty:
        raise ValueError(f"store: expected a store or nothing at {path}, got something else")


def _clear(path: Path) -> None:
    """Remove what a writer has begun that was killed before its first commit."""
    for child in path.iterdir():
        if child.is_dir() and child.name != FOLDER:
            shutil.rmtree(child)
        elif child.is_file():
            child.unlink()
