"""Pictures of measurements beside what theory says: predictions, and the limit of stability."""

import json

import numpy as np
import pytest
import xarray as xr

import pydlnet as dln

DIAGONAL = np.diag([3.0, 1.0])


def run(start=1e-2, rate=0.01, names=("loss", "singular_values", "end_to_end"), **kwargs):
    weights = dln.init.balanced_from(start * DIAGONAL, (2, 2, 2))
    record = dln.Record([*names, "learning_rate"], every=20)
    method = kwargs.pop("method", dln.GradientDescent(rate))
    options = {"n_steps": 400, "record": record, **kwargs}
    return dln.run(dln.TargetMatrix(DIAGONAL), weights, method, **options)


def named(axes):
    return {line.get_label(): line for line in axes.lines}


# -- Predictions --


def test_the_loss_is_drawn_over_every_curve_that_applies():
    found = run()
    axes = dln.plot.overlay(found)
    predicted = dln.theory.overlay(found)
    assert json.loads(predicted.attrs["applies"]) == ["modes", "infinite_depth", "end_to_end_rule"]
    lines = named(axes)
    for label, variable in [
        ("measured", "loss"),
        ("gradient flow from balanced layers", "mode_loss"),
        ("limit of many layers", "infinite_depth_loss"),
        ("end-to-end rule", "rule_loss"),
    ]:
        line = lines.pop(label)
        np.testing.assert_array_equal(line.get_ydata(), predicted[variable])
        np.testing.assert_array_equal(line.get_xdata(), predicted["step"])
    assert not lines
    assert len(axes.get_legend().get_texts()) == 4
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 4
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == found.data["loss"].attrs["long_name"]


def test_the_bound_of_the_certificate():
    problem, start = dln.TargetMatrix(DIAGONAL), dln.init.balanced_from(0.9 * DIAGONAL, (2, 2, 2))
    rate = dln.theory.certificate(start, problem).learning_rate_allowed
    record = dln.Record(["loss", "imbalance"], every=20)
    found = dln.run(problem, start, dln.GradientDescent(rate), n_steps=100, record=record)
    lines = named(dln.plot.overlay(found, predictions=["certificate"]))
    bound = dln.theory.overlay(found)["certificate_loss"]
    np.testing.assert_array_equal(lines["bound of the certificate"].get_ydata(), bound)
    assert (lines["measured"].get_ydata() <= lines["bound of the certificate"].get_ydata()).all()
    assert set(lines) == {"measured", "bound of the certificate"}


def test_the_singular_values_are_drawn_over_those_of_modes():
    found = run()
    axes = dln.plot.overlay(found, "singular_values", predictions=["modes"])
    measured, predicted = axes.lines[:2], axes.lines[2:]
    data = dln.theory.overlay(found)
    for lines, name in [(measured, "singular_value"), (predicted, "mode_strength")]:
        np.testing.assert_array_equal([line.get_ydata() for line in lines], data[name].values.T)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "measured",
        "gradient flow from balanced layers",
    ]
    assert axes.get_yscale() == "linear"


def test_a_comparison_can_be_drawn_as_it_is():
    found = dln.theory.compare_singular_values(run(names=["singular_values", "alignment"]))
    axes = dln.plot.overlay(found, "singular_values")
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    drawn = [line.get_ydata() for line in dots]
    np.testing.assert_array_equal(drawn, found["predicted_singular_value"].values.T)
    assert all(line.get_linestyle() == "None" for line in dots)


def test_reasons_are_given_where_nothing_is_predicted():
    # Adam has no time of gradient flow, and Theorem 1 is about gradient descent.
    found = run(method=dln.Adam(0.01))
    with pytest.raises(
        ValueError, match=r"prediction for 'loss'.*certificate: .*modes: .*Adam has"
    ):
        dln.plot.overlay(found)
    with pytest.raises(ValueError, match="expected one with a prediction for 'loss'"):
        dln.plot.overlay(run().data)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        (
            {"quantity": "rank"},
            ValueError,
            r"quantity: expected one of \['loss', 'singular_values'",
        ),
        ({"predictions": ["mode"]}, ValueError, "predictions: .*did you mean 'modes'"),
        ({"predictions": "modes"}, TypeError, "predictions: expected a sequence"),
        ({"problem": dln.TargetMatrix(np.eye(2))}, ValueError, "problem: expected the one"),
    ],
)
def test_arguments_of_overlays(kwargs, error, message):
    with pytest.raises(error, match=message):
        dln.plot.overlay(run(), **kwargs)


def test_a_dataset_takes_no_predictions():
    with pytest.raises(TypeError, match="predictions: expected None with a dataset"):
        dln.plot.overlay(dln.theory.overlay(run()), predictions=["modes"])


# -- The ends of the spectrum of the Hessian --

CURVATURE = ("sharpness", "hessian_min")


def test_both_ends_of_the_spectrum_and_the_limit():
    found = run(names=CURVATURE, rate=0.1)
    axes = dln.plot.sharpness(found)
    largest, smallest, limit = axes.lines
    np.testing.assert_array_equal(largest.get_ydata(), found.data["sharpness"])
    np.testing.assert_array_equal(smallest.get_ydata(), found.data["hessian_min"])
    np.testing.assert_allclose(limit.get_ydata(), 2.0 / 0.1)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["largest (sharpness)", "smallest", "2 / learning rate"]
    assert limit.get_linestyle() == "--"


def test_one_end_alone():
    largest, _ = dln.plot.sharpness(run(names=["sharpness"])).lines
    assert largest.get_label() == "largest (sharpness)"


def test_each_record_has_the_limit_of_its_own_rate():
    rates = np.linspace(0.01, 0.02, 400)
    *_, limit = dln.plot.sharpness(run(names=CURVATURE, rate=rates)).lines
    np.testing.assert_allclose(limit.get_ydata()[:-1], 2.0 / rates[::20])


def edge(method, curvature):
    """Whether descent on a quadratic of that curvature stays bounded."""
    record = dln.Record(["loss"], steps=[3000])
    problem = dln.Regression([[np.sqrt(curvature)]], [[0.0]])
    found = dln.run(problem, [np.ones((1, 1))], method, n_steps=3000, record=record)
    return found.status == "finished" and found.data["loss"][-1] <= 1.0


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (dln.GradientDescent(0.1), "2 / learning rate"),
        (dln.GradientDescent(0.1, weight_decay=3.0), "2 / learning rate - weight decay"),
        (dln.Momentum(0.1, 0.5), "2 (1 + momentum) / learning rate"),
        (
            dln.Momentum(0.1, 0.5, nesterov=True),
            "2 (1 + momentum) / ((1 + 2 momentum) learning rate)",
        ),
    ],
)
def test_the_limit_is_where_descent_on_a_quadratic_becomes_unstable(method, text):
    record = dln.Record(["sharpness"], steps=[1])
    found = dln.run(dln.TargetMatrix([[1.0]]), [np.ones((1, 1))], method, n_steps=1, record=record)
    *_, limit = dln.plot.sharpness(found).lines
    assert " ".join(limit.get_label().split()) == text
    height = limit.get_ydata()[0]
    assert edge(method, 0.99 * height)
    assert not edge(method, 1.01 * height)


@pytest.mark.parametrize("method", [dln.Adam(0.01), dln.GroupRMSprop(0.01)])
def test_methods_without_a_rate_of_their_own_have_no_limit(method):
    record = dln.Record(CURVATURE, every=20)
    found = run(method=method, record=record)
    assert len(dln.plot.sharpness(found).lines) == 2
    *_, limit = dln.plot.sharpness(found, learning_rate=0.5).lines
    np.testing.assert_allclose(limit.get_ydata(), 4.0)


def test_the_rate_in_force_is_the_limit_of_group_rmsprop():
    found = run(method=dln.GroupRMSprop(0.01), names=CURVATURE)
    *_, limit = dln.plot.sharpness(found).lines
    np.testing.assert_allclose(limit.get_ydata(), 2.0 / found.data["learning_rate"])


def test_a_diverging_sharpness_leaves_the_axes():
    values = [1.0, 30.0, 1e90, np.nan]
    data = xr.Dataset({"sharpness": ("step", values), "hessian_min": ("step", np.negative(values))})
    axes = dln.plot.sharpness(data, learning_rate=0.1)
    axes.figure.draw_without_rendering()
    assert axes.get_ylim() == (-200.0, 200.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan])
def test_rates_that_have_no_limit(rate):
    with pytest.raises(ValueError, match="learning_rate: expected a finite number > 0"):
        dln.plot.sharpness(run(names=CURVATURE), learning_rate=rate)
