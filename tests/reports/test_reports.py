"""What goes into the pages of reports, how large they are, and what is refused."""

import ast
import builtins
import dataclasses
import errno
import html
import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet.reports.across import Across
from pydlnet.reports.curves import Curve, plot_curves
from pydlnet.reports.matrices import frames_of
from pydlnet.reports.of_ensemble import _quantiles
from pydlnet.reports.repeat import python_of
from pydlnet.reports.thinning import evenly, outline
from pydlnet.reports.variables import as_curves, prefers_log

TARGET = np.diag([1.2, 1.0])
LIMIT = 5_000_000


def run(record=("loss",), n_steps=50, rate=0.05, start=None, **others):
    start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2)) if start is None else start
    kept = record if isinstance(record, dln.Record) else dln.Record(record)
    method = dln.GradientDescent(rate)
    return dln.run(dln.TargetMatrix(TARGET), start, method, n_steps=n_steps, record=kept, **others)


def page_of(tmp_path, source, **keywords):
    return dln.report(source, tmp_path / "page.html", **keywords).read_text(encoding="utf-8")


# -- What is on them --


def test_a_saved_run_says_what_theory_needs(tmp_path):
    run(["loss", "imbalance"]).save(tmp_path / "run.nc")
    page = page_of(tmp_path, tmp_path / "run.nc")
    assert "Theory is not compared, because a saved trajectory knows its problem" in page
    assert "<h1>run.nc</h1>" in page
    page = page_of(tmp_path, tmp_path / "run.nc", problem=dln.TargetMatrix(TARGET))
    assert "Theory is not compared" not in page


def test_the_certificate(tmp_path):
    trajectory = run(["loss", "imbalance", "weights"], rate=1e-6)
    checked = dln.theory.check(trajectory)
    assert checked.attrs["guaranteed"] == "yes"
    page = page_of(tmp_path, trajectory)
    for text in ("convergence guaranteed", "<td>yes</td>", "excess loss, from step 0 on"):
        assert text in page
    assert f"{checked.attrs['learning_rate_allowed']:.6g}" in page
    n = checked.sizes["step"]
    assert page.count(f"<td>at {n} of {n} records</td>") == 6
    # A bound that did not hold is not said to.
    fast = run(["loss"], rate=1.9)
    held = int(dln.theory.check(fast).contraction_held.sum())
    assert held < fast.data.sizes["step"]
    assert f"<td>at {held} of {fast.data.sizes['step']} records</td>" in page_of(tmp_path, fast)


def test_the_code_that_repeats_a_run_does(tmp_path):
    trajectory = run(dln.Record(["loss", "weights"], every=10), rate=0.07)
    trajectory.save(tmp_path / "run.nc")
    page = page_of(tmp_path, tmp_path / "run.nc")
    code = page.partition('<pre tabindex="0"><code>')[2].partition("</code>")[0]
    lines = html.unescape(code).partition("# or go on")[0]
    names = {"target": TARGET}
    exec(lines, names)
    np.testing.assert_array_equal(
        names["trajectory"].data["loss"].values, trajectory.data["loss"].values
    )


def test_the_code_names_all_arguments_of_a_problem():
    rng = np.random.default_rng(0)
    problem = dln.MatrixCompletion.synthetic((3, 4), 1, n_observed=9, rng=1)
    start = [rng.standard_normal((3, 4))]
    trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=2)
    code = python_of(trajectory, None)
    ast.parse(code)
    assert "dln.MatrixCompletion((3, 4), rows, columns, values, reduction='mean')" in code
    regression = dln.Regression(rng.standard_normal((5, 4)), rng.standard_normal((5, 3)), power=4)
    trajectory = dln.run(regression, start, dln.GradientDescent([0.1] * 50), n_steps=2)
    code = python_of(trajectory, None)
    ast.parse(code)
    assert "dln.Regression(inputs, outputs, power=4.0, reduction='mean')" in code


def test_lines_are_called_as_in_pictures():
    values = np.arange(8.0).reshape(2, 2, 2)
    data = xr.Dataset(
        {"own": (("step", "layer", "gas"), values)},
        coords={"step": [0, 1], "gas": ["ethanol", "ammonia"]},
    )
    curves, notes = as_curves(data["own"], Across(np.arange(2.0), "step"))
    names = ["layer 1, gas ethanol", "layer 1, gas ammonia"]
    names += ["layer 2, gas ethanol", "layer 2, gas ammonia"]
    assert [curve.name for curve in curves] == names
    np.testing.assert_array_equal([curve.values[0] for curve in curves], values[0].ravel())
    assert notes == [f"4 lines, dark to light: {names[0]} to {names[-1]}."]
    drawn = [line.get_label() for line in dln.plot.quantity(data, "own").lines]
    assert drawn == names


@pytest.mark.parametrize(
    ("method", "has_limit"), [(dln.GradientDescent(0.1), True), (dln.Adam(0.1), False)]
)
def test_the_sharpness_is_beside_its_limit(tmp_path, method, has_limit):
    start, record = dln.init.balanced((2, 2, 2), 0.3, rng=0), dln.Record(["sharpness"], every=5)
    found = dln.run(dln.TargetMatrix(TARGET), start, method, n_steps=20, record=record)
    page = tmp_path / "page.html"
    dln.report(found, page)
    assert ("2 / learning rate" in page.read_text()) == has_limit


def test_a_running_store_is_shown(tmp_path):
    pytest.importorskip("zarr")
    run(["loss", "end_to_end"], store=tmp_path / "run.zarr")
    assert "finished at step 50" in page_of(tmp_path, tmp_path / "run.zarr")


def test_a_saved_ensemble_is_shown(tmp_path):
    start = dln.init.balanced((2, 2, 2), 0.1, rng=0)
    methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1)]
    ensemble = dln.run_ensemble(dln.TargetMatrix(TARGET), start, methods, n_steps=20)
    ensemble.data.to_netcdf(tmp_path / "ensemble.nc", engine="h5netcdf")
    ensemble.save(tmp_path / "whole.nc")
    for source in (ensemble, ensemble.data, tmp_path / "ensemble.nc", tmp_path / "whole.nc"):
        assert "run 1, finished, learning_rate 0.1" in page_of(tmp_path, source)
    compared = page_of(tmp_path, tmp_path / "whole.nc", problem=dln.TargetMatrix(TARGET))
    assert "end-to-end rule" in compared


def test_a_damaged_ensemble_is_not_shown(tmp_path):
    start = dln.init.balanced((2, 2, 2), 0.1, rng=0)
    ensemble = dln.run_ensemble(
        dln.TargetMatrix(TARGET), start, dln.GradientDescent(0.1), n_steps=9
    )
    ensemble.save(tmp_path / "whole.nc")
    with h5py.File(tmp_path / "whole.nc", "r+") as file:
        file["loss"][0, 0] = 7.0
    with pytest.raises(ValueError, match="damaged"):
        dln.report(tmp_path / "whole.nc", tmp_path / "page.html")


# -- How large they are --


def test_a_run_of_200_records_stays_below_the_limit(tmp_path):
    problem = dln.MatrixCompletion.synthetic((90, 110), rank=3, n_observed=900, rng=0)
    start = dln.init.gaussian((110, 90, 90), end_to_end_scale=0.1, rng=0)
    record = dln.Record(
        ["loss", "singular_values", "layer_singular_values", "end_to_end", "alignment"], every=1
    )
    trajectory = dln.run(problem, start, dln.GradientDescent(0.1), n_steps=200, record=record)
    path = dln.report(trajectory, tmp_path / "page.html")
    assert 2_000_000 < path.stat().st_size < LIMIT
    frames = frames_of(trajectory)
    assert f"{len(frames.places)} of 201 records are here" in path.read_text()


def test_many_quantities_stay_below_the_limit(tmp_path):
    own = {f"own{k}": lambda weights: np.arange(40.0) for k in range(40)}
    rng = np.random.default_rng(0)
    trajectory = dln.run(
        dln.TargetMatrix(rng.standard_normal((100, 100))),
        [rng.standard_normal((100, 100)) / 10 for _ in range(2)],
        dln.GradientDescent(0.01),
        n_steps=100,
        record=dln.Record(["loss", "singular_values", "end_to_end", own], every=1),
    )
    path = dln.report(trajectory, tmp_path / "page.html")
    assert path.stat().st_size < LIMIT
    text = path.read_text()
    missing = ", ".join(f"own{k}" for k in range(22, 40))
    assert f"Recorded, and not drawn for want of room: {missing}." in text
    assert "The first 8 of 40 are drawn." in text


def test_ensembles_of_many_quantities_stay_below_the_limit(tmp_path):
    rng = np.random.default_rng(0)
    dims, shape = ("run", "step"), (200, 300)
    own = {f"own{k}": (dims, rng.uniform(1.0, 2.0, shape)) for k in range(25)}
    ends = {"status": ("run", ["finished"] * 200), "last_step": ("run", np.full(200, 299))}
    data = xr.Dataset(own | ends, {"step": np.arange(300), "run": np.arange(200)})
    path = dln.report(data, tmp_path / "page.html")
    assert path.stat().st_size < LIMIT
    missing = ", ".join(f"own{k}" for k in range(20, 25))
    assert f"Recorded, and not drawn for want of room: {missing}." in path.read_text()


def view_of(*values):
    curves = [Curve("own", np.arange(len(v)), np.array(v), "black") for v in values]
    tabs = plot_curves("own", curves, Across(np.arange(4.0), "step"), prefers_log=True).model
    return tabs.tabs[0].child


def test_only_what_diverges_leaves_the_view():
    # The imbalance of balanced layers grows from rounding: all of it is seen.
    assert view_of([1e-15, 1e-6, 0.1, 0.2]).y_range.end > 0.2
    assert view_of([1.0, 1e8, 1e60, 1e200]).y_range.end < 1e12
    assert view_of([1.0, 1e8, 1e20, np.inf]).y_range.end < 1e12


def test_both_axes_have_the_same_points():
    curve = Curve("own", np.arange(3.0), np.array([1.0, 2.0, 3.0]), "black")
    tabs = plot_curves("own", [curve], Across(np.arange(3.0), "step")).model.tabs
    sources = [tab.child.renderers[0].data_source for tab in tabs]
    assert sources[0] is sources[1]
    curve = Curve("own", np.arange(3.0), np.array([0.0, 2.0, 3.0]), "black")
    tabs = plot_curves("own", [curve], Across(np.arange(3.0), "step")).model.tabs
    sources = [tab.child.renderers[0].data_source for tab in tabs]
    assert sorted(np.isnan(source.data["y"][0]) for source in sources) == [False, True]


def test_a_million_records_are_thinned(tmp_path):
    trajectory = run(dln.Record(["loss", "singular_values"], every=1), n_steps=10**6, rate=1e-6)
    path = dln.report(trajectory, tmp_path / "page.html")
    assert path.stat().st_size < LIMIT
    assert "1,000,001 records are drawn through about 6,000 points" in path.read_text()


def test_large_matrices_are_averaged(tmp_path):
    rng = np.random.default_rng(0)
    start = [rng.standard_normal((3, 200)), rng.standard_normal((130, 3))]
    problem = dln.TargetMatrix(np.ones((130, 200)))
    record = dln.Record(["loss", "weights"])
    trajectory = dln.run(problem, start, dln.GradientDescent(1e-6), n_steps=1, record=record)
    frames = frames_of(trajectory)
    assert frames.entries.shape == (2, 65, 100)
    product = start[1] @ start[0]
    np.testing.assert_allclose(frames.entries[0, 3, 7], product[6:8, 14:16].mean(), rtol=1e-12)


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=400), st.integers(8, 60))
def test_an_outline_keeps_every_peak(values, limit):
    array = np.array(values)
    picked = outline(array, limit)
    assert (np.diff(picked) > 0).all()
    assert len(picked) <= max(limit, 8)
    assert {0, len(values) - 1} <= set(picked.tolist())
    if not np.isnan(array).all():
        assert np.nanmax(array[picked]) == np.nanmax(array)
        assert np.nanmin(array[picked]) == np.nanmin(array)


@given(st.integers(1, 10**7), st.integers(1, 500))
def test_even_places(count, limit):
    places = evenly(count, limit)
    assert len(places) == min(count, limit)
    assert places[-1] == count - 1
    assert limit == 1 or places[0] == 0


def test_quantiles_are_of_the_members_that_are_still_running():
    values = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, np.nan], [3.0, 4.0, 5.0], [4.0, 6.0, np.nan]])
    data = xr.Dataset({"last_step": ("run", [20, 7, 20, 10])}, coords={"step": [0, 10, 20]})
    at, median, low, high = _quantiles(data, values, Across(np.array([0.0, 10.0, 20.0]), "step"))
    np.testing.assert_array_equal(at, [0.0, 10.0, 20.0])
    assert median[1] == 4.0
    assert (low[1], high[1]) == (2.0, 6.0)
    assert median[2] in (3.0, 5.0)


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ([1e-16, 1e-5, 7e-3], 7e-3),  # an imbalance
        ([1e-3, 1.0, 1e9], 1e9),
        ([5.0, 1.0, 1e30], 5e10),  # a loss that diverges
    ],
)
def test_the_first_view_leaves_out_what_diverges_alone(values, top):
    curve = Curve("a", np.arange(3.0), np.array(values), "#000000")
    plot = plot_curves("a", [curve], Across(np.arange(3.0), "step"))
    first = plot.model.tabs[0]
    assert first.title == "logarithmic"
    assert top < first.child.y_range.end < top * 1e3
    assert bool(plot.notes) == (top < max(values))


def test_which_axis_comes_first():
    curve = Curve("a", np.arange(3.0), np.array([3.0, 2.0, 1.0]), "#000000")
    spread = Curve("a", np.arange(3.0), np.array([0.0, 2e4, 1.0]), "#000000")
    across = Across(np.arange(3.0), "step")
    for name, shown, expected in [
        ("held_out_error", curve, "logarithmic"),
        ("loss", curve, "logarithmic"),
        ("imbalance", spread, "logarithmic"),
        ("effective_rank", curve, "linear"),
        ("effective_rank", spread, "logarithmic"),
        ("singular_value", spread, "linear"),
    ]:
        plot = plot_curves(name, [shown], across, prefers_log=prefers_log(name))
        assert plot.model.tabs[0].title == expected, name


# -- What is refused --


def test_what_is_refused(tmp_path):
    trajectory = run()
    with pytest.raises(ValueError, match=r"output: expected a name ending in \.html"):
        dln.report(trajectory, tmp_path / "page.pdf")
    with pytest.raises(FileNotFoundError, match="output: expected an existing folder"):
        dln.report(trajectory, tmp_path / "nowhere" / "page.html")
    with pytest.raises(FileNotFoundError, match="nothing at"):
        dln.report(tmp_path / "nothing.nc", tmp_path / "page.html")
    with pytest.raises(TypeError, match="title: expected a str, got int"):
        dln.report(trajectory, tmp_path / "page.html", title=3)
    with pytest.raises(ValueError, match="problem: expected the one of the trajectory"):
        dln.report(trajectory, tmp_path / "page.html", problem=dln.TargetMatrix(np.eye(2)))
    with pytest.raises(ValueError, match="has status over run"):
        dln.report(xr.Dataset(), tmp_path / "page.html")
    (tmp_path / "text.nc").write_text("not a dataset")
    with pytest.raises(ValueError, match="text"):
        dln.report(tmp_path / "text.nc", tmp_path / "page.html")
    assert list(tmp_path.glob("*.html")) == []


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("before")

    def fail(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match=r"output: cannot write .*page\.html: No space left"):
        dln.report(run(), path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_files_that_are_no_text_are_shown(tmp_path):
    path = tmp_path / os.fsdecode(b"run\xff.nc")
    run().save(path)
    assert "<h1>run?.nc</h1>" in page_of(tmp_path, path)


def test_no_records(tmp_path):
    trajectory = run()
    none = dataclasses.replace(trajectory, data=trajectory.data.isel(step=slice(0, 0)))
    with pytest.raises(ValueError, match="source: expected at least one record"):
        dln.report(none, tmp_path / "page.html")


def test_without_bokeh(tmp_path, monkeypatch):
    load = builtins.__import__

    def fail(name, *arguments, **keywords):
        if name.startswith("bokeh"):
            raise ImportError("No module named 'bokeh'")
        return load(name, *arguments, **keywords)

    for name in [name for name in sys.modules if name.startswith("bokeh")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ImportError, match=r'pip install "pydlnet\[report\]"'):
        dln.report(run(), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
