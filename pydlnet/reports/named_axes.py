"""Names of inputs and outputs beside a picture of a matrix, and under the mouse."""

from collections.abc import Sequence
from typing import Any

from ..names import Coords, shortened, text_of

__all__ = ["hover_tool", "room_below", "texts_of", "write_names"]

# Rows or columns whose names are written beside them, and the letters of a name there. Hovering
# says all of all names.
MOST_NAMES = 24
LONGEST_NAME = 20

# Pixels that the letters of a name take, and what lies between names and picture.
LETTER = 7
GAP = 18
LINE = 25

# About the width of a picture, in letters.
LETTERS_A_LINE = 70

# What hovering says of a row or a column, which may stand for several.
HOVER = """
const first = Math.floor(place(value)) * block
if (names == null) return String(first + 1)
const last = Math.min(first + block, names.length) - 1
return last > first ? `${names[first]} \u2026 ${names[last]}` : names[first]
"""


def texts_of(names: Coords) -> dict[str, list[str]]:
    """Return names as they are shown."""
    return {side: [text_of(name) for name in labels] for side, labels in names.items()}


def hover_tool(image: Any, n_rows: int, texts: dict[str, list[str]], block: int) -> Any:
    """Return what says under the mouse which entry this is; rows and columns count from 1.

    Parameters
    ----------
    image : GlyphRenderer
        The picture, drawn from the bottom up.
    n_rows : int
        Of the picture.
    texts : dict of str to list of str
        Names by side.
    block : int
        How many rows and columns of the matrix are one in the picture.
    """
    from bokeh.models import CustomJSHover, HoverTool

    def says(side: str, place: str) -> Any:
        args = {"names": texts.get(side), "block": block}
        return CustomJSHover(args=args, code=HOVER.replace("place(value)", place))

    down = "output" if "output" in texts else "row"
    across = "input" if "input" in texts else "column"
    return HoverTool(
        renderers=[image],
        tooltips=[(down, "$y{custom}"), (across, "$x{custom}"), ("value", "@value{%.4g}")],
        formatters={
            "$x": says("input", "value"),
            "$y": says("output", f"{n_rows} - value"),
            "@value": "printf",
        },
    )


def room_below(texts: Sequence[str]) -> int:
    """Return the pixels that names below a picture take; 0 if they are not written."""
    if not _are_few(texts):
        return 0
    longest = max(map(len, map(_short, texts)))
    return LINE if _fit(texts) else GAP + LETTER * longest


def write_names(drawing: Any, texts: dict[str, list[str]], n_rows: int) -> None:
    """Write the names of rows and columns that are few enough beside them.

    Parameters
    ----------
    drawing : figure
        Of the matrix, drawn from the bottom up, without axes.
    texts : dict of str to list of str
        Names by side.
    n_rows : int
        Of the matrix.
    """
    inputs, outputs = texts.get("input", ()), texts.get("output", ())
    if _are_few(inputs):
        _show(drawing.xaxis[0], [k + 0.5 for k in range(len(inputs))], inputs)
        drawing.xaxis.major_label_orientation = "horizontal" if _fit(inputs) else "vertical"
    if _are_few(outputs):
        _show(drawing.yaxis[0], [n_rows - k - 0.5 for k in range(len(outputs))], outputs)


def _are_few(texts: Sequence[str]) -> bool:
    return 0 < len(texts) <= MOST_NAMES


def _fit(texts: Sequence[str]) -> bool:
    """Whether names stand beside each other on one line."""
    return (max(map(len, map(_short, texts))) + 1) * len(texts) < LETTERS_A_LINE


def _short(text: str) -> str:
    return shortened(text, LONGEST_NAME)


def _show(axis: Any, places: list[float], texts: Sequence[str]) -> None:
    from bokeh.models import CustomJSTickFormatter, FixedTicker

    axis.visible = True
    axis.ticker = FixedTicker(ticks=places)
    axis.formatter = CustomJSTickFormatter(
        code="return names[places.indexOf(tick)]",
        args={"names": [_short(text) for text in texts], "places": places},
    )
    axis.major_tick_line_color = axis.axis_line_color = None
