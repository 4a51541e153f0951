"""When a run ends: stop conditions, what functions of the user's raise, divergence."""

import dataclasses
import time

import numpy as np
import pytest
from cases import METHODS, problem_case
from helpers import (
    assert_same_run,
    network,
    steps_of,
)
from small_run import PROBLEM, WIDTHS, run

import pydlnet as dln

# -- Stopping --


def test_stop_at_a_loss_is_checked_every_step():
    losses = run(200, record=dln.Record(every=1)).data["loss"].values
    threshold = float(losses[57]) * (1 + 1e-9)
    trajectory = run(200, stop=dln.Stop(loss=threshold), record=dln.Record(every=50))
    assert trajectory.status == "converged"
    assert trajectory.step == int(np.argmax(losses <= threshold))
    assert steps_of(trajectory) == [0, 50, trajectory.step]
    assert trajectory.data["loss"].values[-1] == losses[trajectory.step]


def test_a_converged_run_may_go_on():
    whole = run(200)
    threshold = float(run(50).data["loss"].values[-1])
    first = run(200, stop=dln.Stop(loss=threshold))
    assert first.status == "converged"
    rest = dln.run(PROBLEM, first, n_steps=200 - first.step)
    assert rest.status == "finished"
    assert_same_run(rest, whole)


def test_a_start_that_meets_the_condition_takes_no_step():
    for stop in (dln.Stop(loss=1e9), dln.Stop(gradient_norm=1e9)):
        trajectory = run(200, stop=stop)
        assert (trajectory.status, trajectory.step) == ("converged", 0)
        assert steps_of(trajectory) == [0]


def test_stop_at_a_loss_with_mini_batches_looks_at_recorded_steps():
    problem = problem_case("regression-2", (3, 4)).problem
    method = dln.GradientDescent(0.02, batch_size=5)
    record = dln.Record(every=10)
    losses = run(300, method, problem=problem, rng=1, record=record).data["loss"]
    threshold = float(losses.values[5:].min()) * 1.001
    trajectory = run(
        300, method, problem=problem, rng=1, record=record, stop=dln.Stop(loss=threshold)
    )
    assert trajectory.status == "converged"
    assert trajectory.step == int(losses["step"].values[np.argmax(losses.values <= threshold)])


@pytest.mark.parametrize("check_every", [1, 7, 100])
def test_stop_at_a_gradient_norm_is_checked_every_few_steps(check_every):
    norms = run(600, record=dln.Record("gradient_norm", every=1)).data["gradient_norm"].values
    threshold = float(norms[130])
    trajectory = run(600, stop=dln.Stop(gradient_norm=threshold, check_every=check_every))
    checked = np.arange(0, 601, check_every)
    expected = checked[np.argmax(norms[checked] <= threshold)]
    assert trajectory.status == "converged"
    # The norm at 130 itself may be computed in another order than the recorded one.
    assert trajectory.step in (expected, expected + (130 % check_every == 0))


def test_checks_stay_absolute_when_continuing():
    norms = run(600, record=dln.Record("gradient_norm", every=1)).data["gradient_norm"].values
    stop = dln.Stop(gradient_norm=float(norms[133]), check_every=20)
    whole = run(600, stop=stop)
    assert whole.step == 140
    assert_same_run(dln.run(PROBLEM, run(7), n_steps=593, stop=stop), whole)


def test_stop_at_a_condition():
    seen = []

    def condition(weights):
        seen.append([w.copy() for w in weights])
        return len(seen) == 4

    trajectory = run(600, stop=dln.Stop(condition=condition, check_every=5))
    assert trajectory.status == "converged"
    assert trajectory.step in (15, 20)  # the start counts as a check or it does not
    for a, b in zip(seen[-1], trajectory.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_exception_of_the_condition_comes_through():
    def condition(weights):
        if weights[0][0, 0] != first:
            raise LookupError("mine")
        return False

    first = network(WIDTHS, seed=2)[0][0, 0]
    with pytest.raises(LookupError, match="mine") as caught:
        run(600, stop=dln.Stop(condition=condition, check_every=5))
    assert "step 5" in " ".join(caught.value.__notes__)


@pytest.mark.parametrize("failing", [0, 1, 37, 1500])
def test_an_exception_of_the_rate_comes_through_and_names_the_step(failing):
    def rate(step):
        if step == failing:
            raise LookupError("mine")
        return 0.01

    with pytest.raises(LookupError, match="mine") as caught:
        run(2000, dln.GradientDescent(rate))
    assert f"step {failing}" in " ".join(caught.value.__notes__)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "fast", None, np.ones(2)])
def test_a_wrong_rate_names_the_step(value):
    with pytest.raises(ValueError, match=r"learning_rate.*step 3"):
        run(10, dln.GradientDescent(lambda step: value if step == 3 else 0.01))


@pytest.mark.parametrize("failing", [0, 5])
def test_an_exception_of_the_users_loss_comes_through_and_names_the_step(failing):
    calls = []

    def loss(matrix):
        calls.append(0)
        if len(calls) > failing:
            raise LookupError("mine")
        return 0.5 * float(np.sum(matrix**2)), matrix

    with pytest.raises(LookupError, match="mine") as caught:
        run(problem=dln.EndToEndLoss(loss, (3, 4)))
    assert "step" in " ".join(caught.value.__notes__)


def test_a_gradient_of_the_wrong_shape_during_the_run():
    calls = []

    def loss(matrix):
        calls.append(0)
        return 0.0, matrix if len(calls) < 5 else matrix[:1]

    with pytest.raises(ValueError, match=r"\(3, 4\).*\(1, 4\)"):
        run(problem=dln.EndToEndLoss(loss, (3, 4)))


def test_seconds_end_a_run():
    begin = time.perf_counter()
    trajectory = run(10**15, stop=dln.Stop(seconds=0.1))
    assert trajectory.status == "time_limit"
    assert time.perf_counter() - begin < 5
    assert 0 < trajectory.step < 10**15
    assert steps_of(trajectory)[-1] == trajectory.step
    assert np.isfinite(trajectory.data["loss"].values).all()


# -- Divergence --

MANY = ["loss", "gradient_norm", "singular_values", "effective_rank", "weights", "imbalance"]


@pytest.mark.parametrize("every", [1, 10, 10**6])
def test_divergence_is_a_status(every):
    """A scalar: W(t) - target = (1 - rate)^t (W(0) - target), so the step is known."""
    trajectory = run(
        10**6,
        dln.GradientDescent(11.0),
        [np.array([[3.0]])],
        dln.TargetMatrix([[1.0]]),
        record=dln.Record(MANY, every=every),
    )
    assert trajectory.status == "diverged"
    # loss = 2 * 100^t leaves the range between t = 153 and 154; its square root is finite.
    assert trajectory.step == 154
    assert steps_of(trajectory)[-1] == 154
    assert not np.isfinite(trajectory.data["loss"].values[-1])
    for name in ("singular_value", "effective_rank"):
        assert np.isnan(trajectory.data[name].values[-1]).all()
    before = trajectory.data.isel(step=slice(None, -1))
    for name in before.data_vars:
        assert np.isfinite(before[name].values).all(), name
    assert trajectory.weights[0][0, 0] == pytest.approx(1 + 2 * 10.0**154, rel=1e-12)


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_method_survives_divergence(case, dtype):
    # Methods that normalise the gradient reach 1e200 and a loss of 1e400 in one step.
    rate = 1e100 if dtype == np.float64 else 1e30
    method = dataclasses.replace(case.method, learning_rate=rate)
    trajectory = run(1000, method, network(WIDTHS, dtype=dtype), record=dln.Record(MANY))
    assert trajectory.status == "diverged"
    assert trajectory.step < 1000
    assert not np.isfinite(trajectory.data["loss"].values[-1])
    assert np.isfinite(trajectory.data["loss"].values[:-1]).all()


def test_a_loss_that_is_not_finite_at_the_start():
    trajectory = run(weights=[np.full((3, 4), 1e200)], record=dln.Record(MANY))
    assert (trajectory.status, trajectory.step) == ("diverged", 0)
    assert steps_of(trajectory) == [0]


def test_a_users_loss_may_diverge():
    calls = []

    def loss(matrix):
        calls.append(0)
        return (np.nan if len(calls) > 5 else 1.0), matrix

    trajectory = run(problem=dln.EndToEndLoss(loss, (3, 4)), record=dln.Record(every=1))
    assert trajectory.status == "diverged"
    assert trajectory.step == 5


def test_a_diverged_run_does_not_go_on():
    trajectory = run(10**4, dln.GradientDescent(1e3))
    again = dln.run(PROBLEM, trajectory, n_steps=5)
    assert again.status == "diverged"
    assert again.step == trajectory.step
