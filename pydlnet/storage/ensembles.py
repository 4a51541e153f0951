"""Ensembles on disk: their data, and in a group beside it the final layers of all members."""

from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import as_path
from ..ensembles import EnsembleTrajectory
from .saved import OtherKind, read_whole, write_whole

__all__ = ["open_ensemble", "save_ensemble"]

# Text of the data: strings of any length, which are read as they were.
_TEXTS = ("status", "problem", "method")


def save_ensemble(ensemble: EnsembleTrajectory, path: str | PathLike[str]) -> None:
    """Write an ensemble; see `EnsembleTrajectory.save`."""
    layers: dict[str, Any] = {
        f"weights_{j}": (("run", f"width_{j + 1}", f"width_{j}"), np.stack(layer))
        for j, layer in enumerate(zip(*ensemble.weights, strict=True))
    }
    # Every file of results has numbers: there is room beside them for the digest of a store.
    layers["numbers"] = (("number",), np.array([len(ensemble)], dtype=np.float64))
    state = xr.Dataset(
        layers,
        attrs={"n_runs": len(ensemble), "depth": len(ensemble.weights[0])},
    )
    write_whole(_with_texts(ensemble.data, object), state, as_path(path, "path"))


def open_ensemble(path: str | PathLike[str]) -> EnsembleTrajectory:
    """Open a saved ensemble; its data is read when it is used.

    Parameters
    ----------
    path : path-like
        Written by `EnsembleTrajectory.save`, ending in ``.nc`` or ``.zarr``.

    Returns
    -------
    EnsembleTrajectory
        With the layers with which its members ended, for `run`, or for `run_ensemble` as starts.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that path.
    ValueError
        If it is not a saved ensemble, one of another layout, or damaged.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1)]
    >>> dln.run_ensemble(problem, start, methods, n_steps=100).save("runs.nc")
    >>> opened = dln.open_ensemble("runs.nc")
    >>> opened.data.loss.dims, len(opened.weights)
    (('run', 'step'), 2)
    """
    return read_whole(as_path(path, "path"), _assemble)


def _assemble(data: xr.Dataset, state: xr.Dataset) -> EnsembleTrajectory:
    if "n_runs" not in state.attrs:
        raise OtherKind("holds a single run; use open")
    n_runs, depth = int(state.attrs["n_runs"]), int(state.attrs["depth"])
    del data.attrs["pydlnet_layout"]
    texts = _with_texts(data, np.str_)
    weights = [
        [np.ascontiguousarray(state[f"weights_{j}"].values[run]) for j in range(depth)]
        for run in range(n_runs)
    ]
    return EnsembleTrajectory(texts, weights, tuple(texts["status"].values.tolist()))


def _with_texts(data: xr.Dataset, status_dtype: type) -> xr.Dataset:
    """Return the data with its text as objects, and the statuses in a dtype."""
    dtypes = {name: status_dtype if name == "status" else object for name in _TEXTS}
    changed = {
        name: data[name].copy(data=_as_text(data[name].values, dtypes[name]))
        for name in _TEXTS
        if name in data.variables
    }
    coordinates = {name: changed.pop(name) for name in list(changed) if name in data.coords}
    return data.assign_coords(coordinates).assign(changed)


def _as_text(values: Iterable[Any], dtype: type) -> NDArray[Any]:
    return np.array([str(value) for value in values], dtype=dtype)
