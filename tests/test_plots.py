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


@pytest.mark.parametrize("values", [(1.0, 0.5, 0.0, 0.0), (1.0, -0.5, -1.0, -2.0)])
def test_a_loss_that_is_not_positive_is_not_on_a_logarithmic_axis(values):
    assert dln.plot.loss(dataset(values)).get_yscale() == "linear"


def test_a_diverged_run_can_be_drawn():
    axes = dln.plot.loss(dataset((1.0, 1e10, 1e200, np.inf)))
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == "log"


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
    ("draw", "quantity"),
    [(dln.plot.loss, "loss"), (dln.plot.singular_values, "singular_values")],
)
def test_what_was_not_recorded_is_named(draw, quantity):
    with pytest.raises(ValueError, match=rf"trajectory: '{quantity}' was not recorded"):
        draw(xr.Dataset(coords={"step": STEPS}))


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
        assert axes.get_xlabel() == "time"
        assert axes.get_xscale() == "symlog"
        assert axes.lines[0].get_xdata().tolist() == found.data["time"].values.tolist()
