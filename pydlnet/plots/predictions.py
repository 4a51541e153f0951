"""What was measured over what theory predicts."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from .. import theory
from .._validation import as_choice
from ..problems import Problem
from ..trajectory import Trajectory
from .axes import across_of, label, prepare, text_of, to_log_scale
from .sources import HasData, dataset_of, recorded, require_one_run
from .style import COLORS, shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["overlay"]

# Variables of `theory.overlay` and of the comparisons, in the order of the legend: the predictions
# that each belongs to, what it is, its colour and its style.
_CURVES: dict[str, dict[str, tuple[str, str, str, Any]]] = {
    "loss": {
        "certificate_loss": ("certificate", "bound of the certificate", COLORS[1], "--"),
        "mode_loss": ("modes", "gradient flow from balanced layers", COLORS[0], "-."),
        "infinite_depth_loss": ("infinite_depth", "limit of many layers", COLORS[2], ":"),
        "rule_loss": ("end_to_end_rule", "end-to-end rule", COLORS[6], (0, (5, 1, 1, 1, 1, 1))),
    },
    "singular_values": {
        "mode_strength": ("modes", "gradient flow from balanced layers", COLORS[1], "--"),
        "infinite_depth_strength": ("infinite_depth", "limit of many layers", "0.35", ":"),
        "predicted_singular_value": ("", "moved on from the record before", COLORS[1], "none"),
    },
}
_MEASURED = {"loss": "loss", "singular_values": "singular_value"}


def overlay(
    trajectory: HasData | xr.Dataset,
    quantity: str = "loss",
    ax: "Axes | None" = None,
    *,
    problem: Problem | None = None,
    predictions: Sequence[str] | None = None,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw what was recorded over every curve that theory predicts for it.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run, which `theory.overlay` is applied to; or the dataset that it, `compare_end_to_end` or
        `compare_singular_values` returned.
    quantity : {"loss", "singular_values"}, default "loss"
        What to compare.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    problem : Problem, optional
        What a trajectory minimised; needed if it was opened from a file.
    predictions : sequence of str, optional
        Which of "certificate", "modes", "infinite_depth" and "end_to_end_rule"; all that apply to
        the quantity if not given. The last one takes as many steps as the run did.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for what was measured.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with a legend. What was measured is wide and pale or coloured, and what is
        predicted narrow and above it.

    Raises
    ------
    ValueError, TypeError
        If nothing is predicted, with the reasons; if the quantity was not recorded, or an argument
        is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record(["loss", "weights"], every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.overlay(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_xlabel()
    'number of updates taken'
    """
    curves = _CURVES[as_choice(quantity, "quantity", list(_CURVES))]
    name = _MEASURED[quantity]
    dims = ("step",) if quantity == "loss" else ("step", "mode")
    recorded_data = dataset_of(trajectory, "trajectory")
    recorded(recorded_data, name, [quantity], "trajectory")
    data = _predicted(trajectory, recorded_data, quantity, problem, predictions)
    measured = require_one_run(data[name], dims, "trajectory")
    across = across_of(data, x)
    axes = prepare(ax, across)
    _draw_measured(axes, across, measured, kwargs)
    for variable, (_, text, color, style) in curves.items():
        if variable in data:
            _draw_predicted(axes, across, data[variable].transpose(*dims), text, color, style)
    label(axes, across, text_of(measured))
    if quantity == "loss":
        to_log_scale(axes)
    axes.legend()
    return axes


def _predicted(
    trajectory: HasData | xr.Dataset,
    data: xr.Dataset,
    quantity: str,
    problem: Problem | None,
    predictions: Sequence[str] | None,
) -> xr.Dataset:
    """Return the data with what is predicted for the quantity, if anything is."""
    curves = _CURVES[quantity]
    of_quantity = [of for of, *_ in curves.values() if of]
    if isinstance(trajectory, Trajectory):
        asked = of_quantity if predictions is None else predictions
        data = theory.overlay(trajectory, problem, predictions=asked)
    elif predictions is not None or problem is not None:
        given = "problem" if predictions is None else "predictions"
        raise TypeError(f"{given}: expected None with a dataset, whose curves are all drawn")
    if not any(variable in data for variable in curves):
        reasons = json.loads(data.attrs.get("does_not_apply", "{}"))
        why = "".join(f"; {of}: {reasons[of]}" for of in of_quantity if of in reasons)
        raise ValueError(
            f"trajectory: expected one with a prediction for {quantity!r}, such as "
            f"theory.overlay adds, got none{why}"
        )
    return data


def _draw_measured(
    axes: "Axes", across: xr.DataArray, measured: xr.DataArray, kwargs: dict[str, Any]
) -> None:
    """Draw wide lines, of which the first is named."""
    columns = measured.values.reshape(measured.sizes["step"], -1).T
    colors = ["#000000"] if measured.ndim == 1 else shades(len(columns))
    text = "measured"
    for column, color in zip(columns, colors, strict=True):
        default = {"color": color, "linewidth": 4.0, "alpha": 0.3, "label": text}
        axes.plot(across.values, column, **styled(default, kwargs))
        text = "_measured"  # which no legend shows


def _draw_predicted(
    axes: "Axes", across: xr.DataArray, curve: xr.DataArray, text: str, color: str, style: Any
) -> None:
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if style == "none" else {}
    columns = curve.values.reshape(curve.sizes["step"], -1).T
    for column in columns:
        axes.plot(
            across.values, column, color=color, linestyle=style, linewidth=1.4, label=text, **marker
        )
        text = "_" + text.lstrip("_")
