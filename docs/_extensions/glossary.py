"""The directive `quantities`: the dataset's variables, from the package's own table."""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pydlnet.notation import as_html
from pydlnet.quantities import QUANTITIES, Variable, variables

_HEADER = ("asked for as", "variable and dimensions", "what it is")
_SHARES = (24, 34, 42)  # of the width of the page, in per cent
_DEPTH = 2  # `weights` becomes one variable a layer: those of a network of this depth are shown


class Quantities(SphinxDirective):
    """A table with one row for each variable that a run can record."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        group = nodes.tgroup(cols=len(_HEADER))
        group += [nodes.colspec(colwidth=share) for share in _SHARES]
        group += nodes.thead("", _row(*([nodes.Text(cell)] for cell in _HEADER)))
        group += nodes.tbody(
            "", *(_described(name, variable) for name, variable in _variables())
        )
        return [nodes.table("", group, classes=["quantities", "colwidths-given"])]


def _variables() -> Iterator[tuple[str, Variable]]:
    for name in QUANTITIES:
        for variable in variables([name], [1] * (_DEPTH + 1)).values():
            yield name, variable


def _described(name: str, variable: Variable) -> nodes.row:
    words = ": ".join(filter(None, [variable.long_name, variable.definition]))
    meaning = nodes.raw("", as_html(words), format="html")
    source = nodes.emphasis("", f" ({variable.reference})")
    return _row(
        [nodes.literal("", name)],
        [
            nodes.literal("", variable.name),
            nodes.Text(f" ({', '.join(variable.dims)})"),
        ],
        [meaning] if variable.reference == "definition" else [meaning, source],
    )


def _row(*cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells)
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("quantities", Quantities)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
