"""The report of an ensemble: the median of its members, a band of quantiles, and each of them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..ensembles import EnsembleTrajectory
from ..plots.lines import name_of, places_of
from ..problems import Problem
from .across import Across, across_of
from .curves import COLORS, Band, Curve, plot_curves, shades
from .many import MOST_COMPARED, Compared, compare, member_of, predicted_over, theory_of_many
from .of_run import as_facts, brief_method, brief_problem, short, versions
from .page import Code, Part, Section, Table, Text
from .thinning import evenly, outline
from .variables import MOST_LINES, drawable, heading_of, left_out, prefers_log

__all__ = ["sections_of_ensemble"]

NO_PROBLEM = (
    "Theory is not compared, because the data of an ensemble know problem and layers by "
    "description only: dln.report(ensemble, problem=problem), with what run_ensemble or "
    "open_ensemble returned, compares it."
)

BAND = (0.1, 0.9)
# Points of all members in one drawing, and in all drawings of a page.
POINTS = 12_000
POINTS_A_PAGE = 120_000
POINTS_A_MEMBER = 60
MOST_DRAWINGS = 20
MOST_MEMBERS = 100
MOST_ROWS = 500
MOST_MODES = 8

# A step counts if so many of the members that are still running were recorded at it: others are
# where one of them ended.
SHARE_RECORDED = 0.5


def sections_of_ensemble(
    shown: EnsembleTrajectory | xr.Dataset,
    problem: Problem | None,
    path: Path | None,
    repeat: str | None,
) -> tuple[str, list[Section]]:
    """Return what the report of an ensemble says, in one line and in sections.

    Parameters
    ----------
    shown : EnsembleTrajectory or Dataset
        Its data is over run and step, as `run_ensemble` gives it.
    problem : Problem or None
        What its members minimised, if that is known.
    path : Path or None
        Where it was saved.
    repeat : str or None
        How it is repeated, if the user says so.
    """
    data = shown if isinstance(shown, xr.Dataset) else shown.data
    # The times of members differ: all are drawn over the steps.
    across = across_of(data.drop_vars("time", errors="ignore"))
    names = _member_names(data)
    found: list[Compared] = []
    if problem is not None and isinstance(shown, EnsembleTrajectory):
        places = evenly(len(names), MOST_COMPARED).tolist()
        found = compare([(names[k], member_of(shown, k)) for k in places], problem)
    curves: list[Part] = [Text(_explanation(data))]
    drawn = drawable(data, "run", "step")
    points = min(POINTS, POINTS_A_PAGE // max(1, min(len(drawn), MOST_DRAWINGS)))
    for name in drawn[:MOST_DRAWINGS]:
        curves += _plots(data, name, across, names, points, found)
    if drawn[MOST_DRAWINGS:]:
        text = ", ".join(drawn[MOST_DRAWINGS:])
        curves.append(Text(f"Recorded, and not drawn for want of room: {text}."))
    rest = [name for name in left_out(data, "run", "step") if name not in ("status", "last_step")]
    if rest:
        curves.append(Text(f"Recorded, and not drawn as curves: {', '.join(rest)}."))
    hidden = {"problem", "method", "widths", "version", "instruction_set", "wall_seconds"}
    facts = [["members", f"{data.sizes['run']:,}"], ["widths", _widths(data)]]
    if "problem" in data.attrs:
        facts.append(["problem", brief_problem(data.attrs["problem"])])
    if "method" in data.attrs:
        facts.append(["method", brief_method(data.attrs["method"])])
    facts += as_facts({k: v for k, v in data.attrs.items() if k not in hidden})
    if "wall_seconds" in data.attrs:
        facts.append(["wall time", f"{float(data.attrs['wall_seconds']):.2f} s"])
    theory = [Section("Theory", [Text(NO_PROBLEM, tone="hint")])]
    if found:
        theory = theory_of_many(found, len(names))
    return _subtitle(data), [
        Section("Trajectories", curves),
        Section("Members", _members(data, names)),
        *theory,
        Section("Parameters", [Table(facts)]),
        Section("Versions", [Table(versions(data.attrs))]),
        Section("How to repeat it", [Code(repeat or _python(data, path))]),
    ]


def _widths(data: xr.Dataset) -> str:
    return "-".join(str(int(width)) for width in np.atleast_1d(data.attrs.get("widths", [])))


def _subtitle(data: xr.Dataset) -> str:
    counts = Counter(map(str, data["status"].values.tolist()))
    ends = ", ".join(f"{count:,} {end}" for end, count in counts.most_common())
    return f"{data.sizes['run']:,} runs ({ends}) · widths {_widths(data)}"


def _explanation(data: xr.Dataset) -> str:
    low, high = (f"{100 * share:g}" for share in BAND)
    return (
        f"The thick line is the median, the band reaches from the {low} % to the {high} % quantile "
        "of the members that are still running at a step; the thin lines are members, named "
        "beside the pointer; those that diverged are orange."
    )


def _member_names(data: xr.Dataset) -> list[str]:
    """Return for each member its number, how it ended, and in what its method differs."""
    statuses = data["status"].values.tolist()
    names = [f"run {run}, {end}" for run, end in zip(data["run"].values, statuses, strict=True)]
    if "method" not in data.coords:
        return names
    methods = [json.loads(text) for text in data["method"].values.tolist()]
    differing = [k for k in methods[0] if len({json.dumps(m.get(k)) for m in methods}) > 1]
    return [
        ", ".join([name, *(f"{k} {short(method.get(k))}" for k in differing)])
        for name, method in zip(names, methods, strict=True)
    ]


def _plots(
    data: xr.Dataset,
    name: str,
    across: Across,
    names: list[str],
    points: int,
    found: list[Compared],
) -> list[Part]:
    array = data[name]
    if array.ndim > 2:
        return _medians_alone(data, name, across)
    values = np.asarray(array.values, dtype=np.float64)
    members, notes = _member_curves(data, values, across, names, points)
    at, median, low, high = _quantiles(data, values, across)
    picked = outline(median, POINTS // 4)
    if len(picked) < len(median):
        notes.append(f"Thinned: {len(median):,} steps are drawn through fewer points.")
    band = Band("quantiles", at[picked], low[picked], high[picked], COLORS[0])
    thick = Curve("median", at[picked], median[picked], COLORS[0], width=3.0, in_legend=True)
    predicted, said = predicted_over(found, name)
    notes += said
    plot = plot_curves(
        heading_of(array),
        [*members, thick, *predicted],
        across,
        notes=notes,
        prefers_log=prefers_log(name),
        bands=[band],
    )
    return [Text(f"{name}: recorded, without a finite number.")] if plot is None else [plot]


def _member_curves(
    data: xr.Dataset, values: FloatArray, across: Across, names: list[str], points: int
) -> tuple[list[Curve], list[str]]:
    shown = evenly(len(values), MOST_MEMBERS)
    limit = max(POINTS_A_MEMBER, points // len(shown))
    statuses = data["status"].values
    curves = []
    for run in shown.tolist():
        there = np.flatnonzero(np.isfinite(values[run]))
        picked = there[outline(values[run, there], limit)]
        color = COLORS[1] if statuses[run] == "diverged" else "#8c959f"
        at = across.values[picked]
        curves.append(Curve(names[run], at, values[run, picked], color, is_one_of_many=True))
    notes = []
    if len(shown) < len(values):
        notes.append(
            f"{len(shown)} of {len(values):,} members are drawn; median and band are of all."
        )
    return curves, notes


def _quantiles(
    data: xr.Dataset, values: FloatArray, across: Across
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the steps at which enough members were recorded, with median and quantiles there."""
    steps = data["step"].values
    running = data["last_step"].values[:, None] >= steps
    recorded = running & ~np.isnan(values)
    counts = recorded.sum(axis=0)
    enough = (counts > 0) & (counts >= SHARE_RECORDED * running.sum(axis=0))
    columns = np.where(recorded, values, np.nan)[:, enough]
    found = np.empty((3, columns.shape[1]))
    for k, column in enumerate(columns.T):
        # By rank: no difference of huge numbers, and the same with infinite ones among them.
        found[:, k] = np.quantile(column[~np.isnan(column)], [0.5, *BAND], method="inverted_cdf")
    return across.values[enough], found[0], found[1], found[2]


def _medians_alone(data: xr.Dataset, name: str, across: Across) -> list[Part]:
    """Return the medians of a quantity that is several numbers."""
    array = data[name]
    rows = np.asarray(array.values, dtype=np.float64)
    flat = rows.reshape(*rows.shape[:2], -1)
    shown = min(MOST_MODES if array.ndim == 3 else MOST_LINES, flat.shape[2])
    own = ", ".join(map(str, array.dims[2:]))
    places = places_of(array, ("run", "step"))
    curves = []
    for k, color in enumerate(shades(shown)):
        at, median, _, _ = _quantiles(data, flat[:, :, k], across)
        if len(median):
            picked = outline(median, POINTS // shown)
            curves.append(Curve(name_of(array, places[k]), at[picked], median[picked], color))
    note = f"Medians over the members, dark to light over {own}"
    note += f"; the first {shown} of {flat.shape[2]}." if shown < flat.shape[2] else "."
    heading, which = heading_of(array), prefers_log(name)
    plot = plot_curves(heading, curves, across, notes=[note], prefers_log=which)
    return [] if plot is None else [plot]


def _members(data: xr.Dataset, names: list[str]) -> list[Part]:
    counts = data["last_step"].values
    loss = data["loss"].values if "loss" in data else None
    rows = []
    for run, name in enumerate(names[:MOST_ROWS]):
        row = [name, f"{int(counts[run]):,}"]
        if loss is not None:
            there = loss[run][~np.isnan(loss[run])]
            row.append(f"{there[-1]:.4g}" if len(there) else "")
        rows.append(row)
    header = ["member", "last step", *(["last loss"] if loss is not None else [])]
    parts: list[Part] = [Table(rows, header)]
    if len(names) > MOST_ROWS:
        parts.append(Text(f"The first {MOST_ROWS:,} of {len(names):,} members."))
    return parts


def _python(data: xr.Dataset, path: Path | None) -> str:
    lines = ["import pydlnet as dln", ""]
    if path is not None:
        lines += [
            "import xarray as xr",
            f"data = xr.open_dataset({str(path)!r})  # the records; problem and start by digest",
            "",
        ]
    n_steps = int(data["last_step"].values.max())
    return "\n".join(
        [*lines, f"ensemble = dln.run_ensemble(problems, starts, methods, n_steps={n_steps})"]
    )
