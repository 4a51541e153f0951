"""Finished trajectories on disk: NetCDF or Zarr through xarray, state in a group beside the data.

Nothing is ever unpickled: numbers are arrays, everything else is JSON. A digest of all bytes is
written last and checked before anything else is read, so that a flipped bit is an error and neither
another number nor a crash of a library that reads the format: in a file 80 bytes beyond its end, at
which readers of NetCDF do not look, in a store a file beside the arrays.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Hashable
from os import PathLike
from pathlib import Path
from typing import TypeVar

import xarray as xr

from .._validation import as_path
from ..methods import method_from_dict
from ..recording import record_from_dict
from ..trajectory import Trajectory
from .lock import is_locked
from .named import decoded, encoded
from .state import state_dataset, state_from_dataset

__all__ = [
    "OtherKind",
    "check_target",
    "open_saved",
    "read_whole",
    "require_zarr",
    "save",
    "write_whole",
]

# The layout of the state group; a file of another layout is refused. The one before is the same
# without a digest.
LAYOUT = 3
LAYOUT_WITHOUT_DIGEST = 2

# What a digest begins with, and how long it is with that.
DIGEST_MARK = b"\npydlnet sha256 "
DIGEST_SIZE = len(DIGEST_MARK) + 2 * hashlib.sha256().digest_size

# The file of a store that has its digest: within an array, as Zarr warns of strange files
# elsewhere.
DIGEST_FILE = "state/numbers/pydlnet.sha256"


Result = TypeVar("Result")


class OtherKind(Exception):
    """A file holds a result of another kind; the message says which, and what opens it."""


def save(trajectory: Trajectory, path: str | PathLike[str]) -> None:
    """Write a trajectory; see `Trajectory.save`."""
    about = {"record": json.dumps(trajectory.record.to_dict())}
    write_whole(trajectory.data.assign_attrs(about), _state_of(trajectory), as_path(path, "path"))


def write_whole(data: xr.Dataset, state: xr.Dataset, target: Path) -> None:
    """Write the data of a result, and beside it in a group what else it is.

    Parameters
    ----------
    data : xarray.Dataset
        For everybody to read.
    state : xarray.Dataset
        For `read_whole`; with an array `numbers`.
    target : Path
        Where to; see `Trajectory.save`.
    """
    is_zarr = _is_zarr(target)
    check_target(target)
    data = encoded(data).assign_attrs(pydlnet_layout=LAYOUT)
    # Complete or not there: written beside the target and moved over it.
    with tempfile.TemporaryDirectory(prefix=".pydlnet-", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        _write(data, state, draft, is_zarr)
        _seal(draft, is_zarr)
        if is_zarr and target.exists():
            shutil.move(target, Path(folder) / "replaced")
        os.replace(draft, target)


def check_target(target: Path) -> None:
    """Raise unless a trajectory can be written to this path, before there is one."""
    is_zarr = _is_zarr(target)
    if is_zarr:
        require_zarr()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path: expected an existing folder, found none at {target.parent}")
    mine = (target / "zarr.json").exists() if is_zarr else target.is_file()
    if target.exists() and not mine:
        kind = "a Zarr store" if is_zarr else "a file"
        raise ValueError(f"path: expected {kind} or nothing at {target}, got something else")
    if is_locked(target / "pydlnet" / "lock"):
        raise RuntimeError(f"path: {target} is being written by a run that keeps its records there")


def open_saved(target: Path) -> Trajectory:
    """Open a saved trajectory; see `open_trajectory`."""
    return read_whole(target, _assemble)


def read_whole(target: Path, assemble: Callable[[xr.Dataset, xr.Dataset], Result]) -> Result:
    """Open what `write_whole` has written.

    Parameters
    ----------
    target : Path
        Where it is.
    assemble : callable
        Makes a result of data, read when it is used, and state; whatever it raises says that the
        file is damaged, unless it is an `OtherKind`.

    Raises
    ------
    FileNotFoundError, ValueError
        As in `open_trajectory`.
    """
    is_zarr = _is_zarr(target)
    if not target.exists():
        raise FileNotFoundError(f"path: expected a saved trajectory, found nothing at {target}")
    is_sealed = _check_seal(target, is_zarr)
    try:
        data = _open_group(target, None, is_zarr)
        layout = data.attrs.get("pydlnet_layout")
    except Exception as error:
        raise ValueError(f"path: {target} cannot be read as a trajectory: {error}") from error
    if layout == LAYOUT and not is_sealed:
        raise ValueError(
            f"path: the trajectory in {target} is damaged, or was changed: its digest is missing"
        )
    if layout not in (LAYOUT, LAYOUT_WITHOUT_DIGEST):
        found = "no trajectory" if layout is None else f"layout {layout}"
        raise ValueError(f"path: expected a trajectory of layout {LAYOUT} in {target}, got {found}")
    try:
        if is_zarr:
            _check_chunks(target)
        with _open_group(target, "state", is_zarr) as state:
            return assemble(decoded(data), state.load())
    except OtherKind as error:
        raise ValueError(f"path: {target} {error}") from None
    except Exception as error:
        raise ValueError(f"path: the trajectory in {target} is damaged: {error!r}") from error


def _seal(path: Path, is_zarr: bool) -> None:
    """Write the digest of what is complete."""
    seal = DIGEST_MARK + _digest(path, is_zarr)
    if is_zarr:
        (path / DIGEST_FILE).write_bytes(seal)
        return
    with path.open("ab") as file:
        file.write(seal)


def _check_seal(path: Path, is_zarr: bool) -> bool:
    """Return whether there is a digest; raise if it is of other bytes."""
    try:
        seal = _read_seal(path, is_zarr)
        is_sealed = seal.startswith(DIGEST_MARK)
        is_whole = not is_sealed or seal == DIGEST_MARK + _digest(path, is_zarr, len(seal))
    except OSError as error:
        raise ValueError(f"path: {path} cannot be read: {error}") from error
    if not is_whole:
        raise ValueError(
            f"path: the trajectory in {path} is damaged, or was changed: its bytes are not those "
            "that were saved"
        )
    return is_sealed


def _read_seal(path: Path, is_zarr: bool) -> bytes:
    if is_zarr:
        file = path / DIGEST_FILE
        return file.read_bytes() if file.is_file() else b""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - DIGEST_SIZE))
        return stream.read()


def _digest(path: Path, is_zarr: bool, n_left_out: int = 0) -> bytes:
    """Return the digest of a store, or of a file without its last bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    if not is_zarr:
        _add(digest, path, path.stat().st_size - n_left_out)
        return digest.hexdigest().encode()
    parts = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(parts.keys() - {DIGEST_FILE}):
        size = parts[name].stat().st_size
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
        _add(digest, parts[name], size)
    return digest.hexdigest().encode()


def _add(digest: "hashlib._Hash", file: Path, n_bytes: int) -> None:
    with file.open("rb") as stream:
        while n_bytes > 0 and (block := stream.read(min(n_bytes, 2**20))):
            digest.update(block)
            n_bytes -= len(block)


def _check_chunks(path: Path) -> None:
    """Raise if a chunk is missing: Zarr would read it as NaN without a word."""
    import zarr

    for group in (zarr.open_group(path, mode="r"), zarr.open_group(path / "state", mode="r")):
        for name, array in group.arrays():
            if array.nchunks_initialized != array.nchunks:
                raise ValueError(f"chunks of {name} are missing")


def _is_zarr(path: Path) -> bool:
    if path.suffix not in (".nc", ".zarr"):
        raise ValueError(f"path: expected a name ending in .nc or .zarr, got {str(path)!r}")
    return path.suffix == ".zarr"


def _write(data: xr.Dataset, state: xr.Dataset, path: Path, is_zarr: bool) -> None:
    if is_zarr:
        # Consolidated, so that xarray opens it without a word; Zarr warns that this is young.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Consolidated metadata")
            # Every chunk is written, so that one that is not there has been lost.
            data.to_zarr(path, mode="w", consolidated=True, write_empty_chunks=True)
            state.to_zarr(path, mode="a", group="state", consolidated=True, write_empty_chunks=True)
        return
    data.to_netcdf(path, "w", engine="h5netcdf", encoding=_bit_for_bit(data))
    state.to_netcdf(path, "a", group="state", engine="h5netcdf", encoding=_bit_for_bit(state))


def _bit_for_bit(dataset: xr.Dataset) -> dict[Hashable, dict[str, None]]:
    """Ask for no fill value: every bit of a float is kept and integers stay integers."""
    return {name: {"_FillValue": None} for name in dataset.variables}


def _open_group(path: Path, group: str | None, is_zarr: bool) -> xr.Dataset:
    if is_zarr:
        require_zarr()
        dataset: xr.Dataset = xr.open_zarr(path, group=group, chunks=None, decode_times=False)
        return dataset
    return xr.open_dataset(path, group=group, engine="h5netcdf", decode_times=False)


def require_zarr() -> None:
    """Raise ImportError, saying what to do, unless Zarr is there."""
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise ImportError(
            "a .zarr path needs Zarr: pip install 'pydlnet[store]', or use .nc"
        ) from None


def _state_of(trajectory: Trajectory) -> xr.Dataset:
    return state_dataset(trajectory.weights, trajectory.state, trajectory.method, trajectory.status)


def _assemble(data: xr.Dataset, state: xr.Dataset) -> Trajectory:
    if "n_runs" in state.attrs:
        raise OtherKind("holds an ensemble; use open_ensemble")
    record = record_from_dict(json.loads(data.attrs.pop("record")))
    del data.attrs["pydlnet_layout"]
    method = method_from_dict(json.loads(data.attrs["method"]))
    weights, core, status = state_from_dataset(state, method)
    return Trajectory(data, weights, status, method, record, core)
