"""Facts of Arora, Cohen & Hazan 2018 (arXiv:1802.06509) and of Du, Hu & Lee 2018.

Conservation of the imbalance, the end-to-end update rule and its preconditioner, and depth as
acceleration on l_4 regression.
"""

import itertools

import numpy as np
import pytest
import reference
from helpers import assert_close, network
from hypothesis import given
from hypothesis import strategies as st
from strategies import experiments, networks, seeds, widths

import pydlnet as dln

pytestmark = pytest.mark.facts


def balanced(sizes, seed, scale=0.5):
    """Return a balanced start and a problem that is not at its minimum."""
    # Another seed: the start would be a multiple of the target, and the gradient one of the start.
    target = np.random.default_rng(seed + 100).standard_normal((sizes[-1], sizes[0]))
    return dln.init.balanced(sizes, scale, seed), dln.TargetMatrix(target), target


# -- Imbalance --


@given(experiments(min_depth=2), st.sampled_from([1e-1, 1e-3]))
def test_du_hu_lee_a_step_changes_the_imbalance_by_exactly_rate_squared(experiment, rate):
    """D_j(t+1) - D_j(t) = rate^2 (G_{j+1}^T G_{j+1} - G_j G_j^T): the first-order terms cancel."""
    weights, case = experiment
    _, grads = dln.chain.value_and_gradients(weights, case.problem)
    after = dln.chain.step(weights, case.problem, rate)
    change = reference.imbalance_matrices(grads)
    size = 1 + max(np.abs(w).max() for w in [*weights, *after]) ** 2 * 12
    for new, old, expected in zip(
        reference.imbalance_matrices(after),
        reference.imbalance_matrices(weights),
        change,
        strict=True,
    ):
        np.testing.assert_allclose(new - old, rate**2 * expected, rtol=1e-9, atol=1e-13 * size)


def test_du_hu_lee_gradient_flow_conserves_the_imbalance():
    """Over a fixed time the drift of D_j is first order in the rate."""
    weights = network((4, 6, 5, 3), seed=1)
    problem = dln.TargetMatrix(np.random.default_rng(2).standard_normal((3, 4)))
    before = reference.imbalance_matrices(weights)

    def drift(rate):
        final = dln.run(
            problem, weights, dln.GradientDescent(rate), n_steps=round(2 / rate)
        ).weights
        pairs = zip(reference.imbalance_matrices(final), before, strict=True)
        return max(np.linalg.norm(a - b) for a, b in pairs)

    drifts = [drift(rate) for rate in (4e-3, 2e-3, 1e-3)]
    assert drifts[0] < 0.1
    for coarse, fine in itertools.pairwise(drifts):
        assert coarse / fine == pytest.approx(2, rel=0.05)


def test_du_hu_lee_weight_decay_shrinks_the_imbalance_exponentially():
    """D_j(t) = exp(-2 lambda t) D_j(0) along the flow."""
    weights = network((4, 6, 3), seed=3)
    problem = dln.TargetMatrix(np.random.default_rng(4).standard_normal((3, 4)))
    method = dln.GradientDescent(1e-4, weight_decay=0.5)
    data = dln.run(problem, weights, method, n_steps=10_000, record=dln.Record("imbalance")).data
    ratio = data["imbalance"].values[-1] / data["imbalance"].values[0]
    np.testing.assert_allclose(ratio, np.exp(-1.0), rtol=1e-2)


# -- Theorem 1: the end-to-end update rule --


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("sizes", [(4, 3), (4, 3, 3), (3, 5, 5, 4), (5, 6, 4, 7, 5), (6, 1, 1, 1)])
def test_theorem_1_from_a_balanced_start_the_residual_of_a_step_is_second_order(
    sizes, weight_decay
):
    """The residual quarters when the rate halves; at depth 1 there is none."""
    depth = len(sizes) - 1
    weights, problem, target = balanced(sizes, seed=5)
    end_to_end = reference.product(weights)

    def residual(rate):
        method = dln.GradientDescent(rate, weight_decay=weight_decay)
        after = reference.product(dln.run(problem, weights, method, n_steps=1).weights)
        ruled = reference.end_to_end_step(
            end_to_end, end_to_end - target, rate, depth, weight_decay
        )
        return np.linalg.norm(after - ruled)

    residuals = [residual(rate) for rate in (4e-3, 2e-3, 1e-3)]
    if depth == 1:
        assert max(residuals) < 1e-15
        return
    for coarse, fine in itertools.pairwise(residuals):
        assert coarse / fine == pytest.approx(4, rel=0.05)


def test_theorem_1_holds_for_balanced_layers_only():
    weights, problem, target = balanced((3, 4, 3), seed=6)
    weights = [2 * weights[0], weights[1] / 2]  # the same product
    end_to_end = reference.product(weights)
    rate = 1e-4
    after = reference.product(dln.chain.step(weights, problem, rate))
    ruled = reference.end_to_end_step(end_to_end, end_to_end - target, rate, 2)
    assert np.linalg.norm(after - ruled) > 0.1 * np.linalg.norm(ruled - end_to_end)


@given(widths(min_depth=2, max_depth=4, max_width=5), seeds)
def test_claim_1_the_preconditioner_has_the_stated_eigenvectors(sizes, seed):
    """A gradient u_r v_r'^T moves W along itself, sum_j s_r^(2(j-1)/N) s_r'^(2(N-j)/N) as fast."""
    sizes = (sizes[0], *[5] * (len(sizes) - 2), sizes[-1])
    depth = len(sizes) - 1
    weights = dln.init.balanced(sizes, 0.7, seed)
    left, values, right = np.linalg.svd(reference.product(weights))
    padded = [np.append(values, np.zeros(len(b) - len(values))) for b in (left, right)]
    rng = np.random.default_rng(seed)
    r, q = rng.integers(len(left)), rng.integers(len(right))
    direction = np.outer(left[:, r], right[q])
    rate = 1e-7
    problem = dln.EndToEndLoss(
        lambda w: (float(np.sum(w * direction)), direction), left.shape[:1] + right.shape[:1]
    )
    moved = reference.product(dln.chain.step(weights, problem, rate)) - reference.product(weights)
    eigenvalue = sum(
        padded[0][r] ** (2 * (j - 1) / depth) * padded[1][q] ** (2 * (depth - j) / depth)
        for j in range(1, depth + 1)
    )
    size = 1 + values[0] ** 2
    np.testing.assert_allclose(moved / -rate, eigenvalue * direction, atol=1e-5 * size)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_claim_2_a_single_output_moves_faster_along_itself(depth):
    """W <- W - rate ||W||^(2-2/N) (G + (N-1) Pr_W G)."""
    sizes = (6, *[1] * depth)
    weights, problem, target = balanced(sizes, seed=7)
    w = reference.product(weights)
    gradient = w - target
    norm = np.linalg.norm(w)
    projected = np.sum(w * gradient) / norm**2 * w
    velocity = norm ** (2 - 2 / depth) * (gradient + (depth - 1) * projected)
    rate = 1e-7
    moved = reference.product(dln.chain.step(weights, problem, rate)) - w
    np.testing.assert_allclose(moved / -rate, velocity, atol=1e-5)


# -- Depth 1 --


@given(networks(max_depth=1), seeds, st.sampled_from([0.05, 0.5, 1.5, 1.99]))
def test_depth_1_on_a_target_is_a_geometric_sequence(weights, seed, rate):
    """W(t) - Phi = (1 - rate)^t (W(0) - Phi)."""
    target = np.random.default_rng(seed).standard_normal(weights[0].shape)
    final = dln.run(
        dln.TargetMatrix(target), weights, dln.GradientDescent(rate), n_steps=30
    ).weights
    assert_close(final, [target + (1 - rate) ** 30 * (weights[0] - target)], 1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_depth_1_on_a_quadratic_diverges_exactly_beyond_two_over_the_sharpness(seed):
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.standard_normal((30, 5)), rng.standard_normal((30, 2))
    problem = dln.Regression(inputs, outputs)
    sharpness = np.linalg.eigvalsh(inputs.T @ inputs / 30)[-1]
    start = [rng.standard_normal((2, 5))]
    n_steps = 40_000  # 1.01 -> growth of the loss by 1.02^2 a step: out of range by then
    below = dln.run(problem, start, dln.GradientDescent(1.98 / sharpness), n_steps=n_steps)
    above = dln.run(problem, start, dln.GradientDescent(2.02 / sharpness), n_steps=n_steps)
    assert below.status == "finished"
    assert below.data["loss"].values[-1] < below.data["loss"].values[0]
    assert above.status == "diverged"


# -- Acceleration on l_p regression (section on l_p of the paper) --

Y = (1.0, 0.02)


def lp_problem(power):
    """Return sum_i |w_i - y_i|^p / p, two unit inputs."""
    return dln.Regression(np.eye(2), np.array(Y)[:, None], power=power, reduction="sum")


@pytest.mark.parametrize("power", [2, 4, 6])
def test_lp_plain_descent_moves_each_coordinate_by_its_own_power(power):
    """Delta_i <- Delta_i (1 - rate Delta_i^(p-2))."""
    rate = 0.5
    trajectory = dln.run(
        lp_problem(power), [np.zeros((1, 2))], dln.GradientDescent(rate), n_steps=50
    )
    delta = -np.array(Y)
    for _ in range(50):
        delta = delta * (1 - rate * np.abs(delta) ** (power - 2))
    np.testing.assert_allclose(trajectory.weights[0][0] - Y, delta, rtol=1e-10, atol=1e-15)


def steps_to(power, depth, rate, loss, n_steps=400_000):
    """Return the steps to a loss from a balanced start near zero with hidden widths 1."""
    start = dln.init.balanced_from([[1e-3, 1e-3]], (2, *[1] * depth))
    trajectory = dln.run(
        lp_problem(power),
        start,
        dln.GradientDescent(rate),
        n_steps=n_steps,
        stop=dln.Stop(loss=loss),
    )
    return trajectory.step if trajectory.status == "converged" else np.inf


def largest_stable_rate(power, depth):
    """Return 2 / max N x^(2-2/N) (y_1 - x)^(p-2) over 0 <= x <= y_1."""
    x = np.linspace(0, Y[0], 100_001)
    return 2 / np.max(depth * x ** (2 - 2 / depth) * (Y[0] - x) ** (power - 2))


@pytest.mark.slow
def test_lp_depth_2_needs_a_third_of_the_steps_on_l4_and_not_on_l2():
    """Each at its best of a few rates up to the largest locally stable one."""
    fractions = (0.3, 0.5, 0.7, 0.9, 0.98)
    plain, deep = (
        min(steps_to(4, depth, f * largest_stable_rate(4, depth), 1e-12) for f in fractions)
        for depth in (1, 2)
    )
    assert np.isfinite(plain)
    assert plain >= 3 * deep
    plain_l2 = min(steps_to(2, 1, rate, 1e-12) for rate in (0.5, 0.9, 1.5))
    deep_l2 = min(steps_to(2, 2, rate, 1e-12) for rate in (0.1, 0.25, 0.4, 0.5, 0.7, 0.9))
    assert deep_l2 >= plain_l2
