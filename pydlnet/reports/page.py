"""The page: headings, texts, tables and plots, put into one file that needs nothing else.

Everything that is not drawn goes through a template that escapes it; what is drawn goes into the
page as data, which the browser never reads as HTML.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from .._version import VERSION
from ..notation import as_html

__all__ = ["Code", "Part", "Plot", "Section", "Table", "Text", "render", "require_bokeh"]


@dataclass
class Text:
    """A paragraph.

    Parameters
    ----------
    text : str
        Plain.
    tone : str, default ""
        "hint" for what could be done, "warning" for what must not be overlooked.
    """

    text: str
    tone: str = ""
    kind: ClassVar[str] = "text"


@dataclass
class Code:
    """Lines to copy."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass
class Table:
    """Rows of a table; without a header names and what is to be said about them."""

    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    kind: ClassVar[str] = "table"


@dataclass
class Plot:
    """Something of Bokeh's.

    Parameters
    ----------
    heading : str
        What is drawn.
    model : bokeh.model.Model
        The drawing.
    notes : list of str
        What is said below it.
    wide : bool, default False
        Whether it takes the whole width of the page, and not half of it.
    """

    heading: str
    model: Any
    notes: list[str] = field(default_factory=list)
    wide: bool = False
    div: str = ""
    kind: ClassVar[str] = "plot"


Part = Text | Code | Table | Plot


@dataclass
class Section:
    """A heading and what is below it."""

    heading: str
    parts: list[Part]

    @property
    def anchor(self) -> str:
        """Where links to it go."""
        return re.sub(r"\W+", "-", self.heading.lower())


def require_bokeh() -> None:
    """Raise ImportError, saying what to install, unless Bokeh is there."""
    try:
        import bokeh.embed  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'a report needs Bokeh: pip install "pydlnet[report]" ({error})'
        ) from error


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title, subtitle : str
        Plain.
    sections : sequence of Section
        Those without parts are left out.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    shown = [section for section in sections if section.parts]
    plots = [part for section in shown for part in section.parts if isinstance(part, Plot)]
    script = _embed(plots)
    environment = Environment(autoescape=True)
    environment.filters["formulas"] = lambda text: Markup(as_html(text))
    template = environment.from_string(_resource("page.html"))
    return template.render(
        title=title,
        subtitle=subtitle,
        sections=shown,
        version=VERSION,
        style=Markup(_resource("page.css")),
        library=Markup(_library() if plots else ""),
        script=Markup(script),
    )


def _embed(plots: Sequence[Plot]) -> str:
    """Give every plot its place in the page, and return the script that draws them all."""
    from bokeh.document import Document
    from bokeh.embed import components
    from markupsafe import Markup

    if not plots:
        return ""
    document = Document()
    with document.models.freeze():  # or all that is there would be looked through for each plot
        for plot in plots:
            document.add_root(plot.model)
    script, divs = components(tuple(plot.model for plot in plots))
    for plot, div in zip(plots, divs, strict=True):
        plot.div = Markup(div)
    return str(script)


def _library() -> str:
    """Return Bokeh's own script, as its package has it."""
    from bokeh.resources import Resources

    # What is used, of seven files: nothing here is a table, a formula or drawn by WebGL.
    resources = Resources(mode="inline", components=["bokeh", "bokeh-widgets"], log_level="warn")
    return str(resources.render_js())


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
