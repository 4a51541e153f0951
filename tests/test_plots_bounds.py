"""The picture of how a run keeps to the bounds of the convergence theorem."""

import numpy as np
import pytest

import pydlnet as dln

TARGET = np.diag([1.2, 1.0])
PROBLEM = dln.TargetMatrix(TARGET)
START = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
ALL = ("loss", "imbalance", "singular_values", "layer_singular_values")
LABELS = {
    "loss": "loss since step 0",
    "contraction": "loss since last record",
    "balance": "imbalance",
    "layer_norm": r"largest $\Vert W_j\Vert_2$",
    "end_to_end_norm": r"$\Vert W\Vert_2$",
    "smallest_singular_value": r"$\sigma_{\min}(W)$",
}


def run(rate, names=ALL, start=START, n_steps=60):
    record = dln.Record(list(names), every=1)
    return dln.run(PROBLEM, start, dln.GradientDescent(rate), n_steps=n_steps, record=record)


def lines(axes):
    return {
        line.get_label().split(", broken")[0]: line
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def crosses(axes):
    return [line for line in axes.lines if line.get_marker() == "X"]


def verdict(axes):
    return axes.get_legend().get_title().get_text()


def test_a_run_that_is_covered_is_on_the_right_side_of_all_bounds():
    found = run(dln.theory.certificate(START, PROBLEM).learning_rate_allowed)
    axes = dln.plot.check(found)
    drawn = lines(axes)
    assert set(drawn) == set(LABELS.values())
    # From the definitions: what was measured, beside the bounds as the theorem states them.
    norm, data = np.linalg.norm(TARGET), found.data
    sigma = data["singular_value"].values
    margin = 1.0 - np.linalg.norm(np.diag([1.0, 0.8]) - TARGET)
    for name, expected in {
        "balance": 1.0 - data["imbalance"].values[:, 0] / (2.0 * margin**2 / (256 * 8 * norm)),
        "layer_norm": 1.0
        - data["layer_singular_value"].values.max(axis=(1, 2)) / np.sqrt(4.0 * norm),
        "end_to_end_norm": 1.0 - sigma[:, 0] / (2.0 * norm),
        "smallest_singular_value": sigma[:, 1] / margin - 1.0,
    }.items():
        np.testing.assert_allclose(drawn[LABELS[name]].get_ydata(), expected, rtol=1e-9)
    rate = found.method.learning_rate
    bound = data["loss"].values[0] * (1.0 - rate * margin) ** np.arange(61)
    values = drawn[LABELS["loss"]].get_ydata()
    np.testing.assert_allclose(values, 1.0 - data["loss"].values / bound, atol=1e-14)
    assert values.min() >= 0.0
    assert values[-1] > 1e-6
    assert (verdict(axes), crosses(axes)) == ("convergence guaranteed: yes", [])
    assert axes.get_yscale() == "symlog"
    np.testing.assert_array_equal(drawn[LABELS["loss"]].get_xdata(), data["step"])


def test_where_a_bound_is_first_broken():
    found = run(1.5)
    checked = dln.theory.check(found)
    axes = dln.plot.check(found)
    assert verdict(axes) == "convergence guaranteed: no"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    broken = {
        name: int(np.argmin(checked[f"{name}_held"].values))
        for name in LABELS
        if not checked[f"{name}_held"].all()
    }
    assert set(broken) == {"loss", "contraction", "smallest_singular_value"}
    assert [int(line.get_xdata()[0]) for line in crosses(axes)] == list(broken.values())
    for name, step in broken.items():
        assert f"{LABELS[name]}, broken at {step}" in texts
    assert sum("broken" in text for text in texts) == 3
    low, high = axes.get_ylim()
    assert low < -100.0
    assert high < 10.0
    assert all(low < line.get_ydata()[0] < 0.0 for line in crosses(axes))


def test_rounding_is_no_margin():
    # At the bottom of the loss it changes by rounding, and every bound holds up to that.
    found = run(0.3, n_steps=600)
    assert bool(dln.theory.check(found)["contraction_held"].all())
    axes = dln.plot.check(found)
    values = lines(axes)[LABELS["contraction"]].get_ydata()
    assert values.min() == 0.0
    assert crosses(axes) == []


def test_a_run_that_diverges_leaves_the_axes_downwards():
    found = run(3.0, n_steps=400)
    assert found.status == "diverged"
    axes = dln.plot.check(found)
    assert crosses(axes)
    values = lines(axes)[LABELS["loss"]].get_ydata()
    assert np.isfinite(values[:-1]).all()
    assert np.nanmin(values) < axes.get_ylim()[0]
    axes.figure.canvas.draw()


def test_what_was_not_recorded_is_said():
    axes = dln.plot.check(run(0.1, ["loss"]))
    assert set(lines(axes)) == {LABELS["loss"], LABELS["contraction"]}
    title, missing = verdict(axes).split("\n")
    assert title == "convergence guaranteed: no"
    assert missing == "not recorded: " + ", ".join(list(LABELS.values())[2:])


def test_a_check_is_drawn_as_it_is_and_on_the_axes_that_are_given():
    found = run(0.1)
    own = dln.plot.check(found)
    axes = dln.plot.check(dln.theory.check(found), own.figure.add_subplot(), x="time", alpha=0.5)
    for name, line in lines(axes).items():
        np.testing.assert_array_equal(line.get_ydata(), lines(own)[name].get_ydata())
        np.testing.assert_array_equal(line.get_xdata(), found.data["time"])
        assert line.get_alpha() == 0.5
    assert len({(line.get_color(), line.get_linestyle()) for line in lines(own).values()}) == 6


def test_a_single_layer_and_a_regression():
    inputs = np.sqrt(2.0) * np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    inputs = np.concatenate([inputs[:2], -inputs[:2]])
    problem = dln.Regression(inputs, inputs @ TARGET)
    weights = [np.diag([1.0, 0.8])]
    method = dln.GradientDescent(1e-6)
    found = dln.run(problem, weights, method, n_steps=20, record=dln.Record(["loss", "weights"]))
    axes = dln.plot.check(found)
    assert verdict(axes) == "convergence guaranteed: yes"
    np.testing.assert_array_equal(lines(axes)["imbalance"].get_ydata(), 1.0)


@pytest.mark.parametrize(
    ("source", "kwargs", "error", "message"),
    [
        (lambda: 3, {}, TypeError, "trajectory: expected a Trajectory"),
        (lambda: run(0.1).data, {}, ValueError, r"trajectory: expected .* theory\.check"),
        (lambda: run(0.1), {"x": "steps"}, ValueError, "x: expected one of"),
        (
            lambda: dln.theory.check(run(0.1)),
            {"problem": PROBLEM},
            TypeError,
            "problem: expected None with a dataset",
        ),
        (
            lambda: run(0.1, start=dln.init.balanced_from(-TARGET, (2, 2, 2))),
            {},
            ValueError,
            "deficiency margin",
        ),
    ],
)
def test_arguments(source, kwargs, error, message):
    with pytest.raises(error, match=message):
        dln.plot.check(source(), **kwargs)
