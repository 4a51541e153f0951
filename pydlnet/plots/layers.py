"""What each layer is, and how it fits its neighbour."""

from typing import TYPE_CHECKING, Any

import xarray as xr

from .axes import to_log_scale
from .lines import draw_lines
from .sources import HasData, dataset_of, recorded, require_one_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["imbalance", "layer_norms"]


def imbalance(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the imbalance of each pair of neighbouring layers.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "imbalance".
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    x : {"step", "time"}, optional
        What to draw it over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, logarithmic, with a line and a name in the legend for each pair.

    Raises
    ------
    ValueError, TypeError
        If it was not recorded, the network has a single layer, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("imbalance", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.imbalance(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> len(axes.lines)  # one for each pair of neighbouring layers
    1
    """
    data = dataset_of(trajectory, "trajectory")
    variable = recorded(data, "imbalance", ["imbalance"], "trajectory")
    variable = require_one_run(variable, ("step", "pair"), "trajectory")
    if variable.sizes["pair"] == 0:
        raise ValueError("trajectory: expected two layers or more, got one, which has no neighbour")
    axes = draw_lines(data, variable, ax, x, kwargs)
    to_log_scale(axes)
    return axes


def layer_norms(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the Frobenius norm of each layer.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "layer_norms".
    ax, x, **kwargs
        As for `imbalance`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with a line and a name in the legend for each layer.

    Raises
    ------
    ValueError, TypeError
        If they were not recorded, or an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("layer_norms", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.layer_norms(trajectory)
    >>> axes.figure.savefig("picture.png")
    >>> len(axes.lines)
    2
    """
    data = dataset_of(trajectory, "trajectory")
    variable = recorded(data, "layer_norm", ["layer_norms"], "trajectory")
    variable = require_one_run(variable, ("step", "layer"), "trajectory")
    return draw_lines(data, variable, ax, x, kwargs)
