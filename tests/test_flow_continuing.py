"""Gradient flow continued, recorded and stopped anywhere: the same bits."""

import numpy as np
import pytest
from helpers import assert_same_bits, assert_same_run, network
from small_flow import EVERYTHING, FLOW, PROBLEM, run

import pydlnet as dln


def with_function(times=None):
    def norm(weights):
        return float(np.sum(weights[0] ** 2))

    return dln.Record([*EVERYTHING, norm], times=times)


@pytest.mark.parametrize("middle", [0.0, 1e-4, 0.777, 10.0 ** (5 / 30), 6.5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_continuing_is_bit_for_bit(middle, weight_decay):
    method = dln.GradientFlow(weight_decay=weight_decay)
    whole = run(8.0, with_function(), method)
    half = run(middle, with_function(), method)
    assert half.data["time"].values[-1] == middle
    assert_same_run(dln.run(PROBLEM, half, until=8.0), whole)


def test_continuing_many_times_is_bit_for_bit():
    whole = run(8.0, with_function())
    piece = run(0.0, with_function())
    for until in np.linspace(0.0, 8.0, 57)[1:]:
        piece = dln.run(PROBLEM, piece, until=float(until))
    assert_same_run(piece, whole)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize("widths", [(4, 5, 3), (4, 20, 3)])
def test_a_saved_flow_goes_on_bit_for_bit(tmp_path, ending, widths):
    weights = network(widths, seed=3)
    record = dln.Record(EVERYTHING)
    whole = run(8.0, record, weights=weights)
    file = tmp_path / f"half{ending}"
    run(3.3, record, weights=weights).save(file)
    opened = dln.open(file)
    assert opened.method == FLOW
    assert opened.record == record
    assert_same_run(dln.run(PROBLEM, opened, until=8.0), whole)


def test_what_is_recorded_changes_nothing():
    sparse = run(8.0, dln.Record("weights", times=[2.0]))
    dense = run(8.0, dln.Record(EVERYTHING, times=np.linspace(0.0, 8.0, 4001)))
    at_two = dense.data.sel(step=1000)
    assert at_two["time"] == 2.0
    for j in (1, 2):
        assert_same_bits(sparse.data[f"W{j}"].values[1], at_two[f"W{j}"].values)
        assert_same_bits(sparse.weights[j - 1], dense.weights[j - 1])
    for name in ("n_accepted", "n_rejected", "n_gradients", "imbalance_drift"):
        assert sparse.data.attrs[name] == dense.data.attrs[name]


def test_other_times_from_the_middle_on():
    half = run(1.5, dln.Record("weights", times=[1.0, 1.5]))
    later = dln.run(PROBLEM, half, until=8.0, record=dln.Record("weights", times=[2.0, 7.0]))
    assert later.data["time"].values.tolist() == [0.0, 1.0, 1.5, 2.0, 7.0, 8.0]
    assert later.data["step"].values.tolist() == list(range(6))
    whole = run(8.0, dln.Record("weights", times=[2.0, 7.0]))
    assert_same_bits(later.data["W1"].values[3:], whole.data["W1"].values[1:])


def test_a_last_record_off_the_times_goes():
    half = run(1.5, dln.Record(times=[1.0, 2.0]))
    assert half.data["time"].values.tolist() == [0.0, 1.0, 1.5]
    whole = dln.run(PROBLEM, half, until=2.5)
    assert whole.data["time"].values.tolist() == [0.0, 1.0, 2.0, 2.5]
    assert whole.data["step"].values.tolist() == [0, 1, 2, 3]


def test_threads_change_nothing():
    target = np.random.default_rng(0).standard_normal((100, 100)) / 10.0
    weights = dln.init.gaussian((100, 100, 100), end_to_end_scale=0.5, rng=1)
    one, two = (
        run(1.0, problem=dln.TargetMatrix(target), weights=weights, threads=n) for n in (1, 2)
    )
    assert_same_run(two, one)


def test_rejected_steps_leave_no_trace():
    # The gradient has no value beyond a wall, so that steps are rejected with NaN everywhere.
    def loss(matrix):
        inside = matrix[0, 0] < 1.0
        return (0.5 * matrix[0, 0] ** 2 - matrix[0, 0] if inside else np.nan), (
            matrix - 1.0 if inside else np.full((1, 1), np.nan)
        )

    problem = dln.EndToEndLoss(loss, (1, 1))
    whole = run(20.0, problem=problem, weights=[[[0.1]], [[0.1]]])
    assert whole.data.attrs["n_rejected"] > 0
    middle = run(7.0, problem=problem, weights=[[[0.1]], [[0.1]]])
    assert_same_run(dln.run(problem, middle, until=20.0), whole)
