"""The result of a run: the labelled dataset, the final layers, and what it takes to go on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import summaries
from ._display import as_table, sparkline
from ._validation import widths_of
from .compression import Compression
from .flows import GradientFlow
from .methods import Method
from .names import without_names
from .problems import Problem
from .quantities import Variable
from .recording import Record

__all__ = ["Trajectory"]

STEP_ATTRIBUTES = {
    "long_name": "number of updates taken",
    "units": "1",
    "reference": "definition",
}
TIME_ATTRIBUTES = {
    "long_name": "time of gradient flow: sum of the rates so far",
    "units": "1",
    "reference": "definition",
}


@dataclass(frozen=True)
class State:
    """Everything of the core that the next step depends on, besides the full layers.

    Parameters
    ----------
    step : int
        Absolute step; of a flow, number of the last record.
    time : tuple of float
        Sum of the rates, and what rounding has taken from it; the time of a flow, and 0.
    seed : int or None
        Of the mini-batches; None as long as nothing was drawn.
    method : dict
        What the method remembers: `buffers` (lists of layer-shaped arrays), `mean_square`,
        `n_updates`. Of a flow: `buffers` (the layers where the step in progress begins, and those
        where the flow has begun) and its numbers, as `_core.flow_state` gives them. Empty as long
        as it remembers nothing.
    compression : Compression or None
        Coordinates that the core works in, if they are not those of the full network.
    layers : list of ndarray, shape (c_j, c_{j-1})
        The core's layers there; none without a compression.
    """

    step: int
    time: tuple[float, float]
    seed: int | None
    method: dict[str, Any]
    compression: Compression | None = None
    layers: list[NDArray[Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a run did.

    Attributes
    ----------
    data : xarray.Dataset
        Recorded quantities over the dimension `step`. Where the problem has names of its inputs
        and outputs (`Problem.coords`), they are coordinates of the variables over them:
        ``data.end_to_end.sel(input="age")``.
    weights : list of ndarray, shape (d_j, d_{j-1})
        The layers at the last step. Read-only where they are the image of a compressed run, which
        goes on from its own layers.
    status : str
        Why the run ended: "converged" (a stop condition was met), "finished" (all steps taken),
        "diverged" (the loss is not finite), "time_limit", "interrupted", or "step_too_small" (a
        flow cannot go on, as the gradient has a singularity there). A store is also "running" while
        somebody writes it, and "interrupted" if its writer was killed.
    method : Method or GradientFlow
        Takes over when the run is continued without another one.
    record : Record
        Likewise.
    step : int
        The last step, counted from the start of the whole trajectory; of a flow, the number of its
        last record.
    problem : Problem or None
        What the last call of `run` minimised; None if the trajectory was opened from a file, which
        knows its problem by description only.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=100)
    >>> trajectory.status, trajectory.step, trajectory.widths
    ('finished', 100, (2, 2, 2))
    >>> trajectory.data.loss.dims, len(trajectory.weights)
    (('step',), 2)
    >>> dln.run(problem, trajectory, n_steps=50).step
    150
    """

    data: xr.Dataset
    weights: list[NDArray[Any]]
    status: str
    method: Method | GradientFlow
    record: Record
    state: State = field(repr=False)
    problem: Problem | None = field(default=None, repr=False)

    @property
    def step(self) -> int:
        """The last step."""
        return self.state.step

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_N)."""
        return widths_of(self.weights)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trajectory to a file from which it opens and continues bit for bit.

        Parameters
        ----------
        path : path-like
            Ending in ``.nc`` (NetCDF) or ``.zarr`` (Zarr; extra ``store``). What is there is
            replaced once the new one is complete; a trajectory opened from a Zarr store that is
            replaced must not be read any more.

        Raises
        ------
        ValueError
            If the ending is another one, or something else is at that path.
        FileNotFoundError
            If there is no folder to write to.
        ImportError
            If the path ends in ``.zarr`` and Zarr is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import pydlnet as dln
        >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
        >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
        >>> dln.run(problem, start, dln.GradientDescent(0.1), n_steps=100).save("run.nc")
        >>> dln.open("run.nc").step
        100
        """
        from .storage import save

        save(self, path)

    def __repr__(self) -> str:
        """Show how it ended and what was recorded."""
        return summaries.line_of_trajectory(self)

    def _repr_html_(self) -> str:
        """Show the same as a table, with a curve of the loss if it is in memory."""
        curve = sparkline(summaries.losses_in_memory(self.data), "loss over the records, log scale")
        return as_table("Trajectory", summaries.facts_of_trajectory(self).items(), curve)


def ends_at_record(trajectory: Trajectory) -> bool:
    """Say whether the last record is where the run is: not so in a store of one that goes on."""
    if isinstance(trajectory.method, GradientFlow):
        return bool(trajectory.data["time"][-1] == trajectory.state.time[0])
    return bool(trajectory.data["step"][-1] == trajectory.step)


def to_dataset(
    steps: NDArray[np.int64],
    times: NDArray[np.float64] | None,
    arrays: dict[str, NDArray[Any]],
    variables: dict[str, Variable],
) -> xr.Dataset:
    """Label recorded arrays, the record first, with names, dimensions and attributes."""
    coordinates: dict[str, Any] = {"step": ("step", steps, STEP_ATTRIBUTES)}
    if times is not None:
        coordinates["time"] = ("step", times, TIME_ATTRIBUTES)
    data = {
        name: (variable.dims, arrays[name], variable.attributes)
        for name, variable in variables.items()
    }
    return xr.Dataset(data, coordinates)


def append(history: xr.Dataset, news: xr.Dataset) -> xr.Dataset:
    """Return both parts of a trajectory; what one of them did not record is NaN there.

    Names of inputs and outputs are left out: those of the whole are put on it when it is complete.
    """
    history, news = without_names(history), without_names(news)
    if ("time" in history.coords) != ("time" in news.coords):
        history, news = _with_time(history), _with_time(news)
    parts = [_with_variables_of(history, news), _with_variables_of(news, history)]
    return xr.concat(
        parts,
        dim="step",
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )


def _with_time(data: xr.Dataset) -> xr.Dataset:
    if "time" in data.coords:
        return data
    undefined = ("step", np.full(data.sizes["step"], np.nan), TIME_ATTRIBUTES)
    return data.assign_coords(time=undefined)


def _with_variables_of(data: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    missing = {
        name: xr.full_like(
            variable.isel(step=0, drop=True), np.nan, dtype=np.result_type(variable, np.float32)
        ).expand_dims(step=data["step"])
        for name, variable in other.data_vars.items()
        if name not in data.data_vars
    }
    return data.assign({name: value.transpose("step", ...) for name, value in missing.items()})


def describe_run(
    problem: dict[str, Any],
    method: Method | GradientFlow,
    widths: Sequence[int],
    **others: Any,
) -> dict[str, Any]:
    """Return the attributes of the dataset."""
    return {
        "problem": json.dumps(problem),
        "method": json.dumps(method.to_dict()),
        "widths": list(widths),
        **others,
    }
