"""Finished trajectories on disk: NetCDF or Zarr through xarray, state in a group beside the data.

Nothing is ever unpickled: numbers are arrays, everything else is JSON.
"""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ._validation import freeze, widths_of
from .compression import Compression
from .flows import GradientFlow
from .methods import method_from_dict
from .recording import record_from_dict
from .trajectory import State, Trajectory

__all__ = ["open_trajectory", "save"]

# Numbers of a flow besides its layers, as `_core.flow_state` names them; the last ones are counts.
FLOW_NUMBERS = ("begin_time", "step_size", "last_error", "first_time")
FLOW_COUNTS = ("n_accepted", "n_rejected", "n_gradients")

# The layout of the state group; a file of another layout is refused.
LAYOUT = 2


def save(trajectory: Trajectory, path: str | PathLike[str]) -> None:
    """Write a trajectory; see `Trajectory.save`."""
    target = Path(path)
    is_zarr = _is_zarr(target)
    check_target(target)
    data = trajectory.data.copy()
    data.attrs["pydlnet_layout"] = LAYOUT
    data.attrs["record"] = json.dumps(trajectory.record.to_dict())
    # Complete or not there: written beside the target and moved over it.
    with tempfile.TemporaryDirectory(prefix=".pydlnet-", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        _write(data, _state_dataset(trajectory), draft, is_zarr)
        if is_zarr and target.exists():
            shutil.move(target, Path(folder) / "replaced")
        os.replace(draft, target)


def check_target(target: Path) -> None:
    """Raise unless a trajectory can be written to this path, before there is one."""
    is_zarr = _is_zarr(target)
    if is_zarr:
        _require_zarr()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path: expected an existing folder, found none at {target.parent}")
    mine = (target / "zarr.json").exists() if is_zarr else target.is_file()
    if target.exists() and not mine:
        kind = "a Zarr store" if is_zarr else "a file"
        raise ValueError(f"path: expected {kind} or nothing at {target}, got something else")


def open_trajectory(path: str | PathLike[str]) -> Trajectory:
    """Open a saved trajectory; its data is read when it is used.

    Parameters
    ----------
    path : path-like
        Written by `Trajectory.save`, ending in ``.nc`` or ``.zarr``.

    Returns
    -------
    Trajectory
        It continues bit for bit. Functions of the user's (quantities, a learning rate) are known
        by name only and have to be given again.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that path.
    ValueError
        If it is not a saved trajectory, or one of another layout.
    """
    target = Path(path)
    is_zarr = _is_zarr(target)
    if not target.exists():
        raise FileNotFoundError(f"path: expected a saved trajectory, found nothing at {target}")
    try:
        data = _open_group(target, None, is_zarr)
        layout = data.attrs.get("pydlnet_layout")
    except Exception as error:
        raise ValueError(f"path: {target} cannot be read as a trajectory: {error}") from error
    if layout != LAYOUT:
        found = "no trajectory" if layout is None else f"layout {layout}"
        raise ValueError(f"path: expected a trajectory of layout {LAYOUT} in {target}, got {found}")
    try:
        if is_zarr:
            _check_chunks(target)
        with _open_group(target, "state", is_zarr) as state:
            trajectory = _assemble(data, state.load())
            if _are_finite(trajectory.weights) != bool(state.attrs["finite"]):
                raise ValueError("the layers are not those that were saved")
    except Exception as error:
        raise ValueError(f"path: the trajectory in {target} is damaged: {error!r}") from error
    return trajectory


def _check_chunks(path: Path) -> None:
    """Raise if a chunk is missing: Zarr would read it as NaN without a word."""
    import zarr

    for group in (zarr.open_group(path, mode="r"), zarr.open_group(path / "state", mode="r")):
        for name, array in group.arrays():
            if array.nchunks_initialized != array.nchunks:
                raise ValueError(f"chunks of {name} are missing")


def _are_finite(layers: list[NDArray[Any]]) -> bool:
    return all(bool(np.isfinite(layer).all()) for layer in layers)


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
        _require_zarr()
        dataset: xr.Dataset = xr.open_zarr(path, group=group, chunks=None)
        return dataset
    return xr.open_dataset(path, group=group, engine="h5netcdf", decode_times=False)


def _require_zarr() -> None:
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise ImportError(
            "a .zarr path needs Zarr: pip install 'pydlnet[store]', or use .nc"
        ) from None


def _state_dataset(trajectory: Trajectory) -> xr.Dataset:
    state = trajectory.state
    arrays: dict[str, Any] = _numbered("weights", trajectory.weights, "width")
    for b, layers in enumerate(state.method["buffers"]):
        arrays.update(_numbered(f"buffer_{b}", layers, "core_width"))
    arrays.update(_compressed(state))
    is_flow = isinstance(trajectory.method, GradientFlow)
    names = FLOW_NUMBERS if is_flow else ("mean_square",)
    numbers = [*state.time, *(state.method[name] for name in names)]
    arrays["numbers"] = (("number",), np.array(numbers, dtype=np.float64))
    counts = {
        "depth": len(trajectory.weights),
        "finite": int(_are_finite(trajectory.weights)),
        "n_buffers": len(state.method["buffers"]),
        # As text: a seed takes all 64 bits, which not every format's attributes hold.
        "step": str(state.step),
        "seed": "none" if state.seed is None else str(state.seed),
        # As text as well: all of their digits.
        **{name: str(state.method[name]) for name in _counts(is_flow)},
        "compression": _kind(state.compression),
        "diagonal": int(state.compression is not None and state.compression.diagonal),
    }
    return xr.Dataset(arrays, attrs={**counts, "status": trajectory.status})


def _counts(is_flow: bool) -> tuple[str, ...]:
    return FLOW_COUNTS if is_flow else ("n_updates",)


def _numbered(prefix: str, layers: list[NDArray[Any]], dim: str) -> dict[str, Any]:
    return {
        f"{prefix}_{j}": ((f"{dim}_{j + 1}", f"{dim}_{j}"), layer) for j, layer in enumerate(layers)
    }


def _compressed(state: State) -> dict[str, Any]:
    if state.compression is None:
        return {}
    bases = {
        f"basis_{j}": ((f"width_{j}", f"core_width_{j}"), basis)
        for j, basis in enumerate(state.compression.bases)
        if basis is not None
    }
    return {**bases, **_numbered("layers", state.layers, "core_width")}


def _kind(compression: Compression | None) -> str:
    if compression is None:
        return "none"
    return "rank" if compression.by_rank else "count"


def _layers(state: xr.Dataset, prefix: str) -> list[NDArray[Any]]:
    return [
        np.ascontiguousarray(state[f"{prefix}_{j}"].values)
        for j in range(int(state.attrs["depth"]))
    ]


def _assemble(data: xr.Dataset, state: xr.Dataset) -> Trajectory:
    attributes: Mapping[str, Any] = state.attrs
    record = record_from_dict(json.loads(data.attrs.pop("record")))
    del data.attrs["pydlnet_layout"]
    method = method_from_dict(json.loads(data.attrs["method"]))
    is_flow = isinstance(method, GradientFlow)
    total, lost, *others = (float(x) for x in state["numbers"].values)
    method_state = {
        "buffers": [_layers(state, f"buffer_{b}") for b in range(int(attributes["n_buffers"]))],
        **dict(zip(FLOW_NUMBERS if is_flow else ("mean_square",), others, strict=True)),
        **{name: int(attributes[name]) for name in _counts(is_flow)},
    }
    seed = None if attributes["seed"] == "none" else int(attributes["seed"])
    weights = _layers(state, "weights")
    compression = _compression(state, widths_of(weights))
    return Trajectory(
        data,
        weights if compression is None else [freeze(layer) for layer in weights],
        str(attributes["status"]),
        method,
        record,
        State(
            int(attributes["step"]),
            (total, lost),
            seed,
            method_state,
            compression,
            [] if compression is None else _layers(state, "layers"),
        ),
    )


def _compression(state: xr.Dataset, widths: tuple[int, ...]) -> Compression | None:
    kind = state.attrs["compression"]
    if kind == "none":
        return None
    bases = tuple(
        np.ascontiguousarray(state[f"basis_{j}"].values) if f"basis_{j}" in state else None
        for j in range(len(widths))
    )
    # Stores from before there were diagonal bases do not say so.
    return Compression(widths, bases, kind == "rank", bool(state.attrs.get("diagonal", 0)))
