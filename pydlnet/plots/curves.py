"""Quantities with one number a record over the steps."""

from typing import TYPE_CHECKING, Any

import xarray as xr

from .._validation import as_flag, hint
from ..quantities import QUANTITIES
from .axes import to_log_scale
from .lines import draw_lines
from .sources import HasData, dataset_of, recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ON_LOG_AXES", "effective_rank", "is_log", "loss", "numbers_of", "quantity"]

# What spans orders of magnitude.
ON_LOG_AXES = ("loss", "reconstruction_error", "held_out_error", "gradient_norm", "imbalance")


def loss(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the loss over the steps, or over the time of a flow.

    Parameters
    ----------
    trajectory : Trajectory, EnsembleTrajectory, Sweep or xarray.Dataset
        That recorded "loss"; each run of several is a line.
    ax : matplotlib.axes.Axes, optional
        Where to draw; another call on the same axes adds a line. Default: axes of a new figure.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for instance ``label="depth 3"``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, logarithmic unless some loss is negative. A line leaves them downwards where the
        loss is zero, and upwards a million times above the start.

    Raises
    ------
    ValueError, TypeError
        If the loss was not recorded, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("loss", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.loss(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_yscale()
    'log'
    """
    return quantity(trajectory, "loss", ax, x=x, **kwargs)


def effective_rank(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the effective rank of the end-to-end matrix over the steps, or the time of a flow.

    Parameters
    ----------
    trajectory : Trajectory, EnsembleTrajectory, Sweep or xarray.Dataset
        That recorded "effective_rank"; each run of several is a line.
    ax, x, **kwargs
        As for `loss`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError, TypeError
        If it was not recorded, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("effective_rank", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.effective_rank(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> len(axes.lines)
    1
    """
    return quantity(trajectory, "effective_rank", ax, x=x, **kwargs)


def quantity(
    trajectory: HasData | xr.Dataset,
    name: str,
    ax: "Axes | None" = None,
    *,
    log: bool | None = None,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw any recorded quantity over the steps, or over the time of a flow.

    Parameters
    ----------
    trajectory : Trajectory, EnsembleTrajectory, Sweep or xarray.Dataset
        That recorded it.
    name : str
        Of the quantity, such as "gradient_norm" or that of a function of yours. Where a record
        has several numbers, or there are several runs, each is a line: up to seven differ in colour
        and style, more go from dark to light, of which the legend names the first and the last.
    ax : matplotlib.axes.Axes, optional
        Where to draw; another call on the same axes adds lines. Default: axes of a new figure.
    log : bool, optional
        Whether the axis of the quantity is logarithmic, unless it has negative values. Default: for
        the loss, errors, the gradient norm and imbalances.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError, TypeError
        If it was not recorded or does not consist of numbers over `step`, or an argument is not as
        above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("stable_rank", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.quantity(trajectory, "stable_rank")
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_yscale()
    'linear'
    """
    data = dataset_of(trajectory, "trajectory")
    variable = numbers_of(data, name, "trajectory")
    axes = draw_lines(data, variable, ax, x, kwargs)
    if is_log(variable, log):
        to_log_scale(axes)
    return axes


def numbers_of(data: xr.Dataset, name: str, argument: str) -> xr.DataArray:
    """Return what a run recorded under a name, of a quantity or of its variable."""
    if not isinstance(name, str):
        raise TypeError(f"name: expected the name of a quantity, got {type(name).__name__}")
    group = QUANTITIES.get(name)
    if group is not None and len(group) != 1:
        raise ValueError(f"name: expected a quantity that is one variable, got {name!r}")
    variable = name if group is None else group[0].name
    if variable not in data.variables and name not in QUANTITIES:
        known = [str(other) for other in data.data_vars if "step" in data[other].dims]
        raise ValueError(
            f"name: expected a recorded quantity ({', '.join(known)}), got {name!r}"
            f"{hint(name, known)}"
        )
    found = recorded(data, variable, [name], argument)
    if "step" not in found.dims or found.dtype.kind not in "fiub":
        raise ValueError(
            f"name: expected numbers over step, got {name!r} of {found.dtype} over {found.dims}"
        )
    return found


def is_log(variable: xr.DataArray, log: bool | None) -> bool:
    """Say whether the axis of a variable is to be logarithmic."""
    return variable.name in ON_LOG_AXES if log is None else as_flag(log, "log")
