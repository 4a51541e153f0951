"""How far a run stayed on the right side of each bound of the convergence theorem."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .. import theory
from .._validation import FloatArray
from ..notation import as_mathtext
from ..problems import Problem
from ..trajectory import Trajectory
from .axes import across_of, label, legend_above, prepare
from .sources import HasData, dataset_of, require_one_run
from .style import COLORS, LINE_STYLES, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check"]

# The bounds of `theory.check`, and what they bound.
_BOUNDS = {
    "loss": "loss since step 0",
    "contraction": "loss since last record",
    "balance": "imbalance",
    "layer_norm": "largest ||W_j||_2",
    "end_to_end_norm": "||W||_2",
    "smallest_singular_value": "sigma_min(W)",
}

# Margins below this, as a share of the bound, are rounding; beyond that, lines leave the axes.
_ROUNDING = 1e-15
_FAR_BEYOND = -1e3

# On the axis of the margins, about.
_TICKS = 8


def check(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    problem: Problem | None = None,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the margin of every record to each bound of the convergence theorem.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run, which `theory.check` is applied to, or the dataset that this returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    problem : Problem, optional
        What a trajectory minimised; needed if it was opened from a file.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for all lines.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, logarithmic on both sides of 0 and with a grey part below it. A line is a bound,
        at how far the measurement is on its right side as a share of it: 1 is nothing of what it
        admits, 0 the bound itself, below 0 it is broken. A cross is the first record at which one
        was, and the legend says which step that is, and which bounds could not be checked for want
        of records. The title of
        the legend says whether the theorem guarantees them.

    Raises
    ------
    ValueError, TypeError
        If no bound can be stated, with the reason; if a dataset is not that of a check, or an
        argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([1.2, 1.0]))
    >>> start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
    >>> record = dln.Record(["loss", "weights"], every=50)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.check(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_legend().get_title().get_text()
    'convergence guaranteed: no'
    """
    checked = _checked(trajectory, problem)
    across = across_of(checked, x)
    axes = prepare(ax, across)
    margins = {name: _margin(checked, name) for name in _BOUNDS if f"{name}_slack" in checked}
    bottom = _set_scale(axes, np.concatenate(list(margins.values())))
    axes.axhspan(10.0 * bottom, 0.0, color="0.92", zorder=0)
    for k, (name, margin) in enumerate(margins.items()):
        style = {"color": COLORS[k], "linestyle": LINE_STYLES[k % len(LINE_STYLES)]}
        shown = np.maximum(margin, 10.0 * bottom)
        broken = _first_broken(checked, name)
        text = _BOUNDS[name]
        if broken is not None:
            text += f", broken at {across.values[broken]:.6g}"
            low = max(0.9 * bottom, float(np.nan_to_num(shown[broken], nan=bottom)))
            axes.plot(across.values[broken], low, "X", color=COLORS[k], zorder=3, clip_on=False)
        axes.plot(across.values, shown, **styled({**style, "label": as_mathtext(text)}, kwargs))
    _finish(axes, across, checked, [name for name in _BOUNDS if name not in margins])
    return axes


def _checked(trajectory: HasData | xr.Dataset, problem: Problem | None) -> xr.Dataset:
    """Return what `theory.check` says."""
    if isinstance(trajectory, Trajectory):
        return theory.check(trajectory, problem)
    if problem is not None:
        raise TypeError("problem: expected None with a dataset, which has been checked already")
    data = dataset_of(trajectory, "trajectory")
    if not any(f"{name}_slack" in data and f"{name}_bound" in data for name in _BOUNDS):
        raise ValueError(
            "trajectory: expected a Trajectory or the dataset that theory.check returned, got one "
            "without bounds"
        )
    return data


def _margin(checked: xr.Dataset, name: str) -> FloatArray:
    """Return how far a measurement is on the right side of its bound, as a share of that.

    0 where it is on the wrong side by rounding only.
    """
    slack = require_one_run(checked[f"{name}_slack"], ("step",), "trajectory").values
    bound = checked[f"{name}_bound"].values
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.where(slack == 0.0, 0.0, slack / bound)
    by_rounding = (share < 0.0) & checked[f"{name}_held"].values.astype(bool)
    return np.where(by_rounding | (np.abs(share) < _ROUNDING), 0.0, share)


def _first_broken(checked: xr.Dataset, name: str) -> int | None:
    """Return the first record at which a bound is known not to have held."""
    broken = ~checked[f"{name}_held"].values.astype(bool)
    if name not in ("loss", "contraction"):
        # Not recorded there; a loss that is no number belongs to a run that diverged.
        broken &= ~np.isnan(checked[f"{name}_slack"].values)
    return int(np.argmax(broken)) if broken.any() else None


def _set_scale(axes: "Axes", margins: FloatArray) -> float:
    """Make the axis logarithmic on both sides of 0, and return its lower end."""
    from matplotlib.ticker import SymmetricalLogLocator

    known = margins[~np.isnan(margins)]
    smallest = float(np.min(np.abs(known[known != 0.0]), initial=1.0))
    threshold = 10.0 ** math.floor(math.log10(smallest))
    lowest, highest = float(np.min(known, initial=0.0)), float(np.max(known, initial=1.0))
    bottom = 2.0 * max(lowest, _FAR_BEYOND) if lowest < 0.0 else -threshold
    axes.set_yscale("symlog", linthresh=threshold, linscale=0.5)
    axes.set_ylim(bottom, 2.0 * min(highest, -_FAR_BEYOND))
    ticks = SymmetricalLogLocator(base=10.0, linthresh=threshold)
    ticks.set_params(numticks=_TICKS)
    axes.yaxis.set_major_locator(ticks)
    axes.axhline(0.0, color="0.35", linewidth=0.8, zorder=0.5)
    return bottom


def _finish(axes: "Axes", across: xr.DataArray, checked: xr.Dataset, missing: list[str]) -> None:
    label(axes, across, "margin to each bound, as a share of it; below 0 it is broken")
    verdict = f"convergence guaranteed: {checked.attrs.get('guaranteed', 'unknown')}"
    if missing:
        verdict += "\nnot recorded: " + as_mathtext(", ".join(_BOUNDS[name] for name in missing))
    legend_above(axes, columns=2, title=verdict, fontsize="small")
