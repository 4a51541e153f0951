"""Numbers over the grid of a sweep: a heat map over two dimensions, a line over one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..notation import as_unicode
from .curves import COLORS, new_figure
from .page import Part, Plot, Text
from .variables import heading_of

__all__ = ["Grid", "heat_map", "line_over_grid"]

# Cells that a page has room for, of all variables together.
MOST_NUMBERS = 60_000
MOST_LABELS = 12
SHOWN_VALUES = 12

# What is written on cells whose run did not end as it should.
MARKS = {"failed": "✕", "diverged": "∞", "missing": "·"}

SHOW = """
const grid = columns.data
const k = names.indexOf(variable.value)
const slice = others == null ? 0 : labels_of_others.indexOf(others.value)
const n = source.data.x.length
const from = slice * n
for (let i = 0; i < n; i++) {
  source.data.value[i] = grid["value_" + k][from + i]
  source.data.shade[i] = grid["shade_" + k][from + i]
  source.data.status[i] = grid.status[from + i]
  source.data.point[i] = grid.point[from + i]
  source.data.mark[i] = grid.mark[from + i]
}
if (mapper != null) {
  mapper.low = lows[k]
  mapper.high = highs[k]
  ticks.args = {is_log: logs[k]}
}
if (title != null) title.axis_label = logs[k] ? "log10" : ""
source.change.emit()
"""


@dataclass(frozen=True)
class Grid:
    """The points of a sweep.

    Attributes
    ----------
    dims : tuple of str
        Of the grid.
    shape : tuple of int
        Their sizes.
    labels : dict of str to list of (str, list of str)
        For every dimension its parameters and their values.
    status : ndarray of str, shape (size,)
        How the points ended.
    messages : list of str
        What failed points raised; empty for the others.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    labels: dict[str, list[tuple[str, list[str]]]]
    status: Any
    messages: list[str]

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(self.shape)

    @property
    def long_dims(self) -> list[str]:
        """The dimensions along which there is more than one point, the longest first."""
        sizes = dict(zip(self.dims, self.shape, strict=True))
        return sorted((dim for dim in self.dims if sizes[dim] > 1), key=lambda dim: -sizes[dim])

    def describe(self) -> Iterator[tuple[str, str]]:
        """Yield the parameters, and their values in few words."""
        for parameters in self.labels.values():
            for name, values in parameters:
                shown = values if len(values) <= SHOWN_VALUES else [*values[:10], "...", values[-1]]
                yield f"{name} ({len(values)})", ", ".join(shown)

    def along(self, dim: str) -> list[str]:
        """Return what the points along a dimension are called."""
        parameters = self.labels[dim]
        if not parameters:
            return [str(k) for k in range(self.shape[self.dims.index(dim)])]
        if len(parameters) == 1:
            return parameters[0][1]
        columns = [[f"{name}={value}" for value in values] for name, values in parameters]
        return [", ".join(parts) for parts in zip(*columns, strict=True)]

    def title(self, dim: str) -> str:
        """Return what a dimension is called."""
        parameters = self.labels[dim]
        return parameters[0][0] if len(parameters) == 1 else dim

    def name(self, point: int) -> str:
        """Return the parameters of a point."""
        places = np.unravel_index(point, self.shape)
        return ", ".join(
            f"{name}={values[place]}"
            for dim, place in zip(self.dims, places, strict=True)
            for name, values in self.labels[dim]
        )


def heat_map(grid: Grid, variables: dict[str, xr.DataArray]) -> list[Part]:
    """Return a heat map over the two longest dimensions, with a choice of variable and the rest.

    Parameters
    ----------
    grid : Grid
        With at least two dimensions of more than one point.
    variables : dict of str to DataArray
        Over the grid.
    """
    from bokeh.models import ColorBar, CustomJSTickFormatter, LinearColorMapper
    from bokeh.palettes import Viridis256

    across, up = grid.long_dims[0], grid.long_dims[1]
    rest = [dim for dim in grid.dims if dim not in (across, up)]
    order = [grid.dims.index(dim) for dim in (*rest, up, across)]
    names, notes = _that_fit(grid, variables)
    columns, limits = _columns(grid, [variables[name] for name in names], order)
    n_up, n_across = (grid.shape[grid.dims.index(dim)] for dim in (up, across))
    x, y = np.meshgrid(np.arange(n_across), np.arange(n_up))
    source = _first(columns, x.ravel(), y.ravel())
    low, high, is_log = limits[0]
    mapper = LinearColorMapper(palette=Viridis256, low=low, high=high, nan_color="#e8eaed")
    drawing = new_figure(
        height=int(min(620, max(300, 120 + 42 * n_up))),
        x_range=(-0.5, n_across - 0.5),
        y_range=(-0.5, n_up - 0.5),
        name="heat map",
    )
    cells = drawing.rect(
        "x", "y", 1, 1, source=source, line_color="#ffffff", name="cells",
        fill_color={"field": "shade", "transform": mapper},
    )  # fmt: skip
    drawing.text(
        "x", "y", "mark", source=source, text_align="center", text_baseline="middle",
        text_color="#c0392b", text_font_size="1.1rem", text_font_style="bold",
    )  # fmt: skip
    _hover(drawing, cells)
    _name_axis(drawing.xaxis[0], grid, across)
    _name_axis(drawing.yaxis[0], grid, up)
    ticks = CustomJSTickFormatter(
        args={"is_log": is_log},
        code="return Number((is_log ? 10 ** tick : tick).toPrecision(3)).toString()",
    )
    drawing.add_layout(ColorBar(color_mapper=mapper, formatter=ticks, width=14), "right")
    more = {"mapper": mapper, "ticks": ticks, "title": None}
    drawn = _with_choice(drawing, grid, rest, names, variables, columns, limits, source, more)
    notes.append(f"{_meaning_of_marks(grid)} Colours are logarithmic where values span decades.")
    heading = f"Over {grid.title(across)} and {grid.title(up)}"
    return [Plot(heading, drawn, notes, wide=True)]


def line_over_grid(grid: Grid, variables: dict[str, xr.DataArray]) -> list[Part]:
    """Return numbers over the only dimension of a grid, with a choice of variable."""
    if grid.size == 1:
        rows = [f"{name} = {float(v.values.ravel()[0]):.6g}" for name, v in variables.items()]
        return [Text("There is one point: " + ", ".join(rows) + ".")]
    dim = grid.long_dims[0]
    order = [grid.dims.index(name) for name in grid.dims]
    names, notes = _that_fit(grid, variables)
    columns, limits = _columns(grid, [variables[name] for name in names], order)
    x = np.arange(grid.size)
    source = _first(columns, x, np.zeros(grid.size))
    drawing = new_figure(name="over the grid", x_range=(-0.5, grid.size - 0.5))
    drawing.line("x", "shade", source=source, color=COLORS[0])
    points = drawing.scatter("x", "shade", source=source, size=7, color=COLORS[0], name="cells")
    _hover(drawing, points)
    drawing.y_range.renderers = [points]  # and not the marks, which are on an axis of their own
    _add_marks(drawing, grid, x)
    _name_axis(drawing.xaxis[0], grid, dim)
    drawing.yaxis.axis_label = "log10" if limits[0][2] else ""
    more = {"mapper": None, "ticks": None, "title": drawing.yaxis[0]}
    drawn = _with_choice(drawing, grid, [], names, variables, columns, limits, source, more)
    notes.append(
        f"{_meaning_of_marks(grid)} Values that span decades are drawn as their logarithm to base "
        "10."
    )
    return [Plot(f"Over {grid.title(dim)}", drawn, notes, wide=True)]


def _add_marks(drawing: Any, grid: Grid, x: Any) -> None:
    """Mark points that did not end as they should at the lower edge, as they may have no value."""
    from bokeh.models import ColumnDataSource, Range1d

    marks = [MARKS.get(str(end), "") for end in grid.status]
    source = ColumnDataSource({"x": x.astype(np.float64), "mark": marks})
    drawing.extra_y_ranges = {"marks": Range1d(0.0, 1.0)}
    drawing.text(
        "x", 0.02, "mark", source=source, y_range_name="marks", text_align="center", name="marks",
        text_color="#c0392b", text_font_size="1.1rem", text_font_style="bold",
    )  # fmt: skip


def _that_fit(grid: Grid, variables: dict[str, xr.DataArray]) -> tuple[list[str], list[str]]:
    count = max(1, MOST_NUMBERS // (2 * grid.size))
    names = list(variables)
    if len(names) <= count:
        return names, []
    return names[:count], [f"Not here for want of room: {', '.join(names[count:])}."]


def _columns(
    grid: Grid, arrays: list[xr.DataArray], order: list[int]
) -> tuple[dict[str, Any], list[tuple[float, float, bool]]]:
    """Return what there is of each point, in the order of the drawing, and the range of colours."""
    ids = np.arange(grid.size).reshape(grid.shape).transpose(order).ravel()
    columns: dict[str, Any] = {
        "status": [
            f"{grid.status[i]}: {grid.messages[i]}" if grid.messages[i] else str(grid.status[i])
            for i in ids
        ],
        "point": [grid.name(int(i)) for i in ids],
        "mark": [MARKS.get(str(grid.status[i]), "") for i in ids],
    }
    limits = []
    for k, array in enumerate(arrays):
        values = np.asarray(array.values, dtype=np.float64).transpose(order).ravel()
        shade, *limit = _shades_of(values)
        columns[f"value_{k}"] = np.where(np.isfinite(values), values, np.nan)
        columns[f"shade_{k}"] = shade
        limits.append((float(limit[0]), float(limit[1]), bool(limit[2])))
    return columns, limits


def _shades_of(values: FloatArray) -> tuple[FloatArray, float, float, bool]:
    """Return what is coloured, in which range, and whether it is a logarithm."""
    finite = values[np.isfinite(values)]
    is_positive = bool(finite.size) and finite.min() > 0.0
    is_log = bool(is_positive and np.log10(finite.max()) - np.log10(finite.min()) > 2.0)
    usable = np.isfinite(values) & (np.abs(values) < 1e150)
    shade = np.where(np.isfinite(values) if is_log else usable, values, np.nan)
    if is_log:
        shade = np.log10(shade)
    there = shade[np.isfinite(shade)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    return (shade, low, high, is_log) if high > low else (shade, low - 0.5, high + 0.5, is_log)


def _first(columns: dict[str, Any], x: Any, y: Any) -> Any:
    """Return what is drawn at first: the first variable at the first of the other parameters."""
    from bokeh.models import ColumnDataSource

    n = len(x)
    parts = {name: columns[name][:n] for name in ("status", "point", "mark")}
    numbers = {"value": columns["value_0"][:n].copy(), "shade": columns["shade_0"][:n].copy()}
    place = {"x": x.astype(np.float64), "y": y.astype(np.float64)}
    return ColumnDataSource({**place, **numbers, **parts})


def _hover(drawing: Any, renderer: Any) -> None:
    from bokeh.models import HoverTool

    tooltips = [("", "@point"), ("", "@status"), ("value", "@value{%.6g}")]
    drawing.add_tools(
        HoverTool(tooltips=tooltips, formatters={"@value": "printf"}, renderers=[renderer])
    )


def _name_axis(axis: Any, grid: Grid, dim: str) -> None:
    """Write the values of the parameters at an axis; some of them if there are many."""
    from bokeh.models import CustomJSTickFormatter, FixedTicker

    labels = grid.along(dim)
    stride = -(-len(labels) // MOST_LABELS)
    axis.ticker = FixedTicker(ticks=list(range(0, len(labels), stride)))
    shown = [label if len(label) <= 24 else f"{label[:21]}..." for label in labels]
    axis.formatter = CustomJSTickFormatter(args={"labels": shown}, code="return labels[tick] ?? ''")
    axis.axis_label = _plain(grid.title(dim))
    if sum(map(len, shown[::stride])) > 24 and axis.dimension == 0:
        axis.major_label_orientation = 0.6


def _plain(text: str) -> str:
    """Return text that is not read as a formula, which would be fetched from elsewhere."""
    return text.replace("$", "$\u200b").replace("\\", "\\\u200b")


def _with_choice(
    drawing: Any,
    grid: Grid,
    rest: list[str],
    names: list[str],
    variables: dict[str, xr.DataArray],
    columns: dict[str, Any],
    limits: list[tuple[float, float, bool]],
    source: Any,
    more: dict[str, Any],
) -> Any:
    """Put a choice of variable, and of the parameters that no axis has, above a drawing."""
    from bokeh.layouts import column, row
    from bokeh.models import ColumnDataSource, CustomJS, Select

    headings = {name: as_unicode(heading_of(variables[name])) for name in names}
    variable = Select(
        options=[(name, headings[name]) for name in names], value=names[0], name="variable"
    )
    variable.sizing_mode = "stretch_width"
    others, labels = None, [""]
    if rest:
        labels = _slices(grid, rest)
    if len(labels) > 1:
        others = Select(options=labels, value=labels[0], name="others")
        others.sizing_mode = "stretch_width"
    show = CustomJS(
        args={
            **{"columns": ColumnDataSource(columns), "source": source, "names": names},
            **{"variable": variable, "others": others, "labels_of_others": labels, **more},
            "lows": [low for low, _, _ in limits],
            "highs": [high for _, high, _ in limits],
            "logs": [is_log for _, _, is_log in limits],
        },
        code=SHOW,
    )
    variable.js_on_change("value", show)
    choices = [variable]
    if others is not None:
        others.js_on_change("value", show)
        choices.append(others)
    return column(row(*choices, sizing_mode="stretch_width"), drawing, sizing_mode="stretch_width")


def _slices(grid: Grid, rest: list[str]) -> list[str]:
    """Return what the combinations of the other parameters are called, each once."""
    shape = [grid.shape[grid.dims.index(dim)] for dim in rest]
    labels = []
    for place in np.ndindex(*shape):
        parts = [
            f"{grid.title(dim)}={grid.along(dim)[i]}" for dim, i in zip(rest, place, strict=True)
        ]
        labels.append(", ".join(parts))
    numbered = len(set(labels)) < len(labels)
    return [f"{k + 1}: {label}" for k, label in enumerate(labels)] if numbered else labels


def _meaning_of_marks(grid: Grid) -> str:
    found = set(map(str, grid.status))
    texts = [f"{mark} {status}" for status, mark in MARKS.items() if status in found]
    return f"Marks: {', '.join(texts)}." if texts else ""
