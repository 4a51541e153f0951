"""Formulas as MathML, which browsers draw themselves: no script, nothing from elsewhere.

They need a font that knows how formulas are set. Not every system has one, so the pages bring STIX
Two Math along, which the package ziamath ships.
"""

import re
from importlib.resources import files
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# Bars stretch to whatever is between them unless they are told not to, also where TeX would not.
_BARS = re.compile(r'<mo(?: class="math\w+")?(?: stretchy="false")?>([‖|])</mo>')


def _set(formula: str, *, as_block: bool = False) -> str:
    """Return a formula in TeX as MathML."""
    bars = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'
    return _BARS.sub(bars, tex2mathml(formula, as_block=as_block))


def _inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(_set(node.astext()))
    raise nodes.SkipNode


def _block(writer: HTML5Translator, node: nodes.math_block) -> None:
    formula = _set(node.astext(), as_block=True)
    writer.body.append(f'<div class="math-block">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer and choose it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    app.config.html_static_path.append(
        str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
