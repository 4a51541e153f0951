"""Facts about identity starts: Bartlett et al. 2018, Chou et al. 2020, Claim 5 of Arora et al."""

import numpy as np
import pytest
from helpers import orthogonal
from hypothesis import given
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts


def symmetric(values, seed=1):
    basis = orthogonal(len(values), seed)
    return (basis * values) @ basis.T


def run(target, depth, rate, n_steps, scale=1.0, weight_decay=0.0):
    return dln.run(
        dln.TargetMatrix(target),
        dln.init.identity((len(target),) * (depth + 1), scale),
        dln.GradientDescent(rate, weight_decay=weight_decay),
        n_steps=n_steps,
        record=dln.Record(["loss", "end_to_end"], every=max(1, n_steps // 20)),
    ).data


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_identity_layers_follow_the_eigenvalue_recursion(depth, weight_decay):
    target = symmetric([2.0, 1.0, 0.3, 0.0])
    data = run(target, depth, 0.05, 400, 0.5, weight_decay)
    expected = theory.identity_descent(
        target, depth, 0.05, data["step"].values, 0.5, weight_decay=weight_decay
    )
    # The same recursion in another basis; all modes contract or creep, so rounding adds up.
    np.testing.assert_allclose(data["end_to_end"].values, expected, atol=1e-12)


def test_equal_layers_with_singular_vectors_follow_the_recursion_too():
    values, start = np.array([3.0, 1.0]), np.array([0.1, 0.2])
    problem = dln.TargetMatrix(np.diag([3.0, 1.0]) @ orthogonal(2, 3))
    weights = dln.init.balanced_from(np.diag(start) @ orthogonal(2, 3), (2, 4, 2, 2))
    trajectory = dln.run(problem, weights, dln.GradientDescent(0.02), n_steps=300)
    layer = theory.eigenvalue_descent(values, start ** (1 / 3), 3, 0.02, 300)
    # Balanced to rounding only, which the 300 steps amplify by the growth from 0.1 to 3.
    actual = dln.metrics.singular_values(dln.chain.product(trajectory.weights))
    np.testing.assert_allclose(actual, layer**3, rtol=1e-12)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=4),
    st.integers(1, 6),
    st.floats(1e-6, 10.0),
    st.floats(-2, 2),
)
def test_eigenvalue_descent_is_its_definition(targets, depth, rate, start):
    """Plain loops, at any rate: what leaves the range of numbers is infinite from then on."""
    actual = theory.eigenvalue_descent(targets, start, depth, rate, np.arange(30))
    assert not np.isnan(actual).any()
    for i, target in enumerate(targets):
        d = start
        for step in range(30):
            if not abs(d) < 1e50:
                break
            # One rounding more or less in a power, which an unstable rate amplifies.
            assert actual[step, i] == pytest.approx(d, rel=1e-13 * 1e3**step + 1e-15, abs=1e-300)
            if 1e-13 * 1e3**step > 1e-2:
                break
            d = d - rate * d ** (depth - 1) * (d**depth - target)
    lost = np.isinf(actual)
    np.testing.assert_array_equal(lost, np.logical_or.accumulate(lost, axis=0))


def test_steps_come_back_in_the_order_asked_for():
    full = theory.eigenvalue_descent([1.0, -1.0], 0.5, 3, 0.1, np.arange(8))
    some = theory.eigenvalue_descent([1.0, -1.0], 0.5, 3, 0.1, [[7, 0], [3, 3]])
    np.testing.assert_array_equal(some, full[np.array([[7, 0], [3, 3]])])
    assert theory.eigenvalue_descent(1.0, 0.5, 3, 0.1, 7) == full[7, 0]
    # At a fixed point the rest is known: a billion steps are no work.
    assert theory.eigenvalue_descent(1.0, 1.0, 3, 0.1, 10**9) == 1.0


def test_descent_tends_to_the_flow():
    target = symmetric([1.5, 0.4, -0.5])
    times = np.array([0.0, 1.0, 4.0])
    flow = theory.identity_flow(target, 3, times, 0.2)
    errors = []
    for rate in (1e-2, 5e-3, 2.5e-3):
        steps = np.rint(times / rate).astype(int)
        errors.append(np.abs(theory.identity_descent(target, 3, rate, steps, 0.2) - flow).max())
    assert errors[-1] < 1e-3
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.05)


@pytest.mark.parametrize("depth", [2, 4])
def test_claim_5_the_loss_stays_above_its_floor(depth):
    target = symmetric([1.0, -0.5, -0.2])
    floor = theory.identity_loss_floor(target, depth)
    assert floor == pytest.approx(0.145, rel=1e-14)
    # 200 steps: too few for rounding to break the symmetry of the layers.
    assert (run(target, depth, 0.1, 200)["loss"].values >= floor).all()
    exact = theory.identity_descent(target, depth, 0.1, np.array([10**4]))[0]
    loss = 0.5 * np.sum((exact - target) ** 2)
    # Modes of depth 4 vanish like a power of the time.
    assert floor * (1 - 1e-14) <= loss <= floor + 1e-2


def test_claim_5_sample():
    values = theory.eigenvalue_descent([1.0, -0.5], 1.0, 4, 0.05, 40_000)
    loss = 0.5 * np.sum((values**4 - [1.0, -0.5]) ** 2)
    assert loss == pytest.approx(0.125, abs=1e-6)  # the negative mode falls like 1/t


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.identity_descent([[1, 2], [0, 1]], 2, 0.1, [1]), "target: .* symmetric"),
        (lambda: theory.identity_flow(np.ones((2, 3)), 2, [1]), r"target: .* square .*\(2, 3\)"),
        (lambda: theory.identity_flow(np.eye(2), 2, 1.0), "times: expected a vector"),
        (lambda: theory.identity_descent(np.eye(2), 2, 0.1, 3), "steps: expected a vector"),
        (lambda: theory.identity_descent(5 * np.eye(2), 2, 9.0, [99]), "learning_rate: .* diverge"),
        (lambda: theory.identity_descent(np.eye(2), 2, 0.1, [1], 0.0), "scale: .* > 0"),
        (lambda: theory.identity_loss_floor(np.eye(2), 3), "depth: expected an even number, got 3"),
        (lambda: theory.eigenvalue_descent(1, 1, 2, 0.0, 1), "learning_rate: .* > 0"),
        (lambda: theory.eigenvalue_descent(1, 1, 2, 0.1, [-1]), "steps: .* >= 0"),
        (lambda: theory.eigenvalue_descent(1, 1, 2, 0.1, 1, -1.0), "weight_decay: .* >= 0"),
    ],
)
def test_bad_identity_starts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_floor_that_leaves_the_range():
    target = np.diag([1.0, -1e200])
    for function in (dln.theory.identity_loss_floor, dln.theory.failure_without_margin):
        with pytest.raises(ValueError, match=r"target: .* squares in the range"):
            function(target, depth=4)
