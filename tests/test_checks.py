"""`theory.check`: bounds beside a trajectory, with whatever the trajectory has recorded."""

import math

import numpy as np
import pytest
import reference
import xarray as xr
from helpers import orthogonal, path

import pydlnet as dln

check = dln.theory.check
BOUNDS = [
    "loss",
    "contraction",
    "balance",
    "layer_norm",
    "end_to_end_norm",
    "smallest_singular_value",
]
RECORDED = ["loss", "imbalance", "layer_singular_values", "singular_values"]
TARGET = (orthogonal(3, 1) * [1.6, 1.3, 1.0]) @ orthogonal(3, 2)
PROBLEM = dln.TargetMatrix(TARGET)
START = dln.init.balanced_from(TARGET + 0.3 * orthogonal(3, 3), (3, 4, 3, 3))
ALLOWED = dln.theory.certificate(START, PROBLEM).learning_rate_allowed


def run(
    quantities=RECORDED, rate=ALLOWED, n_steps=200, start=START, problem=PROBLEM, every=10, **kw
):
    record = dln.Record(quantities, every=every)
    method = rate if isinstance(rate, dln.methods.Method) else dln.GradientDescent(rate)
    return dln.run(problem, start, method, n_steps=n_steps, record=record, **kw)


def names(found):
    """Return the bounds of which a dataset has all three variables."""
    parts = ["bound", "slack", "held"]
    assert len(found.data_vars) % 3 == 0
    return [name for name in BOUNDS if all(f"{name}_{part}" in found.data_vars for part in parts)]


def test_every_bound_with_its_slack_from_the_definitions():
    trajectory = run([*RECORDED, "weights"])
    found = check(trajectory)
    assert names(found) == BOUNDS
    assert found.attrs["guaranteed"] == "yes"
    assert [found.attrs[n] for n in ("does_not_apply_because", "not_known", "not_checked")] == [
        "",
        "",
        "",
    ]
    norm, depth = np.linalg.norm(TARGET), 3
    layers = path(trajectory)
    wholes = [reference.product(each) for each in layers]
    margin = 1.0 - np.linalg.norm(wholes[0] - TARGET)
    delta = margin**2 / (256 * 27 * norm ** (4 / 3))
    losses = np.array([np.sum((w - TARGET) ** 2) / 2 for w in wholes])
    shrink = (1 - np.longdouble(ALLOWED) * margin ** (4 / 3)) ** trajectory.data["step"].values
    expected = {
        "loss": (losses[0] * shrink, losses),
        "contraction": (np.r_[losses[0], losses[:-1] * shrink[1]], losses),
        "balance": (2 * delta, [max(reference.imbalance(each)) for each in layers]),
        "layer_norm": (
            (4 * norm) ** (1 / depth),
            [max(np.linalg.norm(w, 2) for w in each) for each in layers],
        ),
        "end_to_end_norm": (2 * norm, [np.linalg.norm(w, 2) for w in wholes]),
        "smallest_singular_value": (margin, [np.linalg.norm(w, -2) for w in wholes]),
    }
    for name, (bound, measured) in expected.items():
        sign = -1 if name == "smallest_singular_value" else 1
        # All are sums and products of numbers of order 1 over three layers.
        np.testing.assert_allclose(found[f"{name}_bound"], np.broadcast_to(bound, 21), rtol=1e-12)
        slack = sign * (np.asarray(bound, float) - measured)
        np.testing.assert_allclose(found[f"{name}_slack"], slack, atol=1e-13)
        assert found[f"{name}_held"].dtype == bool
        assert found[f"{name}_held"].all()
        assert found[f"{name}_held"].dims == ("step",)
    assert found.attrs["deficiency_margin"] == pytest.approx(margin, rel=1e-12)
    assert found.attrs["balancedness_allowed"] == pytest.approx(delta, rel=1e-12)
    assert found.attrs["learning_rate_allowed"] == pytest.approx(ALLOWED, rel=1e-11)
    np.testing.assert_array_equal(found["time"], trajectory.data["time"])
    for variable in found.data_vars.values():
        assert set(variable.attrs) == {"long_name", "units", "reference"}


@pytest.mark.parametrize(
    ("quantities", "checked", "advice"),
    [
        (["loss"], ["loss", "contraction"], "balance: not recorded: record imbalance or weights"),
        (["loss", "imbalance"], ["loss", "contraction", "balance"], "layer_norm: not recorded"),
        (["weights"], BOUNDS, ""),
        (
            ["end_to_end"],
            ["loss", "contraction", "end_to_end_norm", "smallest_singular_value"],
            "balance: ",
        ),
    ],
)
def test_what_is_not_recorded_is_said_to_be_unchecked(quantities, checked, advice):
    found = check(run(quantities))
    assert names(found) == checked
    assert len(found.data_vars) == 3 * len(checked)
    assert advice in found.attrs["not_checked"]
    for name in set(BOUNDS) - set(checked):
        assert f"{name}: not recorded: record " in found.attrs["not_checked"]
    known = "balance" in checked
    assert found.attrs["guaranteed"] == ("yes" if known else "unknown")
    assert ("balancedness" in found.attrs["not_known"]) is not known
    everything = check(run())
    for name in found.data_vars:
        np.testing.assert_allclose(
            found[name].values.astype(float), everything[name].values.astype(float), atol=1e-13
        )


def test_a_single_layer_is_balanced_without_a_record_of_it():
    start = [0.85 * TARGET]
    rate = dln.theory.certificate(start, PROBLEM).learning_rate_allowed
    found = check(run(["loss"], rate=rate, start=start))
    assert found.attrs["guaranteed"] == "yes"
    assert names(found) == ["loss", "contraction", "balance"]
    assert found["balance_held"].all()


def test_the_result_is_a_dataset_that_can_be_saved(tmp_path):
    found = check(run(["loss"]))
    found.to_netcdf(tmp_path / "check.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "check.nc", engine="h5netcdf") as opened:
        assert opened.load().identical(found)


def test_without_a_loss_nothing_can_be_said():
    with pytest.raises(ValueError, match="trajectory: the loss is not recorded: record loss"):
        check(run(["imbalance"]))
    later = dln.run(PROBLEM, run(["imbalance"]), n_steps=20, record=dln.Record(every=10))
    with pytest.raises(ValueError, match="trajectory: expected a loss at step 0"):
        check(later)


def test_a_start_beyond_the_range_has_no_bounds():
    trajectory = run(start=[np.full((3, 3), 1e160)] * 2, quantities=["loss"], n_steps=3)
    assert trajectory.status == "diverged"
    with pytest.raises(ValueError, match="does not apply because deficiency margin"):
        check(trajectory)


def test_bounds_are_compared_where_the_theorem_does_not_apply():
    """Beyond the stability limit of about 2 / (3 * 1.6^(4/3)) the loss rises."""
    found = check(run(rate=0.5, every=1, n_steps=12))
    assert found.attrs["guaranteed"] == "no"
    assert "learning_rate: expected at most" in found.attrs["does_not_apply_because"]
    assert not found["contraction_held"].all()
    assert found["contraction_held"][0]
    held = found["contraction_slack"] >= 0
    # The slacks are far from 0 here.
    np.testing.assert_array_equal(found["contraction_held"], held)
    assert not found["balance_held"].all()


def test_an_unbalanced_start_is_compared_and_named():
    start = [2 * START[0], 0.5 * START[1], START[2]]
    found = check(run(start=start))
    assert found.attrs["guaranteed"] == "no"
    assert found.attrs["does_not_apply_because"].startswith("balancedness: expected at most")
    assert math.isnan(found.attrs["learning_rate_allowed"])
    assert not found["balance_held"].any()
    assert found["smallest_singular_value_held"].all()


def test_a_divergence_holds_no_bound():
    trajectory = run(rate=5.0, every=1, n_steps=60)
    assert trajectory.status == "diverged"
    found = check(trajectory)
    assert names(found) == BOUNDS
    for name in BOUNDS:
        assert not found[f"{name}_held"][-1]
    assert found["loss_slack"][-1] == -np.inf


def test_a_rate_that_varies():
    """Of such a rate the sum is enough; the largest one is known if every step is recorded."""
    rates = ALLOWED * np.linspace(0.2, 1.0, 200)
    found = check(run(rate=rates, every=1))
    assert found.attrs["guaranteed"] == "yes"
    assert found["contraction_held"].all()
    margin = found.attrs["deficiency_margin"]
    expected = found["loss_bound"].values[0] * np.exp(-np.sum(rates) * margin ** (4 / 3))
    assert found["loss_bound"].values[-1] == pytest.approx(expected, rel=1e-13)
    sparse = check(run(rate=rates))
    assert sparse.attrs["guaranteed"] == "unknown"
    assert "learning_rate: it varies" in sparse.attrs["not_known"]
    for every in (1, 10):
        large = check(run(rate=lambda step: ALLOWED * (1 + 0.5 * step), every=every))
        assert large.attrs["guaranteed"] == "no"


def test_another_rate_from_the_middle_on():
    first = run()
    found = check(dln.run(PROBLEM, first, dln.GradientDescent(2 * ALLOWED), n_steps=100))
    assert found.attrs["guaranteed"] == "no"
    margin = found.attrs["deficiency_margin"]
    time = 400 * ALLOWED
    expected = found["loss_bound"].values[0] * np.exp(-time * margin ** (4 / 3))
    assert found["loss_bound"].values[-1] == pytest.approx(expected, rel=1e-13)
    assert found["loss_held"].all()


def test_records_that_lack_a_quantity_are_passed_over():
    first = run(["loss"], n_steps=100)
    second = dln.run(
        PROBLEM, first, n_steps=100, record=dln.Record(["imbalance", "learning_rate"], every=10)
    )
    third = dln.run(PROBLEM, second, n_steps=100, record=dln.Record(["loss", "weights"], every=10))
    found = check(third)
    lacks = np.isnan(third.data["loss"].values)
    assert 0 < lacks.sum() < len(lacks)
    np.testing.assert_array_equal(np.isnan(found["contraction_slack"]), lacks)
    np.testing.assert_array_equal(found["contraction_held"], ~lacks)
    assert found.attrs["guaranteed"] == "unknown"  # no imbalance at step 0
    # The first record after the gap is compared with the last before it.
    last, after = np.flatnonzero(~lacks & (third.data["step"] <= 100))[-1], np.argmin(lacks[11:])
    losses, steps = third.data["loss"].values, third.data["step"].values
    index = 11 + after
    factor = dln.theory.certificate(START, PROBLEM).contraction(ALLOWED)
    expected = losses[last] * factor ** (steps[index] - steps[last])
    assert found["contraction_bound"].values[index] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("rate", [0.2, ALLOWED])
def test_single_precision_is_judged_by_its_own_rounding(rate):
    start = [w.astype(np.float32) for w in dln.init.balanced_from(0.85 * TARGET, (3, 3))]
    found = check(run(rate=rate, n_steps=400, start=start))
    assert found["contraction_held"].all()
    assert found["loss_held"].all()


def test_at_the_floor_of_rounding_the_loss_need_not_fall():
    """The start is the target itself, up to rounding: a step changes nothing for the better."""
    found = check(run(start=dln.init.balanced_from(TARGET, (3, 3, 3)), rate=1e-3))
    assert found["contraction_held"].all()
    assert found["loss_held"].all()


def test_whitened_regression_is_checked_above_its_smallest_loss():
    inputs = orthogonal(10, 4)[:, :3] * np.sqrt(10)
    outputs = inputs @ TARGET.T + np.random.default_rng(0).standard_normal((10, 3))
    best = np.linalg.lstsq(inputs, outputs, rcond=None)[0].T
    start = dln.init.balanced_from(best + 0.02, (3, 3, 3))
    found = []
    for problem in (
        dln.TargetMatrix(best),
        dln.Regression(inputs, outputs),
        dln.Regression(inputs, outputs, reduction="sum"),
    ):
        rate = dln.theory.certificate(start, problem).learning_rate_allowed
        found.append(check(run(problem=problem, start=start, rate=rate)))
        assert found[-1].attrs["guaranteed"] == "yes"
        assert found[-1]["contraction_held"].all()
    # The smallest loss is of order 1 and the excess of order 1e-3.
    for factor, other in zip((1, 10), found[1:], strict=True):
        np.testing.assert_allclose(other["loss_bound"], factor * found[0]["loss_bound"], rtol=1e-11)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_largest_rate_is_covered_where_the_smallest_loss_is_large(reduction):
    """The excess loss is a small difference of large numbers, and its rounding no violation."""
    rng = np.random.default_rng(3)
    inputs, outputs = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    white = dln.whiten(inputs, outputs)
    problem = dln.Regression(inputs @ white.transform, outputs, reduction=reduction)
    start = dln.init.balanced_from(1.01 * white.problem.target, (3, 3, 2))
    allowed = dln.theory.certificate(start, problem).learning_rate_allowed
    for rate, answer in [(allowed, "yes"), (1.0001 * allowed, "no")]:
        found = check(run(["loss", "imbalance"], rate, 5, start, problem, every=1))
        assert found.attrs["guaranteed"] == answer


def test_a_trajectory_from_a_file_needs_its_problem(tmp_path):
    trajectory = run()
    trajectory.save(tmp_path / "run.nc")
    opened = dln.open(tmp_path / "run.nc")
    with pytest.raises(ValueError, match="problem: expected the problem of the trajectory"):
        check(opened)
    assert check(opened, PROBLEM).identical(check(trajectory))
    with pytest.raises(ValueError, match="problem: expected the one of the trajectory"):
        check(opened, dln.TargetMatrix(2 * TARGET))
    with pytest.raises(TypeError, match="problem: expected a Problem, got list"):
        check(opened, [])


@pytest.mark.parametrize(
    "method",
    [
        dln.Momentum(1e-3, 0.9),
        dln.Adam(1e-3),
        dln.GroupRMSprop(1e-3),
        dln.GradientDescent(1e-3, weight_decay=0.1),
    ],
)
def test_other_methods(method):
    with pytest.raises(ValueError, match=r"trajectory: expected GradientDescent.*does not apply"):
        check(run(rate=method))


def test_a_history_with_another_method():
    first = run(rate=dln.Momentum(1e-3, 0.9))
    with pytest.raises(ValueError, match=r"throughout.*does not apply"):
        check(dln.run(PROBLEM, first, dln.GradientDescent(1e-3), n_steps=10))


@pytest.mark.parametrize(
    ("target", "start", "words"),
    [
        (np.diag([1.0, -0.5]), [np.eye(2)] * 4, "deficiency margin: expected above"),
        (np.diag([1.0, 0.0]), [np.eye(2)] * 2, "target: expected full rank 2, got rank 1"),
        (np.eye(2), [np.ones((1, 2)), np.ones((2, 1))], "widths: expected hidden widths"),
        (np.eye(2), [np.zeros((2, 2))], "deficiency margin: expected above"),
    ],
)
def test_starts_without_bounds(target, start, words):
    trajectory = run(problem=dln.TargetMatrix(target), start=start, n_steps=3)
    with pytest.raises(ValueError, match=f"trajectory: Theorem 1 does not apply because .*{words}"):
        check(trajectory)


def test_wrong_kinds():
    with pytest.raises(TypeError, match="trajectory: expected a Trajectory, got Dataset"):
        check(run().data)
    ensemble = dln.run_ensemble(PROBLEM, [START] * 2, dln.GradientDescent(1e-3), n_steps=2)
    with pytest.raises(TypeError, match="trajectory: expected a Trajectory"):
        check(ensemble)


@pytest.mark.parametrize(
    "problem",
    [
        dln.Regression(np.eye(3) + 1.0, TARGET),
        dln.Regression(np.eye(3), TARGET, power=4),
        dln.MatrixCompletion((3, 3), [0, 1], [1, 2], [1.0, 2.0]),
    ],
)
def test_other_problems(problem):
    with pytest.raises(ValueError, match=r"^problem: .*does not apply because"):
        check(run(problem=problem, rate=1e-3, n_steps=2, quantities=["loss"]))
