"""What theory says about many runs: which it covers, and what it predicts for those."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..ensembles import EnsembleTrajectory
from ..methods import method_from_dict
from ..problems import Problem
from ..recording import Record
from ..trajectory import State, Trajectory
from .curves import COLORS, Curve, new_figure
from .page import Part, Plot, Section, Table, Text
from .predictions import BOUNDS, MOST_WORK, NAMES, OVER, Predictions, predict
from .thinning import evenly, outline

__all__ = ["MOST_COMPARED", "Compared", "compare", "member_of", "predicted_over", "theory_of_many"]

# Runs that theory is compared with, at most.
MOST_COMPARED = 40

# Of which each prediction is drawn, and with how many points.
MOST_DRAWN = 12
POINTS = 150

EXPLANATION = (
    "Whether Theorem 1 guarantees convergence, and how many of its bounds held at all records. "
    "Steps are those to the last loss: taken, predicted by gradient flow from balanced layers, and "
    "those after which it is certified."
)


@dataclass(frozen=True)
class Compared:
    """A run, and what came of comparing it with theory.

    Attributes
    ----------
    name : str
        What the page calls it.
    trajectory : Trajectory
        The run.
    predictions : Predictions
        Without data if it minimised another problem than the one that is known.
    """

    name: str
    trajectory: Trajectory
    predictions: Predictions


def member_of(ensemble: EnsembleTrajectory, run: int) -> Trajectory:
    """Return a member of an ensemble as a run of its own."""
    data = ensemble.data.isel(run=run)
    last = int(data["last_step"])
    attributes = dict(data.attrs)
    for described in ("problem", "method"):
        if described in data.coords:
            attributes[described] = str(data[described].item())
    numbers = [name for name in data.data_vars if "step" in data[name].dims]
    recorded = xr.zeros_like(data["step"], dtype=bool)
    for name in numbers:
        others = [dim for dim in data[name].dims if dim != "step"]
        recorded |= data[name].notnull().any(others)
    if "time" in data.coords:  # also where nothing recorded is a number, as in a run that diverged
        recorded |= data["time"].notnull()
    places = np.flatnonzero(recorded.values & (data["step"].values <= last))
    data = data[numbers].drop_vars(["run", "problem", "method", "seed"], errors="ignore")
    return Trajectory(
        data.isel(step=places).assign_attrs(attributes),
        ensemble.weights[run],
        ensemble.status[run],
        method_from_dict(json.loads(attributes["method"])),
        Record(),
        State(last, (math.nan, 0.0), None, {}),
    )


def compare(runs: Sequence[tuple[str, Trajectory]], problem: Problem) -> list[Compared]:
    """Compare runs, at most `MOST_COMPARED` of them, with theory."""
    described = json.dumps(problem.describe())
    return [
        Compared(
            name,
            trajectory,
            predict(trajectory, problem, MOST_WORK / len(runs))
            if trajectory.data.attrs["problem"] == described
            else Predictions(),
        )
        for name, trajectory in runs
    ]


def theory_of_many(found: Sequence[Compared], total: int) -> list[Section]:
    """Return what applies to how many runs, their certificates, and steps beside predicted steps.

    Parameters
    ----------
    found : sequence of Compared
        Some of the runs.
    total : int
        How many there are.
    """
    known = [run for run in found if run.predictions.data is not None]
    if not known:
        text = "Theory is not compared: the problem given is not that of any of these runs."
        return [Section("Theory", [Text(text, tone="hint")])]
    rows = [[NAMES[name], *_applies(known, name)] for name in NAMES]
    parts: list[Part] = [Table(rows, ["prediction", "applies to", "why not to others"])]
    if len(known) < total:
        parts.append(Text(f"Compared with {len(known):,} of {total:,} runs."))
    steps = _steps_plot(known)
    if steps is not None:
        parts.append(steps)
    header = [
        *("run", "guaranteed", "margin c", "rate allowed", "bounds held"),
        *("steps taken", "of gradient flow", "certified"),
    ]
    certificates: list[Part] = [Text(EXPLANATION)]
    certificates.append(Table([_certificate(run) for run in known], header))
    return [Section("Theory", parts), Section("Certificates", certificates)]


def _applies(known: Sequence[Compared], name: str) -> tuple[str, str]:
    count = sum(name in run.predictions.applies for run in known)
    reasons = Counter(
        run.predictions.reasons[name] for run in known if name in run.predictions.reasons
    )
    texts = [f"{text} ({n} runs)" if n > 1 else text for text, n in reasons.most_common(2)]
    more = f"; and {len(reasons) - 2} other reasons" if len(reasons) > 2 else ""
    return f"{count} of {len(known)}", "; ".join(texts) + more


def _certificate(run: Compared) -> list[str]:
    taken, flow, bound = (f"{n:,.0f}" if math.isfinite(n) else "" for n in steps_of(run))
    checked = run.predictions.checked
    if checked is None:
        return [run.name, "no", "", "", "", taken, flow, bound]
    names = [name for name in BOUNDS if f"{name}_held" in checked]
    held = sum(bool(checked[f"{name}_held"].all()) for name in names)
    margin, rate = (checked.attrs[f"{k}"] for k in ("deficiency_margin", "learning_rate_allowed"))
    return [
        *(run.name, str(checked.attrs["guaranteed"])),
        *(f"{margin:.4g}", f"{rate:.4g}", f"{held} of {len(names)}", taken, flow, bound),
    ]


def steps_of(run: Compared) -> tuple[float, float, float]:
    """Return the steps to the last loss: taken, of gradient flow, and at most by the certificate.

    NaN where there is no number, or no prediction.
    """
    data, checked = run.predictions.data, run.predictions.checked
    if data is None or "loss" not in data or run.trajectory.status == "diverged":
        return math.nan, math.nan, math.nan
    steps = data["step"].values.astype(np.float64)
    last = float(data["loss"].values[-1])
    flow, bound = math.nan, math.nan
    if "mode_loss" in data and last > 0.0:
        flow = _first_below(steps, data["mode_loss"].values, last)
    if checked is not None and checked.attrs["guaranteed"] == "yes" and "loss_bound" in checked:
        bounds, slack = checked["loss_bound"].values, checked["loss_slack"].values
        excess = bounds[-1] - slack[-1]
        if bounds[0] > bounds[-1] > 0.0 and excess > 0.0:
            bound = steps[-1] * math.log(excess / bounds[0]) / math.log(bounds[-1] / bounds[0])
    return float(run.trajectory.step), flow, bound


def _first_below(steps: FloatArray, curve: FloatArray, level: float) -> float:
    """Return where a falling curve comes to a level, between records on a logarithmic axis."""
    below = np.flatnonzero(curve <= level)
    k = int(below[0]) if below.size else len(curve) - 1
    if k == 0 or not curve[k] > 0.0:
        return float(steps[k]) if below.size else math.nan
    # Beyond the last record it goes on as it fell before, if it is nearly there.
    if not below.size and not curve[k] < min(10.0 * level, curve[k - 1]):
        return math.nan
    share = math.log(curve[k - 1] / level) / math.log(curve[k - 1] / curve[k])
    return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def _steps_plot(known: Sequence[Compared]) -> Plot | None:
    """Return predicted steps over those that were taken, if there are any."""
    from bokeh.models import ColumnDataSource, HoverTool

    steps = np.array([steps_of(run) for run in known])
    kinds = {1: ("gradient flow from balanced layers", "circle"), 2: ("certificate", "triangle")}
    there = {k: (steps[:, k] > 0.0) & (steps[:, 0] > 0.0) for k in kinds}
    there = {k: places for k, places in there.items() if places.any()}
    if not there:
        return None
    drawing = new_figure(
        x_axis_type="log", y_axis_type="log", name="steps",
        x_axis_label="steps taken to the last loss", y_axis_label="predicted, at most",
    )  # fmt: skip
    used = np.concatenate([steps[places][:, [0, k]].ravel() for k, places in there.items()])
    ends = [used.min(), used.max()]
    drawing.line(ends, ends, color="#57606a", line_dash="dotted", legend_label="as many as taken")
    for k, places in there.items():
        text, marker = kinds[k]
        names = [run.name for run, is_there in zip(known, places, strict=True) if is_there]
        columns = {"x": steps[places, 0], "y": steps[places, k], "name": names}
        points = drawing.scatter(
            "x", "y", source=ColumnDataSource(columns), marker=marker, size=9,
            color=COLORS[k - 1], legend_label=text,
        )  # fmt: skip
        tooltips = [("", "@name"), ("taken", "@x{0,0}"), (text, "@y{0,0}")]
        drawing.add_tools(HoverTool(tooltips=tooltips, renderers=[points]))
    drawing.add_layout(drawing.legend[0], "below")
    notes = ["A point a run. The certificate is a bound, which is above the dotted line."]
    return Plot("Steps to the last loss: taken, and predicted", drawing, notes)


def predicted_over(found: Sequence[Compared], name: str) -> tuple[list[Curve], list[str]]:
    """Return the curves that are predicted over a variable, and what is said of them."""
    curves, notes = [], []
    for predicted, (over, dash, color, text) in OVER.items():
        # The limit of many layers says nothing about one run beside another.
        if over != name or predicted.startswith("infinite_depth"):
            continue
        runs = [run for run in found if _has(run, predicted)]
        shown = [runs[k] for k in evenly(len(runs), MOST_DRAWN).tolist()] if runs else []
        for k, run in enumerate(shown):
            curve = _curve(run, predicted)
            label = f"{text}, {len(runs)} of {len(found)} runs" if k == 0 else f"{text}, {run.name}"
            curves.append(Curve(label, *curve, color, dash, 1.2, in_legend=k == 0))
        if len(shown) < len(runs):
            notes.append(f"{text}: {len(shown)} of {len(runs)} curves are drawn.")
    return curves, notes


def _has(run: Compared, predicted: str) -> bool:
    data = run.predictions.data
    return data is not None and predicted in data and data[predicted].ndim == 1


def _curve(run: Compared, predicted: str) -> tuple[FloatArray, FloatArray]:
    data = run.predictions.data
    assert data is not None
    values = np.asarray(data[predicted].values, dtype=np.float64)
    picked = outline(values, POINTS)
    return data["step"].values[picked].astype(np.float64), values[picked]
