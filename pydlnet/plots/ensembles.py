"""Many runs as their median and a band of quantiles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import FloatArray, IndexArray, as_choice, as_real, is_sequence
from .axes import across_of, keep_in_range, label, prepare, text_of, to_log_scale
from .curves import is_log, numbers_of
from .lines import Place, add_legend, line_styles, name_of, part_at, places_of
from .sources import HasData, dataset_of
from .style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ensemble"]

# In place of an infinite edge of a band, which leaves the picture there.
_FAR = 1e300


def ensemble(
    ensemble: HasData | xr.Dataset,
    name: str = "loss",
    ax: "Axes | None" = None,
    *,
    over: str = "run",
    quantiles: Sequence[float] = (0.1, 0.9),
    ended: str = "hold",
    log: bool | None = None,
    x: str | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw the median of many runs and a band between two quantiles.

    Parameters
    ----------
    ensemble : EnsembleTrajectory, Sweep or xarray.Dataset
        With the dimension `over`. Each combination of other dimensions, such as the depths of a
        sweep, has a median and a band of its own.
    name : str, default "loss"
        Of any recorded quantity, also one of a function of yours.
    ax : matplotlib.axes.Axes, optional
        Where to draw; another call on the same axes adds a band. Default: axes of a new figure.
    over : str, default "run"
        The dimension that the median is taken over.
    quantiles : sequence of two floats, default (0.1, 0.9)
        Edges of the band, ascending in [0, 1].
    ended : {"hold", "drop"}, default "hold"
        What counts for a run after its end: its last value, or nothing. With "drop" the curves are
        those of the runs that still go on, which are no fair sample: fast ones are gone.
    log : bool, optional
        Whether the axis of the quantity is logarithmic, as for `quantity`.
    x : {"step", "time"}, optional
        What to draw it over; time only where all runs have the same. Default: the steps, or the
        time of flows.
    **kwargs
        For `matplotlib.axes.Axes.plot`, for the median; the band has its colour.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend says how many runs there are and how they ended.

    Raises
    ------
    ValueError, TypeError
        If the quantity was not recorded, nothing has the dimension `over`, or an argument is not as
        above.

    Notes
    -----
    The picture has the steps at which every run was recorded that had not ended: a run's own last
    step would otherwise be a median of one. An infinite value, such as the loss of a diverged run,
    is larger than all others; the median is interpolated between two values, and infinite if the
    larger one is. A value that is not defined (the singular values of a diverged run) is left out.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> starts = [dln.init.balanced((2, 2, 2), scale=0.1, rng=seed) for seed in range(5)]
    >>> runs = dln.run_ensemble(problem, starts, dln.GradientDescent(0.1), n_steps=200)
    >>> axes = dln.plot.ensemble(runs, "loss")
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_xlabel()
    'number of updates taken'
    """
    data = dataset_of(ensemble, "ensemble")
    variable = numbers_of(data, name, "ensemble")
    if over not in variable.dims or over == "step":
        raise ValueError(
            f"over: expected a dimension of {name!r} besides step, which is over "
            f"{tuple(variable.dims)}, got {over!r}"
        )
    edges, hold = _as_edges(quantiles), as_choice(ended, "ended", ("hold", "drop")) == "hold"
    places = places_of(variable, (over, "step"))
    across = across_of(data, x)
    axes, on_log_axis = prepare(ax, across), is_log(variable, log)
    names = [_described(data, name_of(variable, place), over, place) for place in places]
    styles = line_styles(axes, names, len(places))
    for place, style in zip(places, styles, strict=True):
        values = part_at(variable, place).transpose(over, "step").values.astype(np.float64)
        last = _last_places(data, values, over, place)
        whole, levels = _levels(values, last, edges, hold)
        at = _common(across, over, place)[whole]
        (line,) = axes.plot(at, levels[1], **styled(style, kwargs))
        edge: dict[str, Any] = {"color": line.get_color(), "linewidth": 0.6, "label": "_edge"}
        axes.plot(at, levels[[0, 2]].T, **edge)
        band = np.minimum(levels[[0, 2]], _FAR if on_log_axis else np.inf)
        axes.fill_between(at, *band, color=edge["color"], alpha=0.22, linewidth=0)
    keep_in_range(axes)
    label(axes, across, text_of(variable))
    if on_log_axis:
        to_log_scale(axes)
    low, high = (f"{100 * edge:g} %" for edge in edges)
    add_legend(axes, title=f"median, {low} to {high}")
    return axes


def _as_edges(quantiles: Sequence[float]) -> tuple[float, float]:
    if not is_sequence(quantiles) or len(quantiles) != 2:
        raise ValueError(f"quantiles: expected two numbers in [0, 1], got {quantiles!r}")
    low, high = (as_real(edge, f"quantiles[{k}]", minimum=0.0) for k, edge in enumerate(quantiles))
    if not low <= high <= 1.0:
        raise ValueError(f"quantiles: expected two ascending numbers <= 1, got ({low}, {high})")
    return low, high


def _described(data: xr.Dataset, name: str, over: str, place: Place) -> str:
    """Return such as "depth 2 (20 runs: 17 converged, 3 diverged)"."""
    count = f"{data.sizes[over]} {'runs' if over == 'run' else f'values of {over}'}"
    status = data.get("status")
    if status is not None and over in status.dims:
        ends = part_at(status, place).values.ravel().tolist()
        counts = [f"{ends.count(end)} {end}" for end in dict.fromkeys(ends)]
        count += f", all {ends[0]}" if len(counts) == 1 else f": {', '.join(counts)}"
    return f"{name} ({count})" if name else count


def _last_places(data: xr.Dataset, values: FloatArray, over: str, place: Place) -> IndexArray:
    """Return which record is the last one of each run, -1 if it has none."""
    last_step = data.get("last_step")
    if last_step is None or over not in last_step.dims:
        known = ~np.isnan(values)
        count = values.shape[1]
        return np.where(known.any(axis=1), count - 1 - np.argmax(known[:, ::-1], axis=1), -1)
    steps = np.asarray(part_at(last_step, place).values, dtype=np.float64)
    return np.searchsorted(data["step"].values, np.nan_to_num(steps, nan=-1.0), "right") - 1


def _common(across: xr.DataArray, over: str, place: Place) -> FloatArray:
    """Return the steps or times of several runs, which have to be the same for all."""
    own = part_at(across, place)
    if over not in own.dims:
        return np.asarray(own.values, dtype=np.float64)
    times = own.transpose(over, "step").values
    known = ~np.isnan(times)
    common: FloatArray = np.max(times, axis=0, where=known, initial=-np.inf)
    if not np.allclose(times[known], np.broadcast_to(common, times.shape)[known], rtol=1e-9):
        raise ValueError(
            "x: expected 'step', as the runs were recorded at different times, got 'time'"
        )
    return common


def _levels(
    values: FloatArray, last: IndexArray, edges: tuple[float, float], hold: bool
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return at which records all runs that go on are recorded, and the three levels there."""
    before = np.arange(values.shape[1]) < last[:, np.newaxis]
    whole = ~np.any(before & np.isnan(values), axis=0)
    after = np.arange(values.shape[1]) > last[:, np.newaxis]
    held = values[np.arange(len(last)), last][:, np.newaxis] if hold else np.nan
    counted = np.where(after & (last >= 0)[:, np.newaxis], held, values)
    low, high = edges
    return whole, np.array([_quantile(counted[:, whole], edge) for edge in (low, 0.5, high)])


def _quantile(values: FloatArray, share: float) -> FloatArray:
    """Return a quantile of each column without its NaN, which infinite values do not make NaN."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.sum(~np.isnan(values), axis=0)
    position = share * np.maximum(count - 1, 0)
    below, above = np.floor(position).astype(int), np.ceil(position).astype(int)
    columns = np.arange(values.shape[1])
    low, high = ordered[below, columns], ordered[above, columns]
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite values
        between = low + (position - below) * (high - low)
    result: FloatArray = np.where((low == high) | (below == above), low, between)
    return result
