"""The report of one run."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr

from .. import metrics
from ..flows import GradientFlow
from ..plots.curvature import stability_limit
from ..problems import Problem
from ..theory import checks
from ..trajectory import Trajectory
from .across import Across, across_of
from .curves import Curve, plot_curves, shades
from .matrices import TO_RECORD, Frames, frames_of, slider_parts
from .page import Code, Part, Section, Table, Text
from .predictions import (
    Predictions,
    certificate_section,
    overlaid,
    predict,
    target_of,
    theory_section,
)
from .repeat import python_of, record_text
from .variables import (
    MOST_DRAWINGS,
    as_curves,
    drawable,
    heading_of,
    left_out,
    prefers_log,
    room_for,
)

__all__ = [
    "as_facts",
    "brief",
    "brief_method",
    "brief_problem",
    "sections_of_run",
    "short",
    "versions",
]

STATUSES = {
    "diverged": "The run diverged: its last record is the first whose loss is not finite.",
    "interrupted": "The run was interrupted, or its process was killed: this is what it had kept.",
    "running": "The run goes on: this is what it had committed when the report was made.",
    "time_limit": "The run ended at its time limit.",
    "step_too_small": "The flow cannot go on: its gradient has a singularity there.",
}

LONGEST_TEXT = 2000


def sections_of_run(
    trajectory: Trajectory, problem: Problem | None, path: Path | None, repeat: str | None
) -> tuple[str, list[Section]]:
    """Return what the report of a run says, in one line and in sections.

    Parameters
    ----------
    trajectory : Trajectory
        The run.
    problem : Problem or None
        What it minimised, if that is known.
    path : Path or None
        Where it was saved.
    repeat : str or None
        How it is repeated, in place of Python that is made of what was saved.
    """
    if trajectory.problem is not None or problem is not None:
        problem = checks.problem_of(trajectory, problem)
    across = across_of(trajectory.data)
    predictions = predict(trajectory, problem)
    frames = frames_of(trajectory)
    parts: list[Part] = []
    if trajectory.status in STATUSES:
        parts.append(Text(STATUSES[trajectory.status], tone="warning"))
    parts += _curves(trajectory, across, predictions, frames)
    matrix = (
        [TO_RECORD]
        if frames is None
        else slider_parts(frames, trajectory, across, target_of(problem))
    )
    return _subtitle(trajectory), [
        Section("Trajectory", parts),
        Section("End-to-end matrix", list(matrix)),
        theory_section(predictions, across),
        certificate_section(predictions),
        Section("Parameters", [Table(_parameters(trajectory, path))]),
        Section("Versions", [Table(versions(trajectory.data.attrs))]),
        Section("How to repeat it", [Code(repeat or python_of(trajectory, path))]),
    ]


def _subtitle(trajectory: Trajectory) -> str:
    widths = "-".join(map(str, trajectory.widths))
    text = f"{trajectory.status} at {_place(trajectory)} · widths {widths}"
    if "loss" in trajectory.data:
        text += f" · loss {float(trajectory.data['loss'][-1]):.4g}"
    return text


def _place(trajectory: Trajectory) -> str:
    if isinstance(trajectory.method, GradientFlow):
        return f"time {trajectory.state.time[0]:g}"
    return f"step {trajectory.step:,}"


def _curves(
    trajectory: Trajectory, across: Across, predictions: Predictions, frames: Frames | None
) -> list[Part]:
    data = trajectory.data
    parts: list[Part] = []
    empty = []
    names = drawable(data, "step")
    room = room_for(data[name] for name in names[:MOST_DRAWINGS])
    for name in names[:MOST_DRAWINGS]:
        curves, notes = as_curves(data[name], across, room)
        theirs = [*overlaid(predictions, name, across), *_limits(data, name, across)]
        if theirs and len(curves) == 1:
            curves[0].in_legend = True
            curves[0].name = "measured"
        heading, which = heading_of(data[name]), prefers_log(name)
        plot = plot_curves(heading, curves + theirs, across, notes=notes, prefers_log=which)
        if plot is None:
            empty.append(name)
        else:
            parts.append(plot)
    if "singular_value" not in data and frames is not None:
        parts += _computed_singular_values(frames, across)
    if empty:
        parts.append(Text(f"Recorded, without a finite number: {', '.join(empty)}."))
    if names[MOST_DRAWINGS:]:
        text = ", ".join(names[MOST_DRAWINGS:])
        parts.append(Text(f"Recorded, and not drawn for want of room: {text}."))
    rest = left_out(data, "step")
    if rest:
        parts.append(Text(f"Recorded, and not drawn as curves: {', '.join(rest)}."))
    return parts


def _limits(data: xr.Dataset, name: str, across: Across) -> Iterator[Curve]:
    """Yield the curvature up to which steps are stable, beside the largest that was measured."""
    limit, text = stability_limit(data) if name == "sharpness" else (None, "")
    if limit is not None:
        curves, _ = as_curves(xr.DataArray(limit, dims="step", name=text), across)
        for curve in curves:  # none where no rate was recorded
            yield Curve(text, curve.at, curve.values, "#333333", "dotted", in_legend=True)


def _computed_singular_values(frames: Frames, across: Across) -> list[Part]:
    """Return the singular values of the matrices that were recorded, if they are here in full."""
    if frames.block > 1:
        return []
    whole = np.isfinite(frames.entries).all(axis=(1, 2))
    values = np.array([metrics.singular_values(matrix) for matrix in frames.entries[whole]])
    if not len(values):
        return []
    at = across.values[frames.places[whole]]
    curves = [
        Curve(f"mode {k + 1}", at, values[:, k], color)
        for k, color in enumerate(shades(min(40, values.shape[1])))
    ]
    heading = "singular values of the end-to-end matrix W"
    notes = ["Computed from the recorded matrices."]
    plot = plot_curves(heading, curves, across, notes=notes, prefers_log=False)
    return [] if plot is None else [plot]


def brief_problem(problem: str) -> str:
    """Return kind, shape and parameters of a described problem."""
    found = json.loads(problem)
    shape = " x ".join(map(str, found["shape"]))
    rest = [f"{k}={v}" for k, v in found.items() if k not in ("kind", "shape", "digest")]
    return f"{found['kind']}, {', '.join([shape, *rest])}"


def brief_method(method: str) -> str:
    """Return a described method as it is written in Python."""
    found = json.loads(method)
    rest = ", ".join(f"{k}={short(v)}" for k, v in found.items() if k != "kind")
    return f"{found['kind']}({rest})"


def short(value: object) -> str:
    """Return a setting, the end of a long one left out."""
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _parameters(trajectory: Trajectory, path: Path | None) -> list[list[str]]:
    is_flow = isinstance(trajectory.method, GradientFlow)
    attributes = trajectory.data.attrs
    facts = [
        ["status", f"{trajectory.status} at {_place(trajectory)}"],
        ["problem", brief_problem(attributes["problem"])],
        ["data (SHA-256)", str(json.loads(attributes["problem"])["digest"])],
        ["widths", "-".join(map(str, trajectory.widths))],
        ["dtype", str(attributes["dtype"])],
        ["method", brief(" ".join(repr(trajectory.method).split()))],
        ["recorded", record_text(trajectory.record, is_flow=is_flow)],
        ["records", f"{trajectory.data.sizes['step']:,}"],
        ["exact algebra", str(attributes["exact_algebra"])],
        ["seed of mini-batches", str(attributes["seed"])],
        ["wall time", f"{float(attributes['wall_seconds']):.2f} s"],
    ]
    if path is not None:
        facts.append(["file", str(path)])
    shown = {"problem", "method", "widths", "dtype", "exact_algebra", "seed", "wall_seconds"}
    shown |= {"status", "version", "instruction_set", "record", "pydlnet_layout"}
    return facts + as_facts({k: v for k, v in attributes.items() if k not in shown})


def as_facts(attributes: dict[object, object]) -> list[list[str]]:
    """Return attributes as rows of a table."""
    return [[brief(str(name)), brief(str(value))] for name, value in attributes.items()]


def brief(text: str) -> str:
    """Return a text, the end of a very long one left out."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def versions(attributes: dict[object, object]) -> list[list[str]]:
    """Return what made the data, and what made the page."""
    made = [
        ["pydlnet of the run", str(attributes.get("version", "not known"))],
        ["instruction set", str(attributes.get("instruction_set", "not known"))],
    ]
    packages = ("pydlnet", "numpy", "xarray", "bokeh")
    return made + [[f"{name} of this page", version(name)] for name in packages]
