"""The directive `quantities`: the dataset's variables, from the package's own table."""

from collections.abc import Iterator, Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pydlnet.quantities import QUANTITIES, variables

_HEADER = ("asked for as", "variable", "dimensions", "what it is", "source")
_SHARES = (17, 17, 16, 32, 18)  # of the width of the page, in per cent
_CODE = 2  # so many columns are names in code
_DEPTH = 2  # `weights` becomes one variable a layer: those of a network of this depth are shown


class Quantities(SphinxDirective):
    """A table with one row for each variable that a run can record."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        group = nodes.tgroup(cols=len(_HEADER))
        group += [nodes.colspec(colwidth=share) for share in _SHARES]
        group += nodes.thead("", _row(_HEADER, code=0))
        group += nodes.tbody("", *(_row(cells, code=_CODE) for cells in _variables()))
        return [nodes.table("", group, classes=["quantities", "colwidths-given"])]


def _variables() -> Iterator[tuple[str, ...]]:
    for name in QUANTITIES:
        for variable in variables([name], [1] * (_DEPTH + 1)).values():
            dims = ", ".join(variable.dims)
            yield name, variable.name, dims, variable.long_name, variable.reference


def _row(cells: Sequence[str], code: int) -> nodes.row:
    row = nodes.row()
    for i, cell in enumerate(cells):
        text = nodes.literal("", cell) if i < code else nodes.Text(cell)
        row += nodes.entry("", nodes.paragraph("", "", text))
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("quantities", Quantities)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
