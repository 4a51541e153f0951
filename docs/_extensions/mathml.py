"""Formulas as MathML, which browsers draw themselves: no script, nothing from elsewhere.

They need a font that knows how formulas are set. Not every system has one, so the pages bring STIX
Two Math along, which the package ziamath ships.
"""

from importlib.resources import files
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def _inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: HTML5Translator, node: nodes.math_block) -> None:
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="math-block">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer and choose it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    app.config.html_static_path.append(str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
