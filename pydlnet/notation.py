"""How formulas are written where there is more than plain text: pictures, reports, notebooks.

Attributes of datasets and messages are plain text, ``||W_j||_F``, which is legible everywhere.
Whatever draws them finds the formulas of this table in them and writes these as they are printed.
Nothing else in a text is touched: what users write need not be a formula, if it looks like one.
"""

# ruff: noqa: RUF001 -- letters that look like others are what formulas are made of

import html
import re
from collections.abc import Callable

__all__ = ["as_html", "as_mathtext", "as_unicode", "wrap_mathtext"]

# Plain text: what Matplotlib's mathtext and TeX read, and HTML.
_FORMULAS = {
    "(sum_j ||dl/dW_j||_F^2)^(1/2)": (
        r"({\sum}_j\,\Vert\partial\ell/\partial W_j\Vert_F^2)^{1/2}",
        "(Σ<sub>j</sub> ‖∂ℓ/∂W<sub>j</sub>‖<sub>F</sub><sup>2</sup>)<sup>1/2</sup>",
    ),
    "||W_{j+1}^T W_{j+1} - W_j W_j^T||_F": (
        r"\Vert W_{j+1}^{\mathsf{T}} W_{j+1} - W_j W_j^{\mathsf{T}}\Vert_F",
        "‖W<sub>j+1</sub><sup>⊤</sup>W<sub>j+1</sub> − W<sub>j</sub>W<sub>j</sub><sup>⊤</sup>‖"
        "<sub>F</sub>",
    ),
    "||W_j W_j^T||_F": (
        r"\Vert W_j W_j^{\mathsf{T}}\Vert_F",
        "‖W<sub>j</sub>W<sub>j</sub><sup>⊤</sup>‖<sub>F</sub>",
    ),
    "||W - W_rule||_F / ||W||_F": (
        r"\Vert W - W_{\mathrm{rule}}\Vert_F \,/\, \Vert W\Vert_F",
        "‖W − W<sub>rule</sub>‖<sub>F</sub> / ‖W‖<sub>F</sub>",
    ),
    "||W||_F^2 / ||W||_2^2": (
        r"\Vert W\Vert_F^2 \,/\, \Vert W\Vert_2^2",
        "‖W‖<sub>F</sub><sup>2</sup> / ‖W‖<sub>2</sub><sup>2</sup>",
    ),
    "W = W_N ... W_1": (r"W = W_N \cdots W_1", "W = W<sub>N</sub> ⋯ W<sub>1</sub>"),
    "u_r^T grad l(W) v_r": (
        r"u_r^{\mathsf{T}}\,\nabla\ell(W)\,v_r",
        "u<sub>r</sub><sup>⊤</sup> ∇ℓ(W) v<sub>r</sub>",
    ),
    "|u_r^T G v_s|": (
        r"|u_r^{\mathsf{T}} G\, v_s|",
        "|u<sub>r</sub><sup>⊤</sup>Gv<sub>s</sub>|",
    ),
    "(W - ground truth)^2": (
        r"(W - \mathrm{ground\ truth})^2",
        "(W − ground truth)<sup>2</sup>",
    ),
    "(4 ||Phi||_F)^(1/N)": (
        r"(4\,\Vert\Phi\Vert_F)^{1/N}",
        "(4 ‖Φ‖<sub>F</sub>)<sup>1/N</sup>",
    ),
    "W_rule": (r"W_{\mathrm{rule}}", "W<sub>rule</sub>"),
    "||W_j||_2": (r"\Vert W_j\Vert_2", "‖W<sub>j</sub>‖<sub>2</sub>"),
    "||W_j||_F": (r"\Vert W_j\Vert_F", "‖W<sub>j</sub>‖<sub>F</sub>"),
    "||W - Phi||_F": (r"\Vert W - \Phi\Vert_F", "‖W − Φ‖<sub>F</sub>"),
    "||W - Phi||": (r"\Vert W - \Phi\Vert", "‖W − Φ‖"),
    "||Phi||_F": (r"\Vert\Phi\Vert_F", "‖Φ‖<sub>F</sub>"),
    "||Phi||": (r"\Vert\Phi\Vert", "‖Φ‖"),
    "||W||_2": (r"\Vert W\Vert_2", "‖W‖<sub>2</sub>"),
    "sigma_min(Phi)": (r"\sigma_{\min}(\Phi)", "σ<sub>min</sub>(Φ)"),
    "sigma_min(W)": (r"\sigma_{\min}(W)", "σ<sub>min</sub>(W)"),
    "l(W)": (r"\ell(W)", "ℓ(W)"),
}

# The longest first, and none that is part of a word or of a longer formula.
_FOUND = re.compile(
    r"(?<![\w^])(?:"
    + "|".join(map(re.escape, sorted(_FORMULAS, key=lambda plain: -len(plain))))
    + r")(?![\w^])"
)

# What there are raised and lowered letters of.
_SUBSCRIPTS = str.maketrans("0123456789+jrs", "₀₁₂₃₄₅₆₇₈₉₊ⱼᵣₛ")
_SUPERSCRIPTS = str.maketrans("0123456789⊤", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ")

# Stand for a formula while lines are broken: no text has these letters.
_FIRST_PRIVATE = 0xE000
_PRIVATE = re.compile("([\ue000-\uf8ff])\\1*")


def as_mathtext(text: str) -> str:
    """Return a text whose formulas Matplotlib sets; one with a dollar sign stays as it is.

    Parameters
    ----------
    text : str
        Plain. With a dollar sign it may be mathtext of the user's.

    Returns
    -------
    str
        For labels and titles.
    """
    return text if "$" in text else _FOUND.sub(lambda found: _tex(found[0]), text)


def wrap_mathtext(text: str, wrap: Callable[[str], list[str]]) -> list[str]:
    """Return the lines of a text whose formulas Matplotlib sets, none broken within a formula.

    Parameters
    ----------
    text : str
        Plain.
    wrap : callable
        Breaks a text into lines between words. It sees words about as long as formulas are wide.

    Returns
    -------
    list of str
        For labels.
    """
    if "$" in text or _PRIVATE.search(text):
        return wrap(text)
    formulas: list[str] = []

    def hide(found: re.Match[str]) -> str:
        formulas.append(found[0])
        return chr(_FIRST_PRIVATE + len(formulas) - 1) * len(as_unicode(found[0]))

    hidden = _FOUND.sub(hide, text)
    return [
        _PRIVATE.sub(lambda found: _tex(formulas[ord(found[1]) - _FIRST_PRIVATE]), line)
        for line in wrap(hidden)
    ]


def as_html(text: str) -> str:
    """Return HTML of a plain text, escaped, its formulas with raised and lowered letters."""
    # Formulas are looked for before escaping, which none of them needs.
    parts, end = [], 0
    for found in _FOUND.finditer(text):
        parts += [html.escape(text[end : found.start()]), _FORMULAS[found[0]][1]]
        end = found.end()
    return "".join([*parts, html.escape(text[end:])])


def as_unicode(text: str) -> str:
    """Return plain text, its formulas with the letters that Unicode has."""
    return _FOUND.sub(lambda found: _without_tags(_FORMULAS[found[0]][1]), text)


def _tex(plain: str) -> str:
    return f"${_FORMULAS[plain][0]}$"


def _without_tags(formula: str) -> str:
    lowered = re.sub("<sub>(.*?)</sub>", lambda found: _moved(found[1], _SUBSCRIPTS, "_"), formula)
    return re.sub("<sup>(.*?)</sup>", lambda found: _moved(found[1], _SUPERSCRIPTS, "^"), lowered)


def _moved(letters: str, table: dict[int, int], mark: str) -> str:
    if all(ord(letter) in table for letter in letters):
        return letters.translate(table)
    return f"{mark}({letters})" if "/" in letters else f"{mark}{letters}"
