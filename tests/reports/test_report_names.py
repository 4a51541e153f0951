"""Names of inputs and outputs in the page of a report."""

import json

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains

import pydlnet as dln

HOSTILE = "<img src=x onerror=alert(1)></script>"
RECORD = dln.Record(["loss", "end_to_end"], every=10)

# What is said under the mouse, without the styles of its shadow tree.
TIP = """
const found = arguments[0].map(tip => tip.shadowRoot.querySelector(".bk-tooltip-content"))
return found.filter(Boolean).map(content => content.innerText.replace(/\\s+/g, " ")).join(" ")
"""

TICKS = """
const axis = Bokeh.documents[0].get_model_by_name("matrix")[arguments[0]][0]
return axis.ticker.ticks.map(tick => axis.formatter.doFormat([tick], {loc: 0})[0])
"""


@pytest.fixture
def page(tmp_path, browser):
    """Return a function that opens the report of a run on a target."""

    def show(target):
        d_out, d_in = target.shape
        start = dln.init.balanced((d_in, 2, d_out), scale=0.1, rng=0)
        trajectory = dln.run(
            dln.TargetMatrix(target), start, dln.GradientDescent(0.01), n_steps=50, record=RECORD
        )
        return browser.open(dln.report(trajectory, tmp_path / "report.html"))

    return show


def tip(shown, caption):
    """Return what is said in the middle of a picture."""
    figure = shown.figure(caption)
    shown.run("arguments[0].scrollIntoView({block: 'center'})", figure)
    ActionChains(shown.driver).move_to_element_with_offset(figure, -20, 20).perform()
    shown.wait(f"return (() => {{{TIP}}})() != ''", shown.find(".bk-Tooltip"))
    return shown.run(TIP, shown.find(".bk-Tooltip"))


def test_few_names_are_beside_the_matrix_and_under_the_mouse(page):
    target = pd.DataFrame(np.eye(2, 3), ["price", "size"], ["age", HOSTILE, "b" * 30])
    shown = page(target)
    assert shown.run(TICKS, "below")[::2] == ["age", "b" * 13 + "\u2026" + "b" * 6]
    assert shown.run(TICKS, "left") == ["price", "size"]
    assert f"input: {HOSTILE}" in tip(shown, "End-to-end matrix")
    assert shown.find("img") == []
    assert "output: " in tip(shown, "Target")
    assert not shown.messages()


def test_many_names_are_under_the_mouse(page):
    target = pd.DataFrame(
        np.outer(np.arange(200.0), np.arange(3.0)) / 1000,
        [f"user {i}" for i in range(200)],
        pd.date_range("2020-01-01", periods=3),
    )
    shown = page(target)
    said = tip(shown, "End-to-end matrix")
    assert "input: 2020-01-0" in said
    first, last = said.partition("output: user ")[2].partition(" input")[0].split(" \u2026 user ")
    assert int(last) == int(first) + 1
    assert int(first) % 2 == 0
    assert not shown.run("return Bokeh.documents[0].get_model_by_name('matrix').left[0].visible"), (
        json.dumps(said)
    )
