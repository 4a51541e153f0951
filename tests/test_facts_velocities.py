"""The velocities of singular values and vectors.

Theorem 3 and Lemma 2 of Arora, Cohen, Hu & Luo 2019 (arXiv:1905.13655).
"""

import itertools
import math

import numpy as np
import pytest
import reference
from helpers import orthogonal

import pydlnet as dln

pytestmark = pytest.mark.facts


# -- Theorem 3 and Lemma 2: the velocities as functions --

SHAPES = [(4, 4), (3, 5), (5, 3), (1, 4), (4, 1)]


def moving(shape, depth, seed, values=None, **options):
    """Return a matrix with the singular values, a gradient, and the velocities there."""
    rng = np.random.default_rng(seed)
    k = min(shape)
    values = np.sort(rng.uniform(0.3, 2, k))[::-1] if values is None else np.asarray(values, float)
    left, right = orthogonal(shape[0], seed)[:, :k], orthogonal(shape[1], seed + 1)[:, :k]
    matrix, gradient = (left * values) @ right.T, rng.standard_normal(shape)
    velocities = dln.theory.singular_velocities(matrix, gradient, depth, **options)
    return matrix, gradient, velocities


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_lemma_2_the_velocities_make_up_that_of_the_matrix(shape, depth, decay):
    """U' S V^T + U S' V^T + U S V'^T is the end-to-end rule, and the vectors stay orthonormal."""
    matrix, gradient, at = moving(shape, depth, 3, weight_decay=decay)
    expected = reference.end_to_end_step(matrix, gradient, 1.0, depth, decay) - matrix
    actual = (
        (at.left_velocity * at.singular_values) @ at.right.T
        + (at.left * at.value_velocity) @ at.right.T
        + (at.left * at.singular_values) @ at.right_velocity.T
    )
    # Differences of s^(2/N) of about 0.01 magnify rounding by some hundred.
    np.testing.assert_allclose(actual, expected, atol=1e-12)
    for vectors, velocity in [(at.left, at.left_velocity), (at.right, at.right_velocity)]:
        inside = vectors.T @ velocity
        np.testing.assert_allclose(inside, -inside.T, atol=1e-12)
    assert at.determined.all()


def flow_step(weights, problem, decay, time):
    """Move the layers along dW_j/dt = -g_j - decay W_j by one classical Runge-Kutta step."""

    def velocity(layers):
        _, gradient = problem.value_and_gradient(reference.product(layers))
        grads = reference.gradients(layers, gradient)
        return [-g - decay * w for g, w in zip(grads, layers, strict=True)]

    def ahead(slopes, share):
        return [w + share * time * s for w, s in zip(weights, slopes, strict=True)]

    first = velocity(weights)
    second = velocity(ahead(first, 0.5))
    third = velocity(ahead(second, 0.5))
    fourth = velocity(ahead(third, 1.0))
    return [
        w + time / 6 * (a + 2 * b + 2 * c + d)
        for w, a, b, c, d in zip(weights, first, second, third, fourth, strict=True)
    ]


def decomposed(weights, like):
    """Return the singular value decomposition of the product, with signs as in `like`."""
    left, values, right = np.linalg.svd(reference.product(weights), full_matrices=False)
    signs = np.sign(np.sum(left * like.left, axis=0))
    return signs * left, values, signs * right.T


@pytest.mark.parametrize(
    "sizes", [(4, 4), (5, 3), (4, 4, 4), (3, 6, 5), (5, 4, 6, 3), (3, 3, 3, 3, 5)]
)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_theorem_3_and_lemma_2_differences_along_the_flow_of_the_layers(sizes, decay):
    problem = dln.TargetMatrix(np.random.default_rng(5).standard_normal((sizes[-1], sizes[0])))
    start = dln.init.balanced(sizes, 0.8, 6)
    at = dln.theory.singular_velocities(start, problem, weight_decay=decay)
    spacing = 1e-5
    ends = [decomposed(flow_step(start, problem, decay, time), at) for time in (spacing, -spacing)]
    expected = (at.left_velocity, at.value_velocity, at.right_velocity)
    for plus, minus, velocity in zip(*ends, expected, strict=True):
        # Central differences: 1e-10 / 6 times third derivatives of up to 4e5 (velocities reach
        # 66), and rounding of 1e-15 / 1e-5.
        np.testing.assert_allclose((plus - minus) / (2 * spacing), velocity, atol=2e-5)


def test_theorem_3_as_a_formula():
    values, overlap = np.array([[2.0, 0.5], [1.0, 0.0]]), np.array([[0.3, -1.0], [2.0, 5.0]])
    np.testing.assert_allclose(
        dln.theory.singular_value_velocity(values, overlap, 3, weight_decay=0.1),
        -3 * values ** (4 / 3) * overlap - 0.3 * values,
        rtol=1e-14,
    )
    np.testing.assert_array_equal(dln.theory.singular_value_velocity(values, overlap, 1), -overlap)
    assert np.isnan(dln.theory.singular_value_velocity([np.nan], [1.0], 2)).all()


# -- Where singular values are equal or zero --


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.5, 0.7, 0.7], [1.2, 1.2, 0.4]])
@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (6, 3)])
def test_equal_singular_values_part_at_the_stated_velocities(shape, values, depth):
    matrix, gradient, at = moving(shape, depth, 7, values)
    assert at.determined.tolist() == [values.count(v) == 1 for v in values]
    for velocity in (at.left_velocity, at.right_velocity):
        assert np.isnan(velocity).all(axis=0).tolist() == (~at.determined).tolist()
        assert np.isfinite(velocity[:, at.determined]).all()
    rate = 1e-6
    after = reference.end_to_end_step(matrix, gradient, rate, depth)
    # One-sided differences: first order in the rate, with second derivatives of some ten.
    np.testing.assert_allclose(
        (reference.singular_values(after) - at.singular_values) / rate,
        at.value_velocity,
        atol=1e-4,
    )
    # The vectors are those that the flow leaves along: nearly those of the matrix after.
    left, _, right = np.linalg.svd(after, full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(left * at.left, axis=0)), 1, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(right.T * at.right, axis=0)), 1, atol=1e-6)
    np.testing.assert_allclose((at.left * at.singular_values) @ at.right.T, matrix, atol=1e-14)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_zero_modes_grow_at_depth_1_only(shape, rank):
    values = [1.5, 0.7][:rank] + [0.0] * (min(shape) - rank)
    for depth in (1, 2, 3):
        matrix, gradient, at = moving(shape, depth, 8, values)
        after = reference.end_to_end_step(matrix, gradient, 1e-6, depth)
        np.testing.assert_allclose(
            (reference.singular_values(after) - at.singular_values) / 1e-6,
            at.value_velocity,
            atol=1e-4,
        )
        assert at.determined.tolist() == [True] * rank + [False] * (min(shape) - rank)
        if depth == 1:
            assert np.all(at.value_velocity[rank:] > 0)
        else:
            assert not at.value_velocity[rank:].any()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_vectors_move_into_the_null_space(depth):
    """The third line of the lemma, where the modes beyond have the value zero."""
    matrix, gradient, at = moving((4, 5), depth, 9, [1.5, 0.7, 0.0, 0.0])
    ends = []
    for rate in (1e-5, -1e-5):
        left, _, right = np.linalg.svd(reference.end_to_end_step(matrix, gradient, rate, depth))
        signs = np.sign(np.sum(left[:, :2] * at.left[:, :2], axis=0))
        ends.append((signs * left[:, :2], signs * right[:2].T))
    for plus, minus, velocity in zip(*ends, (at.left_velocity, at.right_velocity), strict=True):
        # Central differences: second order in the rate.
        np.testing.assert_allclose((plus - minus) / 2e-5, velocity[:, :2], atol=1e-6)


def test_corollary_1_vectors_rest_where_the_gradient_is_diagonal():
    left, right = orthogonal(4, 1), orthogonal(4, 2)
    matrix = (left * [2.0, 1.5, 1.0, 0.5]) @ right.T
    gradient = (left * [0.3, -1.0, 2.0, 0.1]) @ right.T
    at = dln.theory.singular_velocities(matrix, gradient, 3)
    np.testing.assert_allclose(at.left_velocity, 0, atol=1e-13)
    np.testing.assert_allclose(at.right_velocity, 0, atol=1e-13)


@pytest.mark.parametrize("depth", [1, 3, 1000, 10**6])
def test_close_modes_keep_their_digits_at_any_depth(depth):
    """Powers 2/N of values 1e-10 apart agree in all but a few digits, or in all, at large N."""
    values, gradient = [1.0, 1.0 - 1e-10, 0.5], np.random.default_rng(0).standard_normal((3, 3))
    at = dln.theory.singular_velocities(np.diag(values), gradient, depth)
    logs = [0.0, math.log1p(-1e-10), math.log(0.5)]
    for r, s in itertools.permutations(range(3), 2):
        # e^x - e^y = 2 sinh((x - y) / 2) e^((x + y) / 2): nothing cancels.
        x, y = 2 * logs[r] / depth, 2 * logs[s] / depth
        # 1 - 1e-10 is stored to 1e-16: 1e-6 of the gap.
        expected = -(values[r] * gradient[s, r] + values[s] * gradient[r, s]) / (
            2 * math.sinh((x - y) / 2) * math.exp((x + y) / 2)
        )
        # The vectors are those of the coordinates, up to a common sign.
        component = at.left_velocity[s, r] * at.left[r, r]
        assert component == pytest.approx(expected, rel=2e-6)


def test_velocities_of_very_small_and_very_large_matrices():
    """Depth 1 divides by s_r^2 - s_s^2, which leaves the range before the quotient does."""
    matrix, gradient = np.diag([2.0, 1.0]), np.array([[0.5, 0.2], [0.3, -0.1]])
    one = dln.theory.singular_velocities(matrix, gradient, 1)
    for scale in (1e-200, 1e200):
        at = dln.theory.singular_velocities(scale * matrix, gradient, 1)
        np.testing.assert_allclose(at.value_velocity, one.value_velocity, rtol=1e-14)
        np.testing.assert_allclose(scale * at.left_velocity, one.left_velocity, rtol=1e-14)
    with pytest.raises(ValueError, match=r"weights: .* in the range of float64"):
        dln.theory.singular_velocities(1e200 * matrix, gradient, 3 * 10**5)
    velocity = dln.theory.singular_value_velocity([1e200], [1e-200], 100)
    assert velocity == pytest.approx([-100 * 1e200**0.98], rel=1e-12)


def test_layers_and_their_product_have_the_same_velocities():
    start = dln.init.balanced((4, 5, 3), 0.5, 1)
    problem = dln.MatrixCompletion.synthetic((3, 4), 1, 7, 2)
    of_layers = dln.theory.singular_velocities(start, problem)
    of_product = dln.theory.singular_velocities(dln.chain.product(start), problem, 2)
    np.testing.assert_array_equal(of_layers.left_velocity, of_product.left_velocity)
    single = [w.astype(np.float32) for w in start]
    np.testing.assert_allclose(
        dln.theory.singular_velocities(single, problem).value_velocity,
        of_layers.value_velocity,
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        ([np.eye(2), 2 * np.eye(2)], {}, ValueError, "weights: expected balanced layers .*got 0.5"),
        (np.eye(2), {}, TypeError, "weights: expected a list"),
        (np.eye(2), {"depth": 0}, ValueError, "depth: .*got 0"),
        (np.eye(3), {"depth": 2}, ValueError, r"shape \(2, 2\) for TargetMatrix, got \(3, 3\)"),
        (np.eye(2), {"depth": 2, "problem": np.eye(3)}, ValueError, r"problem: expected shape"),
        (np.eye(2), {"depth": 2, "tolerance": 1.0}, ValueError, "tolerance: .*got 1"),
        (np.eye(2), {"depth": 2, "weight_decay": -1}, ValueError, "weight_decay: .*got -1"),
        ([np.eye(2)], {"balance_tolerance": -1}, ValueError, "balance_tolerance: .*got -1"),
    ],
)
def test_wrong_arguments_of_velocities(weights, options, error, message):
    options = {"problem": dln.TargetMatrix(np.eye(2)), **options}
    with pytest.raises(error, match=message):
        dln.theory.singular_velocities(weights, **options)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([-1.0], [1.0], 2), ValueError, "singular_values: .*got -1"),
        (([1.0], [1.0, 2.0], 2), ValueError, r"alignment: expected shape \(1,\), got \(2,\)"),
        (([1.0], [1.0], 0), ValueError, "depth"),
        (([1.0], ["a"], 1), TypeError, "alignment"),
    ],
)
def test_wrong_arguments_of_the_formula(arguments, error, message):
    with pytest.raises(error, match=message):
        dln.theory.singular_value_velocity(*arguments)
