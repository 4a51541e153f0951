"""Pictures of odd names, extreme numbers and shapes, drawn to the end."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import pydlnet as dln

STEPS = np.arange(4)


def run(quantity=None, **attributes):
    for name, value in attributes.items():
        setattr(quantity, name, value)
    record = dln.Record(["loss", *([] if quantity is None else [{"odd": quantity}])], every=1)
    problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    return dln.run(problem, start, dln.GradientDescent(0.1), n_steps=20, record=record)


def recorded(values, dims=("step",), **attributes):
    array = np.asarray(values, dtype=np.float64)
    return xr.Dataset({"loss": (dims, array, attributes)}, {"step": np.arange(len(array))})


def matrices(rows, columns):
    entries = np.arange(2.0 * rows * columns).reshape(2, rows, columns)
    return xr.Dataset({"end_to_end": (("step", "output", "input"), entries)}, {"step": [0, 1]})


def texts_of(axes):
    axes.figure.draw_without_rendering()
    return [text.get_text() for text in axes.get_legend().get_texts()]


# -- Names --


@pytest.mark.parametrize("dim", ["mean_$x_$ y", "_hidden", "a\nb", "\\frac", "%d", "<b>"])
def test_any_name_of_a_dimension_is_written_as_it_is(dim):
    axes = dln.plot.quantity(run(lambda weights: np.ones(2), dims=(dim,)), "odd")
    shown = [text.replace(r"\$", "$").strip() for text in texts_of(axes)]
    assert shown == [f"{' '.join(dim.split())} {k}" for k in range(2)]


def test_the_middle_of_a_long_name_is_left_out():
    axes = dln.plot.quantity(run(lambda weights: np.ones(2), dims=("x" * 300,)), "odd")
    assert all(len(text) < 70 and text.endswith(f"x {k}") for k, text in enumerate(texts_of(axes)))


def test_a_long_word_is_broken():
    axes = dln.plot.loss(recorded([1.0, 0.5], long_name="x" * 300))
    axes.figure.draw_without_rendering()
    assert axes.get_ylabel().replace("\n", "") == "x" * 300
    assert "\n" in axes.get_ylabel()


def test_formulas_stay_on_a_line():
    norm = "||A_1 B_1 - B_1 A_1||_F"
    axes = dln.plot.loss(recorded([1.0, 0.5], long_name=f"the imbalance {norm} of some layers"))
    assert any(norm in line for line in axes.get_ylabel().split("\n"))
    mathematics = r"$\sigma_1 + \sigma_2$"
    axes = dln.plot.loss(recorded([1.0, 0.5], long_name=f"{'words ' * 7}{mathematics}"))
    assert any(line.endswith(mathematics) for line in axes.get_ylabel().split("\n"))
    long = f"${' + '.join([mathematics[1:-1]] * 9)}$"
    axes = dln.plot.loss(recorded([1.0, 0.5], long_name=long))
    assert axes.get_ylabel() == long


def test_values_of_parameters_are_written_as_they_are():
    ends = xr.Dataset(
        {"cost": (("a", "b"), np.ones((2, 2)))}, {"a": ["$1", "$2"], "b": ["$x$", "_y"]}
    )
    axes = dln.plot.heat_map(ends, "cost")
    axes.figure.draw_without_rendering()
    assert [t.get_text() for t in axes.get_xticklabels()] == [r"\$x\$", " _y"]


@pytest.mark.parametrize("argument", ["name", "x", "y", "over"])
@pytest.mark.parametrize("value", [1, ["a"], {}, b"a"])
def test_heat_maps_take_names(argument, value):
    ends = xr.Dataset({"cost": (("a", "b"), np.ones((2, 2)))})
    with pytest.raises(TypeError, match=f"{argument}: expected a name, got {type(value).__name__}"):
        dln.plot.heat_map(ends, **{"name": "cost", argument: value})


# -- Numbers --


@pytest.mark.parametrize("values", [[1e300, 1e301], [1e305, 1e307], [1e-300, 1e300]])
def test_huge_losses_are_on_the_axis(values):
    axes = dln.plot.loss(recorded([values[0], *values]))
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == "log"
    bottom, top = axes.get_ylim()
    assert bottom <= values[0] < top


@pytest.mark.parametrize("value", [1.7e308, -1.7e308])
def test_huge_numbers_on_a_linear_axis_end_it(value):
    axes = dln.plot.quantity(recorded([0.0, 1.0, value]), "loss", log=False)
    axes.figure.draw_without_rendering()
    assert max(map(abs, axes.get_ylim())) == 1e300
    many = recorded([[0.0, 0.0], [1.0, value]], ("step", "run"))
    axes = dln.plot.ensemble(many, "loss", log=False)
    axes.figure.draw_without_rendering()
    assert max(map(abs, axes.get_ylim())) == 1e300


def test_a_legend_of_many_lines_does_not_look_for_its_place():
    axes = dln.plot.quantity(run(lambda weights: np.arange(300.0)), "odd")
    assert axes.get_legend()._loc == 1
    assert dln.plot.quantity(run(lambda weights: np.arange(3.0)), "odd").get_legend()._loc == 0


# -- Axes --


@pytest.mark.parametrize("projection", ["3d", "polar"])
def test_axes_that_are_not_rectangular_are_refused(projection):
    ax = Figure().add_subplot(projection=projection)
    with pytest.raises(ValueError, match=f"ax: expected rectangular axes .*, got {projection}"):
        dln.plot.loss(run(), ax)


def test_removed_axes_are_refused():
    ax = Figure().add_subplot()
    ax.remove()
    with pytest.raises(ValueError, match=r"ax: expected .* axes that were removed"):
        dln.plot.loss(run(), ax)


# -- Matrices --


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (4, 100), (100, 4), (8, 10)])
def test_entries_are_counted_by_whole_numbers(shape):
    (axes,) = dln.plot.end_to_end(matrices(*shape))
    for ticks in (axes.get_xticks(), axes.get_yticks()):
        assert np.array_equal(ticks, np.round(ticks))
    labels = [t for t in axes.get_xticks() if -0.5 <= t <= shape[1] - 0.5]
    assert labels


def test_only_long_matrices_are_not_drawn_as_squares():
    assert dln.plot.end_to_end(matrices(8, 10))[0].get_aspect() == 1.0
    assert dln.plot.end_to_end(matrices(4, 100))[0].get_aspect() == "auto"
    assert dln.plot.end_to_end(matrices(4, 100), aspect="equal")[0].get_aspect() == 1.0
