"""Which recorded variables are curves, and what is said about them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .._validation import FloatArray
from ..plots.curves import ON_LOG_AXES
from ..plots.lines import name_of, places_of
from .across import Across
from .curves import COLORS, Curve, shades
from .thinning import outline

__all__ = [
    "MOST_DRAWINGS",
    "POINTS",
    "Room",
    "as_curves",
    "drawable",
    "heading_of",
    "left_out",
    "prefers_log",
    "room_for",
    "rows_of",
]

# Points of all lines of one drawing, and of all drawings of a page, about; at least so many of
# each line.
POINTS = 6000
POINTS_A_PAGE = 24_000
POINTS_A_LINE = 100

# What a page has room for; of drawings with several lines each has so many at least.
MOST_DRAWINGS = 24
MOST_LINES = 40
LINES_A_PAGE = 160
FEWEST_LINES = 8

# Numbers of a variable that are read at once; of more only some records are.
READ_AT_ONCE = 2_000_000

# In this order; the others follow as they were recorded.
FIRST = (
    *("loss", "singular_value", "reconstruction_error", "held_out_error", "effective_rank"),
    *("gradient_norm", "imbalance", "layer_norm"),
)

# Linear first, as the rise of one mode after the other is seen there.
LINEAR = ("singular_value", "learning_rate")

# Matrices, whose entries say nothing as curves.
MATRICES = ("end_to_end", "left_singular_vector", "right_singular_vector")


def drawable(data: xr.Dataset, *dims: str) -> list[str]:
    """Return the variables over these dimensions and at most two of their own, in order."""
    names = [
        str(name)
        for name, array in data.data_vars.items()
        if array.dims[: len(dims)] == dims
        and array.dtype.kind in "biuf"
        and array.ndim <= len(dims) + 2
        and not _is_matrix(str(name), array)
    ]
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def _is_matrix(name: str, array: xr.DataArray) -> bool:
    is_layer = name[:1] == "W" and name[1:].isdigit() and str(array.dims[-1]) != "mode"
    return name in MATRICES or (is_layer and array.ndim >= 3)


def left_out(data: xr.Dataset, *dims: str) -> list[str]:
    """Return what was recorded and is not drawn as curves."""
    drawn = drawable(data, *dims)
    return [str(name) for name in data.data_vars if str(name) not in drawn]


def heading_of(array: xr.DataArray) -> str:
    """Return a name, what it means and how it is defined."""
    name = str(array.name)
    meaning = str(array.attrs.get("long_name", "")) or name
    definition = str(array.attrs.get("definition", ""))
    units = str(array.attrs.get("units", "1"))
    is_named = meaning.replace("-", " ").startswith(name.replace("_", " "))
    text = meaning if is_named else f"{name}: {meaning}"
    text = f"{text}: {definition}" if definition else text
    return text if units == "1" else f"{text} [{units}]"


def prefers_log(name: object) -> bool | None:
    """Say which axis is shown first, None if that depends on the values."""
    return False if name in LINEAR else (True if name in ON_LOG_AXES else None)


def rows_of(array: xr.DataArray) -> tuple[FloatArray, Any]:
    """Return values over (step, ...) in float64, and the places of the records that they are of."""
    count = array.sizes["step"]
    size = max(1, array.size // count)
    if count * size <= READ_AT_ONCE:
        return np.asarray(array.values, dtype=np.float64), np.arange(count)
    stride = -(-count * size // READ_AT_ONCE)
    places = np.arange(0, count, stride)
    values = np.asarray(array.isel(step=slice(None, None, stride)).values, dtype=np.float64)
    if places[-1] == count - 1:
        return values, places
    last = np.asarray(array.isel(step=slice(-1, None)).values, dtype=np.float64)
    return np.concatenate([values, last]), np.append(places, count - 1)


@dataclass(frozen=True)
class Room:
    """How many lines a drawing has room for at most, and how many points each of them."""

    lines: int = MOST_LINES
    points: int = POINTS


def room_for(arrays: Iterable[xr.DataArray]) -> Room:
    """Return what each drawing of a page has room for that draws all of these."""
    counts = [math.prod(array.shape[1:]) for array in arrays]
    several = sum(count > 1 for count in counts)
    lines = max(FEWEST_LINES, min(MOST_LINES, LINES_A_PAGE // max(1, several)))
    total = sum(min(count, lines) for count in counts)
    return Room(lines, min(POINTS, POINTS_A_PAGE // max(1, total)))


def as_curves(
    array: xr.DataArray, across: Across, room: Room | None = None
) -> tuple[list[Curve], list[str]]:
    """Return a variable over steps as curves, thinned, and what there is to be said about that.

    Parameters
    ----------
    array : DataArray
        Over step and at most two more dimensions.
    across : Across
        Of the same records.
    room : Room, optional
        What there is room for; by default that of the only drawing of a page.
    """
    room = Room() if room is None else room
    values, places = rows_of(array)
    parts = places_of(array, ("step",))
    flat = values.reshape(len(values), -1)
    shown = [k for k in range(flat.shape[1]) if not np.isnan(flat[:, k]).all()][: room.lines]
    limit = max(POINTS_A_LINE, min(room.points, POINTS // max(1, len(shown))))
    colors = shades(len(shown)) if len(shown) > 1 else [COLORS[0]]
    labels = {k: name_of(array, parts[k]) or str(array.name) for k in shown}
    curves = []
    for k, color in zip(shown, colors, strict=False):
        picked = outline(flat[:, k], limit)
        at = across.values[places[picked]]
        curves.append(Curve(labels[k], at, flat[picked, k], color))
    notes = []
    if len(shown) > 1:
        first, last = labels[shown[0]], labels[shown[-1]]
        notes.append(f"{len(shown)} lines, dark to light: {first} to {last}.")
    if len(shown) < flat.shape[1] and len(shown) == room.lines:
        notes.append(f"The first {room.lines} of {flat.shape[1]} are drawn.")
    if len(places) < array.sizes["step"]:
        notes.append(
            f"Thinned: of {array.sizes['step']:,} records every "
            f"{int(places[1] - places[0])}th is looked at."
        )
    elif len(values) > limit:
        notes.append(
            f"Thinned: {len(values):,} records are drawn through about {limit:,} points a line, "
            "the lowest and the highest of their neighbours among them."
        )
    return curves, notes
