"""Writes the sources of the reference, one page a module, from what is public."""

import inspect
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

from public_names import public_modules, public_names

_PAGE = """{title}
{rule}

{words}

{tables}
"""
_TABLE = """.. rubric:: {heading}

.. autosummary::
   :toctree: names
   :nosignatures:

{names}
"""
_INDEX = """Reference
=========

Everything public, by module. Layer :math:`j` is ``weights[j - 1]``, of shape
:math:`(d_j, d_{{j-1}})`; layer 1 acts first. ``import pydlnet as dln`` is the usual import.

{entries}
.. toctree::
   :hidden:

{pages}
"""


def _write(path: Path, text: str) -> None:
    # Untouched where nothing changes, so that a second build reads only what is new.
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _kind(value: object) -> str:
    return (
        "Classes"
        if inspect.isclass(value)
        else "Functions"
        if callable(value)
        else "Data"
    )


def _tables(names: list[tuple[str, object]]) -> str:
    groups = defaultdict(list)
    for name, value in names:
        groups[_kind(value)].append(f"   ~{name}")
    return "\n".join(
        _TABLE.format(heading=heading, names="\n".join(groups[heading]))
        for heading in ("Functions", "Classes", "Data")
        if groups[heading]
    )


def write_pages(app: Sphinx, config: Config) -> None:
    """Write the pages, before Sphinx looks which there are."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    of_module = defaultdict(list)
    for module, name, value in public_names():
        of_module[module].append((f"{module}.{name}", value))
    for module, value in public_modules():
        _write(
            folder / f"{module}.rst",
            _PAGE.format(
                title=module,
                rule="=" * len(module),
                words=inspect.getdoc(value),
                tables=_tables(of_module[module]),
            ),
        )
    modules = list(public_modules())
    entries = "\n".join(
        f":doc:`{module}`\n   {_first_line(value)}\n" for module, value in modules
    )
    pages = "\n".join(f"   {module}" for module, _ in modules)
    _write(folder / "index.rst", _INDEX.format(entries=entries, pages=pages))


def _first_line(module: ModuleType) -> str:
    """Return what a module says that it is for."""
    return (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")


def find_or_leave(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Look for a name in single backticks in the whole package; leave any other as code."""
    if node["reftype"] != "obj":
        return None
    target = f"pydlnet.{node['reftarget']}"
    domain = env.get_domain("py")
    found = domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, content
    )
    return content if found is None else found


def leave_to_others(
    app: Sphinx, what: str, name: str, value: object, skip: bool, options: object
) -> bool | None:
    """Skip methods that scikit-learn puts into classes: they refer to its own pages."""
    module = getattr(value, "__module__", None) or ""
    return True if module.startswith("sklearn.") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages as soon as there is a configuration."""
    app.connect("config-inited", write_pages)
    app.connect("missing-reference", find_or_leave)
    app.connect("autodoc-skip-member", leave_to_others)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
