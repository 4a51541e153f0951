"""Theorem 3 of arXiv:1905.13655 beside measured singular values."""

import numpy as np
import pytest

import pydlnet as dln

pytestmark = pytest.mark.facts

SPECTRUM = ["singular_values", "singular_vectors", "alignment"]


def compared(sizes, rate, every, decay=0.0, time=2.0, quantities=SPECTRUM):
    """Return the comparison along a run from a balanced start."""
    problem = dln.TargetMatrix(np.random.default_rng(3).standard_normal((sizes[-1], sizes[0])))
    trajectory = dln.run(
        problem,
        dln.init.balanced(sizes, 0.3, 4),
        dln.GradientDescent(rate, weight_decay=decay),
        n_steps=round(time / rate),
        record=dln.Record(quantities, every=every),
    )
    return dln.theory.compare_singular_values(trajectory)


@pytest.mark.parametrize("sizes", [(4, 3), (4, 4, 3), (4, 4, 4, 3), (4, 4, 4, 4, 3)])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_theorem_3_predicts_each_record_from_the_one_before(sizes, decay):
    """The gap a record falls with the third power of their distance (trapezoidal rule)."""

    def gap(every):
        data = compared(sizes, 1e-5, every, decay, time=0.4)
        assert np.isnan(data["singular_value_gap"].values[0]).all()
        return np.abs(data["singular_value_gap"].values[1:]).max()

    gaps = [gap(1000), gap(500)]
    assert gaps[0] < 1e-3
    assert gaps[0] / gaps[1] == pytest.approx(8, rel=0.1)


def test_prediction_is_exact_on_a_plateau():
    """At depth 2 modes far below their targets grow by exp(2 s t), whatever lies in between."""
    start = dln.init.balanced_from(1e-8 * np.diag([2.0, 1.0]), (2, 2, 2))
    trajectory = dln.run(
        dln.TargetMatrix(np.diag([3.0, 2.0])),
        start,
        dln.GradientDescent(1e-5),
        n_steps=100_000,
        record=dln.Record(["singular_values", "alignment"], every=100_000),
    )
    data = dln.theory.compare_singular_values(trajectory)
    ratio = (data["predicted_singular_value"] / data["singular_value"]).values[-1]
    # Euler's steps lag by rate (2 s)^2 / 2 t = 2e-4; modes of 8e-6 are 3e-6 of their targets.
    np.testing.assert_allclose(ratio, 1, atol=3e-4)


def test_modes_that_cross_are_followed():
    start = dln.init.balanced_from(np.diag([0.5, 0.1]), (2, 2, 2))
    record = {"every": 20}
    problem, method = dln.TargetMatrix(np.diag([1.0, 2.0])), dln.GradientDescent(1e-3)
    runs = [
        dln.run(problem, start, method, n_steps=4000, record=dln.Record(names, **record))
        for names in (SPECTRUM, ["singular_values", "alignment"])
    ]
    followed, ranked = (dln.theory.compare_singular_values(t) for t in runs)
    np.testing.assert_allclose(followed["singular_value"].values[-1], [1, 2], atol=1e-2)
    # In descending order, the prediction starts at one mode and ends at the other.
    gaps = [float(np.abs(d["singular_value_gap"]).max()) for d in (followed, ranked)]
    assert gaps[0] < 1e-3 < gaps[1]


def test_zero_modes_are_predicted_to_stay():
    for sizes in [(3, 3, 3), (3, 3, 3, 3)]:
        trajectory = dln.run(
            dln.TargetMatrix(np.eye(3)),
            dln.init.balanced_from(np.diag([1.0, 0.0, 0.0]), sizes),
            dln.GradientDescent(1e-2),
            n_steps=100,
            record=dln.Record(["singular_values", "alignment"], every=10),
        )
        data = dln.theory.compare_singular_values(trajectory)
        np.testing.assert_array_equal(data["predicted_singular_value"].values[1:, 1:], 0.0)


def test_comparison_says_why_it_does_not_apply():
    problem = dln.Regression(np.eye(3), np.eye(3))
    start = dln.init.balanced((3, 3, 3), 0.5, 1)
    record = dln.Record(["singular_values", "alignment"])

    def compare(weights=start, method=None, record=record):
        method = dln.GradientDescent(0.01) if method is None else method
        trajectory = dln.run(problem, weights, method, n_steps=3, record=record, rng=0)
        return dln.theory.compare_singular_values(trajectory)

    assert 0 < compare().attrs["relative_imbalance"] < 1e-3
    with pytest.raises(ValueError, match=r"does not apply because Adam has no time"):
        compare(method=dln.Adam(0.01))
    with pytest.raises(ValueError, match="does not apply because batch_size=2"):
        compare(method=dln.GradientDescent(0.01, batch_size=2))
    with pytest.raises(ValueError, match=r"because the layers are not balanced \(0\.4"):
        compare([np.eye(3), 2 * np.eye(3)])
    with pytest.raises(ValueError, match="recorded quantity 'alignment'"):
        compare(record=dln.Record("singular_values"))
    with pytest.raises(TypeError, match="trajectory: expected a Trajectory, got NoneType"):
        dln.theory.compare_singular_values(None)


@pytest.mark.parametrize(
    ("start", "decay"),
    [
        # Small layers that grow: what they lack in balance becomes a small share.
        (dln.init.gaussian((3, 3, 3, 3), std=0.05, rng=1), 0.0),
        # Decay: imbalances shrink by exp(-2 lambda t).
        ([np.diag([2.0, 1.8, 1.6]), 0.1 * np.eye(3)], 0.3),
    ],
)
def test_comparison_of_layers_that_become_balanced(start, decay):
    """The formula is wrong by a factor of 2 and more where they are not, as at the start."""

    def compare(*more):
        trajectory = dln.run(
            dln.TargetMatrix(np.diag([3.0, 2.0, 1.0])),
            start,
            dln.GradientDescent(0.01, weight_decay=decay),
            n_steps=4000,
            record=dln.Record(["singular_values", "alignment", *more], every=1),
        )
        return dln.theory.compare_singular_values(trajectory)

    data = compare()
    assert data.attrs["relative_imbalance"] < 1e-2
    assert "record imbalance" in data.attrs["not_known"]
    moved = np.diff(data["singular_value"].values[:2, 0])[0] / 0.01
    assert abs(moved) > 2 * abs(float(data["singular_value_velocity"][0, 0]))
    with pytest.raises(ValueError, match="because the layers were not balanced at step 0"):
        compare("imbalance")


def test_comparison_of_balanced_layers_knows_it():
    data = compared((4, 4, 4, 3), 1e-3, 10, quantities=[*SPECTRUM, "imbalance"])
    assert data.attrs["not_known"] == ""
    assert np.isfinite(data["singular_value_gap"].values[1:]).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_equal_values_are_not_predicted(depth):
    """Their recorded vectors are any of a span, and only some of them are those of the flow."""
    target = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 2.0]])
    trajectory = dln.run(
        dln.TargetMatrix(target),
        dln.init.balanced_from(0.1 * np.eye(3), (3,) * (depth + 1)),
        dln.GradientDescent(1e-4),
        n_steps=20,
        record=dln.Record(["singular_values", "alignment"], every=1),
    )
    data = dln.theory.compare_singular_values(trajectory)
    assert np.isnan(data["singular_value_velocity"].values[0]).all()
    assert np.isnan(data["predicted_singular_value"].values[1]).all()
    assert np.isfinite(data["predicted_singular_value"].values[2:]).all()


def test_comparison_of_a_diverged_run():
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(2)),
        dln.init.balanced((2, 2, 2), 2.0, 1),
        dln.GradientDescent(2.0),
        n_steps=100,
        record=dln.Record(SPECTRUM, every=1),
    )
    assert trajectory.status == "diverged"
    data = dln.theory.compare_singular_values(trajectory, balance_tolerance=10.0)
    assert np.isnan(data["predicted_singular_value"].values[-1]).all()
