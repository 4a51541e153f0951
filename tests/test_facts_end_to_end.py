"""Facts about the end-to-end matrix of balanced layers: Arora, Cohen & Hazan 2018.

Theorem 1 and Claims 1 and 2 against the layers themselves, and against the powers as they are
written; Theorem 2 by differences and integrals along curves; what depth gains on l_p regression.
"""

import mpmath
import numpy as np
import pytest
import reference
from helpers import orthogonal
from scipy.integrate import quad

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts

SIZES = [(4, 3), (4, 3, 3), (3, 5, 5, 4), (5, 6, 4, 7, 5), (6, 1, 1, 1), (1, 2, 3, 4), (4, 2, 5, 4)]


def balanced(sizes, seed, scale=0.7):
    """Return a balanced start, its product, and a problem that is not at its minimum."""
    rng = np.random.default_rng(seed)
    problem = dln.TargetMatrix(rng.standard_normal((sizes[-1], sizes[0])))
    # Another seed: the start would be a multiple of the target, and the gradient one of W.
    start = dln.init.balanced(sizes, scale, seed + 1)
    return start, reference.product(start), problem


def given_values(values, shape, seed):
    """Return a matrix of the singular values given."""
    left, right = orthogonal(shape[0], seed)[:, : len(values)], orthogonal(shape[1], seed + 1)
    return (left * values) @ right[:, : len(values)].T


# -- Theorem 1 and Claim 1: the velocity, and the spectrum of the preconditioner --


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("sizes", SIZES)
def test_theorem_1_the_product_of_the_layers_moves_by_the_velocity(sizes, decay):
    """Central differences of the product along the flow of the layers, bottlenecks included."""
    start, matrix, problem = balanced(sizes, seed=1)
    layers = [w.astype(np.longdouble) for w in start]
    gradient = reference.product(layers) - problem.target
    grads = reference.gradients(layers, gradient)
    velocity = [-g - decay * w for g, w in zip(grads, layers, strict=True)]

    def ahead(time):
        return reference.product([w + time * v for w, v in zip(layers, velocity, strict=True)])

    expected = (ahead(1e-6) - ahead(-1e-6)) / 2e-6
    actual = theory.end_to_end_velocity(matrix, problem, len(start), weight_decay=decay)
    # 1e-12 times a third derivative of some hundred; long doubles leave 1e-13 of rounding. The
    # bottlenecks make the product singular up to rounding, which the default tolerance takes out.
    np.testing.assert_allclose(actual, expected.astype(float), atol=1e-9)
    from_gradient = theory.end_to_end_velocity(
        matrix, gradient.astype(float), len(start), weight_decay=decay
    )
    np.testing.assert_allclose(from_gradient, actual, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 2, 3, 4], [2, 4, 6, 8], [1, 0, 1, 0]],  # rank 2
        [[2, 1], [1, 3], [0, 5]],
        [[1, 1, 0], [1, -1, 0], [0, 0, 0]],  # two equal values and a zero
        [[0, 0], [0, 0]],
        [[3, -4, 12]],
    ],
)
def test_theorem_1_fractional_powers_of_integer_matrices(matrix, depth):
    """Powers of the Gram matrices in float64 lose all but 3 digits at rank 2 and N = 5."""
    matrix = np.array(matrix, dtype=float)
    gradient = np.random.default_rng(2).standard_normal(matrix.shape)
    expected = -reference.powers_as_written(matrix, gradient, depth)
    actual = theory.end_to_end_velocity(matrix, gradient, depth)
    # Squares of singular values up to 170, some ten operations each.
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-12)


def test_the_tolerance_says_what_is_a_zero():
    """At N = 5 a singular value of 1e-14 counts (1e-14)^(2/5) = 2.5e-6 beside one of 1."""
    matrix, gradient = np.diag([1.0, 1e-14]), np.array([[0.0, 1.0], [0.0, 0.0]])
    for tolerance, small in ((None, 1e-14), (0.0, 1e-14), (1e-13, 0.0)):
        expected = sum(small ** (2 * (5 - j) / 5) for j in range(1, 6))
        velocity = theory.end_to_end_velocity(matrix, gradient, 5, tolerance=tolerance)
        assert velocity[0, 1] == pytest.approx(-expected, rel=1e-14)
        spectrum = theory.preconditioner_spectrum(matrix, 5, tolerance=tolerance)
        assert spectrum[0, 1] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 100])
def test_claim_1_the_spectrum_is_its_sum(depth):
    """For values equal, close to each other, far from each other, and zero."""
    values = [30.0, 3.0, 3.0, 3.0 * (1 - 1e-13), 3.0 * (1 - 1e-7), 1.0, 1e-5, 0.0]
    actual = theory.preconditioner_spectrum(np.diag(values), depth)
    with mpmath.workdps(30):
        powers = [
            [mpmath.power(v, mpmath.mpf(2 * j) / depth) for j in range(depth)] for v in values
        ]
        expected = [
            [float(mpmath.fdot(row, reversed(column))) for column in powers] for row in powers
        ]
    # Rounding of the values and their logarithms, times exponents up to 2.
    np.testing.assert_allclose(actual, expected, rtol=1e-14)


@pytest.mark.parametrize("sizes", SIZES)
def test_claim_1_the_preconditioner_is_that_of_the_layers(sizes):
    """P = J J^T, J being the derivative of the product in all entries of all layers."""
    start, matrix, _ = balanced(sizes, seed=3)
    columns = []
    for j, layer in enumerate(start):
        for place in np.ndindex(layer.shape):
            unit = np.zeros_like(layer)
            unit[place] = 1.0
            columns.append(reference.product([*start[:j], unit, *start[j + 1 :]]).ravel())
    jacobian = np.array(columns).T
    expected = np.linalg.eigvalsh(jacobian @ jacobian.T)
    actual = np.sort(theory.preconditioner_spectrum(matrix, len(start)).ravel())
    # Backward stable: some ten roundings of the largest eigenvalue.
    np.testing.assert_allclose(actual, expected, atol=1e-13 * max(1, expected[-1]))


def test_claim_1_the_stated_values():
    spectrum = theory.preconditioner_spectrum(given_values([2.0, 0.5], (2, 3), 4), 3)
    distinct = (2.0**2 - 0.5**2) / (2.0 ** (2 / 3) - 0.5 ** (2 / 3))
    zero = [2.0 ** (4 / 3), 0.5 ** (4 / 3)]
    expected = [[3 * zero[0], distinct, zero[0]], [distinct, 3 * zero[1], zero[1]]]
    np.testing.assert_allclose(spectrum, expected, rtol=1e-14)
    np.testing.assert_array_equal(theory.preconditioner_spectrum(np.zeros((2, 3)), 2), 0)
    np.testing.assert_array_equal(theory.preconditioner_spectrum(np.zeros((2, 3)), 1), 1)


def test_the_limit_of_infinite_depth():
    matrix = given_values([2.0, 0.7, 0.3], (3, 4), 5)
    gradient = np.random.default_rng(6).standard_normal((3, 4))
    depth = 10**9
    # The first or last term of N remains of a null space: 1 / N.
    np.testing.assert_allclose(
        theory.end_to_end_velocity(matrix, gradient, depth) / depth,
        theory.infinite_depth_velocity(matrix, gradient),
        atol=1e-7,
    )


# -- Claim 2: one output --


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_claim_2_the_parts_make_up_the_velocity(depth, decay):
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((1, 5))
    problem = dln.Regression(rng.standard_normal((9, 5)), rng.standard_normal((9, 1)), power=4)
    at = theory.single_output_velocity(matrix, problem, depth, weight_decay=decay)
    expected = theory.end_to_end_velocity(matrix, problem, depth, weight_decay=decay)
    # Ten operations on numbers of up to some thousand.
    size = np.abs(expected).max()
    np.testing.assert_allclose(at.velocity, expected, atol=1e-14 * size)
    parts = -at.adaptive_rate * (at.gradient + at.momentum) - at.decay
    np.testing.assert_allclose(at.velocity, parts, atol=1e-15 * size)
    assert at.adaptive_rate == pytest.approx(np.linalg.norm(matrix) ** (2 - 2 / depth), rel=1e-14)
    np.testing.assert_allclose(at.gradient, problem.value_and_gradient(matrix)[1], rtol=1e-15)
    # Along W and across it: gains N and 1.
    gains = (at.gradient + at.momentum) @ matrix.T / (at.gradient @ matrix.T)
    assert gains.item() == pytest.approx(depth, rel=1e-12)
    np.testing.assert_allclose(at.momentum @ np.linalg.svd(matrix)[2][1:].T, 0, atol=1e-14 * size)


def test_claim_2_at_zero_and_far_from_one():
    gradient = np.array([[1.0, 2.0]])
    for depth, share in ((3, 0.0), (1, 1.0)):
        at = theory.single_output_velocity([[0.0, 0.0]], gradient, depth)
        np.testing.assert_array_equal(at.velocity, -share * gradient)
        np.testing.assert_array_equal(at.momentum, 0)
    small = theory.single_output_velocity([[3e-200, 4e-200]], gradient, 2)  # squares vanish
    assert small.adaptive_rate == pytest.approx(5e-200, rel=1e-15)
    np.testing.assert_allclose(small.momentum, [[11 / 5 * 0.6, 11 / 5 * 0.8]], rtol=1e-15)
    assert gradient.flags.writeable


# -- Theorem 2: not the velocity of any gradient --


def differences(field, w, h=1e-5):
    """Return the derivative of F_i in w_j less that of F_j in w_i, by central differences."""
    units = h * np.eye(w.size)
    jacobian = np.array([(field(w + u) - field(w - u)) / (2 * h) for u in units]).T
    return jacobian - jacobian.T


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("linear", [True, False])
def test_theorem_2_the_curl_is_that_of_differences(depth, linear):
    rng = np.random.default_rng(8)
    w, slope = rng.standard_normal(4), rng.standard_normal(4)
    root = rng.standard_normal((4, 4))
    hessian = np.zeros((4, 4)) if linear else root @ root.T

    def field(v):
        gradient = (slope + hessian @ v)[np.newaxis]
        return -theory.single_output_velocity(v[np.newaxis], gradient, depth).velocity[0]

    actual = theory.end_to_end_curl([w], [slope + hessian @ w], depth, hessian=hessian)
    # 1e-10 times third derivatives of some hundred, and rounding of 1e-14 / 1e-5.
    np.testing.assert_allclose(actual, differences(field, w), atol=3e-8)
    # Nothing at depth 1; at depth 2 only what the Hessian does.
    assert (np.abs(actual).max() > 1e-2) == (depth > (2 if linear else 1))
    if linear:
        np.testing.assert_array_equal(theory.end_to_end_curl([w], [slope], depth), actual)


def test_theorem_2_with_a_problem_and_at_zero():
    problem = dln.TargetMatrix([[1.0, 2.0]])
    w = np.array([[0.5, -1.0]])
    curl = theory.end_to_end_curl(w, problem, 3, hessian=np.eye(2))
    # The Hessian of a squared distance adds nothing: w (c w)^T is symmetric.
    np.testing.assert_allclose(curl, theory.end_to_end_curl(w, w - problem.target, 3), rtol=1e-14)
    for depth in (1, 3):
        np.testing.assert_array_equal(theory.end_to_end_curl([[0.0, 0.0]], problem, depth), 0)


def half_ring(field, along, inner, outer):
    """Integrate a field from -R e to -r e, by half a circle to r e, to R e, and back."""
    across = np.array([-along[1], along[0]])

    def integral(function, start, end):
        return quad(function, start, end, epsabs=1e-12 * outer, epsrel=1e-10)[0]

    def circle(radius):
        def speed(angle):
            w = radius * (np.cos(angle) * along + np.sin(angle) * across)
            return field(w) @ (radius * (np.cos(angle) * across - np.sin(angle) * along))

        return integral(speed, np.pi, 0)

    lines = [(-outer, -inner), (inner, outer)]
    straight = sum(integral(lambda s: field(s * along) @ along, *line) for line in lines)
    return straight + circle(inner) - circle(outer)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_theorem_2_the_integral_round_a_closed_curve(depth):
    slope = np.array([[0.6, -1.3]])
    size = np.linalg.norm(slope)

    def field(w):
        return -theory.single_output_velocity(w[np.newaxis], slope, depth).velocity[0]

    actual = theory.end_to_end_circulation(size, depth, 0.2, 0.9)
    expected = half_ring(field, slope[0] / size, 0.2, 0.9)
    assert actual == pytest.approx(expected, abs=1e-9)  # the quadrature's tolerance
    assert (abs(actual) > 1e-2) == (depth > 2)


def test_theorem_2_a_curved_loss_has_the_same_integral_near_zero():
    """The share by which it differs goes to zero with the radius, here with its square."""
    slope = np.array([0.6, -1.3])
    size = np.linalg.norm(slope)

    def share(radius):
        def field(w):
            gradient = slope + np.array([2.0, 1.0]) * w + np.array([1.0, 2.0]) * w**2
            return -theory.single_output_velocity([w], [gradient], 3).velocity[0]

        integral = half_ring(field, slope / size, radius / 2, radius)
        return integral / theory.end_to_end_circulation(size, 3, radius / 2, radius) - 1

    # The curve is its own mirror image: what a Hessian adds cancels, and the next term is left.
    shares = [share(radius) for radius in (1e-1, 1e-2, 1e-3)]
    assert 1e-3 < abs(shares[0]) < 1
    np.testing.assert_allclose(shares, shares[0] * np.array([1, 1e-2, 1e-4]), rtol=1e-2)


# -- l_p regression --


@pytest.mark.parametrize("power", [2, 2.5, 4, 6, 10])
@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_lp_the_largest_rate_is_where_the_steepest_place_is_stable(depth, power):
    target = 1.7
    x = np.linspace(0, target, 100_001)
    steepest = np.max(depth * x ** (2 - 2 / depth) * (target - x) ** (power - 2.0))
    actual = theory.lp_largest_rate(depth, power, target)
    assert actual == pytest.approx(2 / steepest, rel=1e-8)  # the square of the grid's spacing
    # Effective rates for the small residual, each at its limit.
    plain = 2 / target ** (power - 2)
    ratio = actual * target ** (2 - 2 / depth) / plain
    assert theory.lp_speedup(depth, power) == pytest.approx(ratio, rel=1e-13)


def test_lp_stated_ratios():
    assert theory.lp_speedup(2, 4) == pytest.approx(27 / 8, rel=1e-15)
    for (depth, power), expected in {(3, 4): 3.142, (2, 6): 6.104, (2, 10): 11.55}.items():
        assert theory.lp_speedup(depth, power) == pytest.approx(expected, rel=5e-4)
    for depth in (1, 2, 5):
        assert theory.lp_speedup(depth, 2) == pytest.approx(1 / depth, rel=1e-15)
    assert theory.lp_speedup(1, 7) == 1


def steps_at_half_the_largest_rate(depth, power):
    """Return the steps of layers of width 1 to a loss of 1e-12, for residuals of 1 and 0.02."""
    problem = dln.Regression(np.eye(2), [[1.0], [0.02]], power=power, reduction="sum")
    start = dln.init.balanced_from([[1e-3, 1e-3]], (2, *[1] * depth))
    rate = theory.lp_largest_rate(depth, power) / 2
    method = dln.GradientDescent(0.1)
    return dln.tune(problem, start, method, [rate], 1e-12, n_steps=10**6).best_steps


def test_lp_depth_accelerates_by_at_least_the_ratio_for_p_4_and_not_for_p_2():
    """The first coordinate gains a factor N besides, so the gain is more than the ratio."""
    plain = {power: steps_at_half_the_largest_rate(1, power) for power in (2, 4)}
    for depth in (2, 3):
        gain = {
            power: plain[power] / steps_at_half_the_largest_rate(depth, power) for power in plain
        }
        assert theory.lp_speedup(depth, 4) <= gain[4] < 6
        assert gain[2] <= 1


# -- Bad input --

W, ONE = np.eye(2), [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.end_to_end_velocity(W, np.ones((2, 3)), 2), r"problem: expected shape"),
        (lambda: theory.end_to_end_velocity(W, W, 0), "depth: expected an integer >= 1, got 0"),
        (lambda: theory.end_to_end_velocity([1.0], [1.0], 2), "end_to_end: expected a matrix"),
        (lambda: theory.end_to_end_velocity(W, W, 2, weight_decay=-1), "weight_decay: .* >= 0"),
        (lambda: theory.end_to_end_velocity(W, W, 2, tolerance=1.0), "tolerance: .* < 1"),
        (lambda: theory.end_to_end_velocity(1e300 * W, W, 3), "end_to_end: .* range of float64"),
        (lambda: theory.preconditioner_spectrum(1e300 * W, 3), "end_to_end: .* range of float64"),
        (lambda: theory.preconditioner_spectrum([[np.nan]], 3), "end_to_end: expected finite"),
        (lambda: theory.single_output_velocity(W, W, 2), r"one output, shape \(1, 2\), got \(2, 2"),
        (lambda: theory.single_output_velocity([[1e300]], [[1e9]], 9), "range of float64"),
        (lambda: theory.end_to_end_curl(W, W, 3), "end_to_end: expected one output"),
        (lambda: theory.end_to_end_curl([[0.0, 0.0]], ONE, 2), "no derivative at 0"),
        (lambda: theory.end_to_end_curl(ONE, ONE, 3, hessian=[[0, 1], [0, 0]]), "hessian: .*symm"),
        (lambda: theory.end_to_end_curl(ONE, ONE, 3, hessian=[[1.0]]), "hessian: expected shape"),
        (lambda: theory.end_to_end_curl([[1e300, 0.0]], [[0.0, 1e300]], 9), "range of float64"),
        (lambda: theory.end_to_end_circulation(1, 3, 2, 1), "inner_radius: .* outer_radius, 1"),
        (lambda: theory.end_to_end_circulation(1, 3, 0, 1e200), "outer_radius: .* range"),
        (lambda: theory.lp_largest_rate(2, 1.5), r"power: expected a finite number >= 2, got 1\.5"),
        (lambda: theory.lp_largest_rate(2, 4, 0.0), "target: expected a finite number > 0"),
        (lambda: theory.lp_largest_rate(2, 4, 1e200), "target: .* range of float64"),
        (lambda: theory.lp_largest_rate(2, 1e308, 0.5), "range of float64"),
        (lambda: theory.lp_speedup(3, 1e308), "power: .* range of float64"),
        (lambda: theory.lp_speedup(2, np.inf), "power: expected a finite number"),
    ],
)
def test_where_a_statement_does_not_apply_it_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
