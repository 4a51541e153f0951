"""What is printed about sweeps."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import pydlnet as dln

from .text import describe, number, say, table

__all__ = ["counts", "list_points", "show_failures", "show_sweep"]

_FAILURES = 5
_VALUES = 8
_POINTS = 60


def show_sweep(sweep: dln.Sweep) -> None:
    """Print what is swept, how far it is, what there is of it, and what failed."""
    data = sweep.data
    rows = [("sweep", sweep.function), ("points", f"{len(sweep):,}: {counts(sweep)}")]
    rows += [("grid" if i == 0 else "", row) for i, row in enumerate(_parameters(data, sweep))]
    ends = Counter(map(str, data["status"].values.ravel()))
    rows.append(("status", ", ".join(f"{n} {end}" for end, n in ends.most_common())))
    rows.append(("results", ", ".join(_variables(data))))
    say(describe(rows))
    if len(sweep) <= _POINTS and (results := _results(data)):
        say(f"\n{results}")
    show_failures(sweep)


def counts(sweep: dln.Sweep) -> str:
    """Return how many points are in which state."""
    return ", ".join(f"{n:,} {state}" for state, n in sweep.counts.items() if n)


def _variables(data: Any) -> Iterator[str]:
    """Yield what there is at every point, with the dimensions that it has there."""
    for name, array in data.data_vars.items():
        own = [str(dim) for dim in array.dims if dim not in data["status"].dims]
        yield f"{name} ({', '.join(own)})" if own else str(name)


def _results(data: Any) -> str:
    """Return what came out at every point, as far as it is a number."""
    dims = data["status"].dims
    names = [
        str(name)
        for name, array in data.data_vars.items()
        if array.dims == dims and array.dtype.kind in "biuf" and name != "last_step"
    ]
    if not names:
        return ""
    rows = []
    for place in np.ndindex(data["status"].shape):
        point = data.isel(dict(zip(dims, place, strict=True)))
        parameters = [_value(point[name].item()) for name in _names(data)]
        ends = [str(point["status"].item())]
        if "last_step" in data:
            ends.append(number(float(point["last_step"])))
        rows.append([*parameters, *ends, *(number(float(point[name])) for name in names)])
    ends = ["status", *(["last_step"] if "last_step" in data else [])]
    return table([*_names(data), *ends, *names], rows)


def _names(data: Any) -> list[str]:
    coords = data.coords
    return [n for n in coords if data[n].attrs.get("long_name") == f"parameter {n}"]


def _parameters(data: Any, sweep: dln.Sweep) -> list[str]:
    names = _names(data)
    return [f"{name} ({data[name].size}): {_values(data[name].values.tolist())}" for name in names]


def _values(values: list[Any]) -> str:
    shown = [_value(value) for value in values]
    if len(shown) > _VALUES:
        shown = [*shown[: _VALUES - 2], "...", shown[-1]]
    return ", ".join(shown)


def _value(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def show_failures(sweep: dln.Sweep) -> None:
    """Print the first points that failed, and where the tracebacks are."""
    failures = sweep.failures
    if not failures:
        return
    say(f"\nfailed ({len(failures)}), tried again by the next launch:")
    for failure in failures[:_FAILURES]:
        say(f"  {_assignments(failure.parameters)}: {failure.message}")
    if len(failures) > _FAILURES:
        say(f"  ... and {len(failures) - _FAILURES} more")


def _assignments(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in parameters.items())


def list_points(sweep: dln.Sweep) -> None:
    """Print every point with its state, its time and its folder."""
    points = sweep.points()
    names = list(dict.fromkeys(name for point in points for name in point["parameters"]))
    rows = [
        [
            *(_value(point["parameters"].get(name, "")) for name in names),
            point["status"],
            "" if point["seconds"] is None else f"{point['seconds']:.2f}",
            str(point["path"].relative_to(sweep.path)),
        ]
        for point in points
    ]
    say(table([*names, "status", "seconds", "folder"], rows))
    say(f"\n{len(points):,} points: {counts(sweep)}")
