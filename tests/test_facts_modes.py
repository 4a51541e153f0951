"""Facts about single modes: Saxe et al. 2014, Gidel et al. 2019, Chou et al. 2020, their limits."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts

DEPTHS = [1, 2, 3, 4, 7, 50, math.inf]
# Below, above and opposite the target, a target of zero, equilibria, negative starts.
MODES = [(1, 0.3), (2.5, 1e-3), (2, 3), (0.5, 40), (-1, 3), (-0.5, 0.01), (0, 2), (-2, -0.1)]


def velocity(u, s, depth):
    if math.isinf(depth):
        return u**2 * (s - u)
    return depth * np.abs(u) ** (2 - 2 / depth) * (s - u)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("target", "start"), MODES)
def test_mode_strength_solves_the_mode_equation(depth, target, start):
    times = np.linspace(0, 8 / (1 if math.isinf(depth) else depth), 30)
    solution = solve_ivp(
        lambda _, u: velocity(u, target, depth),
        (0, times[-1]),
        [start],
        method="DOP853",
        rtol=1e-12,
        atol=1e-16,
        t_eval=times,
    )
    actual = theory.mode_strength(times, target, start, depth)
    # The integrator's error per step is 1e-12; the modes forget or at most keep it.
    np.testing.assert_allclose(actual, solution.y[0], rtol=1e-10)
    assert actual[0] == start


def quadrature(goal, target, start, depth):
    """Return the defining integral in ln u, to 20 digits."""
    mpmath.mp.dps = 20
    n, k = (1, 2) if math.isinf(depth) else (depth, 2 - mpmath.mpf(2) / depth)

    def integrand(y):
        return mpmath.exp(y * (1 - k)) / (n * (target - mpmath.exp(y)))

    ends = mpmath.log(start), mpmath.log(goal)
    pieces = int(abs(ends[1] - ends[0]) / 4) + 2
    return float(mpmath.quad(integrand, mpmath.linspace(*ends, pieces)))


@pytest.mark.parametrize("depth", [2, 3, 7, 50, math.inf])
@pytest.mark.parametrize(
    ("target", "start", "goal"),
    [
        (1, 1e-12, 0.5),
        (2.5, 1e-5, 2.4999),
        (0.01, 1e-12, 0.005),
        (1, 1e-60, 1e-40),
        (1, 5, 1.01),
        (2, 1e10, 1e9),
        (2, 1e10, 2.0001),
        (-1, 1e6, 10),
        (-0.5, 1e-3, 1e-9),
        (0, 3, 1),
    ],
)
def test_mode_time_is_the_integral_through_plateaus_of_any_length(depth, target, start, goal):
    time = theory.mode_time(goal, target, start, depth)
    # Powers of u are taken through logarithms of up to 140: some hundred units in the last place.
    assert time == pytest.approx(quadrature(goal, target, start, depth), rel=1e-13)
    # What rounding does to the time moves the strength by the velocity times that.
    gain = 1e-14 * abs(velocity(goal, target, depth)) * time / goal
    if gain < 1e-3:  # otherwise the time is too coarse to tell where the plateau has ended
        back = theory.mode_strength(time, target, start, depth)
        assert back == pytest.approx(goal, rel=1e-13 + gain)


@given(
    st.integers(1, 40),
    st.floats(-1e3, 1e3),
    st.floats(-300, 300),
    st.floats(-300, 300),
)
def test_mode_strength_is_a_flow(depth, target, log_start, log_time):
    """Any inputs: finite, between start and target, and going on from half way is the same."""
    start, time = 10.0**log_start, 10.0**log_time
    half = theory.mode_strength(time, target, start, depth)
    end = theory.mode_strength(2 * time, target, start, depth)
    low, high = min(target, start), max(target, start)
    assert low * (1 - 1e-12) - 1e-12 * abs(low) <= half <= high * (1 + 1e-12)
    if end == 0 or half == 0:
        return
    # Logarithms of up to 1,400 round to 1e-13; along a plateau this moves the time of its end.
    with np.errstate(over="ignore", invalid="ignore"):
        gain = np.abs(velocity(end, target, depth) / end * time)
    if gain < 1e9:
        again = theory.mode_strength(time, target, half, depth)
        assert again == pytest.approx(end, rel=1e-11 + 1e-12 * gain)


def test_mode_strength_at_the_edges_of_the_numbers():
    times = np.array([0, 1e-300, 1, 1e6, 1e300, 1.7e308])
    targets = np.array([0, 5e-324, 1e-310, 1e-300, 1, 1e300, -1e-300, -1, -1e300])
    for depth in DEPTHS:
        for start in (0.0, 5e-324, 1e-300, 1.0, 1e300, -1e-300, -1.0):
            strength = theory.mode_strength(times, targets, start, depth)
            assert strength.shape == (6, 9)
            limit = targets if depth == 1 else np.where(targets * np.sign(start) > 0, targets, 0)
            assert (strength >= np.minimum(limit, start)).all()
            assert (strength <= np.maximum(limit, start)).all()
            np.testing.assert_array_equal(strength[0], start)
            if depth > 1 and start == 0:
                assert not strength.any()
            if depth > 1:
                assert (strength * np.sign(start) >= 0).all()
    # 1e6 time units: converged where the plateau is shorter, still there where it is longer.
    assert theory.mode_strength(1e6, 1, 1e-12, 3) == 1
    assert theory.mode_strength(1e6, 1, 1e-300, 3) == pytest.approx(1e-300, rel=1e-12)
    assert theory.mode_strength(1e6, 1, 1e-300, 2) == 1


def test_modes_of_a_network_follow_the_mode_equation():
    """Gradient descent with a small rate on three balanced, aligned layers."""
    targets, starts = np.array([2.0, 1.0, 0.5]), np.array([0.05, 0.03, 0.01])
    rate, n_steps = 1e-3, 6000
    trajectory = dln.run(
        dln.TargetMatrix(np.diag(targets)),
        dln.init.balanced_from(np.diag(starts), (3, 3, 3, 3)),
        dln.GradientDescent(rate),
        n_steps=n_steps,
        record=dln.Record(["end_to_end"], every=500),
    )
    actual = np.diagonal(trajectory.data["end_to_end"].values, axis1=1, axis2=2)
    times = trajectory.data["step"].values * rate
    expected = theory.mode_strength(times, targets, starts, 3)
    # First order in the rate; the fastest time scale is 1 / (3 * 2^(4/3)), 130 steps.
    np.testing.assert_allclose(actual, expected, atol=0.01)


def test_two_layer_times_are_inverse_to_the_target():
    assert theory.mode_strength(0.7, 2.0, 0.01, 2) == pytest.approx(0.1526577, abs=5e-8)
    targets = np.array([1.0, 2.0, 8.0])
    times = theory.escape_time(targets, 1e-6 * targets, 2)
    np.testing.assert_allclose(times * targets, times[0], rtol=1e-14)


def test_infinite_depth_is_the_limit_of_rescaled_time():
    times = np.linspace(0, 30, 11)
    limit = theory.mode_strength(times, 2.0, 0.05, math.inf)
    errors = [
        np.abs(theory.mode_strength(times / depth, 2.0, 0.05, depth) - limit).max()
        for depth in (10**3, 10**4, 10**5)
    ]
    assert errors[-1] < 1e-2
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 10, rtol=0.2)
    s, u, goal = 1.5, 0.2, 1.1  # the closed form
    expected = np.log(goal * (s - u) / (u * (s - goal))) / s**2 + (1 / u - 1 / goal) / s
    assert theory.mode_time(goal, s, u, math.inf) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("depth", "start", "escape"), [(3, 1e-9, 999.15), (4, 1e-8, 4999.7)])
def test_escape_times_of_identity_starts(depth, start, escape):
    """Chou et al.: 1 / ((N - 2) lambda alpha^(N-2)) to leading order."""
    assert theory.escape_time(1.0, start, depth) == pytest.approx(escape, rel=1e-5)
    assert theory.plateau_time(1.0, start, depth) == pytest.approx(escape, rel=1e-3)
    far = 10.0 ** np.arange(-40, -20, 10)
    ratio = theory.escape_time(1.0, far, depth) / theory.plateau_time(1.0, far, depth)
    np.testing.assert_allclose(ratio, 1, rtol=1e-6)


def test_escape_times_where_there_is_no_escape():
    times = theory.escape_time([1, -1, 0, 1, 1, -1, 1], [-0.1, 0.1, 0.1, 0, 0.7, -0.9, 3], 3)
    np.testing.assert_array_equal(times, [np.inf] * 4 + [0] * 3)
    assert theory.escape_time(1.0, -1.0, 1) == pytest.approx(np.log(4))
    assert theory.mode_time(2.0, 2.0, 1.0, 3) == np.inf
    assert theory.mode_time(0.0, -1.0, 1.0, 3) == np.inf
    assert theory.mode_time(0.4, -1.0, 0.4, 3) == 0


def test_staircase_is_the_limit_of_small_starts():
    """Gidel et al.: sample at delta = 30, then the steps."""
    sigma = np.array([3.0, 1.0])
    for factor, expected in ((0.9, [0.0025, 0.0025]), (1.1, [2.978, 0.9975])):
        values = [theory.staircase(factor / s, s, 30.0) for s in sigma]
        # 0.9: e^-6; 1.1: sigma / (1 + sigma e^-6), to the digits printed.
        np.testing.assert_allclose(values, expected, atol=6e-4)
    times = np.array([0.1, 0.3, 0.5, 0.9, 1.2, 5.0])
    for delta in (3.0, 30.0):
        exact = theory.mode_strength(delta * times, sigma, np.exp(-2 * delta), 2)
        np.testing.assert_allclose(theory.staircase(times, sigma, delta), exact, rtol=1e-12)
    limit = theory.staircase(times, sigma)
    np.testing.assert_array_equal(limit, [[0, 0], [0, 0], [3, 0], [3, 0], [3, 1], [3, 1]])
    np.testing.assert_allclose(theory.staircase(times, sigma, 1e4), limit, atol=1e-12)
    assert theory.staircase(0.5, 2.0) == theory.staircase(0.5, 2.0, 1e5) == 2 / 3
    exact = theory.mode_strength(2.0 * times, 0.0, np.exp(-4.0), 2)
    np.testing.assert_allclose(theory.staircase(times, 0.0, 2.0), exact, rtol=1e-14)


def test_staircases_and_single_layers_at_the_edges_of_the_numbers():
    edges = np.array([0, 5e-324, 1e-300, 1, 1e300])
    for steepness in (1e-300, 1.0, 1e300, 1e308, np.inf):
        assert np.isfinite(theory.staircase(edges, edges, steepness)).all()
    times = theory.mode_time([0.0, 1e-323, 1e300], [-1.7e308, 5e-324, 1], 1.7e308, 1)
    expected = [math.log(2), math.log(1.7e308) - math.log(5e-324), math.log(1.7e8)]
    # The first is the difference of two logarithms of 710.
    np.testing.assert_allclose(times, expected, rtol=1e-12)


@pytest.mark.parametrize("depth", [*DEPTHS, 10**6, 10**17])
def test_mode_times_at_the_edges_of_the_numbers(depth):
    edges = np.array([0, 5e-324, 1e-310, 1e-160, 1e-3, 1, np.nextafter(1, 2), 3, 1e155, 1.7e308])
    edges = np.concatenate([edges, -edges[1:]])
    targets, starts = (array.ravel() for array in np.meshgrid(edges, edges))
    limits = targets if depth == 1 else np.where(targets * np.sign(starts) > 0, targets, 0)
    for part in (1e-300, 1e-12, 0.5, 1 - 1e-15):
        goals = (1 - part) * starts + part * limits
        goals = np.clip(goals, np.minimum(starts, limits), np.maximum(starts, limits))
        times = theory.mode_time(goals, targets, starts, depth)
        assert (times >= 0).all()
    assert not np.isnan(theory.escape_time(targets, starts, depth)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.mode_strength(-1, 1, 1, 2), r"times: expected numbers >= 0, got -1\.0"),
        (lambda: theory.mode_strength(1, np.nan, 1, 2), "targets: expected finite"),
        (lambda: theory.mode_strength(1, 1, 1, 0), "depth: expected an integer >= 1, got 0"),
        (lambda: theory.mode_strength(1, [1, 2], [1, 2, 3], 2), r"targets: .* broadcast.*\(3,\)"),
        (lambda: theory.mode_time(2, 1, 0.5, 2), r"strengths: .* got 2\.0, which is not between"),
        (lambda: theory.mode_time(0.1, 1, 0.5, 2), r"strengths: .* between 0\.5 and 1\.0"),
        (lambda: theory.mode_time(-0.1, -1, 0.5, 2), r"strengths: .* between 0\.5 and 0\.0"),
        (lambda: theory.escape_time(1, 0.1, 2, 1.0), "fraction: expected a finite number > 0"),
        (lambda: theory.plateau_time(1, 0.1, 1), "depth: expected an integer >= 2"),
        (lambda: theory.plateau_time(1, 2, 3), r"starts: .* got 2\.0 for the target 1\.0"),
        (lambda: theory.staircase(1, [1, -1]), "targets: expected a vector of numbers >= 0"),
        (lambda: theory.staircase(1, 1, 0), "steepness: expected a number > 0, got 0"),
    ],
)
def test_bad_modes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_depth_is_an_integer_or_infinite():
    with pytest.raises(TypeError, match="depth: expected an integer"):
        theory.mode_strength(1, 1, 1, 2.5)
