"""A run beside the end-to-end rule from the same start, and where that does not apply."""

import json
import warnings

import numpy as np
import pytest
import reference
from compared_runs import PROBLEM, RATE, WIDTHS, balanced_run, reasons
from helpers import assert_same_bits, network, press_ctrl_c_late

import pydlnet as dln
from pydlnet import loop, theory


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
        overlaid = theory.overlay(trajectory, predictions=["modes", "end_to_end_rule"])
        for why in json.loads(overlaid.attrs["does_not_apply"]).values():
            assert "not balanced" in why
        assert "rule_loss" not in overlaid
        return theory.compare_end_to_end(trajectory)

    known, unknown = of("weights"), of(["loss", "end_to_end"])
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
