"""What results say of themselves in a few words: trajectories and ensembles.

Nothing here computes more than a look at a few numbers, and nothing raises, whatever became of the
run or of the file it is read from.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ._display import as_status, number
from .flows import GradientFlow

if TYPE_CHECKING:
    from .ensembles import EnsembleTrajectory
    from .trajectory import Trajectory

__all__ = [
    "count",
    "facts_of_ensemble",
    "facts_of_trajectory",
    "line_of_ensemble",
    "line_of_trajectory",
    "losses_in_memory",
]

_POINTS = 200  # of a curve that is this small
_NAMES = 12  # that are listed


def line_of_trajectory(trajectory: "Trajectory") -> str:
    """Return what `repr` shows of a trajectory."""
    data = trajectory.data
    parts = [
        f"{trajectory.status} at {_place(trajectory)}{_time_taken(data)}",
        f"widths {trajectory.widths} {trajectory.weights[0].dtype}",
        *_named("loss", _loss_range(data)),
        _records(data),
    ]
    return f"<Trajectory: {', '.join(parts)}>"


def line_of_ensemble(ensemble: "EnsembleTrajectory") -> str:
    """Return what `repr` shows of an ensemble."""
    data = ensemble.data
    counts = ", ".join(f"{n} {end}" for end, n in count(ensemble.status).items())
    parts = [
        f"{len(ensemble)} runs ({counts}){_time_taken(data)}",
        f"widths {ensemble.widths} {ensemble.weights[0][0].dtype}",
        *_named("last loss", _last_losses(data)),
        _records(data),
    ]
    return f"<EnsembleTrajectory: {', '.join(parts)}>"


def _place(trajectory: "Trajectory") -> str:
    """Return where a run ended."""
    if isinstance(trajectory.method, GradientFlow):
        return f"time {trajectory.state.time[0]:g}"
    return f"step {trajectory.step}"


def _seconds(data: xr.Dataset) -> str:
    """Return how long the run took, "" if that is not known."""
    taken = data.attrs.get("wall_seconds")
    return "" if taken is None else f"{taken:.2g} s" if taken < 10.0 else f"{taken:,.0f} s"


def _time_taken(data: xr.Dataset) -> str:
    return f" in {_seconds(data)}" if _seconds(data) else ""


def _loss_range(data: xr.Dataset) -> str:
    """Return the first and the last loss of a run, "" if it was not recorded."""
    try:
        first, last = data["loss"][[0, -1]].values.tolist()
    except Exception:  # not recorded, or in a file that is not there any more
        return ""
    return f"{number(first)} -> {number(last)}"


def losses_in_memory(data: xr.Dataset) -> list[float]:
    """Return the losses of a run, some of them if they are many, none if a file has them."""
    loss = data.variables.get("loss")
    # xarray has no public word for it; without this one no curve is drawn.
    if loss is None or not getattr(loss, "_in_memory", False) or loss.ndim != 1:
        return []
    values: list[float] = loss.values[:: max(1, loss.size // _POINTS)].tolist()
    return values


def count(items: Iterable[str]) -> dict[str, int]:
    """Return how often each item is there, in the order in which they first come."""
    items = list(items)
    return {item: items.count(item) for item in dict.fromkeys(items)}


def _named(name: str, text: str) -> list[str]:
    return [f"{name} {text}"] if text else []


def _records(data: xr.Dataset) -> str:
    """Return how many records there are, and of what."""
    names = [str(name) for name in data.data_vars if name not in ("status", "last_step")]
    listed = ", ".join([*names[:_NAMES], *(["..."] if len(names) > _NAMES else [])])
    return f"{data.sizes.get('step', 0):,} records of {listed}"


def _network(weights: list[NDArray[Any]]) -> str:
    """Return widths, number of parameters and dtype of a network."""
    widths = "-".join(map(str, (weights[0].shape[1], *(layer.shape[0] for layer in weights))))
    size = sum(layer.size for layer in weights)
    return f"widths {widths}, {size:,} parameters, {weights[0].dtype}"


def facts_of_trajectory(trajectory: "Trajectory") -> Mapping[str, Any]:
    """Return what a notebook shows of a trajectory."""
    data = trajectory.data
    algebra = data.attrs.get("exact_algebra", "none")
    return {
        "status": as_status({trajectory.status: 1}, f" at {_place(trajectory)}"),
        "problem": trajectory.problem or _described(data.attrs.get("problem")),
        "network": _network(trajectory.weights),
        "method": trajectory.method,
        "loss": _loss_range(data) or None,
        "recorded": _records(data),
        "exact algebra": None if algebra == "none" else str(algebra),
        "took": _seconds(data) or None,
    }


def facts_of_ensemble(ensemble: "EnsembleTrajectory") -> Mapping[str, Any]:
    """Return what a notebook shows of an ensemble."""
    data = ensemble.data
    return {
        "runs": as_status(count(ensemble.status)),
        "problem": _described(data.attrs.get("problem")) or "one for each run, or several",
        "network": _network(ensemble.weights[0]) + " each",
        "method": _described(data.attrs.get("method")) or "several, see data.method",
        "last loss": _last_losses(data) or None,
        "recorded": _records(data),
        "took": _seconds(data) or None,
    }


def _last_losses(data: xr.Dataset) -> str:
    """Return the smallest, the median and the largest loss with which runs ended."""
    try:
        places = np.searchsorted(data["step"].values, data["last_step"].values)
        losses = data["loss"].transpose("run", "step").values[np.arange(places.size), places]
        low, middle, high = np.sort(losses)[[0, (losses.size - 1) // 2, -1]].tolist()
    except Exception:  # not recorded, or no such data any more
        return ""
    return f"{number(low)} to {number(high)}, median {number(middle)}"


def _described(text: Any) -> str | None:
    """Return a description that is kept as JSON, without its digest; None if there is none."""
    try:
        description = json.loads(text)
        kind = description.pop("kind")
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    description.pop("digest", None)
    return f"{kind}({', '.join(f'{name}={value}' for name, value in description.items())})"
