"""Pictures of recorded trajectories, drawn on Matplotlib axes.

Every function returns the axes it drew on. Without `ax` it draws on a figure of its own that
pyplot knows nothing of: no window opens, no global state changes, `ax.figure.savefig(...)` writes
it. Steps that were recorded evenly are on a linear axis; others, such as log-spaced ones, on a
logarithmic axis that is linear from 0 to 1, so that step 0 is on it. Flows are drawn over their
time, with an axis that is linear up to the first recorded time.
"""

import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from . import metrics
from ._validation import as_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss", "singular_values"]

# Okabe & Ito's palette, distinguishable with all common colour deficiencies; yellow is left out
# because it is hard to see on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


class _HasData(Protocol):
    @property
    def data(self) -> xr.Dataset: ...


def loss(trajectory: "_HasData | xr.Dataset", ax: "Axes | None" = None, **kwargs: Any) -> "Axes":
    """Draw the loss over the steps, or over the time of a flow.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "loss", or its dataset.
    ax : matplotlib.axes.Axes, optional
        Where to draw; another call on the same axes adds a line. Default: axes of a new figure.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for instance ``label="depth 3"``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The loss is on a logarithmic axis unless some of it is zero or negative.

    Raises
    ------
    ValueError
        If the loss was not recorded.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> slow = dln.run(problem, start, dln.GradientDescent(0.01), n_steps=1000)
    >>> fast = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=1000)
    >>> axes = dln.plot.loss(slow, label="rate 0.01")
    >>> axes = dln.plot.loss(fast, ax=axes, label="rate 0.1")
    >>> axes.figure.savefig("loss.png")
    >>> len(axes.lines), axes.get_yscale()
    (2, 'log')
    """
    variable = _recorded(trajectory, "loss", "loss")
    across = _across(trajectory)
    axes = _axes(ax, across.values)
    color = _COLORS[len(axes.lines) % len(_COLORS)]
    axes.plot(across.values, variable.values, **_styled(color, kwargs))
    _label(axes, across, variable)
    finite = variable.values[np.isfinite(variable.values)]
    if finite.size and finite.min() > 0.0:
        axes.set_yscale("log")
    return axes


def singular_values(
    trajectory: "_HasData | xr.Dataset",
    ax: "Axes | None" = None,
    *,
    modes: int | None = None,
    truth: ArrayLike | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the singular values of the end-to-end matrix over the steps, or over the time of a flow.

    Parameters
    ----------
    trajectory : Trajectory or xarray.Dataset
        A run that recorded "singular_values", or its dataset.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    modes : int, optional
        How many of the largest singular values to draw. Default: all.
    truth : array_like, shape (d_N, d_0) or (k,), optional
        A matrix whose nonzero singular values are drawn as dashed lines, or the values to draw.
    **kwargs
        For `matplotlib.axes.Axes.plot`; without `color` the lines go from dark (the largest
        singular value) to light.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If the singular values were not recorded or `modes` is less than 1.
    TypeError
        If `modes` is not an integer.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("singular_values", every=10)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.singular_values(trajectory, truth=problem.target)
    >>> axes.figure.savefig("singular_values.png")
    >>> len(axes.lines)  # two modes, and two of the target
    4
    """
    variable = _recorded(trajectory, "singular_value", "singular_values")
    if modes is not None:
        variable = variable.isel(mode=slice(as_count(modes, "modes", 1)))
    across = _across(trajectory)
    axes = _axes(ax, across.values)
    if truth is not None:
        _draw_truth(axes, truth)
    colors = _shades(variable.sizes["mode"])
    for mode, color in enumerate(colors):
        values = variable.isel(mode=mode).values
        axes.plot(across.values, values, **_styled(color, kwargs))
    _label(axes, across, variable)
    return axes


def _recorded(trajectory: "_HasData | xr.Dataset", name: str, quantity: str) -> xr.DataArray:
    data = trajectory if isinstance(trajectory, xr.Dataset) else trajectory.data
    if name not in data:
        raise ValueError(
            f"trajectory: {quantity!r} was not recorded; ask for it with "
            f"Record(quantities=[{quantity!r}, ...])"
        )
    return data[name]


def _across(trajectory: "_HasData | xr.Dataset") -> xr.DataArray:
    """Return the steps of the records, or the times of those of a flow."""
    data = trajectory if isinstance(trajectory, xr.Dataset) else trajectory.data
    method = json.loads(data.attrs.get("method", "{}"))
    return data["time" if method.get("kind") == "GradientFlow" else "step"]


def _axes(ax: "Axes | None", places: NDArray[Any]) -> "Axes":
    """Return axes, by default of a figure of its own, with a scale that fits steps or times."""
    if ax is None:
        from matplotlib.figure import Figure  # imported late: the package is used without it too

        ax = Figure(figsize=(6.0, 4.0), layout="constrained").add_subplot()
    if not ax.lines:
        ax.margins(x=0)
        if not _are_even(places) and ax.get_xscale() == "linear":
            is_time = places.dtype.kind == "f"
            first = float(places[places > 0.0][0]) if is_time else 1.0
            ax.set_xscale("symlog", linthresh=first, linscale=0.3)
    return ax


def _are_even(places: NDArray[Any]) -> bool:
    # The last one is recorded wherever the run ends.
    distances = np.diff(places[:-1])
    return bool(np.allclose(distances, distances[:1], rtol=1e-6, atol=0.0))


def _styled(color: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the user's keywords, with a colour if they have none under any of its names."""
    from matplotlib import cbook
    from matplotlib.lines import Line2D

    return {"color": color, **cbook.normalize_kwargs(kwargs, Line2D)}


def _label(axes: "Axes", across: xr.DataArray, variable: xr.DataArray) -> None:
    long_name = variable.attrs.get("long_name", variable.name)
    units = variable.attrs.get("units", "1")
    axes.set_xlabel(str(across.name))
    axes.set_ylabel(str(long_name) if units == "1" else f"{long_name} [{units}]")


def _shades(count: int) -> Any:
    """Return colours from dark to light, evenly, of which the last is still visible on white."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.9, count))


def _draw_truth(axes: "Axes", truth: ArrayLike) -> None:
    given = np.asarray(truth)
    values = metrics.singular_values(given) if given.ndim == 2 else given
    # Rounding leaves the zero singular values of a low-rank matrix at about its epsilon.
    for value in values[values > 1e-10 * values.max(initial=0.0)]:
        axes.axhline(value, color="0.4", linestyle="--", linewidth=0.8, zorder=0.5)
