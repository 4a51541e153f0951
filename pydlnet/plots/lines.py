"""Lines over steps or times, one for each combination of the other dimensions."""

import itertools
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..names import text_of as name_text
from .axes import across_of, keep_in_range, label, plain, prepare, text_of
from .style import COLORS, LINE_STYLES, shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Place", "add_legend", "draw_lines", "line_styles", "name_of", "part_at", "places_of"]

# Which part of a variable: an index along each of some dimensions.
Place = dict[Hashable, int]

# Lines among which a legend looks for a place.
_LOOKED_THROUGH = 50

# What counts from 1, as W_1 ... W_N and their singular values do.
_COUNTED: dict[Hashable, str] = {
    "layer": "layer {1}",
    "pair": "layers {1} and {2}",
    "mode": "mode {1}",
    "layer_mode": "mode {1}",
}


def draw_lines(
    data: xr.Dataset,
    variable: xr.DataArray,
    ax: "Axes | None",
    x: str | None,
    kwargs: dict[str, Any],
) -> "Axes":
    """Draw a variable over `step`.

    Parameters
    ----------
    data : Dataset
        That the variable is from.
    variable : DataArray
        Numbers over `step` and any other dimensions.
    ax : Axes or None
        Where; None for those of a new figure.
    x : str or None
        "step", "time", or what suits the run.
    kwargs : dict
        Of the user's, for `Axes.plot`; a label is that of the first line.

    Returns
    -------
    Axes
        With a legend if there are dimensions besides `step`, unless the user labels the lines.
    """
    across = across_of(data, x)
    places = places_of(variable, ("step",))
    axes = prepare(ax, across)
    names = [name_of(variable, place) for place in places if place]
    styles = line_styles(axes, [] if "label" in kwargs else names, len(places))
    for place, style in zip(places, styles, strict=True):
        at, values = part_at(across, place).values, part_at(variable, place).values
        if len(places) > 1:  # runs that were not recorded where others were
            at, values = at[~np.isnan(values)], values[~np.isnan(values)]
        axes.plot(at, values, **styled(style, kwargs))
        kwargs = {**kwargs, "label": None} if "label" in kwargs else kwargs
    keep_in_range(axes)
    label(axes, across, text_of(variable))
    if any("label" in style for style in styles):
        add_legend(axes)
    return axes


def add_legend(axes: "Axes", **kwargs: Any) -> None:
    """Write a legend where it covers least; among many lines, looking for that takes too long."""
    axes.legend(loc="best" if len(axes.lines) <= _LOOKED_THROUGH else "upper right", **kwargs)


def places_of(variable: xr.DataArray, kept: Sequence[str]) -> list[Place]:
    """Return all combinations of the dimensions that are not kept: a single one if all are."""
    others = [dim for dim in variable.dims if dim not in kept]
    ranges = (range(variable.sizes[dim]) for dim in others)
    return [dict(zip(others, place, strict=True)) for place in itertools.product(*ranges)]


def part_at(variable: xr.DataArray, place: Place) -> xr.DataArray:
    """Return the part of a variable, which need not have all the dimensions of the place."""
    return variable.isel({dim: index for dim, index in place.items() if dim in variable.dims})


def name_of(variable: xr.DataArray, place: Place) -> str:
    """Return such as "depth 2, scale 0.1": the coordinates of a part."""
    part = part_at(variable, place)
    texts = []
    for dim, index in place.items():
        if dim in part.coords:
            texts.append(f"{dim} {name_text(part[dim].values[()])}")
        else:
            texts.append(_COUNTED.get(dim, f"{dim} {{0}}").format(index, index + 1, index + 2))
    return ", ".join(texts)


def line_styles(axes: "Axes", names: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Return keywords of lines that differ from each other, and from those that are there.

    A few differ in colour and style. Many go from dark to light, and only the first and the last
    of them are named.
    """
    if count <= len(COLORS):
        first = len(axes.lines)
        styles = [
            {"color": COLORS[k % len(COLORS)], "linestyle": LINE_STYLES[k % len(LINE_STYLES)]}
            for k in range(first, first + count)
        ]
        named = range(len(names))
    else:
        styles = [{"color": color, "linestyle": "-"} for color in shades(count)]
        named = range(0, len(names), max(1, len(names) - 1))
    for k in named:
        styles[k]["label"] = plain(names[k])
    return styles
