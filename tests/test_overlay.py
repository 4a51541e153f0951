"""Theory beside measurement: the end-to-end rule, modes, the certificate, and what does not apply.

Each curve is compared with one computed another way, and refused where its theorem does not apply.
"""

import itertools
import json
import re
import warnings

import numpy as np
import pytest
import reference
from helpers import assert_same_bits, network, orthogonal, press_ctrl_c_late
from scipy.integrate import solve_ivp

import pydlnet as dln
from pydlnet import loop, theory

WIDTHS = (4, 5, 3)
PROBLEM = dln.TargetMatrix(np.random.default_rng(0).standard_normal((3, 4)))
RATE = 1e-3


def balanced_run(method=None, quantities=("loss", "end_to_end"), n_steps=500, **options):
    start = dln.init.balanced(WIDTHS, 0.5, 1)
    record = dln.Record(quantities, every=50)
    method = dln.GradientDescent(RATE) if method is None else method
    return dln.run(PROBLEM, start, method, n_steps=n_steps, record=record, **options)


def reasons(data):
    return json.loads(data.attrs["does_not_apply"])


# -- compare_end_to_end --


def test_ctrl_c_at_the_end_of_the_rule_is_not_lost(monkeypatch):
    trajectory = balanced_run(n_steps=50)
    press_ctrl_c_late(monkeypatch, loop)
    with pytest.raises(KeyboardInterrupt):
        theory.compare_end_to_end(trajectory)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_curve_is_that_of_the_rule_as_written(decay):
    trajectory = balanced_run(dln.GradientDescent(RATE, weight_decay=decay))
    data = theory.compare_end_to_end(trajectory)
    matrix = trajectory.data["end_to_end"].values[0]
    for step in range(501):
        loss, gradient = reference.target_loss(matrix, PROBLEM.target)
        if step % 50 == 0:
            at = data.sel(step=step)
            # 500 steps, each right to some ten units of rounding.
            np.testing.assert_allclose(at["rule_end_to_end"], matrix, atol=1e-12)
            np.testing.assert_allclose(at["rule_loss"], loss, rtol=1e-11)
            np.testing.assert_allclose(at["rule_loss_gap"], at["loss"] - loss, atol=1e-11)
            gap = np.linalg.norm(at["end_to_end"] - matrix) / np.linalg.norm(at["end_to_end"])
            np.testing.assert_allclose(at["end_to_end_gap"], gap, atol=1e-12)
        matrix = reference.end_to_end_step(matrix, gradient, RATE, 2, decay)
    assert 1e-6 < data["end_to_end_gap"][-1] < 2e-3
    assert data.attrs["relative_imbalance"] < 1e-3


def test_what_was_recorded_stays_as_it_is():
    trajectory = balanced_run()
    before = trajectory.data.copy(deep=True)
    data = theory.compare_end_to_end(trajectory)
    assert trajectory.data.identical(before)
    for name in before.variables:
        assert_same_bits(data[name].values, before[name].values)
    for name in ("rule_loss", "rule_end_to_end", "end_to_end_gap", "rule_loss_gap"):
        assert set(data[name].attrs) == {"long_name", "units", "reference"}


def test_layers_stand_for_their_product():
    whole = theory.compare_end_to_end(balanced_run())
    layers = theory.compare_end_to_end(balanced_run(quantities="weights"))
    np.testing.assert_allclose(
        layers["end_to_end_gap"], whole["end_to_end_gap"], rtol=1e-6, atol=1e-14
    )
    assert "rule_loss_gap" not in layers


def test_the_gap_halves_with_the_rate_from_balanced_layers_and_not_from_others():
    def gap(start, rate):
        record = dln.Record("weights", steps=[0])
        trajectory = dln.run(
            PROBLEM, start, dln.GradientDescent(rate), n_steps=round(1 / rate), record=record
        )
        data = theory.compare_end_to_end(trajectory)
        return float(data["end_to_end_gap"][-1]), data.attrs["relative_imbalance"]

    (coarse, even), (fine, _) = (
        gap(dln.init.balanced(WIDTHS, 0.5, 1), rate) for rate in (2e-3, 1e-3)
    )
    assert coarse / fine == pytest.approx(2.0, rel=0.05)
    assert even < 1e-14
    (coarse, uneven), (fine, _) = (gap(network(WIDTHS, scale=0.5), rate) for rate in (2e-3, 1e-3))
    assert coarse / fine == pytest.approx(1.0, rel=0.05)
    assert uneven > 0.1


@pytest.mark.parametrize("first", [0.0, 1e-4], ids=["zero", "small"])
def test_growing_layers_do_not_hide_that_they_were_not_balanced(first):
    start = [first * np.eye(2), 1e-2 * np.eye(2)]

    def of(quantities):
        trajectory = dln.run(
            dln.TargetMatrix(np.diag([3.0, 1.0])),
            start,
            dln.GradientDescent(0.01),
            n_steps=800,
            record=dln.Record(quantities),
        )
        return theory.overlay(trajectory, predictions=["modes", "end_to_end_rule"])

    known, unknown = of("weights"), of(["loss", "end_to_end"])
    for data in (known, unknown):
        assert "not balanced" in json.loads(data.attrs["does_not_apply"])["modes"]
    assert unknown.attrs["relative_imbalance"] >= known.attrs["relative_imbalance"] > 0.5


def test_numbers_beyond_the_range_are_infinite_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = dln.run(
            dln.TargetMatrix(np.eye(2)),
            [1e100 * np.eye(2)] * 2,
            dln.GradientFlow(),
            until=1.0,
            record=dln.Record("weights"),
        )
        assert far.status == "diverged"
        np.testing.assert_array_equal(theory.overlay(far)["mode_loss"], [np.inf])
        record = dln.Record(["loss", "end_to_end"], every=1)
        start = network(WIDTHS, scale=0.5)
        wild = dln.run(PROBLEM, start, dln.GradientDescent(1e300), n_steps=9, record=record)
        assert theory.compare_end_to_end(wild).attrs["relative_imbalance"] > 1.0
        theory.overlay(wild)


@pytest.mark.parametrize("rate", [np.full(600, RATE), lambda step: RATE], ids=["array", "function"])
def test_rates_of_every_kind(rate):
    data = theory.compare_end_to_end(balanced_run(dln.GradientDescent(rate)))
    np.testing.assert_allclose(
        data["rule_loss"], theory.compare_end_to_end(balanced_run())["rule_loss"], rtol=1e-14
    )


def test_opened_from_a_file(tmp_path):
    trajectory = balanced_run()
    trajectory.save(tmp_path / "run.nc")
    opened = dln.open(tmp_path / "run.nc")
    with pytest.raises(ValueError, match="problem: expected the problem of the trajectory"):
        theory.compare_end_to_end(opened)
    data = theory.compare_end_to_end(opened, PROBLEM)
    assert_same_bits(
        data["end_to_end_gap"].values, theory.compare_end_to_end(trajectory)["end_to_end_gap"]
    )
    with pytest.raises(ValueError, match="problem: expected the one of the trajectory"):
        theory.compare_end_to_end(opened, dln.TargetMatrix(np.eye(3, 4)))


def test_once_the_run_or_the_rule_diverges_nothing_is_compared():
    start = [2.0 * np.eye(2)] * 3
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(2)),
        start,
        dln.GradientDescent(0.3),
        n_steps=50,
        record=dln.Record(["loss", "end_to_end"], every=1),
    )
    assert trajectory.status == "diverged"
    data = theory.compare_end_to_end(trajectory)
    assert data["end_to_end_gap"][0] == 0.0
    assert np.isnan(data["end_to_end_gap"][-1])
    assert np.isnan(data["rule_loss_gap"][-1])


def _changed_rates():
    first = balanced_run(n_steps=100)
    return dln.run(PROBLEM, first, dln.GradientDescent(2 * RATE), n_steps=100)


BATCHES = dln.Regression(np.eye(4), np.ones((4, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: balanced_run(dln.Adam()), "does not apply because Adam is not GradientDescent"),
        (lambda: balanced_run(dln.GroupRMSprop(RATE)), "GroupRMSprop is not"),
        (
            lambda: dln.run(PROBLEM, [np.eye(3, 4)], dln.EndToEndDescent(0.1, 2), n_steps=1),
            "EndToEndDescent is not",
        ),
        (
            lambda: dln.run(
                BATCHES,
                network(WIDTHS),
                dln.GradientDescent(RATE, batch_size=2),
                n_steps=1,
                record=dln.Record("end_to_end"),
            ),
            "batch_size=2",
        ),
        (lambda: balanced_run(quantities="loss"), r"record 'end_to_end' \(or 'weights'\)"),
        (_changed_rates, "its time at step 50 is 0.05, and the sum of these rates 0.1"),
    ],
)
def test_where_the_rule_does_not_apply_it_is_refused(make, message):
    trajectory = make()
    with pytest.raises(ValueError, match=message):
        theory.compare_end_to_end(trajectory)
    assert "end_to_end_rule" in reasons(theory.overlay(trajectory))


# -- overlay: modes --


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


# -- Two layers as descent with momentum --


def scalar_path(rate, n_steps, start=(1e-3, 1e-2)):
    """Run a vector times a number and return the layers and gradients of every step."""
    rng = np.random.default_rng(4)
    problem = dln.TargetMatrix(rng.standard_normal((1, 5)))
    layers = [start[0] * rng.standard_normal((1, 5)), np.array([[start[1]]])]
    record = dln.Record("weights", every=1)
    run = dln.run(problem, layers, dln.GradientDescent(rate), n_steps=n_steps, record=record)
    path = list(zip(run.data["W1"].values, run.data["W2"].values, strict=True))
    return problem, path


@pytest.mark.facts
def test_the_parts_of_a_step_make_it_up():
    rate = 0.05
    problem, path = scalar_path(rate, 200)
    for (w1, w2), (next_w1, next_w2) in itertools.pairwise(path):
        step = theory.two_layer_step([w1, w2], problem, rate)
        total = step.gradient_part + step.momentum_part + step.remainder
        # The difference of two products of up to 2: rounding of these.
        np.testing.assert_allclose(total, next_w2 @ next_w1 - w2 @ w1, rtol=0.0, atol=2e-15)
        gradient = w2 @ w1 - problem.target
        np.testing.assert_allclose(step.gradient_part, -rate * w2**2 * gradient, rtol=1e-13)


@pytest.mark.facts
def test_the_momentum_is_a_sum_of_earlier_gradients():
    """Its coefficients reproduce the step from the gradients alone, up to the square of the rate.

    The rate falls by half and the distance over equal times as well; a step has rate^2 of it.
    """
    errors = []
    for rate in (2e-3, 1e-3):
        n_steps = round(3.0 / rate)
        problem, path = scalar_path(rate, n_steps)
        steps = [theory.two_layer_step(layers, problem, rate) for layers in path]
        rho = [step.adaptive_rate for step in steps]
        gamma = [step.forgetting for step in steps]
        gradients = np.array([(w2 @ w1 - problem.target)[0] for w1, w2 in path])
        mu = theory.momentum_coefficients(rho[:-1], gamma[:-1])
        # Where w grows earlier gradients push on.
        assert (mu > 0.0).all()
        start = (path[0][1] @ path[0][0])[0]
        momentum = mu @ gradients[: n_steps - 1]
        momentum -= -gamma[-2] * np.prod(1.0 - np.array(gamma[: n_steps - 1])) * start
        expected = -steps[n_steps - 1].momentum_part[0]
        errors.append(np.linalg.norm(momentum - expected) / np.linalg.norm(expected))
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_coefficients_as_written():
    rho, gamma = np.random.default_rng(5).standard_normal((2, 6))
    expected = [
        -gamma[5] * rho[tau] * np.prod([1.0 - gamma[s] for s in range(tau + 1, 5)])
        for tau in range(5)
    ]
    np.testing.assert_allclose(theory.momentum_coefficients(rho, gamma), expected, rtol=1e-14)
    assert theory.momentum_coefficients([1.0], [1.0]).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.two_layer_step(network((3, 2, 1)), np.ones((1, 3)), 0.1), r"\(3, 2, 1\)"),
        (lambda: theory.two_layer_step(network((3, 1)), np.ones((1, 3)), 0.1), r"\(3, 1\)"),
        (
            lambda: theory.two_layer_step([np.ones((1, 3)), np.zeros((1, 1))], np.ones((1, 3)), 1),
            "second layer other than 0",
        ),
        (lambda: theory.two_layer_step(network((3, 1, 1)), np.ones((1, 3)), -1), "learning_rate"),
        (lambda: theory.two_layer_step(network((3, 1, 1)), np.ones((1, 2)), 1), "problem"),
        (lambda: theory.momentum_coefficients([1.0, 2.0], [1.0]), "forgettings: expected as many"),
        (lambda: theory.momentum_coefficients([], []), "adaptive_rates"),
        (lambda: theory.two_layer_step([[[1.0]], [[5e-324]]], [[1.0]], 1), "weights: .* range"),
        (lambda: theory.momentum_coefficients([1e300] * 3, [-1e300] * 3), "forgettings: .* range"),
    ],
)
def test_wrong_arguments_of_the_reading_as_momentum(call, message):
    with pytest.raises(ValueError, match=message):
        call()
