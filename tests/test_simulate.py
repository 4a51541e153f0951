"""The loop: what it records and when, and what never changes its numbers."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from cases import METHODS, PROBLEM_KINDS, problem_case
from helpers import (
    assert_close,
    assert_same_bits,
    assert_same_run,
    network,
    path,
    steps_of,
)
from small_run import PROBLEM, WIDTHS, run

import pydlnet as dln
from pydlnet import _core

# -- Steps and schedules --


@pytest.mark.parametrize(
    ("record", "n_steps", "expected"),
    [
        (dln.Record(every=4), 10, [0, 4, 8, 10]),
        (dln.Record(every=5), 10, [0, 5, 10]),
        (dln.Record(every=100), 10, [0, 10]),
        (dln.Record(steps=[3, 7]), 10, [0, 3, 7, 10]),
        (dln.Record(steps=[0, 10, 50]), 10, [0, 10]),
        (dln.Record(every=1), 0, [0]),
        (dln.Record(steps=dln.log_spaced(4, 1000)), 150, [0, 1, 10, 100, 150]),
    ],
)
def test_recorded_steps(record, n_steps, expected):
    trajectory = run(n_steps, record=record)
    assert steps_of(trajectory) == expected
    assert trajectory.step == n_steps
    assert trajectory.status == "finished"


def test_default_record_is_the_loss_at_log_spaced_steps():
    trajectory = run(500)
    assert list(trajectory.data.data_vars) == ["loss"]
    scheduled = reference.log_spaced(200, 10**6)
    assert steps_of(trajectory) == sorted({*scheduled[scheduled <= 500].tolist(), 500})


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_runs_follow_the_definition(kind, dtype):
    """Ten steps of each problem against the plain loop."""
    case = problem_case(kind, (3, 4), seed=3)
    weights = network(WIDTHS, seed=4, dtype=dtype)
    trajectory = run(
        problem=case.problem,
        weights=weights,
        record=dln.Record(["loss", "weights"], every=1),
    )
    start = [w.astype(np.float64) for w in weights]
    expected = reference.descend(reference.gradient_descent, start, case.loss, [0.05] * 10)
    # Ten steps with some 200 roundings each of numbers of order one.
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    for actual, layers in zip(path(trajectory), expected, strict=True):
        assert_close(actual, layers, tolerance)
        assert actual[0].dtype == dtype
    losses = [case.loss(reference.product(layers))[0] for layers in expected]
    np.testing.assert_allclose(trajectory.data["loss"].values, losses, rtol=10 * tolerance)


@pytest.mark.parametrize("widths", [(1, 1), (5, 1, 5), (3, *[2] * 63, 3), (40, 3, 30)])
def test_odd_shapes(widths):
    target = np.ones((widths[-1], widths[0]))
    weights = dln.init.identity(widths)
    trajectory = run(
        problem=dln.TargetMatrix(target), weights=weights, method=dln.GradientDescent(1e-3)
    )
    expected = reference.descend(
        reference.gradient_descent,
        weights,
        lambda w: reference.target_loss(w, target),
        [1e-3] * 10,
    )
    assert_close(trajectory.weights, expected[-1], 1e-13)


# -- What never changes the numbers --


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_recording_more_changes_nothing(case):
    sparse = run(40, case.method, record=dln.Record("loss", steps=[7, 23]))
    dense = run(
        40,
        case.method,
        record=dln.Record(
            ["loss", "weights", "singular_vectors", "gradient_norm", "imbalance", "alignment"],
            every=1,
        ),
    )
    for a, b in zip(sparse.weights, dense.weights, strict=True):
        assert_same_bits(a, b)
    common = dense.data["loss"].sel(step=sparse.data["step"])
    assert_same_bits(sparse.data["loss"].values, common.values)


@pytest.mark.parametrize("stop", [dln.Stop(loss=0.0, gradient_norm=0.0, check_every=3)])
def test_stop_conditions_that_do_not_hold_change_nothing(stop):
    for a, b in zip(run(40).weights, run(40, stop=stop).weights, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_continuing_is_bit_for_bit(case, dtype):
    weights = network(WIDTHS, seed=2, dtype=dtype)
    record = dln.Record(["loss", "weights", "learning_rate", "singular_values"], every=4)
    whole = run(30, case.method, weights, record=record)
    pieces = run(17, case.method, weights, record=record)
    assert steps_of(pieces)[-1] == 17
    for n_steps in (0, 1, 12):
        pieces = dln.run(PROBLEM, pieces, n_steps=n_steps)
    assert_same_run(pieces, whole)


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_continuing_mini_batches_is_bit_for_bit(case):
    problem = problem_case("regression-4", (3, 4)).problem
    method = dataclasses.replace(case.method, batch_size=7, learning_rate=0.003)
    whole = run(25, method, problem=problem, rng=5, record=dln.Record(every=6))
    first = run(11, method, problem=problem, rng=5, record=dln.Record(every=6))
    assert_same_run(dln.run(problem, first, n_steps=14), whole)


def test_continuing_does_not_touch_the_first_part():
    first = run(10, record=dln.Record(every=4))
    steps, weights = steps_of(first), [w.copy() for w in first.weights]
    dln.run(PROBLEM, first, n_steps=10)
    assert steps_of(first) == steps
    assert first.step == 10
    for a, b in zip(first.weights, weights, strict=True):
        assert_same_bits(a, b)


def test_schedules_stay_absolute_when_continuing():
    first = run(6, record=dln.Record(every=4))
    assert steps_of(first) == [0, 4, 6]
    assert steps_of(dln.run(PROBLEM, first, n_steps=6)) == [0, 4, 8, 12]


def test_rates_stay_absolute_when_continuing():
    seen = []

    def rate(step):
        seen.append(step)
        return 0.05 / (1 + step)

    method = dln.GradientDescent(rate)
    whole = run(20, method)
    seen.clear()
    second = dln.run(PROBLEM, run(8, method), n_steps=12)
    assert_same_run(second, whole)
    array = dln.GradientDescent([0.05 / (1 + t) for t in range(20)])
    assert_same_bits(dln.run(PROBLEM, run(8, array), n_steps=12).weights[0], whole.weights[0])
    with pytest.raises(ValueError, match="learning_rate"):
        dln.run(PROBLEM, run(8, array), n_steps=13)


def test_another_method_starts_with_fresh_state():
    first = run(10, dln.Momentum(0.05, 0.9))
    other = dln.run(PROBLEM, first, dln.Adam(0.01), n_steps=10)
    fresh = run(10, dln.Adam(0.01), [w.copy() for w in first.weights])
    for a, b in zip(other.weights, fresh.weights, strict=True):
        assert_same_bits(a, b)
    assert other.step == 20
    assert other.method == dln.Adam(0.01)


def test_continuing_with_an_equal_method_keeps_its_state():
    first = run(10, dln.Momentum(0.05, 0.9))
    again = dln.run(PROBLEM, first, dln.Momentum(0.05, 0.9), n_steps=10)
    assert_same_run(again, run(20, dln.Momentum(0.05, 0.9)))


def test_a_run_may_be_continued_several_times():
    first = run(10, dln.Adam(0.01))
    assert_same_run(dln.run(PROBLEM, first, n_steps=9), dln.run(PROBLEM, first, n_steps=9))


def test_threads_give_the_same_bits():
    starts = [network((12, 16, 16, 8), seed=s) for s in range(8)]
    problem = dln.TargetMatrix(np.random.default_rng(5).standard_normal((8, 12)))

    def one(weights):
        return run(300, dln.Adam(0.01), weights, problem, record=dln.Record("singular_values"))

    serial = [one(w) for w in starts]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(one, starts))
    for a, b in zip(parallel, serial, strict=True):
        assert_same_run(a, b)


def test_inputs_are_not_modified():
    weights = network(WIDTHS, seed=2)
    copies = [w.copy() for w in weights]
    trajectory = run(20, weights=weights)
    for w, copy, final in zip(weights, copies, trajectory.weights, strict=True):
        assert_same_bits(w, copy)
        assert w.flags.writeable
        assert not np.shares_memory(w, final)


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda w: np.repeat(w, 2, axis=1)[:, ::2], lambda w: w.tolist()],
    ids=["fortran", "strided", "list"],
)
def test_any_layout_gives_the_same_bits(layout):
    expected = run(10)
    actual = run(10, weights=[layout(w) for w in network(WIDTHS, seed=2)])
    for a, b in zip(actual.weights, expected.weights, strict=True):
        assert_same_bits(a, b)


def test_read_only_weights_are_accepted():
    weights = network(WIDTHS, seed=2)
    for w in weights:
        w.flags.writeable = False
    assert_same_run(run(10, weights=weights), run(10))


def test_integer_weights_become_float64():
    trajectory = run(weights=[np.eye(6, 4, dtype=int), np.eye(3, 6, dtype=int)])
    assert trajectory.weights[0].dtype == np.float64


# -- Time --


def test_time_is_the_sum_of_the_rates():
    data = run(
        12, dln.GradientDescent(lambda step: 0.1 / (1 + step)), record=dln.Record(every=5)
    ).data
    sums = np.append(0, np.cumsum([0.1 / (1 + t) for t in range(12)]))
    np.testing.assert_allclose(data["time"].values, sums[[0, 5, 10, 12]], rtol=1e-14)
    assert data["time"].dims == ("step",)


def test_time_does_not_drift_over_many_steps():
    """A plain sum of a million times 0.1 is off by 1e-6."""
    data = run(10**6, dln.GradientDescent(0.1), [np.ones((1, 1))], dln.TargetMatrix([[1.0]])).data
    assert float(data["time"].values[-1]) == pytest.approx(1e5, rel=1e-15)


def test_group_rmsprop_records_the_rate_that_it_applies():
    """One adaptive rate for all layers; `time` is the sum of these."""
    weights = network(WIDTHS, seed=2)
    record = dln.Record(["weights", "learning_rate", "gradient_norm"], every=1)
    trajectory = run(10, dln.GroupRMSprop(0.01), weights, record=record)
    data = trajectory.data
    squares = data["gradient_norm"].values ** 2
    mean, expected = 0.0, []
    for t, square in enumerate(squares):
        mean = 0.99 * mean + 0.01 * square
        expected.append(0.01 / (np.sqrt(mean / (1 - 0.99 ** (t + 1))) + 1e-6))
    np.testing.assert_allclose(data["learning_rate"].values, expected, rtol=1e-12)
    sums = np.append(0, np.cumsum(expected))[:-1]
    np.testing.assert_allclose(data["time"].values, sums, rtol=1e-12)


def test_time_goes_on_when_continuing():
    first = run(7, record=dln.Record(every=5))
    assert_same_run(dln.run(PROBLEM, first, n_steps=6), run(13, record=dln.Record(every=5)))


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_time_exists_where_it_is_defined(case):
    has_time = isinstance(case.method, dln.GradientDescent | dln.GroupRMSprop)
    assert ("time" in run(3, case.method).data.coords) == has_time


def test_what_fails_beside_the_loss_is_not_blamed_on_it(monkeypatch):
    def fails(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(_core, "advance", fails)
    with pytest.raises(MemoryError, match="no room") as caught:
        run(3)
    assert not hasattr(caught.value, "__notes__")
