"""Two dimensions of a sweep as a map of coloured cells."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import FloatArray, as_flag, hint
from ..notation import as_mathtext
from .axes import as_axes, legend_above, plain, text_of
from .sources import HasData, dataset_of
from .style import SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["heat_map"]

# How a cell without a value is marked, by how its point ended.
_MARKS = {
    "diverged": ("x", "diverged"),
    "finished": ("_", "not converged"),
    "failed": ("v", "failed"),
    "missing": (".", "missing"),
    "": ("+", "no value"),
}
# With a value too.
_ALWAYS_MARKED = ("diverged", "failed")

_MOST_TICKS, _MOST_LETTERS = 12, 30


def heat_map(
    sweep: HasData | xr.Dataset,
    name: str | None = None,
    ax: "Axes | None" = None,
    *,
    x: str | None = None,
    y: str | None = None,
    over: str | None = None,
    log: bool | None = None,
    **kwargs: Any,
) -> "Axes":
    """Draw a result of every point of a sweep over two parameters, diverged points marked.

    Parameters
    ----------
    sweep : Sweep, Tuning, EnsembleTrajectory or xarray.Dataset
        With a result over two dimensions, or three of which `over` is one.
    name : str, optional
        A variable with one number a point, such as "final_loss"; or "steps_to_converge", the last
        step of the runs that met their stop condition. Default: "steps_to_converge", and
        "final_loss" if no run met one.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: axes of a new figure.
    x, y : str, optional
        The parameter that goes across, and the one that goes up: a dimension, or a coordinate along
        one, such as the "learning_rate" of methods. Default: the last one across.
    over : str, optional
        A dimension to take the median over, such as a seed. A cell has one if more than half of its
        points have a value, and the others count as larger.
    log : bool, optional
        Whether colours are logarithmic. Default: if all values are positive and the largest is at
        least 30 times the smallest.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with a colour bar beside them and, if there are any, a legend of the marks above
        them. Cells are of equal size, whatever the parameters are, and labelled with these.

    Raises
    ------
    ValueError, TypeError
        If there is no such variable, it has other dimensions, or an argument is not as above.

    Examples
    --------
    >>> import pydlnet as dln
    >>> def product(a, b):
    ...     return {"product": a * b}
    >>> result = dln.sweep(product, {"a": [1, 2], "b": [3, 4, 5]}, store="products")
    >>> axes = dln.plot.heat_map(result, "product", x="a", y="b")
    >>> axes.figure.savefig("picture.png")
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('a', 'b')
    """
    data = dataset_of(sweep, "sweep")
    _check_names(name=name, x=x, y=y, over=over)
    variable = _of_points(data, _default(data) if name is None else name)
    across, up = _parameters(variable, data, x, y, over)
    dims = (*up.dims, *across.dims, *([] if over is None else [over]))
    values = variable.transpose(*dims).values.astype(np.float64)
    reasons = np.array(_reasons(data, variable).transpose(*dims).values)
    values, reasons = _medians(values, reasons)
    axes = as_axes(ax)
    if "norm" not in kwargs:
        limits = {key: kwargs.pop(key) for key in ("vmin", "vmax") if key in kwargs}
        kwargs["norm"] = _norm(values, log, **limits)
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), **{"cmap": SEQUENTIAL, **kwargs})
    axes.figure.colorbar(mesh, ax=axes, label=as_mathtext(text_of(variable)))
    reasons[np.isfinite(values) & ~np.isin(reasons.astype(str), _ALWAYS_MARKED)] = None
    _mark(axes, reasons)
    _label_cells(axes.xaxis, across, turned=True)
    _label_cells(axes.yaxis, up)
    return axes


def _default(data: xr.Dataset) -> str:
    """Return what is drawn if nobody says what: a map of marks alone says nothing."""
    met = "status" not in data or bool((data["status"] == "converged").any())
    return "steps_to_converge" if met or "final_loss" not in data else "final_loss"


def _check_names(**given: object) -> None:
    for key, value in given.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{key}: expected a name, got {type(value).__name__}")


def _of_points(data: xr.Dataset, name: str) -> xr.DataArray:
    """Return the variable, which may be one that follows from the ends of the runs."""
    if name == "steps_to_converge" and name not in data:
        missing = [needed for needed in ("status", "last_step") if needed not in data]
        if missing:
            raise ValueError(
                f"sweep: 'steps_to_converge' needs the results status and last_step of runs, which "
                f"are those of a function that returns a Trajectory; it has no {missing[0]!r}"
            )
        steps = data["last_step"].where(data["status"] == "converged")
        return steps.rename(name).assign_attrs(long_name="steps to converge", units="1")
    if name not in data:
        known = [str(other) for other in data.data_vars]
        raise ValueError(
            f"name: expected a variable ({', '.join(known)}), got {name!r}{hint(name, known)}"
        )
    if data[name].dtype.kind not in "fiub":
        raise ValueError(f"name: expected numbers, got {name!r} of {data[name].dtype}")
    return data[name]


def _parameters(
    variable: xr.DataArray, data: xr.Dataset, x: str | None, y: str | None, over: str | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the coordinates that go across and up, along different dimensions."""
    if over is not None and over not in variable.dims:
        raise ValueError(f"over: expected one of the dimensions {variable.dims}, got {over!r}")
    given = {
        key: _along(data, value, key) for key, value in (("x", x), ("y", y)) if value is not None
    }
    taken = {over, *(parameter.dims[0] for parameter in given.values())}
    free = [dim for dim in variable.dims if dim not in taken]
    for key in ("x", "y"):
        if key not in given and free:
            given[key] = data[free.pop()]
    dims = {parameter.dims[0] for parameter in given.values()}
    if free or len(dims) != 2 or not dims <= set(variable.dims):
        last = f"final_{variable.name}"
        ends = f"; {last!r} is its last record" if last in data and "step" in variable.dims else ""
        raise ValueError(
            f"sweep: expected {variable.name!r} over two dimensions, x and y, got it over "
            f"{variable.dims}; pick or reduce the others first, as with data.isel, or over={ends}"
        )
    return given["x"], given["y"]


def _along(data: xr.Dataset, name: str, argument: str) -> xr.DataArray:
    if name not in data.dims and name not in data.coords:
        known = [str(other) for other in (*data.dims, *data.coords)]
        raise ValueError(
            f"{argument}: expected a dimension or a coordinate of the sweep, got {name!r}"
            f"{hint(name, known)}"
        )
    parameter = data[name]
    if parameter.ndim != 1:
        raise ValueError(
            f"{argument}: expected a coordinate along one dimension, got {name!r} over "
            f"{parameter.dims}"
        )
    return parameter


def _reasons(data: xr.Dataset, variable: xr.DataArray) -> xr.DataArray:
    """Return how each point ended, "" if that is not known."""
    unknown = xr.full_like(variable, "", dtype=object)
    status = data.get("status")
    if status is None or not set(status.dims) <= set(variable.dims):
        return unknown
    ends = status.astype(object).where(status.isin(list(_MARKS)), "")
    return ends.broadcast_like(variable)


def _medians(
    values: FloatArray, reasons: NDArray[np.object_]
) -> tuple[FloatArray, NDArray[np.object_]]:
    """Return one value a cell, NaN where most of its points have none, and their common end."""
    if values.ndim == 2:
        return np.where(np.isfinite(values), values, np.nan), reasons
    have = np.isfinite(values)
    medians = np.median(np.where(have, values, np.inf), axis=-1)
    common = np.full(medians.shape, None, dtype=object)
    for place in map(tuple, np.argwhere(~np.isfinite(medians))):
        ends = reasons[place][~have[place]].tolist()
        common[place] = max(ends, key=ends.count)
    return np.where(np.isfinite(medians), medians, np.nan), common


def _norm(values: FloatArray, log: bool | None, **limits: Any) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    known = values[np.isfinite(values)]
    positive = bool(known.size) and float(known.min()) > 0.0
    wanted = positive and known.max() >= 30.0 * known.min() if log is None else as_flag(log, "log")
    if wanted and not positive:
        raise ValueError("log: expected False, as some value is not above 0, or none is there")
    return LogNorm(**limits) if wanted else Normalize(**limits)


def _mark(axes: "Axes", reasons: NDArray[np.object_]) -> None:
    """Mark the cells that have a reason, and say above what the marks mean."""
    from matplotlib.patheffects import withStroke

    axes.set_facecolor("0.9")
    outline = [withStroke(linewidth=3.0, foreground="white")]  # seen on dark cells too
    style: dict[str, Any] = {"linestyle": "none", "color": "black", "path_effects": outline}
    for reason, (marker, text) in _MARKS.items():
        rows, columns = np.nonzero(reasons == reason)
        if rows.size:
            axes.plot(columns + 0.5, rows + 0.5, marker=marker, label=text, **style)
    if axes.lines:
        legend_above(axes, columns=5)


def _label_cells(axis: "Axis", parameter: xr.DataArray, *, turned: bool = False) -> None:
    """Write the values of a parameter beside its cells, not more of them than can be read.

    Long ones may be `turned`, where they are beside each other.
    """
    values = parameter.values.tolist()
    every = math.ceil(len(values) / _MOST_TICKS)
    texts = [plain(text) for text in _texts(values)[::every]]
    turn: dict[str, Any] = {}
    if turned and sum(map(len, texts)) > _MOST_LETTERS:
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks([k + 0.5 for k in range(0, len(values), every)], labels=texts, **turn)
    # What a sweep calls all its parameters.
    axis.set_label_text(text_of(parameter).removeprefix("parameter "))


def _texts(values: list[Any]) -> list[str]:
    """Return numbers with as few digits as tell them apart, at least three."""
    for digits in range(3, 18):
        texts = [f"{v:.{digits}g}" if isinstance(v, float) else str(v) for v in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts
