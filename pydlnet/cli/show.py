"""``pydlnet show``: what a saved trajectory or a sweep holds."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import pydlnet as dln
from pydlnet.names import recorded_names, shown
from pydlnet.reports import saved_ensemble
from pydlnet.storage.files import is_sweep

from .sweep_text import show_sweep
from .text import describe, number, say, table

__all__ = ["show_path"]

_ROWS = 9


def show_path(path: Path) -> int:
    """Print what a saved trajectory is, and a few records of its numbers; an ensemble; or a sweep.

    Parameters
    ----------
    path : Path
        What `Trajectory.save` wrote, the saved data of an ensemble, or the folder of a sweep.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    if not path.exists():
        raise ValueError(f"no file or folder {str(path)!r}")
    if is_sweep(path):
        show_sweep(dln.open_sweep(path))
        return 0
    try:
        trajectory = dln.open(path)
    except ValueError:
        ensemble = saved_ensemble(path)
        if ensemble is None:
            raise
        is_whole = isinstance(ensemble, dln.EnsembleTrajectory)
        _show_ensemble(ensemble.data if is_whole else ensemble)
        return 0
    say(describe(_rows(trajectory)))
    columns = [name for name, array in trajectory.data.items() if array.dims == ("step",)]
    if columns:
        say(f"\n{_records(trajectory, columns)}")
    return 0


def _show_ensemble(data: Any) -> None:
    """Print how the members of an ensemble ended, and what they recorded."""
    ends = Counter(map(str, data["status"].values)).most_common()
    widths = "-".join(str(int(width)) for width in data.attrs["widths"])
    steps = data["last_step"].values
    rows = [
        ("runs", f"{data.sizes['run']:,}: {', '.join(f'{count:,} {end}' for end, count in ends)}"),
        ("network", f"widths {widths}, {data.attrs['dtype']}"),
        ("steps", f"{steps.min():,.0f} to {steps.max():,.0f}"),
        ("records", ", ".join(f"{name} {_sizes(array)}" for name, array in data.items())),
    ]
    say(describe(rows))


def _rows(trajectory: dln.Trajectory) -> list[tuple[str, str]]:
    data = trajectory.data
    attributes = data.attrs
    widths = "-".join(str(int(width)) for width in attributes["widths"])
    variables = ", ".join(f"{name} {_sizes(array)}" for name, array in data.data_vars.items())
    return [
        ("status", f"{trajectory.status} at {_place(trajectory)}"),
        ("problem", _brief(json.loads(attributes["problem"]))),
        ("network", f"widths {widths}, {attributes['dtype']}"),
        ("method", " ".join(repr(trajectory.method).split())),
        ("algebra", str(attributes["exact_algebra"])),
        ("records", f"{data.sizes['step']} of {variables}"),
        *((f"{side}s", shown(names)) for side, names in recorded_names(data).items()),
        ("time", f"{float(attributes['wall_seconds']):.2f} s"),
        ("made by", f"pydlnet {attributes['version']} ({attributes['instruction_set']})"),
    ]


def _place(trajectory: dln.Trajectory) -> str:
    if isinstance(trajectory.method, dln.GradientFlow):
        return f"time {trajectory.state.time[0]:g}"
    return f"step {trajectory.step:,}"


def _brief(problem: dict[str, Any]) -> str:
    shape = " x ".join(map(str, problem["shape"]))
    hidden = ("kind", "shape", "digest")
    rest = [f"{key}={value}" for key, value in problem.items() if key not in hidden]
    return f"{problem['kind']}, {', '.join([shape, *rest])}"


def _sizes(array: Any) -> str:
    return f"({', '.join(map(str, array.dims))})"


def _records(trajectory: dln.Trajectory, columns: list[Any]) -> str:
    data = trajectory.data
    count = data.sizes["step"]
    chosen = np.unique(np.linspace(0, count - 1, min(count, _ROWS)).round().astype(int))
    picked = data[columns].isel(step=chosen)
    if isinstance(trajectory.method, dln.GradientFlow):
        axis, places = "time", [number(float(time)) for time in picked["time"].values]
    else:
        axis, places = "step", [str(int(step)) for step in picked["step"].values]
    rows = [
        [place, *(number(float(picked[name][i])) for name in columns)]
        for i, place in enumerate(places)
    ]
    return table([axis, *map(str, columns)], rows)
