"""How objects show themselves: a line of text, and a table in a notebook.

Both are made of the same facts. They compute nothing: arrays are named by dtype and shape,
functions by their name. The table has no colours of its own but those of statuses, so that it reads
on light and dark pages alike.
"""

import dataclasses
import html
import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ._validation import function_name
from .notation import as_html

__all__ = ["Shown", "as_status", "as_table", "brief", "number", "sparkline"]

_FEW = 6  # numbers that are shown themselves

_LONGEST = 300  # characters that a value takes in the table

_TABLE = "border-collapse:collapse;font-size:90%;margin:0.3em 0;border:0"
_CELL = (
    "text-align:left;vertical-align:top;padding:0.15em 0.8em 0.15em 0;border:0;"
    "white-space:normal;overflow-wrap:anywhere;max-width:60em"
)
_TITLE = "text-align:left;font-weight:bold;padding:0 0 0.3em 0;color:inherit;caption-side:top"

# Blue, green, red and amber that are told apart by most colour-blind people, beside their names.
_COLOURS = {"converged": "#009e73", "done": "#009e73", "finished": "#0072b2"}
_FAILED = {"diverged": "#d55e00", "failed": "#d55e00", "step_too_small": "#d55e00"}
_OTHER = "#e69f00"

_short = reprlib.Repr()
_short.maxlist = _short.maxtuple = _short.maxdict = _FEW
_short.maxstring = _short.maxother = _LONGEST


class Shown:
    """A dataclass that shows its fields, or whatever `_facts` returns in a class derived from it.

    The decorator needs ``repr=False``. The table begins with the properties in `_shown_first`.
    """

    _shown_first: ClassVar[tuple[str, ...]] = ()

    def _facts(self) -> Mapping[str, Any]:
        """Return what the table shows, by name."""
        fields = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        facts = {name: getattr(self, name) for name in (*self._shown_first, *fields)}
        return {name: None if _is_empty(value) else value for name, value in facts.items()}

    def __repr__(self) -> str:
        """Show kind and fields; arrays by dtype and shape, functions by name."""
        shown = [field.name for field in dataclasses.fields(self) if field.repr]  # type: ignore[arg-type]
        fields = ", ".join(f"{name}={brief(getattr(self, name))}" for name in shown)
        return f"{type(self).__name__}({fields})"

    def _repr_html_(self) -> str:
        """Show the same as a table."""
        return as_table(type(self).__name__, self._facts().items())


def _is_empty(value: Any) -> bool:
    return isinstance(value, tuple) and not value


def brief(value: Any) -> str:
    """Return a value in a few words: numbers in full, arrays by dtype and shape.

    Parameters
    ----------
    value : object
        Anything that the package keeps: a number, text, an array, a function, or several of these.

    Returns
    -------
    str
        On one line.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return _brief_array(value)
    if isinstance(value, Sequence) and any(isinstance(item, np.ndarray) for item in value):
        text = ", ".join(brief(item) for item in value[:_FEW])
        return f"[{text}{', ...' if len(value) > _FEW else ''}]"
    if callable(value) and not isinstance(value, type) and not dataclasses.is_dataclass(value):
        return function_name(value)
    text = repr(value) if isinstance(value, Shown | float) else _short.repr(value)
    return " ".join(text.split())


def _brief_array(array: np.ndarray[Any, Any]) -> str:
    if array.ndim == 1 and array.size <= _FEW:
        return f"[{', '.join(f'{number:.6g}' for number in array.tolist())}]"
    return f"<{array.dtype} array of shape {array.shape}>"


def number(value: float) -> str:
    """Return a number with four significant digits.

    Parameters
    ----------
    value : float
        May be NaN or infinite.

    Returns
    -------
    str
        A count in full, with a comma between thousands.
    """
    if math.isfinite(value) and float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def as_table(title: str, facts: Iterable[tuple[str, Any]], picture: str = "") -> str:
    """Return HTML: a title, and a row for each fact.

    Parameters
    ----------
    title : str
        Kind of the object.
    facts : iterable of (str, object)
        Names, and text or values that `brief` shows; None is left out. Escaped here.
    picture : str, default ""
        HTML that is shown beneath.

    Returns
    -------
    str
        One element, with styles of its own and no others.
    """
    rows = "".join(_row(name, value) for name, value in facts if value is not None)
    return (
        f'<div class="pydlnet" style="color:inherit"><table style="{_TABLE}">'
        f'<caption style="{_TITLE}">{html.escape(title)}</caption>'
        f"<tbody>{rows}</tbody></table>{picture}</div>"
    )


def _row(name: str, value: Any) -> str:
    label = html.escape(name.replace("_", " "))
    return (
        '<tr style="background:transparent">'
        f'<th scope="row" style="{_CELL};font-weight:normal;opacity:0.65;white-space:nowrap">'
        f'{label}</th><td style="{_CELL}">{_cell(value)}</td></tr>'
    )


def _cell(value: Any) -> str:
    if isinstance(value, _Html):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return html.escape(number(float(value)))
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        value = "; ".join(value)
    text = value if isinstance(value, str) else brief(value)
    return as_html(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def as_status(counts: Mapping[str, int], rest: str = "") -> str:
    """Return HTML of statuses, with a dot in the colour of each.

    Parameters
    ----------
    counts : mapping of str to int
        How many there are of each; a single one stands without its count.
    rest : str, default ""
        Text that follows.

    Returns
    -------
    str
        For `as_table`.
    """
    alone = sum(counts.values()) == 1
    parts = [
        f'<span aria-hidden="true" style="color:{_colour(status)}">&#9679;</span> '
        + ("" if alone else f"{count:,} ")
        + html.escape(status)
        for status, count in counts.items()
        if count
    ]
    return _Html(", ".join(parts) + html.escape(rest))


def _colour(status: str) -> str:
    return {**_COLOURS, **_FAILED}.get(status, _OTHER)


def sparkline(values: Sequence[float], title: str) -> str:
    """Return HTML: a small curve of numbers on a log scale, "" if there is nothing to draw.

    Parameters
    ----------
    values : sequence of float
        Those that are not finite and above 0 are left out.
    title : str
        What it shows, for those who cannot see it.

    Returns
    -------
    str
        An SVG element in the colour of the text.
    """
    logs = [
        (i, math.log10(value))
        for i, value in enumerate(values)
        if math.isfinite(value) and value > 0.0
    ]
    low, high = min((y for _, y in logs), default=0.0), max((y for _, y in logs), default=0.0)
    if len(logs) < 3 or high - low < 1e-12:
        return ""
    last = len(values) - 1
    points = " ".join(
        f"{200 * i / last:.1f},{32 - 30 * (y - low) / (high - low):.1f}" for i, y in logs
    )
    return (
        f'<svg role="img" aria-label="{html.escape(title)}" width="202" height="34" '
        'viewBox="-1 0 202 34" style="display:block;color:inherit">'
        f"<title>{html.escape(title)}</title>"
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
