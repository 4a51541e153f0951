"""The report of a sweep: what came out over the grid, the curves of its points, what failed."""

from collections import Counter
from typing import Any

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..problems import Problem
from ..sweeps import Sweep
from .across import Across
from .curves import Curve, plot_curves, shades
from .grids import Grid, heat_map, line_over_grid
from .many import MOST_COMPARED, Compared, compare, predicted_over, theory_of_many
from .of_run import as_facts, brief_method, brief_problem, versions
from .page import Code, Part, Section, Table, Text
from .thinning import evenly, outline
from .variables import heading_of, prefers_log

__all__ = ["sections_of_sweep"]

MOST_CURVES = 100
MOST_POINTS = 15_000
POINTS = 20_000
MOST_ROWS = 500
MOST_PANELS = 4

# What calls the points of `pydlnet sweep`.
OF_FILES = "pydlnet.cli.sweep_point.run_point"
NO_PROBLEM = (
    "Theory is not compared without the problem: dln.report(sweep, problem=problem) compares it, "
    "if the sweep kept its trajectories, dln.sweep(..., keep_trajectories=True)."
)
NO_TRAJECTORIES = (
    "Theory is not compared, because no trajectories were kept: let the function return one, and "
    "launch dln.sweep(..., keep_trajectories=True)."
)

# What is looked at first.
FIRST = ("final_loss", "last_step", "loss")


def sections_of_sweep(
    sweep: Sweep, problem: Problem | None, repeat: str | None
) -> tuple[str, list[Section]]:
    """Return what the report of a sweep says, in one line and in sections.

    Parameters
    ----------
    sweep : Sweep
        As its folder has it.
    problem : Problem or None
        What its points minimised, if that is known; points of other problems are not compared.
    repeat : str or None
        How it is repeated, if the user says so.
    """
    data = sweep.data
    grid = _grid_of(sweep)
    names = _scalars(data, grid.dims)
    over_grid: list[Part] = []
    if names and grid.size > MOST_POINTS:
        over_grid = [
            Text(
                f"The grid has {grid.size:,} points, and a page has room for {MOST_POINTS:,}: "
                "select a part of dln.open_sweep(path).data and draw that.",
                tone="hint",
            )
        ]
    elif names:
        draw = heat_map if len(grid.long_dims) > 1 else line_over_grid
        over_grid = draw(grid, {name: data[name] for name in names})
    else:
        over_grid = [Text("No point has a number to draw over the grid yet.", tone="hint")]
    found = _compared(sweep, problem, grid)
    ends = Counter(str(end) for end in data["status"].values.ravel())
    facts = [
        ["function", _caller(sweep)],
        ["version given", sweep.version or "none"],
        ["seed", str(sweep.seed)],
        ["points", f"{len(sweep):,}"],
        *([name, text] for name, text in grid.describe()),
        ["folder", str(sweep.path)],
        *_common(data),
    ]
    return _subtitle(sweep, ends), [
        Section("Over the grid", over_grid),
        Section("Curves", _curves(data, grid, found)),
        *_theory(found, problem, grid),
        Section("Failed points", _failures(sweep)),
        Section("Parameters", [Table(facts)]),
        Section("Versions", [Table(versions(data.attrs))]),
        Section("How to repeat it", [Code(repeat or _python(sweep))]),
    ]


def _subtitle(sweep: Sweep, ends: Counter[str]) -> str:
    counts = ", ".join(f"{count:,} {end}" for end, count in ends.most_common())
    return f"{_points(len(sweep))} ({counts}) · {_caller(sweep)}"


def _caller(sweep: Sweep) -> str:
    return "pydlnet sweep" if sweep.function == OF_FILES else sweep.function


def _common(data: xr.Dataset) -> list[list[str]]:
    """Return what all points have in common."""
    attributes = dict(data.attrs)
    facts = []
    if "problem" in attributes:
        facts.append(["problem", brief_problem(attributes.pop("problem"))])
    if "method" in attributes:
        facts.append(["method", brief_method(attributes.pop("method"))])
    if "seed" in attributes:
        facts.append(["seed of mini-batches", str(attributes.pop("seed"))])
    hidden = ("version", "widths", "instruction_set")
    return facts + as_facts({k: v for k, v in attributes.items() if k not in hidden})


def _grid_of(sweep: Sweep) -> Grid:
    """Return the grid of a sweep, whose dimensions come first in all of its results."""
    data = sweep.data
    dims = tuple(map(str, data["status"].dims))
    labels = {
        dim: [
            (str(name), [_label(value) for value in data[name].values.tolist()])
            for name in data.coords
            if data[name].dims == (dim,)
            and str(data[name].attrs.get("long_name", "")) == f"parameter {name}"
        ]
        for dim in dims
    }
    failures = {_key(failure.parameters): failure.message for failure in sweep.failures}
    points = sweep.points()
    messages = [failures.get(_key(point["parameters"]), "") for point in points]
    status = np.array([str(end) for end in data["status"].values.ravel()], dtype=object)
    return Grid(dims, data["status"].shape, labels, status, messages)


def _key(parameters: dict[str, Any]) -> str:
    return repr(sorted((name, repr(value)) for name, value in parameters.items()))


def _label(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _scalars(data: xr.Dataset, dims: tuple[str, ...]) -> list[str]:
    names = [
        str(name)
        for name, array in data.data_vars.items()
        if array.dims == dims and array.dtype.kind in "biuf" and np.isfinite(array.values).any()
    ]
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def _curves(data: xr.Dataset, grid: Grid, found: list[Compared]) -> list[Part]:
    """Return what the points recorded over their steps."""
    if "step" not in data.coords or data["step"].dims != ("step",):
        return []
    across = Across(data["step"].values.astype(np.float64), "step")
    names = [
        str(name)
        for name, array in data.data_vars.items()
        if array.dims == (*grid.dims, "step") and array.dtype.kind in "biuf"
    ]
    names.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    parts: list[Part] = []
    for name in names[:MOST_PANELS]:
        parts += _panel(data[name], grid, across, found)
    if len(names) > MOST_PANELS:
        parts.append(Text(f"Recorded, and not drawn: {', '.join(names[MOST_PANELS:])}."))
    return parts


def _panel(array: xr.DataArray, grid: Grid, across: Across, found: list[Compared]) -> list[Part]:
    shown = evenly(grid.size, MOST_CURVES)
    colors = shades(len(shown))
    limit = max(50, POINTS // len(shown))
    curves = []
    for point, color in zip(shown.tolist(), colors, strict=True):
        place = dict(zip(grid.dims, np.unravel_index(point, grid.shape), strict=True))
        values: FloatArray = np.asarray(array.isel(place).values, dtype=np.float64)
        there = np.flatnonzero(np.isfinite(values))
        picked = there[outline(values[there], limit)]
        at = across.values[picked]
        curves.append(Curve(grid.name(point), at, values[picked], color, is_one_of_many=True))
    notes = ["A line a point, named beside the pointer, dark to light in the order of the grid."]
    if len(shown) < grid.size:
        notes.append(f"{len(shown)} of {grid.size:,} points are drawn.")
    predicted, said = predicted_over(found, str(array.name))
    curves += predicted
    notes += said
    heading, which = heading_of(array), prefers_log(array.name)
    plot = plot_curves(heading, curves, across, notes=notes, prefers_log=which)
    return [] if plot is None else [plot]


def _compared(sweep: Sweep, problem: Problem | None, grid: Grid) -> list[Compared]:
    """Compare the points whose trajectories were kept with theory."""
    done = [k for k in range(grid.size) if grid.status[k] not in ("failed", "missing")]
    if problem is None or not done:
        return []
    points = sweep.points()
    runs = []
    for k in (done[i] for i in evenly(len(done), MOST_COMPARED).tolist()):
        try:
            trajectory = sweep.trajectory(**points[k]["parameters"])
        except ValueError:  # not kept, nor that of any other point
            return []
        runs.append((f"{grid.name(k)}, {trajectory.status}", trajectory))
    return compare(runs, problem)


def _theory(found: list[Compared], problem: Problem | None, grid: Grid) -> list[Section]:
    if found:
        return theory_of_many(found, grid.size)
    text = NO_PROBLEM if problem is None else NO_TRAJECTORIES
    return [Section("Theory", [Text(text, tone="hint")])]


def _failures(sweep: Sweep) -> list[Part]:
    failures = sweep.failures
    if not failures:
        return []
    rows = [
        [_assignments(failure.parameters), _last_line(failure.message)]
        for failure in failures[:MOST_ROWS]
    ]
    parts: list[Part] = [
        Text(f"{_points(len(failures))} failed; the next launch tries again.", tone="warning"),
        Table(rows, ["point", "error"]),
    ]
    if len(failures) > MOST_ROWS:
        parts.append(Text(f"The first {MOST_ROWS:,} of {len(failures):,}."))
    return parts


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count:,} points"


def _assignments(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_label(value)}" for name, value in parameters.items())


def _last_line(message: str) -> str:
    lines = message.strip().splitlines()
    return lines[-1] if lines else ""


def _python(sweep: Sweep) -> str:
    if sweep.function == OF_FILES:
        return (
            "# at every point of the grid; points that are done are kept, others computed\n"
            "pydlnet sweep FILE.toml --resume"
        )
    return "\n".join(
        [
            "import pydlnet as dln",
            "",
            f"sweep = dln.open_sweep({str(sweep.path)!r})  # what is there",
            "",
            f"# {sweep.function} at every point; points that are done are kept, others computed",
            f"sweep = dln.sweep(function, grid, store={str(sweep.path)!r}, rng={sweep.seed})",
        ]
    )
