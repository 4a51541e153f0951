"""Formulas of plain texts, as pictures, reports and notebooks write them."""

# ruff: noqa: RUF001

import re
import textwrap

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

import pydlnet as dln
from pydlnet import notation
from pydlnet.quantities import QUANTITIES

VARIABLES = [variable for group in QUANTITIES.values() for variable in group]
TEXTS = [text for found in VARIABLES for text in (found.long_name, found.definition) if text]

# What is left of a formula in plain text where nothing is done about it.
ASCII = re.compile(r"\|\||\^|_[{A-Za-z0-9]|\bsum_|\bgrad l\b|\bdl/|\.\.\. W")


@pytest.mark.parametrize("text", TEXTS)
def test_no_formula_of_the_dataset_is_left_in_plain_text(text):
    outside = re.sub(r"\$.*?\$", "", notation.as_mathtext(text))
    assert not ASCII.search(outside), outside
    assert not ASCII.search(re.sub(r"<.*?>", "", notation.as_html(text)))


def test_the_dataset_itself_stays_plain():
    assert all(text.isascii() and "$" not in text and "<" not in text for text in TEXTS)


@pytest.mark.parametrize("plain", notation._FORMULAS)
def test_every_formula_is_one_that_matplotlib_reads(plain):
    tex = notation.as_mathtext(plain)
    assert (tex[0], tex[-1]) == ("$", "$")
    assert MathTextParser("agg").parse(tex).width > 0
    assert notation.as_mathtext(f"the norm, {plain}") == f"the norm, {tex}"
    # As wide as the letters that stand for it, up to a half, so that lines break where they should.
    figure = Figure(dpi=100)
    FigureCanvasAgg(figure)
    widths = [
        figure.text(0, 0, text).get_window_extent().width
        for text in (tex, "n" * len(notation.as_unicode(plain)))
    ]
    assert widths[0] < 1.5 * widths[1]


@pytest.mark.parametrize("plain", notation._FORMULAS)
def test_tags_are_closed(plain):
    found = notation.as_html(plain)
    assert found.count("<sub>") == found.count("</sub>")
    assert found.count("<sup>") == found.count("</sup>")
    assert "<" not in notation.as_unicode(plain)


@pytest.mark.parametrize(
    ("plain", "mathtext", "html", "text"),
    [
        ("norm ||W_j||_F", r"norm $\Vert W_j\Vert_F$", "norm ‖W<sub>j</sub>‖<sub>F</sub>", None),
        ("l(W), at the end", r"$\ell(W)$, at the end", "ℓ(W), at the end", "ℓ(W), at the end"),
        (
            "||W||_F^2 / ||W||_2^2",
            r"$\Vert W\Vert_F^2 \,/\, \Vert W\Vert_2^2$",
            "‖W‖<sub>F</sub><sup>2</sup> / ‖W‖<sub>2</sub><sup>2</sup>",
            "‖W‖_F² / ‖W‖₂²",
        ),
    ],
)
def test_how_formulas_are_written(plain, mathtext, html, text):
    assert notation.as_mathtext(plain) == mathtext
    assert notation.as_html(plain) == html
    assert notation.as_unicode(plain) == ("norm ‖Wⱼ‖_F" if text is None else text)


@pytest.mark.parametrize(
    "text",
    [
        "my_own_quantity",
        "eval(W) of signal(W)",  # parts of words
        "||W_j||_F^2",  # part of a longer formula
        "x^||Phi||",
        "W_{j} and ||V||",
        "price in $ of l(W) in $",  # mathtext of the user's
        "",
    ],
)
def test_what_is_no_formula_of_these_stays(text):
    assert notation.as_mathtext(text) == text
    assert notation.wrap_mathtext(text, lambda one: [one]) == [text]


def test_html_of_users_is_escaped():
    assert notation.as_html("<b>l(W)</b> & |") == "&lt;b&gt;ℓ(W)&lt;/b&gt; &amp; |"


def test_lines_are_not_broken_within_a_formula():
    text = f"of all layers {next(iter(notation._FORMULAS))} and W = W_N ... W_1 beside l(W)"
    for width in range(1, 80):

        def wrap(plain, width=width):
            return textwrap.wrap(plain, width, break_long_words=False)

        lines = notation.wrap_mathtext(text, wrap)
        assert " ".join(lines) == notation.as_mathtext(text)
        assert all(line.count("$") % 2 == 0 for line in lines)
    assert len(notation.wrap_mathtext(text, lambda plain: textwrap.wrap(plain, 30))) > 2


@pytest.mark.parametrize("fontset", ["dejavusans", "cm", "stix"])
def test_labels_of_pictures_are_drawn(tmp_path, fontset):
    names = ["loss", "gradient_norm", "stable_rank", "imbalance", "layer_norms", "alignment"]
    found = dln.run(
        dln.TargetMatrix(np.diag([2.0, 1.0])),
        dln.init.balanced((2, 2, 2), 0.1, rng=0),
        dln.GradientDescent(0.1),
        n_steps=20,
        record=dln.Record(names),
    )
    for variable in found.data.values():
        variable.attrs["long_name"] = variable.attrs["definition"]
    with rc_context({"mathtext.fontset": fontset}):
        for name in found.data:
            axes = dln.plot.quantity(found.data, name)
            axes.figure.savefig(tmp_path / f"{name}.png")
            label = axes.get_ylabel()
            assert "$" in label
            assert not ASCII.search(re.sub(r"\$.*?\$", "", label))


def test_a_certificate_in_a_notebook_has_its_formulas():
    failing = dln.theory.certificate([np.eye(2), np.eye(2)], dln.TargetMatrix(-np.eye(2)))
    assert "||W - Phi||_F is" in str(failing)
    assert "‖W − Φ‖<sub>F</sub> is" in failing._repr_html_()
