"""The axes of all pictures: where they come from, their scales and their labels."""

import json
import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._validation import FloatArray, as_choice
from ..names import shortened
from ..notation import wrap_mathtext

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

__all__ = [
    "across_of",
    "are_even",
    "as_axes",
    "keep_in_range",
    "label",
    "legend_above",
    "plain",
    "prepare",
    "text_of",
    "to_log_scale",
]

# A line that comes here diverges, and is followed so far above its start.
_DIVERGED = 1e30
_FOLLOWED = 1e6

# Above and below, as a share of the decades.
_MARGIN = 0.05

# Ticks reach a step beyond a logarithmic axis, which is a quarter of its decades at most: they have
# to stay in the range of float64, and so have those of a linear axis.
_HIGHEST_DECADE = 307.0
_LARGEST = 1e300

# Width of a letter on the average, as a share of the size of the font.
_LETTER = 0.52

# Letters of a name that a legend or a tick has room for.
_LONGEST = 60

# Parts of a text that stay on one line: between bars, as ||A B - C D||_F, parentheses or dollars.
_FORMULA = re.compile(r"\|\|[^|]*\|\|\S*|\([^()]*\)\S*|\$[^$]*\$\S*")
_KEPT = "\N{NO-BREAK SPACE}"


def as_axes(ax: "Axes | None") -> "Axes":
    """Return checked axes, by default of a figure of its own that pyplot knows nothing of."""
    from matplotlib.axes import Axes  # imported late: the package is used without pictures too
    from matplotlib.figure import Figure

    if ax is None:
        return Figure(figsize=(6.0, 4.0), layout="constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise TypeError(f"ax: expected matplotlib.axes.Axes, got {type(ax).__name__}")
    if ax.name != "rectilinear" or ax.figure is None:
        got = "axes that were removed from theirs" if ax.figure is None else f"{ax.name} axes"
        raise ValueError(f"ax: expected rectangular axes of a figure, got {got}")
    return ax


def across_of(data: xr.Dataset, x: str | None) -> xr.DataArray:
    """Return the steps of the records, or their times, which is the default of a flow."""
    if data.sizes.get("step") == 0:
        raise ValueError("trajectory: expected at least one record, got none")
    if x is None:
        method = json.loads(data.attrs.get("method", "{}"))
        is_flow = method.get("kind") == "GradientFlow" and "time" in data.coords
        return data["time" if is_flow else "step"]
    if as_choice(x, "x", ("step", "time")) == "time" and "time" not in data.coords:
        raise ValueError("x: expected 'step', as there is no time in these records, got 'time'")
    return data[x]


def prepare(ax: "Axes | None", across: xr.DataArray) -> "Axes":
    """Return axes whose horizontal scale fits steps or times; those with lines stay as they are."""
    axes = as_axes(ax)
    if axes.lines:
        return axes
    axes.margins(x=0)
    # Of the first run, if each has times of its own.
    places = across.transpose(..., "step").values.reshape(-1, across.sizes["step"])[0]
    places = places[np.isfinite(places)]
    positive = places[places > 0]
    if axes.get_xscale() == "linear" and positive.size and not are_even(places):
        first = float(positive[0]) if places.dtype.kind == "f" else 1.0
        axes.set_xscale("symlog", linthresh=first, linscale=0.3)
    return axes


def are_even(places: NDArray[Any]) -> bool:
    """Say whether places lie at equal distances."""
    # The last one is recorded wherever the run ends.
    distances = np.diff(places[:-1])
    return bool(np.allclose(distances, distances[:1], rtol=1e-6, atol=0.0))


def to_log_scale(axes: "Axes", floor: float = 0.0) -> None:
    """Put the lines that are there on a logarithmic axis, if none is below zero.

    A line leaves the axis downwards where it is zero or far below `floor`, and upwards where it
    diverges. Nothing below zero would be seen, so it makes the axis linear.
    """
    lines = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    values = np.concatenate([line[np.isfinite(line)] for line in lines])
    positive = values[values > 0.0]
    if (values < 0.0).any() or not positive.size:
        if axes.get_yscale() == "log":
            axes.set_yscale("linear")
        return
    bottom, top = float(positive.min()), max(map(_top, lines))
    bottom, follows = (floor, False) if bottom < floor < top else (bottom, top == positive.max())
    # Set before the scale, whose own limits would overflow where a line diverges. Where part of a
    # line is left out, limits must not follow the data any more.
    limits = _with_margin(bottom, top)
    axes.set_ylim(*limits)
    axes.set_yscale("log")
    axes.set_ylim(*limits, auto=follows and limits[0] <= bottom and top <= limits[1])


def _top(line: FloatArray) -> float:
    """Return the largest value, or one far above the first if the line diverges."""
    positive = line[np.isfinite(line) & (line > 0.0)]
    if not positive.size:
        return 0.0
    highest = float(positive.max())
    diverges = np.isposinf(line[-1]) or highest > _DIVERGED
    return min(highest, _FOLLOWED * float(positive[0])) if diverges else highest


def _with_margin(bottom: float, top: float) -> tuple[float, float]:
    """Return the limits of a logarithmic axis, not equal and such that Matplotlib finds ticks."""
    decades = max(math.log10(top) - math.log10(bottom), 0.0) * _MARGIN or 0.5
    low = min(max(math.log10(bottom) - decades, -300.0), _HIGHEST_DECADE - 1.0)
    high = max(math.log10(top) + decades, -299.0)
    return 10.0**low, 10.0 ** min(high, (_HIGHEST_DECADE + low / 4.0) / 1.25)


def keep_in_range(axes: "Axes") -> None:
    """End a linear axis where its ticks would leave the range of float64; lines may go on."""
    lines = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    values = np.concatenate([line[np.isfinite(line)] for line in lines] or [np.empty(0)])
    if axes.get_yscale() == "linear" and values.size and np.abs(values).max() > _LARGEST:
        bottom, top = np.clip([values.min(), values.max()], -_LARGEST, _LARGEST)
        axes.set_ylim(min(float(bottom), 0.0), max(float(top), 0.0))


def text_of(variable: xr.DataArray) -> str:
    """Return the long name of a variable, with its units if it has any.

    A long name may have formulas between dollars, as all of Matplotlib's texts may.
    """
    long_name = variable.attrs.get("long_name") or plain(str(variable.name))
    units = variable.attrs.get("units", "1")
    return str(long_name) if units == "1" else f"{long_name} [{units}]"


def plain(text: str) -> str:
    """Return a name on one line that Matplotlib writes as it is, the middle of a long one left out.

    It takes what is between two dollars for a formula, and hides what begins with an underscore.
    """
    text = shortened(text, _LONGEST).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def label(axes: "Axes", across: xr.DataArray, text: str) -> None:
    """Write what is drawn beside the axes, in as many lines as it takes."""
    dpi = axes.figure.dpi
    axes.set_xlabel(_wrapped(text_of(across), axes.bbox.width / dpi, axes.xaxis.label))
    axes.set_ylabel(_wrapped(text, axes.bbox.height / dpi, axes.yaxis.label))


def _wrapped(text: str, inches: float, place: "Text") -> str:
    """Return the text in as few lines as fit, and these of about the same length."""
    most = max(20, int(72.0 * inches / (_LETTER * float(place.get_fontsize()))))
    return "\n".join(wrap_mathtext(text, lambda words: _even_lines(words, most)))


def _even_lines(text: str, most: int) -> list[str]:
    """Return a text in as few lines as fit, of about the same length, no formula broken."""
    kept = _FORMULA.sub(lambda part: part[0].replace(" ", _KEPT), text)
    fits = max(map(len, kept.split(" "))) <= most
    if not fits and "$" in text:  # half a formula would be an error
        return [text]
    text = kept if fits else text
    lines = _lines(text, most)
    longest = max(map(len, text.split(" ")))
    for width in range(max(1, longest, len(text) // max(1, len(lines))), most):
        narrower = _lines(text, width)
        if len(narrower) <= len(lines):
            lines = narrower
            break
    return [line.replace(_KEPT, " ") for line in lines]


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def legend_above(axes: "Axes", columns: int, **others: Any) -> None:
    """Write the legend above the axes, where it covers nothing."""
    style = {"frameon": False, "alignment": "left", **others}
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, **style)
