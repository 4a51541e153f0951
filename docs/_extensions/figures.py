"""Finds the figures of a script: those of pyplot, and those that pydlnet draws without it."""

import textwrap
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_SHOWN = "__figures_shown__"


def scraper(
    block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]
) -> str:
    """Save the figures that came up in a block of a script and return how to show them."""
    names = block_vars["example_globals"]
    shown = names.setdefault(_SHOWN, [])
    paths = []
    for figure in _figures(names):
        if any(figure is earlier for earlier in shown):
            continue
        shown.append(figure)
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=150, facecolor="white")
        paths.append(path)
    pyplot.close("all")
    if not paths:
        return ""
    # In a box of their own, which a narrow screen scrolls.
    pictures = figure_rst(paths, gallery_conf["src_dir"])
    return f"\n.. container:: drawn\n\n{textwrap.indent(pictures, '   ')}\n"


def _figures(names: dict[str, Any]) -> list[Figure]:
    drawn = [pyplot.figure(number) for number in pyplot.get_fignums()]
    for value in list(names.values()):
        figure = value.figure if isinstance(value, Axes) else value
        if isinstance(figure, Figure) and not any(figure is other for other in drawn):
            drawn.append(figure)
    return drawn
