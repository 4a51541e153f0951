"""Gradient flow against the plain definition, and where it ends."""

import numpy as np
import pytest
import reference
from helpers import assert_close, assert_same_bits, assert_same_run, network, orthogonal, path
from small_flow import EVERYTHING, FLOW, PROBLEM, START, TARGET, plain_flow, run

import pydlnet as dln


def regression(power):
    rng = np.random.default_rng(5)
    inputs, outputs = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    problem = dln.Regression(inputs, outputs, power=power)
    return problem, lambda w: reference.regression_loss(w, inputs, outputs, power)


def completion():
    rows, columns = np.array([0, 1, 2, 0]), np.array([3, 0, 1, 2])
    values = np.array([1.0, -1.0, 0.5, 2.0])
    problem = dln.MatrixCompletion((3, 4), rows, columns, values)
    return problem, lambda w: reference.completion_loss(w, rows, columns, values)


def classification():
    rng = np.random.default_rng(6)
    inputs, labels = rng.standard_normal((6, 4)), np.arange(6) % 3
    problem = dln.Classification(inputs, labels)
    return problem, lambda w: reference.classification_loss(w, inputs, labels)


CASES = {
    "target": (PROBLEM, lambda w: reference.target_loss(w, TARGET)),
    "regression": regression(2.0),
    "power 4": regression(4.0),
    "completion": completion(),
    "classification": classification(),
}


@pytest.mark.parametrize(
    ("widths", "weight_decay"), [((4, 3), 0.0), ((4, 5, 3), 0.05), ((4, 2, 6, 3), 0.0)]
)
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_solution_of_the_equation(case, widths, weight_decay):
    problem, loss = CASES[case]
    times = np.array([0.3, 1.0, 1.7, 4.0])
    weights = network(widths, seed=3)
    found = run(
        4.0,
        dln.Record(["loss", "weights", "gradient_norm"], times=times),
        dln.GradientFlow(1e-11, 1e-13, weight_decay),
        problem,
        weights,
    )
    assert found.data["time"].values.tolist() == [0.0, *times]
    exact = plain_flow(loss, weights, times, weight_decay)
    # Errors of steps add up, and saddles amplify them: a hundred times the tolerance.
    for actual, expected in zip(path(found)[1:], exact, strict=True):
        assert_close(actual, expected, 1e-9)
    assert_close(found.weights, exact[-1], 1e-9)
    value, gradient = loss(reference.product(exact[-1]))
    norm = np.sqrt(sum(np.sum(g**2) for g in reference.gradients(exact[-1], gradient)))
    assert found.data["loss"].values[-1] == pytest.approx(value, rel=1e-7, abs=1e-12)
    assert found.data["gradient_norm"].values[-1] == pytest.approx(norm, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("size", [1e-8, 1e-12, 1e-20])
def test_small_starts_leave_the_saddle_at_the_right_time(size):
    # Two layers with singular values a: a^2 follows the logistic curve [Saxe et al. 2014].
    target = np.diag([3.0, 1.0])
    escape = np.log(1.0 / size) / 3.0
    times = escape * np.array([0.5, 0.9, 1.0, 1.1])
    found = run(
        times[-1],
        dln.Record("singular_values", times=times),
        problem=dln.TargetMatrix(target),
        weights=[size * np.eye(2)] * 2,
    )
    grown = size**2 * np.exp(np.outer(2.0 * times, [3.0, 1.0]))
    strengths = grown / (1.0 + (grown - size**2) / [3.0, 1.0])
    np.testing.assert_allclose(found.data["singular_value"][1:], strengths, rtol=1e-7)


def test_between_the_ends_of_steps_it_is_as_good_as_there():
    # Hundreds of times in less than fifty steps, down to where stability limits their length. The
    # interpolant of DOP853 is wrong by 2e-6 there.
    times = np.linspace(0.0, 20.0, 501)
    found = run(20.0, dln.Record("weights", times=times))
    assert found.data.attrs["n_accepted"] < 50
    exact = plain_flow(CASES["target"][1], START, times)
    for actual, expected in zip(path(found), exact, strict=True):
        assert_close(actual, expected, 2e-8)


def test_a_compressed_flow_is_the_full_one():
    rng = np.random.default_rng(0)
    target = np.outer(rng.standard_normal(30), rng.standard_normal(40)) / 10.0
    weights = dln.init.gaussian((40, 5, 30), end_to_end_scale=0.5, rng=1)
    record = dln.Record(["loss", "singular_values", "weights", "imbalance"], times=[1.0, 5.0])
    compressed, full = (
        dln.run(
            dln.TargetMatrix(target),
            weights,
            dln.GradientFlow(1e-11),
            until=5.0,
            record=record,
            exact_compression=exact,
        )
        for exact in (True, False)
    )
    assert compressed.data.attrs["exact_algebra"] != full.data.attrs["exact_algebra"]
    assert_close(compressed.weights, full.weights, 1e-9)
    for name in ("loss", "singular_value", "imbalance"):
        np.testing.assert_allclose(compressed.data[name], full.data[name], rtol=1e-8, atol=1e-9)


def test_rotations_of_hidden_bases_rotate_the_flow():
    q = orthogonal(5, seed=4)
    one = run(3.0)
    other = run(3.0, weights=[q @ START[0], START[1] @ q.T])
    assert_close(other.weights, [q @ one.weights[0], one.weights[1] @ q.T], 1e-12)
    for name in ("n_accepted", "n_rejected", "n_gradients"):
        assert other.data.attrs[name] == one.data.attrs[name]


def test_zero_length():
    start = run(0.0, dln.Record(EVERYTHING))
    assert start.status == "finished"
    assert start.data["time"].values.tolist() == [0.0]
    assert_close(start.weights, START, 0.0)
    half = run(1.0, dln.Record(EVERYTHING))
    same = dln.run(PROBLEM, half, until=1.0, record=dln.Record("loss", times=[0.5]))
    assert same.data.equals(half.data)
    assert same.record == half.record
    assert_same_run(dln.run(PROBLEM, same, until=5.0), run(5.0, dln.Record(EVERYTHING)))


def test_the_default_times_are_thirty_a_decade():
    times = run(100.0).data["time"].values
    assert times[0] == 0.0
    np.testing.assert_allclose(times[1:], 10.0 ** (np.arange(-90, 61) / 30), rtol=1e-14)
    assert run(1e-5).data["time"].values.tolist() == [0.0, 1e-5]


@pytest.mark.parametrize(
    "stop",
    [
        dln.Stop(loss=1e-6),
        dln.Stop(gradient_norm=1e-3, check_every=3),
        dln.Stop(condition=lambda w: np.abs(w[1] @ w[0] - TARGET).max() < 0.01, check_every=2),
    ],
)
def test_stops(stop):
    found = run(1000.0, dln.Record(["loss", "gradient_norm"]), stop=stop)
    assert found.status == "converged"
    last = found.data.isel(step=-1)
    assert last["time"] < 1000.0
    if stop.loss is not None:
        assert last["loss"] <= stop.loss < found.data["loss"].values[-2]
    if stop.gradient_norm is not None:
        assert last["gradient_norm"] <= stop.gradient_norm
        assert found.data.attrs["n_accepted"] % stop.check_every == 0
    if stop.condition is not None:
        assert stop.condition(found.weights)
    # Where it stopped is where a step ended, so it goes on from there as if nothing had been.
    whole = run(1000.0, dln.Record(["loss", "gradient_norm"]))
    assert_same_run(dln.run(PROBLEM, found, until=1000.0), whole)
    assert dln.run(PROBLEM, found, until=1000.0, stop=stop).status == "converged"


def test_a_bound_that_was_met_before_does_not_turn_back_time():
    half = run(1.0)
    bound = float(half.data["loss"].values[-1])
    later = dln.run(PROBLEM, half, until=50.0, stop=dln.Stop(loss=2.0 * bound))
    assert later.status == "converged"
    assert later.data["time"].values[-1] >= 1.0


def test_the_time_limit_and_going_on():
    problem = dln.EndToEndLoss(lambda w: (0.5 * float(np.sum(w**2)), np.sin(w)), (3, 4))
    method = dln.GradientFlow(rtol=1e-13)
    limited = run(1e7, None, method, problem, stop=dln.Stop(seconds=0.1))
    assert limited.status == "time_limit"
    reached = float(limited.data["time"].values[-1])
    assert 0.0 < reached < 1e7
    whole = dln.run(problem, limited, until=2.0 * reached)
    assert_same_run(whole, run(2.0 * reached, None, method, problem))


def test_a_singularity_ends_it():
    # w' = w^3 for both layers: infinite at t = 1 / (2 w^2) = 1/2.
    problem = dln.EndToEndLoss(lambda w: (-0.5 * w[0, 0] ** 2, -w), (1, 1))
    found = run(5.0, None, FLOW, problem, [[[1.0]], [[1.0]]])
    assert found.status == "step_too_small"
    assert found.data["time"].values[-1] == pytest.approx(0.5, rel=1e-6)
    assert np.isfinite(found.weights[0]).all()
    assert dln.run(problem, found, until=5.0).status == "step_too_small"


def test_divergence():
    problem = dln.EndToEndLoss(lambda w: (-0.5 * w.item() * w.item(), -w), (1, 1))
    found = run(1000.0, dln.Record(["loss", "singular_values"]), FLOW, problem, [[[1.0]]])
    assert found.status == "diverged"
    # w = exp(t), whose square overflows at t = 354.9.
    assert 354.0 < found.data["time"].values[-1] < 362.0
    assert not np.isfinite(found.data["loss"].values[-1])
    assert np.isnan(found.data["singular_value"].values[-1]).all()
    assert np.isfinite(found.data["loss"].values[:-1]).all()
    assert run(1.0, weights=[1e200 * w for w in START]).status == "diverged"


def test_a_fixed_point_is_left_alone():
    found = run(1e250, dln.Record(times=[1.0, 1e100]), weights=[np.zeros((5, 4)), np.zeros((3, 5))])
    assert found.status == "finished"
    assert not any(layer.any() for layer in found.weights)


@pytest.mark.parametrize("power", [1.5, 1.1])
def test_a_kink_is_passed_or_named(power):
    inputs = np.array([[1.0], [2.0]])
    problem = dln.Regression(inputs, 3.0 * inputs, power=power)
    stop = dln.Stop(seconds=5.0)
    found = run(50.0, None, dln.GradientFlow(1e-6), problem, [[[1.0]], [[0.5]]], stop=stop)
    assert found.status in ("finished", "step_too_small", "time_limit")
    assert found.weights[1] @ found.weights[0] == pytest.approx(3.0, abs=1e-4)


def test_what_a_loss_raises_comes_through():
    def loss(matrix):
        if matrix[0, 0] > 1.0:
            raise ZeroDivisionError("here")
        return -matrix[0, 0], -np.ones((1, 1))

    with pytest.raises(ZeroDivisionError, match="here") as caught:
        run(50.0, None, FLOW, dln.EndToEndLoss(loss, (1, 1)), [[[0.5]]])
    assert "raised by the loss" in caught.value.__notes__[0]


def test_a_function_sees_the_layers_of_each_time():
    seen = run(4.0, dln.Record(["weights", {"first": lambda w: w[0]}], times=[0.5, 1.0, 3.0]))
    assert_same_bits(seen.data["first"].values, seen.data["W1"].values)
    half = run(1.7, dln.Record(["weights", {"first": lambda w: w[0]}], times=[0.5, 1.0, 3.0]))
    seen = dln.run(PROBLEM, half, until=4.0)
    assert_same_bits(seen.data["first"].values, seen.data["W1"].values)


def test_another_problem_or_tolerance_goes_on_from_the_time_reached():
    half = run(1.7)
    other = dln.TargetMatrix(2.0 * TARGET)
    for later in (
        dln.run(other, half, until=3.0),
        dln.run(other, half, dln.GradientFlow(rtol=1e-6), until=3.0),
    ):
        afresh = run(1.3, method=later.method, problem=other, weights=half.weights)
        assert_close(later.weights, afresh.weights, 1e-5)
        assert later.data["time"].values[-1] == 3.0
        assert (np.diff(later.data["time"].values) > 0.0).all()
