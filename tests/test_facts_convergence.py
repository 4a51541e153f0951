"""Facts of Arora, Cohen, Golowich & Hu 2019 (arXiv:1810.02281) and its neighbours.

Whitening, deficiency margin, and linear convergence from balanced starts.
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


def at_the_limit_of_balance(weights, allowed, seed):
    """Insert invertible matrices between the layers until they are just delta-balanced."""
    rng = np.random.default_rng(seed)
    turns = [rng.standard_normal((w.shape[0],) * 2) for w in weights[:-1]]

    def bent(size):
        layers = [w.copy() for w in weights]
        for j, turn in enumerate(turns):
            matrix = np.eye(len(turn)) + size * turn
            layers[j] = matrix @ layers[j]
            layers[j + 1] = layers[j + 1] @ np.linalg.inv(matrix)
        return layers

    low, high = 0.0, 1e-2
    assert max(reference.imbalance(bent(high))) > allowed
    for _ in range(60):
        middle = (low + high) / 2
        fits = max(reference.imbalance(bent(middle))) <= allowed
        low, high = (middle, high) if fits else (low, middle)
    return bent(low)


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 4, 3), (4, 3, 5, 3), (2, 6, 2, 3, 2), (5, 1, 1)])
@pytest.mark.parametrize("margin", [0.15, 0.5, 0.9])
def test_theorem_1_and_lemma_2_from_random_starts_at_exactly_what_is_allowed(sizes, margin):
    """The rate and the imbalance are the largest ones allowed, the bounds are the theorem's."""
    for seed in range(4):
        target, balanced = start_with_margin(sizes, margin, seed)
        problem = dln.TargetMatrix(target)
        delta = dln.theory.certificate(balanced, problem).balancedness_allowed
        # The product of the bent layers is that of the balanced ones up to rounding, and so is
        # delta: a billionth less is below it.
        start = at_the_limit_of_balance(balanced, delta * (1 - 1e-9), seed)
        found = dln.theory.certificate(start, problem)
        assert found.holds
        assert found.balancedness > 0.999 * found.balancedness_allowed
        rate = found.learning_rate_allowed
        data = dln.run(
            problem,
            start,
            dln.GradientDescent(rate),
            n_steps=300,
            record=dln.Record(["loss", "imbalance", "layer_singular_values"], every=1),
        ).data
        losses = data["loss"].values
        # A loss of order 1 is good to a few units of 1e-16, a decrease is 1e-10 or more of it.
        assert np.all(losses[1:] <= found.contraction(rate) * losses[:-1] * (1 + 2e-15))
        assert data["imbalance"].values.max() <= 2 * found.balancedness_allowed
        norms = np.fmax.reduce(data["layer_singular_value"].values, axis=(1, 2))
        assert norms.max() <= found.layer_norm_bound


@pytest.mark.parametrize("distance", [0.1, 0.49])
def test_section_3_residual_networks_near_the_identity_meet_the_conditions(distance):
    """Identity layers and ||Phi - I||_F < 1/2: the margin is at least 1 - 2 ||Phi - I||_F."""
    for seed in range(20):
        shift = np.random.default_rng(seed).standard_normal((3, 3))
        target = np.eye(3) + distance * shift / np.linalg.norm(shift)
        found = dln.theory.certificate([np.eye(3)] * 4, dln.TargetMatrix(target))
        assert found.holds
        assert found.deficiency_margin >= 1 - 2 * distance - 1e-15


@pytest.mark.parametrize(("depth", "value"), [(1, 0.6), (1, 1.3), (2, 0.9), (3, 1.05)])
def test_theorem_1_reaches_the_accuracy_in_the_steps_it_says(depth, value):
    """One entry, close to its target: the only case that is short enough to run to the end."""
    problem = dln.TargetMatrix([[1.0]])
    start = dln.init.balanced_from([[value]], (1,) * (depth + 1))
    found = dln.theory.certificate(start, problem)
    rate = found.learning_rate_allowed
    goal = found.excess_loss / 20
    n_steps = found.steps(rate, goal)
    assert 1e3 < n_steps < 2e6
    end = dln.run(problem, start, dln.GradientDescent(rate), n_steps=n_steps)
    assert end.data["loss"].values[-1] <= goal


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_theorem_2_follows_from_theorem_1_at_its_margin(depth):
    """A balanced start with just the margin that the theorem expects of a random one."""
    d_0, scale = 16, 1 / 16 / 5
    target = orthogonal(d_0, 8)[:1]
    problem = dln.TargetMatrix(target)
    sizes = (d_0, *[2] * (depth - 1), 1)
    found = dln.theory.balanced_start_certificate(sizes, scale, problem)
    start = dln.init.balanced_from(found.deficiency_margin * target, sizes)
    own = dln.theory.certificate(start, problem)
    assert own.deficiency_margin == pytest.approx(found.deficiency_margin, rel=1e-12)
    # 10^5 is 2^(4-2/N) 6144 rounded up; the rate is a power up to 4 of the margin.
    assert found.learning_rate_allowed == pytest.approx(
        own.learning_rate_allowed * 6144 * 2 ** (4 - 2 / depth) / 1e5, rel=1e-11
    )
    # Both phases, from the contraction of Theorem 1 with the margins c and 1/2.
    rate = found.learning_rate_allowed
    exponent = 2 - 2 / depth
    phases = [np.log(4) / found.deficiency_margin**exponent, np.log(1 / 8e-6) / 0.5**exponent]
    assert sum(phases) / rate <= found.steps(rate, 1e-6) <= 4.1 * sum(phases) / rate


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
