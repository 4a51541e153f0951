"""Pictures of ensembles and sweeps: what of many runs is drawn, and how their ends are."""

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm

import pydlnet as dln

TARGET = dln.TargetMatrix(np.diag([3.0, 1.0]))


def ensemble(rates=(0.05, 0.1, 0.2), names=("loss",), **kwargs):
    start = dln.init.balanced((2, 2, 2), scale=0.3, rng=0)
    methods = [dln.GradientDescent(rate) for rate in rates]
    options = {"n_steps": 40, "record": dln.Record(names, every=5), **kwargs}
    return dln.run_ensemble(TARGET, start, methods, **options)


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def table(values, **others):
    """Losses over (run, step) whose steps are 0, 1, 2, ..."""
    return xr.Dataset({"loss": (("run", "step"), np.asarray(values, dtype=float)), **others})


# -- Lines --


def test_every_run_is_a_line_without_gaps_where_others_were_recorded():
    found = ensemble(stop=dln.Stop(loss=1e-3))
    last = found.data["last_step"].values
    assert len(set(last.tolist())) == 3
    axes = dln.plot.loss(found)
    for run, line in enumerate(axes.lines):
        steps = [*range(0, last[run], 5), last[run]]
        np.testing.assert_array_equal(line.get_xdata(), steps)
        np.testing.assert_array_equal(line.get_ydata(), found.data["loss"].sel(run=run, step=steps))
    assert texts(axes) == ["run 0", "run 1", "run 2"]


def test_of_many_lines_the_first_and_the_last_are_named():
    axes = dln.plot.loss(ensemble(np.geomspace(0.01, 0.1, 9)))
    assert len(axes.lines) == 9
    assert texts(axes) == ["run 0", "run 8"]
    assert len({tuple(line.get_color()) for line in axes.lines}) == 9


def test_a_label_of_the_users_is_shown_once():
    axes = dln.plot.loss(ensemble(), label="all")
    assert axes.get_legend_handles_labels()[1] == ["all"]


def test_each_run_has_times_of_its_own():
    found = ensemble()
    axes = dln.plot.loss(found, x="time")
    for line, times in zip(axes.lines, found.data["time"].values, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), times)


# -- The median and the band --


def test_the_median_and_the_edges_of_the_band():
    found = ensemble(np.geomspace(0.01, 0.1, 6), names=["loss", "effective_rank"])
    axes = dln.plot.ensemble(found, quantiles=(0.25, 0.8))
    median, low, high = (line.get_ydata() for line in axes.lines)
    losses = found.data["loss"].values
    for drawn, share in ((median, 0.5), (low, 0.25), (high, 0.8)):
        np.testing.assert_allclose(drawn, np.quantile(losses, share, axis=0), rtol=1e-13)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), found.data["step"])
    assert texts(axes) == ["6 runs, all finished"]
    assert axes.get_legend().get_title().get_text() == "median, 25 % to 80 %"
    assert axes.get_yscale() == "log"
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (low.min(), high.max())
    assert dln.plot.ensemble(found, "effective_rank").get_yscale() == "linear"


ENDED = [[4.0, 3.0, 2.0, 2.5], [4.0, 0.1, np.nan, np.nan], [4.0, 5.0, 6.0, 7.0]]


@pytest.mark.parametrize(
    ("ended", "expected"), [("hold", [4.0, 3.0, 2.0, 2.5]), ("drop", [4.0, 3.0, 4.0, 4.75])]
)
def test_runs_that_have_ended_count_with_their_last_value_or_not_at_all(ended, expected):
    (median, *_) = dln.plot.ensemble(table(ENDED), ended=ended).lines
    np.testing.assert_allclose(median.get_ydata(), expected)


def test_steps_at_which_a_run_that_goes_on_was_not_recorded_are_left_out():
    # The last step of run 1 is off the schedule of the others.
    values = [[4.0, np.nan, 2.0], [4.0, 1.0, np.nan], [4.0, np.nan, 2.0]]
    last_step = ("run", [2, 1, 2])
    (median, *_) = dln.plot.ensemble(table(values, last_step=last_step)).lines
    assert median.get_xdata().tolist() == [0, 2]
    assert median.get_ydata().tolist() == [4.0, 2.0]


def test_diverged_runs_are_larger_than_all_others():
    values = [[4.0, 2.0, 1.0], [4.0, 1e9, np.inf], [4.0, 3.0, 2.0], [4.0, np.inf, np.nan]]
    status = ("run", ["finished", "diverged", "finished", "diverged"])
    data = table(values, status=status, last_step=("run", [2, 2, 2, 1]))
    axes = dln.plot.ensemble(data, quantiles=(0.0, 1.0))
    median, low, high = (line.get_ydata().tolist() for line in axes.lines)
    assert median == [4.0, (3.0 + 1e9) / 2.0, np.inf]
    assert low == [4.0, 2.0, 1.0]
    assert high == [4.0, np.inf, np.inf]
    assert texts(axes) == ["4 runs: 2 finished, 2 diverged"]
    axes.figure.draw_without_rendering()
    assert axes.get_ylim()[1] < 1e9


def test_an_infinite_value_beside_a_quantile_leaves_it_finite():
    values = [[1.0, 1.0], [2.0, 2.0], [3.0, np.inf]]
    (median, *_) = dln.plot.ensemble(table(values)).lines
    assert median.get_ydata().tolist() == [2.0, 2.0]


def test_what_is_not_defined_is_left_out():
    values = [[1.0, 1.0], [3.0, 3.0], [2.0, np.nan]]
    (median, *_) = dln.plot.ensemble(table(values, last_step=("run", [1, 1, 1]))).lines
    assert median.get_ydata().tolist() == [2.0, 2.0]


def test_each_combination_of_other_dimensions_has_a_band():
    found = ensemble(names=["layer_norms"])
    axes = dln.plot.ensemble(found, "layer_norms")
    assert len(axes.collections) == 2
    assert texts(axes) == [f"layer {j} (3 runs, all finished)" for j in (1, 2)]
    norms = found.data["layer_norm"].values
    np.testing.assert_allclose(axes.lines[3].get_ydata(), np.median(norms[..., 1], axis=0))
    assert axes.lines[0].get_color() != axes.lines[3].get_color()


def test_the_median_over_time_needs_the_same_times():
    with pytest.raises(ValueError, match="recorded at different times"):
        dln.plot.ensemble(ensemble(), x="time")
    same = ensemble([0.1, 0.1])
    (median, *_) = dln.plot.ensemble(same, x="time").lines
    np.testing.assert_allclose(median.get_xdata(), 0.1 * same.data["step"].values)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"over": "seed"}, r"over: expected a dimension of 'loss' besides step.*got 'seed'"),
        ({"over": "step"}, "over: expected a dimension"),
        ({"quantiles": 0.1}, "quantiles: expected two numbers"),
        ({"quantiles": (0.9, 0.1)}, "quantiles: expected two ascending numbers"),
        ({"quantiles": (-0.1, 0.5)}, r"quantiles\[0\]: expected a finite number >= 0"),
        ({"ended": "stop"}, r"ended: expected one of \['hold', 'drop'\]"),
        ({"name": "lose"}, "name: expected a recorded quantity"),
    ],
)
def test_arguments_of_ensembles(kwargs, message):
    with pytest.raises(ValueError, match=message):
        dln.plot.ensemble(ensemble(), **kwargs)


# -- Sweeps --


def experiment(depth, scale, seed=0):
    # At scale 9 the rate is too large, and depths 2 and 3 leave the smallest scale too late.
    if scale == 7.0 and depth == 3:
        raise ValueError("no")
    start = dln.init.gaussian([2] * (depth + 1), end_to_end_scale=scale, rng=seed)
    method = dln.GradientDescent(9.0 if scale == 9.0 else 0.1)
    stop = dln.Stop(loss=1e-3)
    return dln.run(TARGET, start, method, n_steps=100, stop=stop, progress=False)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    store = tmp_path_factory.mktemp("sweep")
    grid = {"depth": [1, 2, 3], "scale": [1e-9, 1.0, 7.0, 9.0]}
    with pytest.warns(UserWarning, match="1 of 12 points failed"):
        return dln.sweep(experiment, grid, store=store, progress=False)


def test_where_no_run_met_its_condition_the_loss_is_drawn(tmp_path):
    def short(depth, scale):
        start = dln.init.balanced([2] * (depth + 1), scale=scale, rng=0)
        return dln.run(dln.TargetMatrix(np.eye(2)), start, dln.GradientDescent(0.1), n_steps=3)

    grid = {"depth": [1, 2], "scale": [0.1, 0.2]}
    found = dln.sweep(short, grid, store=tmp_path / "sweep", progress=False)
    np.testing.assert_array_equal(cells(dln.plot.heat_map(found)), found.data.final_loss)
    steps = dln.plot.heat_map(found, "steps_to_converge")
    assert len(marks(steps)["not converged"]) == 4
    with pytest.raises(ValueError, match="'final_loss' is its last record"):
        dln.plot.heat_map(found, "loss")


def cells(axes):
    return np.ma.filled(axes.collections[0].get_array().astype(float), np.nan)


def marks(axes):
    return {line.get_label(): sorted(zip(*line.get_data(), strict=True)) for line in axes.lines}


def test_steps_to_converge_over_two_parameters(swept):
    axes = dln.plot.heat_map(swept)
    data = swept.data
    assert set(np.unique(data["status"])) == {"converged", "finished", "failed", "diverged"}
    expected = data["last_step"].where(data["status"] == "converged")
    np.testing.assert_array_equal(cells(axes), expected)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("scale", "depth")
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1e-09", "1", "7", "9"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["1", "2", "3"]
    bar = axes.figure.axes[1]
    assert bar.get_ylabel() == "steps to converge"


def test_cells_without_steps_are_marked_by_why(swept):
    found = marks(dln.plot.heat_map(swept))
    status = swept.data["status"].values
    for reason, name in [
        ("diverged", "diverged"),
        ("finished", "not converged"),
        ("failed", "failed"),
    ]:
        where = sorted((column + 0.5, row + 0.5) for row, column in np.argwhere(status == reason))
        assert found.pop(name) == where
    assert not found


def test_parameters_can_change_places(swept):
    axes = dln.plot.heat_map(swept, x="depth")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("depth", "scale")
    expected = swept.data["last_step"].where(swept.data["status"] == "converged")
    np.testing.assert_array_equal(cells(axes), expected.T)
    assert (2.5, 2.5) in marks(axes)["failed"]


def test_diverged_points_are_marked_on_a_value_too(swept):
    axes = dln.plot.heat_map(swept, "last_step")
    np.testing.assert_array_equal(cells(axes), swept.data["last_step"])
    assert set(marks(axes)) == {"diverged", "failed"}


def test_the_median_over_a_seed(tmp_path):
    grid = {"depth": [1, 2], "scale": [1e-9, 1.0], "seed": [0, 1, 2]}
    found = dln.sweep(experiment, grid, store=tmp_path / "s", progress=False)
    axes = dln.plot.heat_map(found, over="seed")
    steps = found.data["last_step"].where(found.data["status"] == "converged", np.inf)
    median = steps.median("seed")
    np.testing.assert_array_equal(cells(axes), median.where(np.isfinite(median)))
    with pytest.raises(ValueError, match=r"expected 'steps_to_converge' over two dimensions"):
        dln.plot.heat_map(found)
    band = dln.plot.ensemble(found.data.isel(scale=1), over="seed")
    assert texts(band) == [f"depth {depth} (3 values of seed, all converged)" for depth in (1, 2)]


def results(values, **coords):
    return xr.Dataset({"result": (("a", "b"), np.asarray(values, dtype=float))}, coords)


def test_most_of_the_points_of_a_cell_need_a_value():
    data = xr.Dataset(
        {
            "last_step": (("a", "b", "seed"), np.arange(12.0).reshape(2, 2, 3)),
            "status": (
                ("a", "b", "seed"),
                [
                    [["converged"] * 3, ["converged", "converged", "diverged"]],
                    [["converged", "diverged", "diverged"], ["diverged", "finished", "finished"]],
                ],
            ),
        }
    )
    axes = dln.plot.heat_map(data, over="seed")
    np.testing.assert_array_equal(cells(axes), [[1.0, 4.0], [np.nan, np.nan]])
    assert marks(axes) == {"diverged": [(0.5, 1.5)], "not converged": [(1.5, 1.5)]}


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [([[1, 2], [3, 100]], True), ([[1, 2], [3, 4]], False), ([[0, 2], [3, 100]], False)],
)
def test_colours_are_logarithmic_where_values_span_decades(values, logarithmic):
    axes = dln.plot.heat_map(results(values), "result")
    assert isinstance(axes.collections[0].norm, LogNorm) == logarithmic
    assert not isinstance(
        dln.plot.heat_map(results(values), "result", log=False).collections[0].norm, LogNorm
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
def test_a_map_of_equal_values_or_none_can_be_drawn(value):
    axes = dln.plot.heat_map(results(np.full((2, 2), value)), "result")
    axes.figure.draw_without_rendering()
    assert set(marks(axes)) == (set() if np.isfinite(value) else {"no value"})


def test_limits_of_colours_reach_the_map():
    norm = (
        dln.plot.heat_map(results([[1, 2], [3, 4]]), "result", vmin=0, vmax=9).collections[0].norm
    )
    assert (norm.vmin, norm.vmax) == (0, 9)


def test_labels_tell_cells_apart_and_are_not_too_many():
    fine = results(np.ones((2, 40)), a=["x", "y"], b=1.0 + 1e-6 * np.arange(40))
    axes = dln.plot.heat_map(fine, "result")
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert len(set(names)) == len(names) == 10
    assert names[:2] == ["1", "1.000004"]
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.get_xticklabels()]
    assert all(a.x0 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_coordinate_along_a_dimension_can_be_a_parameter(tmp_path):
    starts = {f"seed {s}": dln.init.balanced([2, 2, 2], scale=0.1, rng=s) for s in range(2)}
    methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 9.0)]
    found = dln.sweep_ensemble(
        TARGET, starts, methods, n_steps=50, store=tmp_path / "s", progress=False
    )
    axes = dln.plot.heat_map(found, "final_loss", x="learning_rate")
    assert axes.get_xlabel() == "learning_rate"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "9"]
    assert len(marks(axes)["diverged"]) == 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "finale_loss"}, "name: .*did you mean 'final_loss'"),
        ({"name": "status"}, "name: expected numbers, got 'status'"),
        ({"name": "loss"}, r"expected 'loss' over two dimensions.*'step'\)"),
        ({"x": "dept"}, "x: .*did you mean 'depth'"),
        ({"x": "time"}, "x: expected a coordinate along one dimension"),
        ({"x": "depth", "y": "depth"}, "over two dimensions"),
        ({"over": "seed"}, "over: expected one of the dimensions"),
    ],
)
def test_arguments_of_heat_maps(swept, kwargs, message):
    with pytest.raises(ValueError, match=message):
        dln.plot.heat_map(swept, **kwargs)


def test_no_logarithm_of_zero():
    with pytest.raises(ValueError, match="log: expected False, as some value is not above 0"):
        dln.plot.heat_map(results([[0, 2], [3, 4]]), "result", log=True)


def test_no_steps_without_runs():
    with pytest.raises(ValueError, match="'steps_to_converge' needs the results status and last"):
        dln.plot.heat_map(results([[1, 2], [3, 4]]))
