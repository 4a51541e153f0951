"""Facts of Arora, Cohen, Golowich & Hu 2019 (arXiv:1810.02281) and its neighbours.

Whitening, deficiency margin, linear convergence from balanced starts, and both counterexamples.
"""

import numpy as np
import pytest
import reference
from helpers import orthogonal, path
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, widths

import pydlnet as dln

pytestmark = pytest.mark.facts

EVERY = dln.Record(["loss", "singular_values", "weights", "imbalance"], every=1)


def test_section_2_whitened_regression_is_a_target_up_to_a_constant():
    """The whole trajectory on whitened data is that of 1/2 ||W - Phi||^2."""
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4))
    outputs = rng.standard_normal((40, 2))
    white = dln.whiten(inputs, outputs)
    start = dln.init.gaussian((4, 5, 2), 0.5, 2)
    data = [
        dln.run(problem, start, dln.GradientDescent(0.05), n_steps=200).data["loss"].values
        for problem in (dln.Regression(inputs @ white.transform, outputs), white.problem)
    ]
    np.testing.assert_allclose(data[0], data[1] + white.constant, rtol=1e-11)


@given(widths(max_width=8), seeds)
def test_procedure_1_starts_are_balanced(sizes, seed):
    weights = dln.init.balanced(sizes, 0.8, seed)
    np.testing.assert_allclose(reference.imbalance(weights), 0, atol=1e-13)
    depth = len(sizes) - 1
    values = reference.singular_values(reference.product(weights))
    for w in weights:  # all layers share the N-th roots of the singular values of W
        own = reference.singular_values(w)
        k = min(len(own), len(values))
        np.testing.assert_allclose(own[:k] ** depth, values[:k], atol=1e-12)


def start_with_margin(sizes, margin, seed):
    """Return a target with sigma_min = 1, and a balanced start at 1 - margin from it."""
    rng = np.random.default_rng(seed)
    k = min(sizes[0], sizes[-1])
    left, right = orthogonal(sizes[-1], seed)[:, :k], orthogonal(sizes[0], seed + 1)[:, :k]
    target = (left * np.linspace(1.5, 1.0, k)) @ right.T
    shift = rng.standard_normal(target.shape)
    shift *= (1 - margin) / np.linalg.norm(shift)
    return target, dln.init.balanced_from(target + shift, sizes)


@pytest.mark.parametrize("sizes", [(3, 3), (3, 4, 3), (3, 3, 5, 4), (5, 3, 3, 3, 3)])
@pytest.mark.parametrize("margin", [0.1, 0.6])
def test_claim_1_while_the_loss_falls_the_margin_bounds_the_smallest_singular_value(sizes, margin):
    target, start = start_with_margin(sizes, margin, seed=3)
    assert dln.metrics.deficiency_margin(reference.product(start), target) == pytest.approx(margin)
    data = dln.run(
        dln.TargetMatrix(target), start, dln.GradientDescent(0.02), n_steps=500, record=EVERY
    ).data
    losses = data["loss"].values
    assert np.all(np.diff(losses) <= 0)
    assert losses[-1] < 1e-3 * losses[0]
    assert np.all(data["singular_value"].values[:, -1] >= margin - 1e-12)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (3, 3, 3, 3), (4, 5, 3, 3)])
def test_theorem_1_at_the_stated_rate_the_loss_contracts(sizes):
    """Both conditions and the rate as in the theorem; each step as in Lemma 1.

    The bound is tiny (1e-8 to 1e-7), so a few thousand steps are checked and not all of them.
    """
    depth, margin = len(sizes) - 1, 0.62
    target, start = start_with_margin(sizes, margin, seed=4)
    norm = np.linalg.norm(target)
    delta = margin**2 / (256 * depth**3 * norm ** (2 * (depth - 1) / depth))
    rate = margin ** ((4 * depth - 2) / depth) / (
        6144 * depth**3 * norm ** ((6 * depth - 4) / depth)
    )
    assert dln.metrics.balancedness(start) <= delta
    data = dln.run(
        dln.TargetMatrix(target), start, dln.GradientDescent(rate), n_steps=2000, record=EVERY
    ).data
    losses, least = data["loss"].values, data["singular_value"].values[:, -1]
    bound = (1 - rate * least[:-1] ** (2 * (depth - 1) / depth)) * losses[:-1]
    assert np.all(losses[1:] <= bound * (1 + 1e-14))
    rate_of_theorem = rate * margin ** (2 * (depth - 1) / depth)
    assert losses[-1] <= losses[0] * np.exp(-2000 * rate_of_theorem)


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_lemma_2_layers_stay_nearly_balanced_and_bounded(rate):
    """A larger rate than the theorem's, where the same bounds are observed to hold."""
    target, start = start_with_margin((3, 4, 3, 3), 0.62, seed=5)
    trajectory = dln.run(
        dln.TargetMatrix(target), start, dln.GradientDescent(rate), n_steps=3000, record=EVERY
    )
    norm = np.linalg.norm(target)
    for layers in path(trajectory)[::50]:
        assert max(np.linalg.norm(w, 2) for w in layers) <= (4 * norm) ** (1 / 3)
        assert np.linalg.norm(reference.product(layers), 2) <= 2 * norm
    assert trajectory.data["imbalance"].values.max() < 20 * rate


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


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_bartlett_helmbold_long_identity_layers_stay_equal_and_follow_their_eigenvalues(depth):
    """d <- d - rate d^(N-1) (d^N - lambda) for each eigenvalue of a positive definite target."""
    eigenvalues = np.array([0.3, 0.9, 1.4])
    basis = orthogonal(3, seed=6)
    target = (basis * eigenvalues) @ basis.T
    trajectory = dln.run(
        dln.TargetMatrix((target + target.T) / 2),
        dln.init.identity((3,) * (depth + 1)),
        dln.GradientDescent(0.05),
        n_steps=200,
    )
    d = np.ones(3)
    for _ in range(200):
        d = d - 0.05 * d ** (depth - 1) * (d**depth - eigenvalues)
    for layer in trajectory.weights:
        np.testing.assert_allclose(layer, (basis * d) @ basis.T, atol=1e-12)


@pytest.mark.parametrize("multiple", [1.05, 1.2])
def test_ghosh_two_layers_beyond_the_edge_of_stability_settle_on_a_cycle(multiple):
    """rho^2 = s + [(1 - m) +- sqrt((m - 1)(m + 3))] / (2 rate), with m = rate s in (1, 1.236)."""
    sigma = 2.0
    rate = multiple / sigma
    start = [np.array([[np.sqrt(sigma) + 0.01]])] * 2
    data = dln.run(
        dln.TargetMatrix([[sigma]]),
        start,
        dln.GradientDescent(rate),
        n_steps=20_000,
        record=dln.Record("weights", steps=[19_999, 20_000]),
    ).data
    root = np.sqrt((multiple - 1) * (multiple + 3))
    expected = np.sqrt(sigma + ((1 - multiple) + np.array([-root, root])) / (2 * rate))
    np.testing.assert_allclose(np.sort(data["W1"].values[-2:, 0, 0]), expected, rtol=1e-10)
    # Products and sums as stated, too.
    assert np.prod(expected) == pytest.approx(1 / rate)


@given(st.floats(0.5, 1.9), seeds)
def test_ghosh_two_layers_are_stable_below_the_edge(sharpness_times_rate, seed):
    """The sharpness at the balanced minimum is 2 sigma."""
    sigma = 1.5
    rate = sharpness_times_rate / (2 * sigma)
    offset = 1e-3 * np.random.default_rng(seed).standard_normal()
    trajectory = dln.run(
        dln.TargetMatrix([[sigma]]),
        [np.array([[np.sqrt(sigma) + offset]])] * 2,
        dln.GradientDescent(rate),
        n_steps=2000,
    )
    assert trajectory.data["loss"].values[-1] < 1e-20
