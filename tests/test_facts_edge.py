"""Facts beyond the edge of stability: Ghosh et al. 2025, for the loss 1/2 ||W - target||_F^2."""

import numpy as np
import pytest

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts

TARGETS = np.array([0.05, 0.7, 1.0, 3.0, 40.0])


def step(rho, target, rate, depth):
    return rho + rate * (target - rho**depth) * rho ** (depth - 1)


@pytest.mark.parametrize("depth", [2, 3, 4, 7, 30])
@pytest.mark.parametrize("factor", [1.001, 1.05, 1.2, 1.5, 3.0])
def test_the_two_cycle_is_a_cycle_of_descent(depth, factor):
    rate = factor * theory.stability_limit(TARGETS, depth)
    low, high = theory.two_cycle(TARGETS, rate, depth)
    # One step is as sensitive as its slopes; near the edge the cycle itself is only as sharp as
    # the root of a rounding error, along which the map is nearly the identity after two steps.
    np.testing.assert_allclose(step(low, TARGETS, rate, depth), high, rtol=1e-12)
    np.testing.assert_allclose(step(high, TARGETS, rate, depth), low, rtol=1e-12)
    assert (low**depth < TARGETS).all()
    assert (high**depth > TARGETS).all()
    assert (high**depth < 2 * TARGETS).all()


@pytest.mark.parametrize("x", [1.0001, 1.1, 1.3, 2.0, 10.0])
def test_two_layers_have_the_closed_form(x):
    rate = x / TARGETS
    low, high = theory.two_cycle(TARGETS, rate, 2)
    root = np.sqrt((x - 1) * (x + 3))
    tolerance = 1e-14 / root  # of x - 1, under the root
    for actual, sign in ((low, -1), (high, 1)):
        expected = TARGETS + ((1 - x) + sign * root) / (2 * rate)
        np.testing.assert_allclose(actual**2, expected, rtol=10 * tolerance + 1e-12)
    np.testing.assert_allclose(low * high * rate, 1, rtol=1e-14)
    np.testing.assert_allclose((low**2 + high**2) * rate, 1 + x, rtol=1e-12)
    multiplier = theory.two_cycle_multiplier(TARGETS, rate, 2)
    np.testing.assert_allclose(multiplier, 9 - 2 * (1 + x) ** 2, rtol=1e-11)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_multiplier_is_the_derivative_of_two_steps(depth):
    rate = 1.1 * theory.stability_limit(1.3, depth)
    low, _ = theory.two_cycle(1.3, rate, depth)
    h = 1e-5

    def turn(rho):
        return step(step(rho, 1.3, rate, depth), 1.3, rate, depth)

    difference = (turn(low + h) - turn(low - h)) / (2 * h)  # to h^2 times a third derivative
    assert theory.two_cycle_multiplier(1.3, rate, depth) == pytest.approx(difference, abs=1e-6)


def test_the_two_cycle_loses_stability_where_its_multiplier_is_minus_one():
    assert theory.two_cycle_limit(1.0, 2) == pytest.approx(np.sqrt(5) - 1, rel=1e-14)
    for depth in (2, 3, 6, 100):
        limit = theory.two_cycle_limit(TARGETS, depth)
        np.testing.assert_allclose(
            theory.two_cycle_multiplier(TARGETS, limit, depth), -1, rtol=1e-10
        )
        ratio = limit / theory.stability_limit(TARGETS, depth)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-13)
        assert 1.236 < ratio[0] < 1.252


@pytest.mark.parametrize("factor", [1.05, 1.15])
def test_theorem_1_the_top_mode_cycles_and_the_others_converge(factor):
    depth, targets = 3, np.array([2.0, 0.8, 0.3])
    rate = float(factor * theory.stability_limit(2.0, depth))
    trajectory = dln.run(
        dln.TargetMatrix(np.diag(targets)),
        dln.init.spectral(np.diag([1.5, 0.7, 0.2]), (3,) * (depth + 1)),
        dln.GradientDescent(rate),
        n_steps=4001,
        record=dln.Record(["end_to_end"], steps=np.array([4000, 4001])),
    )
    w = np.diagonal(trajectory.data["end_to_end"].values[-2:], axis1=1, axis2=2)
    low, high = theory.two_cycle(2.0, rate, depth)
    # Converged: multipliers 0.35 and -0.6 a turn.
    np.testing.assert_allclose(np.sort(w[:, 0]), [low**depth, high**depth], rtol=1e-12)
    np.testing.assert_allclose(w[:, 1:], [targets[1:]] * 2, rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.15])
def test_proposition_2_oscillation_balances_the_layers(factor):
    """b_ij = a_i^2 - a_j^2 shrinks by an exact factor, to zero only if the loss does not."""
    rate = float(factor * theory.stability_limit(2.0, 3))
    layers = [np.array([[a]]) for a in (1.5, 1.2, 1.0)]
    data = dln.run(
        dln.TargetMatrix([[2.0]]),
        layers,
        dln.GradientDescent(rate),
        n_steps=2000,
        record=dln.Record(["weights"], every=1),
    ).data
    a = np.stack([data[f"W{j}"].values.ravel() for j in (1, 2, 3)])
    product = a.prod(axis=0)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        b = a[i] ** 2 - a[j] ** 2
        shrink = 1 - (rate * (product - 2) * product / (a[i] * a[j])) ** 2
        # Rounding of squares up to 3, where b itself may be small.
        np.testing.assert_allclose(b[1:], (b * shrink)[:-1], atol=4e-15)
        assert (abs(b[-1]) < 1e-12) == (factor > 1)


def test_a_mode_oscillates_exactly_beyond_its_stability_limit():
    for depth in (1, 2, 4):
        limit = theory.stability_limit(1.7, depth)
        rest = 1.7 ** (1 / depth)
        h = 1e-6
        after = step(rest + h, 1.7, limit, depth) - step(rest - h, 1.7, limit, depth)
        assert after / (2 * h) == pytest.approx(-1, abs=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.stability_limit([1.0, 0.0], 2), r"targets: expected numbers > 0, got 0\.0"),
        (lambda: theory.two_cycle(1.0, 1.0, 2), r"learning_rate: .* above .* 1 of .* got 1$"),
        (lambda: theory.two_cycle([1.0, 2.0], 0.8, 2), "limit 1 of the target 1, got 0.8"),
        (lambda: theory.two_cycle(1.0, 5.0, 1), "depth: expected an integer >= 2"),
        (lambda: theory.two_cycle_multiplier([1, 2], [1, 2, 3], 2), "targets: .* broadcast"),
        (lambda: theory.two_cycle_limit(-1.0, 2), "targets: expected numbers > 0"),
    ],
)
def test_bad_cycles_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
