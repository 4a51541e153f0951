"""What a store holds, for those who read it: the last commit, and records when they are used."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..methods import method_from_dict
from ..names import with_names
from ..recording import record_from_dict
from ..trajectory import Trajectory
from .columns import Column, open_column
from .files import DRAFT
from .identity import check_layout
from .lock import is_locked
from .named import read_names
from .rows import Rows, lazily
from .sealed import read_sealed
from .state import state_from_dataset

__all__ = [
    "FOLDER",
    "NAMES",
    "Commit",
    "Look",
    "check_digest",
    "has_commit",
    "is_store",
    "look",
    "open_store",
    "read_commit",
    "read_origin",
    "trajectory_of",
]

# Beside the arrays: what only this package reads.
FOLDER = "pydlnet"
NAMES = "names"
FILES = {"lock", "origin", "commit", NAMES}


class Commit(NamedTuple):
    """What the file says."""

    header: dict[str, Any]
    state: xr.Dataset
    tail: dict[str, NDArray[Any]]


class Look(NamedTuple):
    """A store at one moment.

    Attributes
    ----------
    trajectory : Trajectory
        What it had committed.
    is_running : bool
        Whether somebody writes it.
    was_killed : bool
        Whether its writer is gone without having ended its run.
    end : float or None
        The step, or the time of a flow, that the run goes to if nothing ends it before; None if a
        version has written it that did not say.
    """

    trajectory: Trajectory
    is_running: bool
    was_killed: bool
    end: float | None


def is_store(path: Path) -> bool:
    """Say whether a run was recorded in this folder as it went.

    An array or a group of somebody else's may have the name, too: what is in it is no store's.
    """
    folder = path / FOLDER
    return folder.is_dir() and all(
        name in FILES or name.startswith(DRAFT) for name in os.listdir(folder)
    )


def has_commit(path: Path) -> bool:
    """Say whether anything was committed."""
    return (path / FOLDER / "commit").exists()


def open_store(path: Path, *, verify: bool = False) -> Trajectory:
    """Open a store; see `open_trajectory`."""
    path = path.absolute()
    found, commit = _look(path)
    if verify:
        for name, digest in commit.header["digests"].items():
            column = open_column(path / name)
            check_digest(column, column.digest(commit.header["n_stored"]), digest)
    return found.trajectory


def look(path: Path) -> Look:
    """Open a store, and say whether its run goes on, and how far.

    Parameters
    ----------
    path : Path
        Of a store.

    Raises
    ------
    ValueError
        If nothing was committed yet, or it is damaged or of another layout.
    """
    return _look(path.absolute())[0]


def _look(path: Path) -> tuple[Look, Commit]:
    if not has_commit(path):
        raise ValueError(f"path: the run in {path} has not committed anything yet")
    check_layout(read_origin(path).get("layout"), path)
    # The lock first: a run that ends now was running.
    is_running = is_locked(path / FOLDER / "lock")
    commit = read_commit(path)
    trajectory = trajectory_of(path, commit, is_running=is_running)
    was_killed = commit.state.attrs["status"] == "running" and not is_running
    return Look(trajectory, is_running, was_killed, commit.header.get("end")), commit


def check_digest(column: Column, found: bytes, digest: str) -> None:
    """Raise ValueError unless the digest of a column is the one of the commit."""
    if found.hex() != digest:
        raise ValueError(f"{column.path} is damaged: its records are not those that were committed")


def read_origin(path: Path) -> dict[str, Any]:
    """Return the identity of the run that a store was written for."""
    try:
        return read_sealed(path / FOLDER / "origin")[0]
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} is missing: the store is damaged") from None


def read_commit(path: Path) -> Commit:
    """Return the last commit."""
    header, arrays = read_sealed(path / FOLDER / "commit")
    state = xr.Dataset(attrs=header["state"])
    tail = {}
    for key, array in arrays.items():
        kind, _, name = key.partition(" ")
        if kind == "tail":
            tail[name] = array
        else:
            state[name] = ([f"{name}_axis_{axis}" for axis in range(array.ndim)], array)
    return Commit(header, state, tail)


def trajectory_of(path: Path, commit: Commit, *, is_running: bool) -> Trajectory:
    """Return what a commit holds as a trajectory; without a writer it is running no more."""
    header = commit.header
    origin = read_origin(path)
    method = method_from_dict(json.loads(header["attributes"]["method"]))
    weights, state, status = state_from_dataset(commit.state, method)
    if status == "running" and not is_running:  # and was killed
        status = "interrupted"
    variables = {
        name: lazily(
            Rows(path / name, header["n_stored"], commit.tail[name]),
            tuple(about["dims"]),
            about["attributes"],
        )
        for name, about in header["columns"].items()
    }
    for name in header["undefined"]:
        values = variables[name].values.astype(np.float64)
        values[-1] = np.nan
        variables[name] = variables[name].copy(data=values)
    coordinates = {name: variables.pop(name) for name in ("step", "time") if name in variables}
    data = xr.Dataset(variables, coordinates, {**header["attributes"], "status": status})
    record = record_from_dict(origin["record"])
    data = with_names(data, read_names(path / FOLDER / NAMES))
    return Trajectory(data, weights, status, method, record, state)
