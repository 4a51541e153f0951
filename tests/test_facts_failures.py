"""Claims 4 and 5 of arXiv:1810.02281: starts from which gradient descent fails."""

import numpy as np
import pytest
from helpers import orthogonal, path

import pydlnet as dln

pytestmark = pytest.mark.facts


@pytest.mark.parametrize(("size", "status"), [(2, "converged"), (5, "converged"), (10, "diverged")])
def test_claim_4_without_balance_a_margin_is_not_enough(size, status):
    """Product 0.8 of target 1, rate 0.1, layers A and 0.8 / A: too large an A diverges."""
    start = [np.array([[float(size)]]), np.array([[0.8 / size]])]
    trajectory = dln.run(
        dln.TargetMatrix([[1.0]]),
        start,
        dln.GradientDescent(0.1),
        n_steps=10_000,
        stop=dln.Stop(loss=1e-20),
    )
    assert trajectory.status == status


@pytest.mark.parametrize("depth", [2, 4, 6])
@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_claim_5_without_a_margin_balance_is_not_enough(depth, rate):
    """Even depth, identity layers: a negative eigenvalue of the target is never reached."""
    target = np.diag([1.0, -0.5])
    trajectory = dln.run(
        dln.TargetMatrix(target),
        dln.init.identity((2,) * (depth + 1)),
        dln.GradientDescent(rate),
        n_steps=round(3000 / rate),
        record=dln.Record(["loss", "end_to_end"]),
    )
    losses = trajectory.data["loss"].values
    assert np.all(losses >= 0.125 * (1 - 1e-12))
    assert losses[-1] == pytest.approx(0.125, rel=1e-4)
    assert trajectory.data["end_to_end"].values[-1, 1, 1] >= 0


def test_claim_5_needs_an_even_depth():
    trajectory = dln.run(
        dln.TargetMatrix(np.diag([1.0, -0.5])),
        [np.eye(2), np.eye(2), np.diag([1.0, -1.0])],
        dln.GradientDescent(0.05),
        n_steps=5000,
    )
    assert trajectory.data["loss"].values[-1] < 1e-20


@pytest.mark.parametrize("depth", [2, 4, 8])
@pytest.mark.parametrize("rate", [1e-4, 0.1, 3.0])
@pytest.mark.parametrize(("margin", "size"), [(0.01, 1), (0.6, 3), (0.99, 2)])
def test_claim_4_there_is_an_unbalanced_start_that_diverges(depth, rate, margin, size):
    """Whatever margin and rate: both inequalities of the docstring hold from step 1 on."""
    failing = dln.theory.failure_without_balance(margin, rate, depth=depth, size=size)
    found = dln.theory.certificate(failing.weights, failing.problem)
    assert found.deficiency_margin >= margin
    assert not found.holds
    trajectory = dln.run(
        failing.problem,
        failing.weights,
        dln.GradientDescent(rate),
        n_steps=1000,
        record=dln.Record(["loss", "weights"], every=1),
    )
    assert trajectory.status == "diverged"
    losses = trajectory.data["loss"].values[:-1]
    assert losses[0] == failing.loss_floor > 0
    assert np.all(np.diff(losses) > 0)
    entries = np.array([[w[0, 0] for w in layers] for layers in path(trajectory)[1:-1]])
    product = np.prod(entries, axis=1)
    largest, smallest = np.abs(entries).max(axis=1), np.abs(entries).min(axis=1)
    assert np.all(rate * product * (product - 1) >= 3 * largest**2)
    assert np.all(rate * (4 * product - 1) >= 7 * largest / smallest)
    assert np.all(product[1:] >= 4 * product[:-1])


def test_claim_4_at_an_extreme_rate():
    """Layers of order 1 are enough there, as the first step takes them out of the range."""
    failing = dln.theory.failure_without_balance(0.5, 1e200)
    assert [w[0, 0] for w in failing.weights] == [1.0, 0.75]
    method = dln.GradientDescent(1e200)
    assert dln.run(failing.problem, failing.weights, method, n_steps=9).status == "diverged"


def test_claim_4_the_same_start_converges_at_a_smaller_rate():
    """The start fails for its rate, not for every rate."""
    failing = dln.theory.failure_without_balance(0.5, 0.1)
    end = dln.run(failing.problem, failing.weights, dln.GradientDescent(1e-6), n_steps=1000)
    assert end.data["loss"].values[-1] < 1e-6 * failing.loss_floor


@pytest.mark.parametrize("depth", [2, 4, 6])
@pytest.mark.parametrize("rate", [1e-3, 0.05, 0.4])
@pytest.mark.parametrize("diagonal", [True, False])
def test_claim_5_there_is_a_balanced_start_above_its_floor(depth, rate, diagonal):
    basis = np.eye(4) if diagonal else orthogonal(4, seed=9)
    target = (basis * [1.0, 0.8, -0.3, -0.6]) @ basis.T
    failing = dln.theory.failure_without_margin((target + target.T) / 2, depth=depth)
    assert failing.loss_floor == pytest.approx((0.3**2 + 0.6**2) / 2, rel=1e-13)
    found = dln.theory.certificate(failing.weights, failing.problem)
    assert found.balancedness == 0.0
    assert found.deficiency_margin < 0
    trajectory = dln.run(
        failing.problem, failing.weights, dln.GradientDescent(rate), n_steps=20_000
    )
    losses = trajectory.data["loss"].values
    assert trajectory.status in ("finished", "diverged")
    # The residual is good to a few units of 1e-16 in each entry.
    assert np.nanmin(losses) >= failing.loss_floor * (1 - 1e-14)


def test_claim_5_without_arguments():
    failing = dln.theory.failure_without_margin()
    assert (len(failing.weights), failing.loss_floor) == (4, 0.125)
    assert "Claim 5" in failing.claim


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 3}, "depth: expected an even number of layers, got 3"),
        ({"target": np.eye(2)}, "target: expected a negative eigenvalue"),
        ({"target": [[0.0, 1.0], [-1.0, 0.0]]}, "target: expected a symmetric matrix"),
        ({"target": np.ones((2, 3))}, "target: expected a symmetric matrix"),
        ({"target": np.ones((2, 2))}, "target: expected a negative eigenvalue"),
    ],
)
def test_claim_5_is_about_even_depths_and_negative_eigenvalues(arguments, message):
    with pytest.raises(ValueError, match=message):
        dln.theory.failure_without_margin(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 0.1, 3), "depth: expected an even number"),
        ((1.0, 0.1, 2), "deficiency_margin: expected"),
        ((0.0, 0.1, 2), "deficiency_margin: expected"),
        ((np.nextafter(1.0, 0.0), 0.1, 2), "deficiency_margin: expected"),
        ((0.5, 0.0, 2), "learning_rate: expected"),
        ((0.5, 1e-200, 2), "learning_rate: the start .* leaves the range"),
    ],
)
def test_claim_4_takes_even_depths_and_what_is_in_range(arguments, message):
    margin, rate, depth = arguments
    with pytest.raises(ValueError, match=message):
        dln.theory.failure_without_balance(margin, rate, depth=depth)
