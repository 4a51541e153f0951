"""Singular values, each mode with a colour of its own."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .. import metrics
from .._validation import FloatArray, as_array, as_count, as_flag
from .axes import across_of, label, prepare, text_of, to_log_scale
from .sources import HasData, dataset_of, recorded, require_one_run
from .style import shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["singular_values"]

_VECTORS = "left_singular_vector"


def singular_values(
    trajectory: HasData | xr.Dataset,
    ax: "Axes | None" = None,
    *,
    modes: int | None = None,
    truth: ArrayLike | None = None,
    log: bool = False,
    track: bool | None = None,
    x: str | None = None,
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
    log : bool, default False
        Whether the axis of the singular values is logarithmic, so that modes which grow
        exponentially are straight. It leaves out what is rounding beside the largest of a record.
    track : bool, optional
        Whether a line follows its mode, by the vectors, where values cross, or the rank of its
        value. Default: the mode if "singular_vectors" were recorded too.
    x : {"step", "time"}, optional
        What to draw them over. Default: the steps, or the time of a flow.
    **kwargs
        For `matplotlib.axes.Axes.plot`; without `color` the lines go from dark (the largest
        singular value, or the mode that becomes largest) to light.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If the singular values were not recorded, or the vectors if they are to be tracked; if
        `modes` is less than 1.
    TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> record = dln.Record("singular_values", every=5)
    >>> trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    >>> axes = dln.plot.singular_values(trajectory, truth=problem.target)
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_xlabel()
    'number of updates taken'
    """
    data = dataset_of(trajectory, "trajectory")
    found = recorded(data, "singular_value", ["singular_values"], "trajectory")
    found = require_one_run(found, ("step", "mode"), "trajectory")
    across, on_log_axis = across_of(data, x), as_flag(log, "log")
    variable = _tracked(data, found, track)
    if modes is not None:
        variable = variable.isel(mode=slice(as_count(modes, "modes", 1)))
    known = np.array([]) if truth is None else _nonzero(truth)
    axes = prepare(ax, across)
    for value in known:
        axes.axhline(value, color="0.4", linestyle="--", linewidth=0.8, zorder=0.5)
    for values, color in zip(variable.values.T, shades(variable.sizes["mode"]), strict=True):
        axes.plot(across.values, values, **styled({"color": color}, kwargs))
    label(axes, across, text_of(variable))
    if on_log_axis:
        to_log_scale(axes, floor=_smallest_meant(found.values))
    return axes


def _tracked(data: xr.Dataset, found: xr.DataArray, track: bool | None) -> xr.DataArray:
    """Return the singular values, those of a mode in the place of that mode if so asked."""
    if not (_VECTORS in data if track is None else as_flag(track, "track")):
        return found
    if "mode_rank" in data:  # tracked already
        return found
    recorded(data, _VECTORS, ["singular_values", "singular_vectors"], "trajectory")
    modes = metrics.track_modes(data)["singular_value"].transpose("step", "mode")
    # They are numbered by an early record, at which those that grow later need not be the largest.
    peaks = np.max(modes.values, axis=0, where=np.isfinite(modes.values), initial=0.0)
    return modes.isel(mode=np.argsort(-peaks, kind="stable"))


def _smallest_meant(values: FloatArray) -> float:
    """Return the smallest value that is more than rounding beside the largest of its record."""
    with np.errstate(invalid="ignore"):
        meant = values > np.finfo(np.float64).eps * values.max(axis=1, keepdims=True)
    return 0.3 * float(values[meant].min(initial=np.inf))


def _nonzero(truth: ArrayLike) -> FloatArray:
    """Return the singular values that are not zero."""
    given = as_array(truth, "truth")
    if given.ndim > 2:
        raise ValueError(f"truth: expected a matrix or a vector, got shape {given.shape}")
    values = metrics.singular_values(given) if given.ndim == 2 else given
    # Rounding leaves the zero singular values of a low-rank matrix at about its epsilon.
    nonzero: FloatArray = values[values > 1e-10 * values.max(initial=0.0)]
    return nonzero
