"""Curves that can be zoomed, with what a point is beside the pointer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import FloatArray
from ..plots.style import COLORS
from .across import Across
from .page import Plot

__all__ = ["COLORS", "Band", "Curve", "new_figure", "plot_curves", "shades", "tabs"]

HEIGHT = 320
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"

# Beyond this the axis itself would leave the range of float64.
LARGEST = 1e150

# What comes here diverges, and leaves the first view so far above its start. (Other things grow by
# as much: the imbalance of balanced layers, from rounding.)
DIVERGED = 1e30
MOST_GROWTH = 1e10

# What was drawn, by the identity of its curve.
Sources = dict[int, Any]

# Lines of so few points show them.
FEW = 60


@dataclass
class Curve:
    """A line.

    Parameters
    ----------
    name : str
        Shown beside the pointer.
    at : ndarray, shape (n,)
        Steps or times.
    values : ndarray, shape (n,)
        Heights; what is not finite is a gap.
    color : str
        Of the line.
    dash : str, default "solid"
        Its style.
    width : float, default 1.8
        In pixels.
    in_legend : bool, default False
        Whether it is named below the drawing.
    is_one_of_many : bool, default False
        Whether it is a thin line among many, which are drawn together; what is beside the pointer
        is then where the pointer is, and not the nearest point.
    """

    name: str
    at: FloatArray
    values: FloatArray
    color: str
    dash: str = "solid"
    width: float = 1.8
    in_legend: bool = False
    is_one_of_many: bool = False


@dataclass
class Band:
    """What is between two lines."""

    name: str
    at: FloatArray
    low: FloatArray
    high: FloatArray
    color: str


def plot_curves(
    heading: str,
    curves: Sequence[Curve],
    across: Across,
    *,
    notes: Sequence[str] = (),
    prefers_log: bool | None = None,
    bands: Sequence[Band] = (),
    wide: bool = False,
) -> Plot | None:
    """Return a drawing of curves, on a linear and, where that can be, on a logarithmic axis.

    Parameters
    ----------
    heading : str
        What is drawn.
    curves : sequence of Curve
        In the order they are drawn in.
    across : Across
        The horizontal axis.
    notes : sequence of str
        What is said below.
    prefers_log : bool, optional
        Whether the logarithmic axis is shown first; by default if the values span three decades.
        True asks for it also if they do not, unless some are zero.
    bands : sequence of Band
        Drawn below the curves.
    wide : bool, default False
        Whether it takes the width of the page.

    Returns
    -------
    Plot or None
        None if no value is finite.
    """
    heights = np.concatenate([curve.values for curve in curves]) if curves else np.empty(0)
    finite = heights[np.isfinite(heights)]
    if not finite.size:
        return None
    said = list(notes)
    above = finite[finite > 0.0]
    n_below = finite.size - above.size
    spans_decades = above.size > 0 and np.log10(above.max()) - np.log10(above.min()) > 3.0
    wanted = prefers_log is True and n_below == 0
    is_log = prefers_log is not False and (spans_decades or wanted)
    kinds = ["linear"]
    if above.size > n_below and np.min(finite) >= 0.0:
        kinds = ["log", "linear"] if is_log or np.max(finite) > LARGEST else ["linear", "log"]
        if n_below:
            said.append(f"{n_below:,} points at 0 are not on the logarithmic axis.")
    if np.max(np.abs(finite)) > LARGEST:
        said.append(f"Points beyond {LARGEST:g} are not drawn.")
    top = _top(curves, finite)
    if top < np.max(finite):
        said.append(f"The view ends at {top:.3g}, and the values reach {np.max(finite):.3g}.")
    views = {"log": _log_view(above, top), "linear": _linear_view(finite, top)}
    sources: Sources = {}
    drawings = {kind: _draw(kind, curves, bands, across, views[kind], sources) for kind in kinds}
    return Plot(heading, tabs(drawings), said, wide)


def _top(curves: Sequence[Curve], finite: FloatArray) -> float:
    """Return the largest height that is seen at first."""
    first = [curve.values[:1] for curve in curves if len(curve.values)]
    starts = np.abs(np.concatenate(first))
    largest = float(np.max(starts, where=np.isfinite(starts), initial=0.0))
    highest = float(np.max(finite))
    if highest < DIVERGED and not any(np.isposinf(curve.values).any() for curve in curves):
        return highest
    return min(highest, LARGEST, largest * MOST_GROWTH if largest > 0.0 else highest)


def _log_view(above: FloatArray, top: float) -> tuple[float, float] | None:
    if not above.size:
        return None
    low = float(above.min())
    # A twentieth of the decades on either side, and half a decade if there is only one value.
    margin = (np.log10(top) - np.log10(low)) / 20.0 if top > low else 0.5
    return max(low * 10**-margin, 1e-307), top * 10**margin


def _linear_view(finite: FloatArray, top: float) -> tuple[float, float]:
    low = max(float(np.min(finite)), -LARGEST)
    margin = 0.05 * (top - low) if top > low else 0.05 * abs(top) or 1.0
    return low - margin, top + margin


def tabs(drawings: dict[str, Any]) -> Any:
    """Return drawings of the same on different axes, one of which is shown at a time."""
    from bokeh.models import TabPanel, Tabs

    names = {"log": "logarithmic", "linear": "linear"}
    if len(drawings) == 1:
        return next(iter(drawings.values()))
    panels = [TabPanel(child=child, title=names[kind]) for kind, child in drawings.items()]
    return Tabs(tabs=panels, sizing_mode="stretch_width")


def new_figure(**settings: Any) -> Any:
    """Return an empty figure as all on the page are."""
    from bokeh.plotting import figure

    drawing = figure(
        **{
            "height": HEIGHT,
            "sizing_mode": "stretch_width",
            "tools": TOOLS,
            "active_drag": "box_zoom",
            "active_scroll": None,
            **settings,
        }
    )
    drawing.toolbar.logo = None
    drawing.toolbar.autohide = True
    drawing.outline_line_color = None
    return drawing


def _draw(
    kind: str,
    curves: Sequence[Curve],
    bands: Sequence[Band],
    across: Across,
    view: tuple[float, float] | None,
    sources: Sources,
) -> Any:
    from bokeh.models import HoverTool, Span

    drawing = new_figure(
        x_axis_type="log" if across.is_log else "linear",
        y_axis_type=kind,
        x_range=across.range,
        **({} if view is None else {"y_range": view}),
        x_axis_label=across.label,
    )
    drawing.yaxis.formatter = _tick_formatter(kind)
    for band in bands:
        _add_band(drawing, band, across, kind)
    many = [curve for curve in curves if curve.is_one_of_many]
    single = [curve for curve in curves if not curve.is_one_of_many]
    if many:
        _add_many(drawing, many, across, kind, sources)
    lines = [_add(drawing, curve, _source(curve, across, kind, sources)) for curve in single]
    tooltips = [("", "$name"), (across.name, "@at{%.12g}"), ("value", "@y{%.6g}")]
    formatters = {"@at": "printf", "@y": "printf"}
    hover = HoverTool(tooltips=tooltips, formatters=formatters, renderers=lines)
    drawing.add_tools(hover)
    cursor = Span(dimension="height", line_color="#57606a", line_dash="dotted", visible=False)
    drawing.add_layout(cursor)
    across.cursors.append(cursor)
    _add_legend(drawing, list(zip(single, lines, strict=True)), bands)
    return drawing


def _tick_formatter(kind: str) -> Any:
    from bokeh.models import BasicTickFormatter, LogTickFormatter

    if kind == "log":
        return LogTickFormatter()
    return BasicTickFormatter(power_limit_high=5, power_limit_low=-3)


def _source(curve: Curve, across: Across, kind: str, sources: Sources) -> Any:
    """Return the points of a curve, those of the other axis if they are the same."""
    from bokeh.models import ColumnDataSource

    drawn = _drawable(curve.values, kind)
    there = sources.get(id(curve))
    if there is None or not np.array_equal(there.data["y"], drawn, equal_nan=True):
        at = np.asarray(curve.at, dtype=np.float64)
        sources[id(curve)] = ColumnDataSource({"x": across.positions(at), "y": drawn, "at": at})
    return sources[id(curve)]


def _add(drawing: Any, curve: Curve, source: Any) -> Any:
    style = {"color": curve.color, "line_width": curve.width, "line_dash": curve.dash}
    line = drawing.line("x", "y", source=source, name=curve.name, **style)
    if len(curve.at) <= FEW and curve.dash == "solid":
        drawing.scatter("x", "y", source=source, size=4, color=curve.color)
    return line


def _source_of_many(curves: Sequence[Curve], across: Across, kind: str, sources: Sources) -> Any:
    """Return the points of thin lines, those of the other axis if they are the same."""
    from bokeh.models import ColumnDataSource

    drawn = [_drawable(curve.values, kind) for curve in curves]
    there = sources.get(id(curves[0]))
    if there is None or not all(
        np.array_equal(before, now, equal_nan=True)
        for before, now in zip(there.data["ys"], drawn, strict=True)
    ):
        sources[id(curves[0])] = ColumnDataSource(
            {
                "xs": [across.positions(curve.at) for curve in curves],
                "ys": drawn,
                "color": [curve.color for curve in curves],
                "name": [curve.name for curve in curves],
            }
        )
    return sources[id(curves[0])]


def _add_many(
    drawing: Any, curves: Sequence[Curve], across: Across, kind: str, sources: Sources
) -> None:
    from bokeh.models import HoverTool

    source = _source_of_many(curves, across, kind, sources)
    lines = drawing.multi_line(
        "xs", "ys", source=source, color="color", line_width=1.2, alpha=0.6, name="many"
    )
    tooltips = [("", "@name"), (f"{across.name} near", "$x{%.4g}"), ("value near", "$y{%.4g}")]
    formatters = {"$x": "printf", "$y": "printf"}
    drawing.add_tools(HoverTool(tooltips=tooltips, formatters=formatters, renderers=[lines]))


def _drawable(values: FloatArray, kind: str) -> FloatArray:
    """Return the values with NaN in place of what has no place on the axis."""
    heights = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        there = heights > 0.0 if kind == "log" else np.abs(heights) <= LARGEST
    return np.where(there & np.isfinite(heights), heights, np.nan)


def _add_band(drawing: Any, band: Band, across: Across, kind: str) -> None:
    x = across.positions(band.at)
    low, high = _drawable(band.low, kind), _drawable(band.high, kind)
    there = np.isfinite(low) & np.isfinite(high)
    drawing.varea(
        x[there], low[there], high[there], color=band.color, alpha=0.25, name="band", level="glyph"
    )


def _add_legend(drawing: Any, drawn: Sequence[tuple[Curve, Any]], bands: Sequence[Band]) -> None:
    from bokeh.models import Legend, LegendItem

    items = [
        LegendItem(label={"value": curve.name}, renderers=[line])
        for curve, line in drawn
        if curve.in_legend
    ]
    areas = [renderer for renderer in drawing.renderers if renderer.name == "band"]
    items += [
        LegendItem(label={"value": band.name}, renderers=[area])
        for band, area in zip(bands, areas, strict=True)
    ]
    if items:
        legend = Legend(items=items, click_policy="hide", label_text_font_size="0.8rem")
        legend.update(border_line_color=None, padding=2, spacing=0, location="left")
        drawing.add_layout(legend, "below")
        drawing.height += 20 * len(items)


def shades(count: int) -> list[str]:
    """Return colours from dark to light, the last of which is still visible on white."""
    from bokeh.palettes import viridis

    return [viridis(256)[round(place)] for place in np.linspace(0.0, 0.9 * 255, count)]
