"""Continuing a run with something else than before: records, quantities, methods."""

import itertools

import numpy as np
import pytest
from helpers import network, steps_of

import pydlnet as dln

PROBLEM = dln.TargetMatrix(np.random.default_rng(1).standard_normal((3, 4)))
METHOD = dln.GradientDescent(0.05)


def first(record, n_steps=10, method=METHOD, dtype=np.float64):
    weights = network((4, 5, 3), seed=2, dtype=dtype)
    return dln.run(PROBLEM, weights, method, n_steps=n_steps, record=record)


def test_a_record_on_the_old_schedule_stays():
    earlier = first(dln.Record(every=10))
    later = dln.run(PROBLEM, earlier, n_steps=15, record=dln.Record(every=20))
    assert steps_of(later) == [0, 10, 20, 25]


def test_a_record_off_both_schedules_goes():
    earlier = first(dln.Record(every=4))
    later = dln.run(PROBLEM, earlier, n_steps=5, record=dln.Record(every=3))
    assert steps_of(later) == [0, 4, 8, 12, 15]


def test_no_step_changes_nothing():
    earlier = first(dln.Record("loss", every=4))
    later = dln.run(PROBLEM, earlier, n_steps=0, record=dln.Record("effective_rank"))
    assert later.data.equals(earlier.data)
    assert later.record == earlier.record


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda w: 1.0, lambda w: np.arange(2.0)),
        (lambda w: np.zeros(2), lambda w: np.zeros(3)),
        (lambda w: np.zeros((2, 3)), lambda w: np.zeros((3, 2))),
    ],
)
def test_a_quantity_of_another_shape_is_refused_before_the_run(before, after):
    earlier = first(dln.Record({"f": before}, every=5))
    with pytest.raises(ValueError, match=r"quantity 'f': expected .* as recorded before"):
        dln.run(PROBLEM, earlier, n_steps=10**12, record=dln.Record({"f": after}, every=5))


def test_a_quantity_of_other_dims_is_refused():
    def f(weights):
        return np.zeros(2)

    f.dims = ("a",)
    earlier = first(dln.Record(f, every=5))
    f.dims = ("b",)
    with pytest.raises(ValueError, match="quantity 'f'"):
        dln.run(PROBLEM, earlier, n_steps=10, record=dln.Record(f, every=5))


@pytest.mark.parametrize("dim", ["loss", "time", "f", "W1", "singular_value"])
def test_dims_do_not_take_the_names_of_variables(dim):
    def f(weights):
        return np.zeros(2)

    f.dims = (dim,)
    with pytest.raises(ValueError, match="dims other than variables"):
        first(dln.Record(["loss", f], every=5))


def test_what_was_not_recorded_is_nan_in_the_dtype_it_has():
    earlier = first(dln.Record("loss", every=5), dtype=np.float32)
    later = dln.run(PROBLEM, earlier, n_steps=10, record=dln.Record("weights", every=5))
    assert later.data["W1"].dtype == np.float32
    assert np.isnan(later.data["W1"].values[:3]).all()
    assert np.isfinite(later.data["W1"].values[3:]).all()
    assert np.isnan(later.data["loss"].values[3:]).all()


def test_time_is_nan_where_a_method_has_none():
    earlier = first(dln.Record(every=5))
    later = dln.run(PROBLEM, earlier, dln.Adam(), n_steps=10)
    np.testing.assert_allclose(later.data["time"].values[:3], [0.0, 0.25, 0.5])
    assert np.isnan(later.data["time"].values[3:]).all()


def test_memory_for_a_quantity_follows_its_records():
    trajectory = dln.run(
        PROBLEM,
        network((4, 5, 3), seed=2),
        METHOD,
        n_steps=10**9,
        record=dln.Record({"large": lambda w: np.zeros((1000, 1000))}, every=1),
        stop=dln.Stop(loss=1e9),
    )
    assert trajectory.data["large"].shape == (1, 1000, 1000)


def test_records_close_together_do_not_hide_the_clock():
    trajectory = dln.run(
        PROBLEM,
        network((4, 5, 3), seed=2),
        dln.GradientDescent(1e-9),
        n_steps=10**12,
        record=dln.Record(steps=np.arange(1, 200)),
        stop=dln.Stop(seconds=0.2),
    )
    assert trajectory.status == "time_limit"


def test_the_bound_on_the_loss_holds_at_the_last_step_of_mini_batches():
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((20, 4))
    problem = dln.Regression(inputs, inputs @ rng.standard_normal((4, 3)))
    run = lambda loss: dln.run(  # noqa: E731
        problem,
        network((4, 3), seed=2),
        dln.GradientDescent(0.2, batch_size=5),
        n_steps=300,
        record=dln.Record("gradient_norm", every=1000),
        stop=dln.Stop(loss=loss),
        rng=0,
    )
    assert run(1e-3).status == "converged"
    assert run(1e-300).status == "finished"


def test_a_gradient_norm_check_notices_divergence_of_the_full_loss():
    calls = itertools.count()

    def loss(matrix):
        return (np.inf if next(calls) > 3 else 1.0), np.ones_like(matrix)

    trajectory = dln.run(
        dln.EndToEndLoss(loss, (3, 4)),
        network((4, 3), seed=2),
        METHOD,
        n_steps=100,
        stop=dln.Stop(gradient_norm=0.0, check_every=1),
    )
    assert trajectory.status == "diverged"
    assert trajectory.step == 4
