"""Pictures: what is drawn, on which axes, and that nothing global changes."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import pydlnet as dln

STEPS = np.array([0, 1, 10, 100])


def dataset(loss=(1.0, 0.5, 0.25, 0.125)):
    spectrum = np.outer([0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    return xr.Dataset(
        {
            "loss": ("step", list(loss), {"long_name": "the loss", "units": "1"}),
            "singular_value": (
                ("step", "mode"),
                spectrum,
                {"long_name": "singular values", "units": "m"},
            ),
        },
        coords={"step": STEPS},
    )


class Holder:
    data = dataset()


@pytest.mark.parametrize("source", [dataset(), Holder()])
def test_loss_over_steps(source):
    axes = dln.plot.loss(source)
    (drawn,) = axes.lines
    np.testing.assert_array_equal(drawn.get_xdata(), STEPS)
    np.testing.assert_array_equal(drawn.get_ydata(), dataset()["loss"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "the loss")
    assert axes.get_yscale() == "log"


def test_step_0_is_on_the_axis():
    axes = dln.plot.loss(dataset())
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim() == pytest.approx((0.0, 100.0))
    axes.figure.draw_without_rendering()
    left, one, ten = axes.transData.transform([(0, 1), (1, 1), (10, 1)])[:, 0]
    assert left < one < ten


def test_evenly_recorded_steps_are_on_a_linear_axis():
    even = dataset().assign_coords(step=[0, 10, 20, 23])
    assert dln.plot.loss(even).get_xscale() == "linear"
    assert dln.plot.singular_values(even).get_xscale() == "linear"


def test_the_scale_of_given_axes_is_kept():
    ax = Figure().add_subplot(xscale="log")
    assert dln.plot.loss(dataset(), ax).get_xscale() == "log"


@pytest.mark.parametrize("values", [(1.0, -0.5, -1.0, -2.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_loss_that_a_logarithm_cannot_show_is_on_a_linear_axis(values):
    assert dln.plot.loss(dataset(values)).get_yscale() == "linear"


def test_a_negative_loss_makes_the_axis_of_those_before_linear():
    axes = dln.plot.loss(dataset())
    dln.plot.loss(dataset((1.0, 0.5, 0.0, -1.0)), axes)
    assert axes.get_yscale() == "linear"


def test_a_line_leaves_a_logarithmic_axis_where_the_loss_is_zero():
    axes = dln.plot.loss(dataset((1.0, 0.5, 0.0, 0.0)))
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == "log"
    bottom, top = axes.get_ylim()
    assert 0.1 < bottom < 0.5 < 1.0 < top < 10.0


DIVERGED = [(1.0, 1e10, 1e200, np.inf), (1.0, 1e200, 1e308, np.nan), (1e308, 1e300, 1e2, 1.0)]


@pytest.mark.parametrize("values", [*DIVERGED, (5e-324, 1e-300, 1.0, 2.0)])
def test_losses_of_any_size_can_be_drawn(values):
    axes = dln.plot.loss(dataset(values))
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), values)


def test_a_diverged_run_does_not_press_the_others_flat():
    axes = dln.plot.loss(dataset())
    dln.plot.loss(dataset(DIVERGED[0]), axes)
    bottom, top = axes.get_ylim()
    assert 0.01 < bottom < 0.125
    assert 1e6 < top < 1e8
    axes.figure.draw_without_rendering()
    assert axes.get_ylim() == (bottom, top)


def test_singular_values_one_line_a_mode_and_the_truth_dashed():
    axes = dln.plot.singular_values(dataset(), modes=2, truth=np.diag([4.0, 0.0, 2.0]))
    dashed = [drawn for drawn in axes.lines if drawn.get_linestyle() == "--"]
    solid = [drawn for drawn in axes.lines if drawn.get_linestyle() == "-"]
    np.testing.assert_allclose([drawn.get_ydata()[0] for drawn in dashed], [4.0, 2.0])
    assert [drawn.get_ydata()[-1] for drawn in solid] == [9.0, 6.0]
    assert axes.get_ylabel() == "singular values [m]"


def test_truth_may_be_given_as_singular_values():
    axes = dln.plot.singular_values(dataset(), truth=[3.0, 1.0])
    assert len(axes.lines) == 3 + 2


@pytest.mark.parametrize("draw", [dln.plot.loss, dln.plot.singular_values])
def test_the_given_axes_are_used_and_keywords_reach_the_lines(draw):
    ax = Figure().add_subplot()
    assert draw(dataset(), ax) is ax
    assert draw(dataset(), ax, c="red", lw=3) is ax
    assert {drawn.get_color() for drawn in ax.lines[len(ax.lines) // 2 :]} == {"red"}
    assert ax.lines[-1].get_linewidth() == 3


def test_lines_on_the_same_axes_differ_in_colour():
    ax = Figure().add_subplot()
    for _ in range(5):
        dln.plot.loss(dataset(), ax)
    assert len({drawn.get_color() for drawn in ax.lines}) == 5
    spectrum = dln.plot.singular_values(dataset())
    assert len({tuple(drawn.get_color()) for drawn in spectrum.lines}) == 3


def test_the_figure_can_be_saved(tmp_path):
    dln.plot.loss(dataset()).figure.savefig(tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_no_global_state_changes(isolated):
    code = """
import sys
import matplotlib as mpl
import xarray as xr
import pydlnet as dln
before = mpl.rcParams.copy()
dln.plot.loss(xr.Dataset({"loss": ("step", [1.0, 0.5])}, coords={"step": [0, 1]}))
assert "matplotlib.pyplot" not in sys.modules, "pyplot is imported"
assert mpl.rcParams.copy() == before
"""
    result = isolated(code)
    assert result.returncode == 0, result.stderr


def test_matplotlib_is_not_imported_with_the_package(isolated):
    result = isolated("import sys, pydlnet; sys.exit('matplotlib' in sys.modules)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("draw", "asked"),
    [
        (dln.plot.loss, "loss"),
        (dln.plot.effective_rank, "effective_rank"),
        (dln.plot.singular_values, "singular_values"),
        (dln.plot.imbalance, "imbalance"),
        (dln.plot.layer_norms, "layer_norms"),
        (dln.plot.sharpness, 'sharpness", "hessian_min'),
        (dln.plot.overlay, "loss"),
        (dln.plot.end_to_end, "end_to_end"),
        (dln.plot.animate_end_to_end, "end_to_end"),
        (dln.plot.ensemble, "loss"),
    ],
)
def test_what_was_not_recorded_is_named(draw, asked):
    message = rf'was not recorded; ask for it with Record\(\["{asked}", ...\]\)'
    with pytest.raises(ValueError, match=message):
        draw(xr.Dataset(coords={"step": STEPS}))


@pytest.mark.parametrize("name", dln.plot.__all__)
def test_other_things_than_runs_are_refused(name):
    with pytest.raises(TypeError, match=r"expected a Trajectory, .*got DataArray"):
        getattr(dln.plot, name)(dataset()["loss"], *(["loss"] if name == "quantity" else []))


@pytest.mark.parametrize("draw", [dln.plot.loss, dln.plot.singular_values])
def test_axes_that_are_none(draw):
    with pytest.raises(TypeError, match=r"ax: expected matplotlib.axes.Axes, got Figure"):
        draw(dataset(), Figure())


def test_modes_below_one():
    with pytest.raises(ValueError, match="modes: expected an integer >= 1, got 0"):
        dln.plot.singular_values(dataset(), modes=0)


@pytest.mark.parametrize("modes", [1.5, "2", True])
def test_modes_that_are_no_integer(modes):
    with pytest.raises(TypeError, match="modes: expected an integer, got"):
        dln.plot.singular_values(dataset(), modes=modes)


def test_a_flow_is_drawn_over_its_time():
    problem, weights = dln.TargetMatrix(np.eye(2)), dln.init.identity((2, 2, 2), 0.1)
    record = dln.Record(["loss", "singular_values"])
    found = dln.run(problem, weights, dln.GradientFlow(), until=3.0, record=record)
    for axes in (dln.plot.loss(found), dln.plot.singular_values(found)):
        assert axes.get_xlabel() == "time of gradient flow"
        assert axes.get_xscale() == "symlog"
        assert axes.lines[0].get_xdata().tolist() == found.data["time"].values.tolist()


def recorded_run(depth=3, rows=3, **kwargs):
    """A run with everything that single runs are drawn from."""
    target = np.random.default_rng(0).standard_normal((rows, 3))
    start = dln.init.gaussian((3, *[4] * (depth - 1), rows), end_to_end_scale=0.1, rng=1)
    names = ["loss", "gradient_norm", "effective_rank", "imbalance", "layer_norms"]
    names += ["singular_values", "singular_vectors"]
    options = {"n_steps": 30, "record": dln.Record(names), **kwargs}
    return dln.run(dln.TargetMatrix(target), start, dln.GradientDescent(0.05), **options)


def one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["loss", "effective_rank", "gradient_norm"])
def test_a_quantity_is_drawn_as_it_was_recorded_and_named_by_the_data(name):
    data = recorded_run().data
    axes = dln.plot.quantity(data, name)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), data[name])
    assert one_line(axes.get_ylabel()) == data[name].attrs["long_name"]
    assert axes.get_xlabel() == data["step"].attrs["long_name"]
    assert axes.get_yscale() == ("linear" if name == "effective_rank" else "log")
    assert axes.get_legend() is None
    assert dln.plot.quantity(data, name, log=False).get_yscale() == "linear"


@pytest.mark.parametrize(
    ("draw", "name", "labels", "scale"),
    [
        (dln.plot.imbalance, "imbalance", ["layers 1 and 2", "layers 2 and 3"], "log"),
        (dln.plot.layer_norms, "layer_norm", ["layer 1", "layer 2", "layer 3"], "linear"),
    ],
)
def test_layers_have_a_line_and_a_name_each(draw, name, labels, scale):
    found = recorded_run()
    axes = draw(found)
    drawn = np.array([line.get_ydata() for line in axes.lines])
    np.testing.assert_array_equal(drawn, found.data[name].values.T)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == labels
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == len(labels)
    assert axes.get_yscale() == scale
    assert one_line(axes.get_ylabel()) == found.data[name].attrs["long_name"]


def test_a_single_layer_has_no_neighbour():
    with pytest.raises(ValueError, match="expected two layers or more, got one"):
        dln.plot.imbalance(recorded_run(depth=1))


def test_long_labels_are_broken_and_not_cut():
    data = recorded_run().data
    for figure in (Figure(figsize=(3.0, 2.5), layout="constrained"), Figure(layout="constrained")):
        axes = dln.plot.imbalance(data, figure.add_subplot())
        figure.draw_without_rendering()
        box = axes.yaxis.label.get_window_extent()
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("draw", [dln.plot.loss, dln.plot.singular_values])
def test_a_run_without_records(draw):
    with pytest.raises(ValueError, match="trajectory: expected at least one record, got none"):
        draw(dataset().isel(step=slice(0)))


def test_axes_of_a_part_of_a_figure():
    parts = Figure().subfigures(1, 2)
    assert dln.plot.loss(dataset(), parts[0].add_subplot()).get_ylabel() == "the loss"


def test_a_function_of_the_users_is_a_quantity():
    found = recorded_run(record=dln.Record(["loss", {"first": lambda weights: weights[0][0, :2]}]))
    axes = dln.plot.quantity(found, "first")
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.data["first"].values[:, 1])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["first_0 0", "first_0 1"]
    assert axes.get_yscale() == "linear"


def test_an_unknown_quantity_has_a_hint():
    with pytest.raises(ValueError, match=r"name: .*got 'lose'; did you mean 'loss'\?"):
        dln.plot.quantity(recorded_run(), "lose")
    with pytest.raises(ValueError, match="name: expected numbers over step, got 'status'"):
        dln.plot.quantity(xr.Dataset({"status": ("step", ["a", "b"])}), "status")
    with pytest.raises(ValueError, match="name: expected a quantity that is one variable"):
        dln.plot.quantity(recorded_run(), "singular_vectors")
    with pytest.raises(TypeError, match="name: expected the name of a quantity, got int"):
        dln.plot.quantity(recorded_run(), 3)


def test_steps_or_times():
    data = recorded_run().data
    for x in ("step", "time"):
        axes = dln.plot.loss(data, x=x)
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), data[x])
    with pytest.raises(ValueError, match=r"x: expected one of \['step', 'time'\], got 'epoch'"):
        dln.plot.loss(data, x="epoch")
    with pytest.raises(ValueError, match="x: expected 'step', as there is no time"):
        dln.plot.loss(dataset(), x="time")


def crossing():
    """A run in which the second mode overtakes the first."""
    names = ["singular_values", "singular_vectors"]
    start = dln.init.balanced_from(np.diag([0.5, 0.01]), (2, 2, 2))
    return dln.run(
        dln.TargetMatrix(np.diag([1.0, 3.0])),
        start,
        dln.GradientDescent(0.01),
        n_steps=600,
        record=dln.Record(names, every=1),
    )


def test_modes_keep_their_line_where_values_cross():
    found = crossing()
    tracked = dln.plot.singular_values(found).lines
    ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in tracked]
    np.testing.assert_allclose(ends, [(0.01, 3.0), (0.5, 1.0)], rtol=1e-3)
    ranked = dln.plot.singular_values(found, track=False).lines
    ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in ranked]
    np.testing.assert_allclose(ends, [(0.5, 3.0), (0.01, 1.0)], rtol=1e-3)


def test_the_modes_that_are_drawn_are_those_that_become_largest():
    (line,) = dln.plot.singular_values(crossing(), modes=1).lines
    assert line.get_ydata()[-1] == pytest.approx(3.0, rel=1e-3)


def test_modes_cannot_be_tracked_without_their_vectors():
    with pytest.raises(ValueError, match=r'Record\(\["singular_values", "singular_vectors", ...'):
        dln.plot.singular_values(dataset(), track=True)
    with pytest.raises(TypeError, match="track: expected a bool"):
        dln.plot.singular_values(dataset(), track="yes")


def test_rounding_does_not_stretch_a_logarithmic_axis():
    data = dataset()
    data["singular_value"][:] = [[1.0, 1e-3, 0.0], [2.0, 1e-3, 1e-18]] * 2
    axes = dln.plot.singular_values(data, log=True)
    assert axes.get_yscale() == "log"
    assert 1e-4 < axes.get_ylim()[0] < 1e-3
    assert axes.lines[2].get_ydata()[1] == 1e-18


def test_singular_values_of_several_runs_are_refused():
    several = xr.concat([dataset(), dataset()], "run")
    with pytest.raises(ValueError, match=r"expected one run, .*data.isel\(run=0\)"):
        dln.plot.singular_values(several)
    assert len(dln.plot.singular_values(several.isel(run=0)).lines) == 3


@pytest.mark.parametrize("truth", [np.zeros((2, 2, 2)), [[np.nan]], "abc"])
def test_truth_that_is_no_matrix(truth):
    with pytest.raises((ValueError, TypeError), match="truth: "):
        dln.plot.singular_values(dataset(), truth=truth)
