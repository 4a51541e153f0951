"""Two layers in closed form: Braun et al. 2022, and Domine et al. 2024 for lambda-balanced ones."""

import numpy as np
import pytest
from helpers import network, orthogonal
from scipy.integrate import solve_ivp

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts

TIMES = np.array([0.0, 1e-6, 0.1, 0.5, 1.0, 3.0, 8.0])


def lambda_balanced(widths, lam, seed=1):
    """Return two layers with W_2^T W_2 - W_1 W_1^T = lam I and random strengths."""
    d_0, h, d_2 = widths
    small = np.random.default_rng(seed).uniform(0.1, 0.6, h)
    first, second = np.sqrt(small + max(-lam, 0)), np.sqrt(small + max(lam, 0))
    rotation = orthogonal(h, seed)
    return [
        (rotation * first) @ orthogonal(d_0, seed + 1)[:h],
        orthogonal(d_2, seed + 2)[:, :h] * second @ rotation.T,
    ]


def integrate(weights, target, times):
    """Return both layers at the times, by their own equations."""
    shapes = [w.shape for w in weights]
    split = weights[0].size

    def unpack(x):
        return x[:split].reshape(shapes[0]), x[split:].reshape(shapes[1])

    def velocity(_, x):
        first, second = unpack(x)
        residual = second @ first - target
        return -np.concatenate([(second.T @ residual).ravel(), (residual @ first.T).ravel()])

    solution = solve_ivp(
        velocity,
        (0, times[-1]),
        np.concatenate([w.ravel() for w in weights]),
        method="DOP853",
        rtol=1e-12,
        atol=1e-14,
        t_eval=times,
    )
    return [unpack(x) for x in solution.y.T]


def target_of_rank(shape, rank, seed=5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) / 2


@pytest.mark.parametrize("lam", [0.0, 0.7, -0.7])
@pytest.mark.parametrize(
    ("widths", "rank"), [((4, 3, 5), 4), ((5, 3, 4), 4), ((3, 3, 3), 2), ((6, 2, 2), 1)]
)
def test_two_layer_flow_solves_the_equations_of_both_layers(widths, rank, lam):
    weights = lambda_balanced(widths, lam)
    target = target_of_rank((widths[2], widths[0]), rank)
    layers = integrate(weights, target, TIMES)
    # The integrator asks for 1e-12 a step; modes grow by some e^10, then are attracted.
    for actual, (first, second) in zip(
        theory.two_layer_flow(weights, target, TIMES), layers, strict=True
    ):
        np.testing.assert_allclose(actual, second @ first, atol=1e-10)
    for actual, (first, second) in zip(
        theory.two_layer_gram(weights, target, TIMES), layers, strict=True
    ):
        q = np.vstack([first.T, second])
        np.testing.assert_allclose(actual, q @ q.T, atol=1e-10)


def test_the_closed_form_of_braun_et_al_as_it_reads():
    """An invertible F and moderate times, where the formula can be typed in."""
    weights, target = lambda_balanced((3, 3, 3), 0.0), target_of_rank((3, 3), 3)
    zero = np.zeros((3, 3))
    values, basis = np.linalg.eigh(np.block([[zero, target.T], [target, zero]]))
    start = np.vstack([weights[0].T, weights[1]])
    for time in (0.2, 1.0, 2.0):
        growth = (basis * np.exp(values * time)) @ basis.T
        inverse = (basis / values) @ basis.T
        middle = np.eye(3) + 0.5 * start.T @ (growth @ inverse @ growth - inverse) @ start
        expected = growth @ start @ np.linalg.solve(middle, start.T @ growth)
        actual = theory.two_layer_gram(weights, target, [time])[0]
        # Eigenvalues of F up to 3: e^(2 F t) has a condition number of e^24 at most, of which
        # the inverse feels about the root.
        np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_descent_with_small_steps_follows_the_closed_form():
    weights, target = dln.init.balanced((4, 6, 3), 0.1, 1), target_of_rank((3, 4), 3)
    errors = []
    for rate in (2e-3, 1e-3):
        data = dln.run(
            dln.TargetMatrix(target),
            weights,
            dln.GradientDescent(rate),
            n_steps=round(4 / rate),
            record=dln.Record(["end_to_end"], every=round(1 / rate)),
        ).data
        exact = theory.two_layer_flow(weights, target, [0, 1, 2, 3, 4])
        errors.append(np.abs(data["end_to_end"].values - exact).max())
    assert errors[1] < 1e-2
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("lam", [0.0, 0.7, -0.7])
def test_no_time_is_too_long(lam):
    """A narrow network ends at the best approximation of its rank, and stays there."""
    weights, target = lambda_balanced((4, 2, 5), lam), target_of_rank((5, 4), 4)
    left, values, right = np.linalg.svd(target)
    best = (left[:, :2] * values[:2]) @ right[:2]
    far = theory.two_layer_flow(weights, target, [1e3, 1e4, 1e6, 1e12, 1e300])
    np.testing.assert_allclose(far - best, 0, atol=1e-13)


def test_aligned_layers_follow_the_mode_equation_from_tiny_starts():
    targets, starts = np.array([3.0, 1.0, 0.0]), np.array([1e-30, 1e-250, 0.5])
    rotation = orthogonal(3, 9)
    root = np.sqrt(starts)
    weights = [rotation * root, (rotation * root).T]
    times = np.array([0.0, 1.0, 12.0, 280.0, 290.0, 1e3, 1e6])
    # In the basis of the target, so that a start of 1e-250 is not lost in rounding.
    actual = theory.two_layer_flow([np.diag(root), np.diag(root)], np.diag(targets), times)
    expected = theory.mode_strength(times, targets, starts, 2)
    np.testing.assert_allclose(np.diagonal(actual, axis1=1, axis2=2), expected, rtol=1e-12)
    # With rotated hidden units the small strengths are what rounding makes of them: not checked
    # but for staying finite.
    assert np.isfinite(theory.two_layer_flow(weights, np.diag(targets), times)).all()


@pytest.mark.parametrize(("first", "second"), [(0.1, 1.5), (1.5, 0.1), (-0.3, 0.4), (1.0, 0.0)])
def test_two_scalar_layers_need_no_balance(first, second):
    """Min et al. 2021: dw/dt = sqrt(D^2 + 4 w^2) (s - w), whatever the layers' difference D."""
    imbalance, times = second**2 - first**2, np.linspace(0, 3, 13)
    for target in (2.0, -0.7, 0.0):
        solution = solve_ivp(
            lambda _, w, s=target: np.sqrt(imbalance**2 + 4 * w**2) * (s - w),
            (0, 3),
            [first * second],
            method="DOP853",
            rtol=1e-12,
            atol=1e-14,
            t_eval=times,
        )
        actual = theory.two_layer_flow([[[first]], [[second]]], [[target]], times)
        np.testing.assert_allclose(actual.ravel(), solution.y[0], atol=1e-11)


def test_directions_that_start_at_zero_stay_there():
    """More hidden units than the rank of the start: rounding is not allowed to escape."""
    left, right = orthogonal(5, 1), orthogonal(4, 2)
    hidden = orthogonal(6, 3)[0]
    weights = [0.3 * np.outer(hidden, right[:, 0]), 0.3 * np.outer(left[:, 0], hidden)]
    target = (left[:, :3] * [1.0, 3.0, 2.0]) @ right[:, :3].T
    far = theory.two_layer_flow(weights, target, [1e3])[0]
    np.testing.assert_allclose(far, np.outer(left[:, 0], right[:, 0]), atol=1e-13)
    # A start of rank one that overlaps with every mode ends at the strongest one alone.
    weights = [0.3 * np.outer(hidden, orthogonal(4, 7)[0]), 0.3 * np.outer(left.sum(1), hidden)]
    weights[1] *= 0.3 / np.linalg.norm(weights[1])
    far = theory.two_layer_flow(weights, target, [1e3])[0]
    np.testing.assert_allclose(far, 3.0 * np.outer(left[:, 1], right[:, 1]), atol=1e-13)
    nowhere = theory.two_layer_flow([np.zeros((2, 4)), np.zeros((5, 2))], target, [1.0, 1e6])
    np.testing.assert_array_equal(nowhere, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e150])
def test_unbalanced_layers_are_refused_at_any_scale(scale):
    weights = [scale * w for w in network((4, 3, 5))]
    with pytest.raises(ValueError, match=r"weights: expected W_2\^T W_2 - W_1 W_1\^T to be a mult"):
        theory.two_layer_flow(weights, np.ones((5, 4)), [1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": network((4, 3, 3, 5))}, "weights: expected two layers, got 3"),
        ({"target": np.ones((4, 5))}, r"target: expected shape \(5, 4\), got \(4, 5\)"),
        ({"times": 1.0}, "times: expected a vector"),
        ({"times": [-1.0]}, "times: expected numbers >= 0"),
        ({"target": np.full((5, 4), np.inf)}, "target: expected finite"),
    ],
)
def test_bad_two_layer_flows_are_refused(change, message):
    arguments = {
        "weights": lambda_balanced((4, 3, 5), 0.0),
        "target": np.ones((5, 4)),
        "times": [1.0],
    }
    with pytest.raises(ValueError, match=message):
        theory.two_layer_flow(**(arguments | change))
