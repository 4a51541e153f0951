"""What theory says about a run: curves over what was measured, and the certificate."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from .. import theory
from .._validation import FloatArray
from ..problems import Problem
from ..theory.squared_distance import as_squared_distance
from ..trajectory import Trajectory
from .across import Across
from .curves import Curve, plot_curves
from .page import Part, Section, Table, Text
from .thinning import evenly
from .variables import as_curves, heading_of

__all__ = [
    "BOUNDS",
    "MOST_WORK",
    "NAMES",
    "OVER",
    "Predictions",
    "certificate_section",
    "overlaid",
    "predict",
    "target_of",
    "theory_section",
]

# Records that theory is compared at, at most.
MOST_RECORDS = 2000

# The end-to-end rule takes as many steps as the run did, each with a decomposition: no more than
# this many multiplications, about two seconds' worth, are spent on it.
MOST_WORK = 2e8
WORK_A_STEP = 2000

NAMES = {
    "certificate": "certificate of convergence",
    "modes": "gradient flow from balanced layers",
    "infinite_depth": "limit of many layers",
    "end_to_end_rule": "end-to-end rule",
}

# Predicted curves: over which variable they are laid, in which style, and what they are called.
OVER = {
    "certificate_loss": ("loss", "dashed", "#D55E00", "bound of the certificate"),
    "mode_loss": ("loss", "dashed", "#009E73", "gradient flow from balanced layers"),
    "infinite_depth_loss": ("loss", "dotted", "#CC79A7", "limit of many layers"),
    "rule_loss": ("loss", "dotdash", "#E69F00", "end-to-end rule"),
    "mode_strength": ("singular_value", "dashed", "#D55E00", "gradient flow from balanced layers"),
    "infinite_depth_strength": ("singular_value", "dotted", "#CC79A7", "limit of many layers"),
}


BOUNDS = {
    "loss": "excess loss, from step 0 on",
    "contraction": "excess loss, from the record before",
    "balance": "largest imbalance, at most 2δ",
    "layer_norm": "largest layer norm, at most (4 ||Phi||_F)^(1/N)",
    "end_to_end_norm": "norm of W, at most 2 ||Phi||_F",
    "smallest_singular_value": "smallest singular value of W, at least c",
}

NO_PROBLEM = (
    "Theory is not compared, because a saved trajectory knows its problem by description only. "
    "Give the problem: pydlnet report PATH --experiment FILE.toml, or "
    "dln.report(path, problem=problem) in Python."
)


@dataclass(frozen=True)
class Predictions:
    """What came of comparing a run with theory.

    Attributes
    ----------
    data : Dataset or None
        Of some records, with the predicted curves; None without a problem.
    applies : list of str
        The predictions that do.
    reasons : dict of str to str
        Why the others do not.
    checked : Dataset or None
        The bounds of the convergence theorem, if they can be stated.
    """

    data: xr.Dataset | None = None
    applies: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    checked: xr.Dataset | None = None


def predict(
    trajectory: Trajectory, problem: Problem | None, most_work: float = MOST_WORK
) -> Predictions:
    """Compare a run with all of theory that applies to it, and takes no more work than this."""
    if problem is None:
        return Predictions()
    places = evenly(trajectory.data.sizes["step"], MOST_RECORDS)
    # What predictions need, and not whatever else was recorded.
    some = replace(trajectory, data=trajectory.data.isel(step=places).load())
    names = list(NAMES)
    reasons = {}
    if _work(trajectory) > most_work:
        names.remove("end_to_end_rule")
        reasons["end_to_end_rule"] = (
            "it takes as many steps as the run, each with a singular value decomposition, which "
            "is too long for a report: dln.theory.compare_end_to_end(trajectory, problem)"
        )
    with np.errstate(all="ignore"):  # of runs that diverged
        data = theory.overlay(some, problem, predictions=names)
        try:
            checked = theory.check(some, problem)
        except ValueError:  # the reason is that of the certificate
            checked = None
    reasons = {**json.loads(data.attrs["does_not_apply"]), **reasons}
    return Predictions(data, json.loads(data.attrs["applies"]), reasons, checked)


def _work(trajectory: Trajectory) -> float:
    rows, columns = trajectory.widths[-1], trajectory.widths[0]
    return float(trajectory.step) * (rows * columns * min(rows, columns) + WORK_A_STEP)


def target_of(problem: Problem | None) -> FloatArray | None:
    """Return the matrix that the end-to-end matrix should become, if that is known."""
    if problem is None:
        return None
    if problem.ground_truth is not None:
        return problem.ground_truth
    try:
        return as_squared_distance(problem).target
    except ValueError:
        return None


def overlaid(predictions: Predictions, name: str, across: Across) -> Iterator[Curve]:
    """Yield the predicted curves that are laid over a measured variable."""
    data = predictions.data
    for predicted, (over, dash, color, label) in OVER.items():
        if data is None or over != name or predicted not in data:
            continue
        curves, _ = as_curves(data[predicted], across)
        for k, curve in enumerate(curves):
            # The first line stands for all modes below the drawing.
            text = label if k == 0 else f"{label}, {curve.name}"
            yield Curve(text, curve.at, curve.values, color, dash, 1.4, in_legend=k == 0)


def theory_section(predictions: Predictions, across: Across) -> Section:
    """Return what applies, what does not and why, the errors, and the certificate."""
    if predictions.data is None:
        return Section("Theory", [Text(NO_PROBLEM, tone="hint")])
    answers = {name: "yes" if name in predictions.applies else "no" for name in NAMES}
    rows = [[NAMES[k], answers[k], predictions.reasons.get(k, "")] for k in NAMES]
    parts: list[Part] = [Table(rows, ["prediction", "applies", "why not"])]
    parts += _error_plots(predictions.data, across)
    return Section("Theory", parts)


def _error_plots(data: xr.Dataset, across: Across) -> Iterator[Part]:
    new = [
        name
        for name in ("certificate_slack", *map(str, data.data_vars))
        if name in data
        and name.endswith(("_error", "_gap", "_slack"))
        and name not in ("reconstruction_error", "held_out_error")
    ]
    for name in dict.fromkeys(new):
        curves, notes = as_curves(data[name], across)
        plot = plot_curves(heading_of(data[name]), curves, across, notes=notes)
        if plot is not None:
            yield plot


def certificate_section(predictions: Predictions) -> Section:
    """Return whether convergence was guaranteed, and which bounds held."""
    if predictions.data is None:
        return Section("Certificate", [])
    checked = predictions.checked
    if checked is None:
        why = predictions.reasons.get("certificate", "")
        return Section("Certificate", [Text(f"Theorem 1 says nothing about this run: {why}")])
    attributes = checked.attrs
    facts = [["convergence guaranteed", str(attributes["guaranteed"])]]
    facts += [[word, text] for word, text in _conditions(attributes)]
    for key, word in (
        ("deficiency_margin", "deficiency margin c of the start"),
        ("balancedness_allowed", "balancedness allowed δ"),
        ("learning_rate_allowed", "learning rate allowed"),
    ):
        facts.append([word, f"{attributes[key]:.6g}"])
    facts.append(["reference", str(attributes["reference"])])
    header = ["bound on the", "held", "smallest slack", "at step"]
    rows = [_bound(checked, name) for name in BOUNDS if f"{name}_held" in checked]
    return Section("Certificate", [Table(facts), Table(rows, header)])


def _conditions(attributes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    words = {
        "does_not_apply_because": "because of",
        "not_known": "not known",
        "not_checked": "not checked",
    }
    for key, word in words.items():
        for text in filter(None, str(attributes[key]).split("; ")):
            yield word, text


def _bound(checked: xr.Dataset, name: str) -> list[str]:
    held, slack = checked[f"{name}_held"].values, checked[f"{name}_slack"].values
    known = np.isfinite(slack)
    count = f"at {int(held.sum()):,} of {held.size:,} records"
    if not known.any():
        return [BOUNDS[name], count, "not known", ""]
    worst = int(np.nanargmin(np.where(known, slack, np.nan)))
    return [BOUNDS[name], count, f"{slack[worst]:.4g}", f"{int(checked['step'][worst]):,}"]
