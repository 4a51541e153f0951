"""What a browser makes of the pages: all is drawn, the slider works, nothing is fetched."""

import dataclasses
import json
import math

import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

import pydlnet as dln

TARGET = np.array([[2.0, -1.0, 0.5], [0.25, 1.0, -2.0]])
EVERYTHING = ["loss", "singular_values", "effective_rank", "imbalance", "end_to_end"]

# Text that a page must show and never run.
HOSTILE = (
    "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
)
FORMULA = r"$$\frac{a}{b}$$ \(c\)"


def run(record=None, n_steps=300, method=None, **others):
    return dln.run(
        dln.TargetMatrix(TARGET),
        dln.init.balanced((3, 3, 2), scale=0.1, rng=0),
        dln.GradientDescent(0.05) if method is None else method,
        n_steps=n_steps,
        record=dln.Record(EVERYTHING) if record is None else record,
        **others,
    )


@pytest.fixture
def page(tmp_path, browser):
    """Return a function that opens the report of something."""

    def show(source, **keywords):
        return browser.open(dln.report(source, tmp_path / "report.html", **keywords))

    return show


def model(browser, name, attribute):
    return browser.run(f"return Bokeh.documents[0].get_model_by_name('{name}').{attribute}")


def shown_matrix(browser):
    """Return the matrix that is drawn, its first row on top."""
    entries = browser.run(
        "const image = Bokeh.documents[0].get_model_by_name('matrix image')\n"
        "return Array.from(image.data_source.data.value[0])"
    )
    return np.array(entries, dtype=np.float64).reshape(TARGET.shape)[::-1]


def test_a_run_is_all_there(page):
    shown = page(run(), title="My run")
    assert shown.driver.title == "My run"
    headings = [heading.text for heading in shown.find("h2")]
    assert headings == [
        *("Trajectory", "End-to-end matrix", "Theory", "Certificate"),
        *("Parameters", "Versions", "How to repeat it"),
    ]
    for caption in (
        "loss",
        "singular values of the end-to-end matrix W",
        "effective rank",
        "imbalance",
        "End-to-end",
        "Target",
    ):
        assert shown.pixels(shown.figure(caption))
    text = shown.find("main")[0].text
    for part in ("end-to-end rule", "numpy of this page", "dln.GradientDescent(learning_rate=0.05"):
        assert part in text


def test_the_slider_moves_the_picture(page):
    trajectory = run()
    shown = page(trajectory)
    matrices = trajectory.data["end_to_end"].values
    np.testing.assert_allclose(shown_matrix(shown), matrices[-1], atol=1e-15)
    figure = shown.figure("End-to-end matrix")
    before = shown.pixels(figure)
    (handle,) = shown.find(".noUi-handle", figure)
    handle.send_keys(Keys.HOME)
    shown.wait("return Bokeh.documents[0].get_model_by_name('slider').value == 0")
    np.testing.assert_allclose(shown_matrix(shown), matrices[0], atol=1e-4 * abs(matrices[0]).max())
    shown.wait("return Bokeh.documents[0].is_idle")
    at_start = shown.pixels(figure)
    assert at_start != before
    handle.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    shown.wait("return Bokeh.documents[0].get_model_by_name('slider').value == 2")
    np.testing.assert_allclose(shown_matrix(shown), matrices[2], atol=1e-4 * abs(matrices[2]).max())
    # The line in the curves is at the same step.
    places = shown.run(
        "return [...Bokeh.documents[0]._all_models.values()]"
        ".filter(m => m.type == 'Span' && m.visible).map(m => m.location)"
    )
    assert len(places) >= 4
    assert set(places) == {float(trajectory.data["step"][2])}


def test_colours_of_each_step(page):
    shown = page(run())
    figure = shown.figure("End-to-end matrix")
    (handle,) = shown.find(".noUi-handle", figure)
    handle.send_keys(Keys.HOME)
    shown.wait("return Bokeh.documents[0].get_model_by_name('slider').value == 0")
    faint = model(shown, "matrix image", "glyph.color_mapper.high")
    assert faint == pytest.approx(np.abs(run().data["end_to_end"].values).max())
    next(b for b in shown.find("button, .bk-btn", figure) if b.text == "own colours").click()
    shown.wait("return Bokeh.documents[0].get_model_by_name('colors').active == 1")
    assert model(shown, "matrix image", "glyph.color_mapper.high") == 1.0


def test_play_runs_to_the_end(page):
    shown = page(run(record=dln.Record(["loss", "weights"], steps=[1, 2, 3]), n_steps=3))
    play = next(b for b in shown.find(".bk-btn") if "play" in b.text)
    shown.run(
        "const slider = Bokeh.documents[0].get_model_by_name('slider'); window.shown = [];"
        "slider.properties.value.change.connect(() => window.shown.push(slider.value));"
    )
    play.click()
    shown.wait("return window.shown.at(-1) == 3")
    assert shown.run("return window.shown") == [0, 1, 2, 3]
    shown.wait("return !Bokeh.documents[0].get_model_by_name('play').active")


def test_zoom_goes_for_all_curves_and_points_are_named(page):
    shown = page(run())
    ranges = (
        "return [...new Set([...Bokeh.documents[0]._all_models.values()]"
        ".filter(m => m.type == 'Range1d').map(m => m.id + ' ' + m.start + ' ' + m.end))]"
    )
    before = shown.run(ranges)
    figure = shown.figure("loss")
    shown.run("arguments[0].scrollIntoView({block: 'center'})", figure)
    drag = ActionChains(shown.driver).move_to_element_with_offset(figure, -100, -20)
    drag.click_and_hold().move_by_offset(60, 15).move_by_offset(60, 15).release().perform()
    shown.wait("return JSON.stringify((() => {" + ranges + "})()) != arguments[0]", _json(before))
    picture = shown.figure("End-to-end matrix")
    shown.run("arguments[0].scrollIntoView({block: 'center'})", picture)
    ActionChains(shown.driver).move_to_element_with_offset(picture, 0, 60).perform()
    tips = shown.find(".bk-Tooltip")
    text = " ".join(shown.run("return arguments[0].map(e => e.shadowRoot.textContent)", tips))
    assert "row" in text
    assert "column" in text


def _json(value):
    return json.dumps(value, separators=(",", ":"))


def variants():
    never = dln.Record(["loss", {"odd": lambda weights: math.nan}], every=50)
    huge = dln.Record(
        ["loss", {"huge": lambda weights: 1e308 * np.tanh(weights[0][0, 0])}], every=10
    )
    every = dln.Record([*EVERYTHING, "layer_norms"], every=1)
    return {
        "one record": lambda: run(n_steps=0),
        "two records": lambda: run(n_steps=1),
        "diverged": lambda: run(every, 1000, dln.GradientDescent(1.0)),
        "not a number": lambda: run(never),
        "huge numbers": lambda: run(huge),
        "flow": lambda: dln.run(
            dln.TargetMatrix(TARGET),
            dln.init.balanced((3, 3, 2), scale=0.1, rng=0),
            dln.GradientFlow(),
            until=20.0,
            record=dln.Record(["loss", "weights"]),
        ),
        "loss alone": lambda: run(dln.Record()),
    }


@pytest.mark.parametrize("name", list(variants()))
def test_odd_runs_are_drawn_without_complaint(page, name):
    trajectory = variants()[name]()
    shown = page(trajectory)
    assert shown.pixels(shown.figure("loss"))
    text = shown.find("main")[0].text
    has_matrices = "end_to_end" in trajectory.data or "W1" in trajectory.data
    assert ("was not recorded: ask for it with" in text) != has_matrices
    if name == "diverged":
        assert trajectory.status == "diverged"
        assert "its last record is the first whose loss is not finite" in text


def test_text_of_users_is_shown_and_never_run(page, tmp_path):
    trajectory = run(dln.Record(["loss", {"own": lambda weights: 1.0}]))
    data = trajectory.data.rename(own=HOSTILE)
    data[HOSTILE].attrs["long_name"] = FORMULA + HOSTILE
    data.attrs[HOSTILE] = HOSTILE
    shown = page(dataclasses.replace(trajectory, data=data), title=HOSTILE, repeat=HOSTILE)
    assert shown.driver.title == HOSTILE
    assert shown.find("h1")[0].text == HOSTILE
    assert shown.find("img") == []
    assert any(FORMULA in caption.text for caption in shown.find("figcaption"))


def test_names_of_dimensions_are_shown_and_never_run(page):
    def own(weights):
        return np.ones(2)

    own.dims = (HOSTILE,)
    shown = page(run(dln.Record([own])))
    figure = shown.figure("own")
    shown.run("arguments[0].scrollIntoView({block: 'center'})", figure)
    tips = []
    for down in range(-60, 60, 4):  # until the pointer is at the line
        ActionChains(shown.driver).move_to_element_with_offset(figure, 0, down).perform()
        tips = shown.find(".bk-Tooltip")
        if tips:
            break
    assert HOSTILE in " ".join(
        shown.run("return arguments[0].map(e => e.shadowRoot.textContent)", tips)
    )
    assert shown.find("img") == []
    assert shown.driver.title == "Run"


def test_a_telephone_shows_all(page):
    shown = page(run())
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    shown.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        shown.wait("return Bokeh.documents[0].is_idle && innerWidth == 360")
        figure = shown.figure("End-to-end matrix")
        edge = "return arguments[0].getBoundingClientRect().right"
        inside = [*shown.find(".bk-btn", figure), *shown.find("canvas", figure)]
        assert len(inside) >= 4
        shown.wait(f"{edge} <= 360", figure)
        assert max(shown.run(edge, element) for element in inside) <= shown.run(edge, figure)
        assert shown.run("return document.documentElement.scrollWidth") <= 360
    finally:
        shown.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_ensemble(page):
    methods = [dln.GradientDescent(rate) for rate in (0.01, 0.02, 0.05, 2.0)]
    start = dln.init.balanced((3, 3, 2), scale=0.1, rng=0)
    record = dln.Record(["loss", "singular_values"])
    ensemble = dln.run_ensemble(
        dln.TargetMatrix(TARGET), start, methods, n_steps=500, record=record
    )
    assert "diverged" in ensemble.status
    shown = page(ensemble)
    assert shown.pixels(shown.figure("loss"))
    names = shown.run(
        "return [...Bokeh.documents[0]._all_models.values()]"
        ".find(m => m.name == 'many').data_source.data.name"
    )
    assert names[3] == "run 3, diverged, learning_rate 2"
    assert "run 0, finished, learning_rate 0.01" in shown.find("main")[0].text


def failing(depth, rate, note):
    if depth == 2 and rate > 1.0:
        raise RuntimeError(f"first line\nlast line {HOSTILE}")
    return {"steps": 10.0 * depth / rate, "error": rate**depth}


def one_of_two(rate):
    if rate > 1.0:
        raise RuntimeError("too fast")
    return {"steps": 10.0 * rate}


def test_a_sweep_over_one_parameter(page, tmp_path):
    with pytest.warns(UserWarning, match="1 of 3 points failed"):
        dln.sweep(one_of_two, {"rate": [0.1, 0.2, 2.0]}, store=tmp_path / "sweep", progress=False)
    shown = page(tmp_path / "sweep")
    assert shown.pixels(shown.figure("Over rate"))
    assert model(shown, "marks", "data_source.data.mark") == ["", "", "✕"]
    low, high = (model(shown, "over the grid", f"y_range.{end}") for end in ("start", "end"))
    assert 0.5 < low < 1.0 < 2.0 < high < 2.5
    text = shown.find("main")[0].text
    assert "Marks: ✕ failed." in text
    assert "1 point failed" in text


def test_a_sweep_over_a_grid(page, tmp_path):
    grid = {"depth": [1, 2], "rate": [0.5, 1.0, 2.0], "note": ["plain", HOSTILE]}
    with pytest.warns(UserWarning, match="points failed"):
        sweep = dln.sweep(failing, grid, store=tmp_path / "sweep", progress=False)
    shown = page(tmp_path / "sweep")
    values = "Array.from(Bokeh.documents[0].get_model_by_name('cells').data_source.data.value)"
    before = shown.run(f"return {values}")
    data = sweep.data["steps"].isel(note=0).values
    np.testing.assert_allclose(np.array(before, dtype=float).reshape(2, 3), data)
    marks = model(shown, "cells", "data_source.data.mark")
    assert list(marks) == ["", "", "", "", "", "✕"]
    (choice,) = [box for box in shown.find("select") if "steps" in box.text]
    choice.send_keys("error")
    shown.wait(f"return {values}[2] == 2")
    text = shown.find("main")[0].text
    assert "4 points failed" not in text
    assert "2 points failed" in text
    assert HOSTILE in text
    assert shown.find("img") == []
