"""Predicted curves beside a run: modes, the certificate, all together, and what does not apply.

Each curve is compared with one computed another way, and refused where its theorem does not apply.
"""

import json
import re

import numpy as np
import pytest
import reference
from compared_runs import PROBLEM, RATE, WIDTHS, balanced_run, reasons
from helpers import network, orthogonal
from scipy.integrate import solve_ivp

import pydlnet as dln
from pydlnet import theory


def aligned(values, targets, widths=(4, 5, 6, 3), seed=2):
    """Return a balanced start and a problem with common singular vectors."""
    left, right = orthogonal(widths[-1], seed)[:, :3], orthogonal(widths[0], seed + 1)[:, :3]
    start = dln.init.balanced_from((left * values) @ right.T, widths)
    return start, dln.TargetMatrix((left * targets) @ right.T)


def mode_flow(times, targets, values, depth):
    """Integrate du/dt = N |u|^(2-2/N) (s - u)."""
    found = solve_ivp(
        lambda _, u: depth * np.abs(u) ** (2 - 2 / depth) * (targets - u),
        (0.0, times[-1]),
        values,
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-13,
    )
    return found.y.T


@pytest.mark.parametrize(
    ("values", "targets"),
    [
        ([0.3, 0.2, 0.1], [0.5, 2.0, 1.0]),  # they cross
        ([0.3, 0.3, 0.3], [0.5, 2.0, 1.0]),  # an orthogonal start
        ([0.3, 0.2, 0.1], [1.0, 1.0, 1.0]),
        ([0.3, 0.3, 0.1], [1.0, 1.0, 0.0]),
        ([0.3, 0.2, 0.0], [1.0, -1.0, 2.0]),  # one decays, one stays at zero
    ],
)
def test_modes_are_those_of_the_equation(values, targets):
    start, problem = aligned(values, targets)
    record = dln.Record(["loss", "singular_values", "end_to_end"], every=100)
    trajectory = dln.run(problem, start, dln.GradientDescent(RATE), n_steps=2000, record=record)
    data = theory.overlay(trajectory, predictions=["modes"])
    assert json.loads(data.attrs["applies"]) == ["modes"]
    assert data.attrs["mode_misalignment"] < 1e-14
    times = data["time"].values
    modes = mode_flow(times, np.array(targets), np.array(values), 3)
    expected = -np.sort(-np.abs(modes), axis=1)
    np.testing.assert_allclose(data["mode_strength"], expected, rtol=1e-8, atol=1e-10)
    loss = 0.5 * np.sum((modes - targets) ** 2, axis=1)
    np.testing.assert_allclose(data["mode_loss"], loss, rtol=1e-8, atol=1e-10)
    # Descent is as far from flow as the rate times what the flow curves.
    errors = data["mode_strength_error"]
    np.testing.assert_array_equal(errors, data["singular_value"] - data["mode_strength"])
    assert 1e-6 < np.abs(errors).max() < 5e-3
    assert np.abs(data["mode_loss_error"]).max() < 2e-2


def test_the_error_of_modes_is_of_first_order_in_the_rate():
    start, problem = aligned([0.3, 0.2, 0.1], [0.5, 2.0, 1.0])
    errors = []
    for rate in (2e-3, 1e-3):
        record = dln.Record(["end_to_end"], steps=[0, round(1 / rate)])
        trajectory = dln.run(
            problem, start, dln.GradientDescent(rate), n_steps=round(1 / rate), record=record
        )
        data = theory.overlay(trajectory, predictions=["modes"])
        errors.append(np.abs(data["mode_strength_error"].values[-1]).max())
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)


def test_a_regression_on_white_inputs_has_the_time_of_its_scale():
    """Summed over samples the loss is n times that of the mean, and time runs n times as fast."""
    rng = np.random.default_rng(3)
    inputs = np.linalg.qr(rng.standard_normal((20, 3)))[0] * np.sqrt(20.0)
    problem = dln.Regression(inputs, inputs @ np.diag([1.0, 0.7, 0.4]), reduction="sum")
    start = dln.init.balanced_from(0.3 * np.eye(3), (3, 3, 3))
    record = dln.Record(["loss", "end_to_end"], every=200)
    trajectory = dln.run(problem, start, dln.GradientDescent(1e-5), n_steps=4000, record=record)
    data = theory.overlay(trajectory, predictions=["modes"])
    expected = mode_flow(20 * data["time"].values, np.array([1, 0.7, 0.4]), np.full(3, 0.3), 2)
    np.testing.assert_allclose(data["mode_strength"], expected, rtol=1e-8)
    assert np.abs(data["mode_strength_error"]).max() < 1e-3
    assert np.abs(data["mode_loss_error"]).max() < 1e-2


def test_the_limit_of_infinite_depth_is_come_closer_to_with_depth():
    errors = []
    for depth in (4, 8, 16):
        start = dln.init.balanced_from(np.diag([0.5, 0.4]), (2,) * (depth + 1))
        record = dln.Record(["loss", "end_to_end"], every=100)
        rate = 4e-3 / depth
        trajectory = dln.run(
            dln.TargetMatrix(np.diag([1.0, 0.6])),
            start,
            dln.GradientDescent(rate),
            n_steps=2000,
            record=record,
        )
        data = theory.overlay(trajectory, predictions=["infinite_depth"])
        expected = theory.mode_strength(depth * data["time"].values, [1.0, 0.6], [0.5, 0.4], np.inf)
        np.testing.assert_allclose(data["infinite_depth_strength"], expected, rtol=1e-12)
        errors.append(np.abs(data["infinite_depth_strength_error"]).max())
    # The exponent 2 - 2/N is of first order in 1/N.
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.25)


def test_the_rule_on_one_matrix_has_the_modes_of_its_depth():
    start, problem = aligned([0.3, 0.2, 0.1], [0.5, 2.0, 1.0])
    record = dln.Record(["loss", "end_to_end"], every=100)
    method = dln.EndToEndDescent(RATE, 3)
    trajectory = dln.run(problem, [reference.product(start)], method, n_steps=1000, record=record)
    data = theory.overlay(trajectory)
    assert json.loads(data.attrs["applies"]) == ["modes", "infinite_depth"]
    assert np.abs(data["mode_strength_error"]).max() < 5e-3


def test_tiny_starts_keep_their_strength():
    start = [np.diag([1e-100, 2e-100])] * 2
    problem = dln.TargetMatrix(np.eye(2))
    record = dln.Record("end_to_end")
    trajectory = dln.run(problem, start, dln.GradientDescent(RATE), n_steps=1, record=record)
    data = theory.overlay(trajectory, predictions=["modes"])
    np.testing.assert_allclose(data["mode_strength"][0], [4e-200, 1e-200], rtol=1e-14)


# -- overlay: the certificate, and all together --


def certified(quantities=("loss", "imbalance", "end_to_end"), rate=1e-6):
    start = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
    problem = dln.TargetMatrix(np.diag([1.2, 1.0]))
    return dln.run(
        problem,
        start,
        dln.GradientDescent(rate),
        n_steps=1000,
        record=dln.Record(quantities, every=100),
    )


def test_the_bound_of_the_certificate():
    data = theory.overlay(certified())
    assert json.loads(data.attrs["applies"]) == [
        "certificate",
        "modes",
        "infinite_depth",
        "end_to_end_rule",
    ]
    assert reasons(data) == {}
    # c = 1.0 - sqrt(0.08); the loss falls by 1 - rate c^(2-2/N) at every step.
    factor = 1.0 - 1e-6 * (1.0 - np.sqrt(0.08))
    expected = 0.04 * factor ** data["step"].values
    np.testing.assert_allclose(data["certificate_loss"], expected, rtol=1e-10)
    np.testing.assert_allclose(
        data["certificate_slack"], data["certificate_loss"] - data["loss"], atol=1e-16
    )
    # Nothing is lost on the first record, and after that there is room.
    assert (data["certificate_slack"][1:] > 0.0).all()


@pytest.mark.parametrize(
    ("trajectory", "prediction", "message"),
    [
        (lambda: certified(rate=1e-2), "certificate", "learning_rate: expected at most"),
        (lambda: certified(("loss", "end_to_end")), "certificate", "record imbalance or weights"),
        (lambda: certified("end_to_end"), "certificate", "record imbalance or weights"),
        (lambda: certified("loss"), "modes", r"record 'end_to_end' \(or 'weights'\)"),
        (lambda: certified("loss"), "end_to_end_rule", r"record 'end_to_end' \(or 'weights'\)"),
        (balanced_run, "modes", "W\\(0\\) and the target have no common singular vectors: a share"),
        (balanced_run, "infinite_depth", "no common singular vectors"),
        (lambda: balanced_run(dln.Adam()), "modes", "Adam has no time of gradient flow"),
        (
            lambda: balanced_run(dln.GradientDescent(RATE, weight_decay=0.1)),
            "modes",
            "weight_decay=0.1",
        ),
        (
            lambda: dln.run(
                PROBLEM,
                network(WIDTHS),
                dln.GradientDescent(RATE),
                n_steps=10,
                record=dln.Record("end_to_end"),
            ),
            "modes",
            "the layers are not balanced",
        ),
        (
            lambda: dln.run(
                dln.MatrixCompletion((3, 4), [0], [1], [1.0]),
                dln.init.balanced(WIDTHS, 0.5, 1),
                dln.GradientDescent(RATE),
                n_steps=10,
                record=dln.Record("end_to_end"),
            ),
            "modes",
            "the loss is not a squared distance",
        ),
        (
            lambda: dln.run(
                PROBLEM,
                [np.zeros((3, 4))],
                dln.GradientDescent(RATE),
                n_steps=10,
                record=dln.Record("end_to_end"),
            ),
            "infinite_depth",
            "depth 1",
        ),
    ],
)
def test_what_does_not_apply_says_why_and_gives_no_number(trajectory, prediction, message):
    trajectory = trajectory()
    data = theory.overlay(trajectory)
    assert re.search(message, reasons(data)[prediction])
    assert prediction not in json.loads(data.attrs["applies"])
    prefixes = {
        "certificate": "certificate",
        "modes": "mode_",
        "infinite_depth": "infinite_depth",
        "end_to_end_rule": "rule",
    }
    assert not [name for name in data if name.startswith(prefixes[prediction])]


def test_an_overlay_is_kept_in_a_file(tmp_path):
    theory.overlay(certified()).to_netcdf(tmp_path / "overlay.nc", engine="h5netcdf")


def test_wrong_arguments():
    trajectory = certified()
    for predictions, error in (("modes", TypeError), (["mode"], ValueError), (3, TypeError)):
        with pytest.raises(error, match="predictions: expected"):
            theory.overlay(trajectory, predictions=predictions)
    with pytest.raises(ValueError, match="balance_tolerance"):
        theory.overlay(trajectory, balance_tolerance=-1.0)
    with pytest.raises(ValueError, match="alignment_tolerance"):
        theory.overlay(trajectory, alignment_tolerance=np.nan)
    for function in (theory.overlay, theory.compare_end_to_end):
        with pytest.raises(TypeError, match="trajectory: expected a Trajectory"):
            function(trajectory.data)


def diagonal_run(method, start=0.3, depth=3, names=("loss", "end_to_end"), n_steps=40):
    target = np.diag([2.0, 1.0, 0.5])
    weights = dln.init.balanced_from(start * target, (3,) * (depth + 1))
    record = dln.Record(list(names), every=1)
    return dln.run(dln.TargetMatrix(target), weights, method, n_steps=n_steps, record=record)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["layers", "rule"])
def test_steps_that_the_minimum_repels_follow_no_flow(depth, kind):
    # The sharpness of a balanced minimum is N sigma_1^(2-2/N).
    limit = 2.0 / (depth * 2.0 ** (2.0 - 2.0 / depth))
    for share, applies in ((0.97, True), (1.03, False)):
        rate = share * limit
        if kind == "layers":
            found = diagonal_run(dln.GradientDescent(rate), 0.9, depth, n_steps=200)
        else:
            start = [0.9 * np.diag([2.0, 1.0, 0.5])]
            method = dln.EndToEndDescent(rate, depth)
            record = dln.Record(["loss", "end_to_end"], every=1)
            problem = dln.TargetMatrix(np.diag([2.0, 1.0, 0.5]))
            found = dln.run(problem, start, method, n_steps=200, record=record)
        data = theory.overlay(found)
        assert ("modes" in json.loads(data.attrs["applies"])) == applies
        if not applies:
            assert f"is not below {limit:.3g}, 2 / sharpness" in reasons(data)["modes"]
            assert data["loss"][-1] > 1e-3 * data["loss"][0]  # and indeed it does not converge


def test_a_large_rate_is_no_matter_on_the_plateau():
    data = theory.overlay(diagonal_run(dln.GradientDescent(0.5), start=1e-6, n_steps=5))
    assert "modes" in json.loads(data.attrs["applies"])
    assert float(np.abs(data["mode_strength_error"]).max()) < 1e-7


def test_weight_decay_does_not_hide_that_layers_were_not_balanced():
    # It shrinks the imbalance by exp(-2 decay time), and the rule is not that of such a start.
    weights = [np.diag([1.0, 0.5]), np.diag([0.02, 0.01])]
    problem = dln.TargetMatrix(np.diag([2.0, 1.0]))
    for quantities in (["end_to_end"], ["weights"]):
        method = dln.GradientDescent(0.01, weight_decay=2.0)
        record = dln.Record(quantities, every=50)
        found = dln.run(problem, weights, method, n_steps=400, record=record)
        assert theory.compare_end_to_end(found).attrs["relative_imbalance"] > 0.0
        why = reasons(theory.overlay(found))["end_to_end_rule"]
        assert "not balanced" in why
        assert ("record 'weights' to know" in why) == (quantities == ["end_to_end"])
    # The layers of the end are balanced to a millionth of a balanced start's, and say so.
    balanced = dln.init.balanced_from(np.diag([1.0, 0.5]), (2, 2, 2))
    method = dln.GradientDescent(1e-3, weight_decay=0.1)
    record = dln.Record(["end_to_end"], every=50)
    found = dln.run(problem, balanced, method, n_steps=400, record=record)
    assert "end_to_end_rule" in json.loads(theory.overlay(found).attrs["applies"])
