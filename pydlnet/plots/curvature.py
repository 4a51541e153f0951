"""The ends of the Hessian's spectrum beside what gradient descent can follow."""

import json
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._validation import FloatArray, as_real
from .axes import across_of, label, legend_above, prepare
from .lines import line_styles
from .sources import HasData, dataset_of, recorded, require_one_run
from .style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sharpness", "stability_limit"]

_NAMES = {"sharpness": "largest (sharpness)", "hessian_min": "smallest"}

# Whose steps have such a limit; GroupRMSprop's at the rate in force, which has to be recorded.
_WITH_LIMIT = ("GradientDescent", "Momentum", "GroupRMSprop")

# How far above the limit a diverging sharpness is followed on a linear axis.
_HIGHEST = 10.0

# Letters that do not fit beside the names of the eigenvalues.
_LONG = 25


def sharpness(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    learning_rate: float | None = None,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the ends of the spectrum of the Hessian, and 2 / learning rate.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "sharpness", "hessian_min" or both; one that recorded "learning_rate"
        too has its own limit at each record.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    learning_rate : float, optional
        Above 0. Default: what was recorded, else that of the method if it is gradient descent, with
        or without momentum, at a constant rate.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for the eigenvalues.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The limit is the last line, dotted and grey; methods that have none, such as Adam
        or gradient flow, are drawn without. Lines leave the axes at ten times it.

    Raises
    ------
    ValueError, TypeError
        If neither eigenvalue was recorded, or an argument is not as above.

    Notes
    -----
    On a quadratic with curvature h, gradient descent is stable where h + weight_decay is at most
    2 / rate; with momentum b that becomes 2 (1 + b) / rate, and with Nesterov's
    2 (1 + b) / ((1 + 2 b) rate) [1]_.

    References
    ----------
    .. [1] J. Cohen, S. Kaur, Y. Li, J. Z. Kolter and A. Talwalkar, ICLR 2021. arXiv:2103.00065

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("sharpness", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.sharpness(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_xlabel()
    'number of updates taken'
    """
    data = dataset_of(trajectory, "trajectory")
    names = [name for name in _NAMES if name in data.variables]
    if not names:
        recorded(data, "sharpness", _NAMES, "trajectory")
    found = [require_one_run(data[name], ("step",), "trajectory") for name in names]
    across = across_of(data, x)
    limit, text = stability_limit(data, learning_rate)
    axes = prepare(ax, across)
    styles = line_styles(axes, [_NAMES[name] for name in names], len(names))
    for variable, style in zip(found, styles, strict=True):
        axes.plot(across.values, variable.values, **styled(style, kwargs))
    label(axes, across, "eigenvalues of the Hessian of the loss in all layers")
    if limit is not None:
        name = textwrap.fill(text, 50)
        axes.plot(across.values, limit, color="0.2", linestyle=(0, (1, 1.5)), label=name)
        _follow_up_to(axes, _HIGHEST * float(np.max(limit[np.isfinite(limit)], initial=0.0)))
    legend_above(axes, columns=3 if len(text) < _LONG else 1)
    return axes


def _follow_up_to(axes: "Axes", highest: float) -> None:
    """Leave out what is far above the limit, or as far below zero."""
    bottom, top = axes.get_ylim()
    if highest > 0.0 and max(-bottom, top) > highest:
        axes.set_ylim(max(bottom, -highest), min(top, highest))


def stability_limit(
    data: xr.Dataset, learning_rate: float | None = None
) -> tuple[FloatArray | None, str]:
    """Return the curvature up to which steps are stable at each record, and what it is."""
    method = json.loads(data.attrs.get("method", "{}"))
    factor, text = _of_momentum(method)
    rate = method.get("learning_rate") if learning_rate is None else learning_rate
    if learning_rate is not None:
        rates = np.full(data.sizes["step"], as_real(rate, "learning_rate", positive=True))
    elif method.get("kind", "GradientDescent") not in _WITH_LIMIT:
        return None, ""
    elif "learning_rate" in data.data_vars:
        rates = require_one_run(data["learning_rate"], ("step",), "trajectory").values
    elif isinstance(rate, float) and method["kind"] != "GroupRMSprop":
        rates = np.full(data.sizes["step"], rate)
    else:
        return None, ""
    decay = float(method.get("weight_decay", 0.0))
    with np.errstate(divide="ignore"):  # at rate 0 all is stable
        limit: FloatArray = factor / np.asarray(rates, dtype=np.float64) - decay
    return limit, f"{text} - weight decay" if decay else text


def _of_momentum(method: dict[str, Any]) -> tuple[float, str]:
    """Return what is divided by the rate, and the limit in words."""
    share = float(method.get("momentum", 0.0))
    if not share:
        return 2.0, "2 / learning rate"
    if method.get("nesterov"):
        return 2.0 * (1.0 + share) / (1.0 + 2.0 * share), (
            "2 (1 + momentum) / ((1 + 2 momentum) learning rate)"
        )
    return 2.0 * (1.0 + share), "2 (1 + momentum) / learning rate"
