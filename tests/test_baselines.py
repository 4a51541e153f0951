"""Least nuclear norms: proved by their duals, in closed form, and by linear programming.

A solution brings its proof: for X that meets the data and y with ||sum_i y_i A_i||_2 <= 1,
sum_i y_i b_i = sum_i y_i <A_i, X> <= ||X||_*, so equality proves that both are optimal. `proved`
evaluates both sides from their definitions, whatever the solver did.
"""

import dataclasses

import numpy as np
import pytest
import reference
import scipy.optimize
from helpers import orthogonal

import pydlnet as dln
from pydlnet.baselines import minimum_nuclear_norm
from pydlnet.fixed_points import Anderson


def measurements_of(problem):
    """Return the A_i of completion or sensing, shape (n, d_N, d_0)."""
    if isinstance(problem, dln.MatrixSensing):
        return problem.measurements
    matrices = np.zeros((problem.n_samples, *problem.shape))
    matrices[np.arange(problem.n_samples), problem.rows, problem.columns] = 1.0
    return matrices


def proved(problem, solution, tolerance):
    """Check feasibility on both sides and that the two values meet."""
    measurements = measurements_of(problem)
    size = np.abs(problem.values).max()
    misses = np.einsum("kij,ij->k", measurements, solution.matrix) - problem.values
    # Sums of up to 600 products, each right to epsilon of the largest value.
    assert np.abs(misses).max() <= 1e-12 * size
    assert solution.residual == pytest.approx(np.abs(misses).max(), abs=1e-12 * size)
    combined = np.einsum("k,kij->ij", solution.dual, measurements)
    # The solver divides the dual by its norm: 1 up to the rounding of the sum, whose terms cancel
    # where measurements nearly depend on each other.
    terms = np.abs(solution.dual) @ np.linalg.norm(measurements, axis=(1, 2))
    assert reference.singular_values(combined)[0] <= 1 + 1e-15 * (1000 + terms)
    norm = reference.nuclear_norm(solution.matrix)
    assert solution.nuclear_norm == pytest.approx(norm, rel=1e-13)
    rounding = 1e-15 * np.abs(solution.dual) @ np.abs(problem.values) + 1e-12 * norm
    assert solution.lower_bound == pytest.approx(solution.dual @ problem.values, abs=rounding)
    assert solution.gap == solution.nuclear_norm - solution.lower_bound
    assert -rounding <= norm - solution.dual @ problem.values <= tolerance * norm + rounding


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("shape", "rank", "count"),
    [((1, 1), 1, 1), ((5, 1), 1, 3), ((8, 6), 2, 30), ((6, 10), 3, 40), ((20, 20), 1, 150)],
)
@pytest.mark.parametrize("kind", [dln.MatrixCompletion, dln.MatrixSensing])
def test_solutions_are_proved_optimal(kind, shape, rank, count, seed):
    problem = kind.synthetic(shape, rank, count, seed)
    solution = minimum_nuclear_norm(problem)
    assert solution.converged
    proved(problem, solution, 1e-8)


def test_a_tighter_tolerance_is_met():
    problem = dln.MatrixCompletion.synthetic((8, 6), 2, 30, 3)
    loose, tight = (minimum_nuclear_norm(problem, tolerance=t) for t in (1e-3, 1e-12))
    assert loose.n_iterations < tight.n_iterations
    proved(problem, tight, 1e-12)


@pytest.mark.parametrize(("a", "b", "c"), [(1.0, 2.0, 2.0), (2.0, 1.0, 3.0), (-3.0, 1.0, 2.0)])
def test_two_by_two_with_one_entry_missing(a, b, c):
    """||X||_*^2 = ||X||_F^2 + 2 |det X|, so the missing entry is b c / a, but at most |a|."""
    problem = dln.MatrixCompletion((2, 2), [0, 0, 1], [0, 1, 0], [a, b, c])
    solution = minimum_nuclear_norm(problem, tolerance=1e-12)
    missing = np.clip(b * c / a, -abs(a), abs(a))
    # The norm is within 1e-12 of its minimum, the matrix within about the root of that.
    np.testing.assert_allclose(solution.matrix, [[a, b], [c, missing]], atol=1e-5)
    determinant = a * missing - b * c
    norm = np.sqrt(a**2 + b**2 + c**2 + missing**2 + 2 * abs(determinant))
    assert solution.nuclear_norm == pytest.approx(norm, rel=1e-12)


def test_diagonal_measurements_are_a_linear_program():
    """The least l_1 norm (Arora, Cohen, Hu & Luo 2019, commuting case), here 1.5."""
    rows = np.array([[1, 0.2, 0.7, 0.4], [0.1, 1, 0.3, 0.9]])
    values = rows @ [0, 1, 0, 0.5]
    program = scipy.optimize.linprog(np.ones(4), A_eq=rows, b_eq=values)
    solution = minimum_nuclear_norm(dln.MatrixSensing([np.diag(r) for r in rows], values))
    assert program.fun == pytest.approx(1.5)
    assert solution.nuclear_norm == pytest.approx(program.fun, rel=1e-8)


def test_li_luo_lyu_rank_one_completion_is_not_the_least_norm():
    """The least norm is 400 (dual certificate: a permutation); the rank-one fit has 20,002."""
    entries = [(0, 2, 1.0), (0, 3, 100.0), (1, 2, 100.0)]
    rows, columns, values = zip(*entries, *[(j, i, v) for i, j, v in entries], strict=True)
    solution = minimum_nuclear_norm(dln.MatrixCompletion((4, 4), rows, columns, values))
    assert solution.nuclear_norm == pytest.approx(400, rel=1e-8)


def test_enough_entries_give_the_ground_truth():
    problem = dln.MatrixCompletion.synthetic((40, 30), 2, 700, 1)
    solution = minimum_nuclear_norm(problem, tolerance=1e-12)
    np.testing.assert_allclose(solution.matrix, problem.ground_truth, atol=1e-6)
    assert solution.converged


def test_paper_few_entries_give_less_than_the_norm_of_the_truth():
    """100 x 100 of rank 5 with 2,000 entries (Arora, Cohen, Hu & Luo 2019): another matrix."""
    problem = dln.MatrixCompletion.synthetic((100, 100), 5, 2000, 0)
    solution = minimum_nuclear_norm(problem)
    assert solution.converged
    proved_norm = reference.nuclear_norm(problem.ground_truth)
    assert solution.nuclear_norm < 0.99 * proved_norm
    assert reference.effective_rank(solution.matrix) > 6
    assert dln.metrics.reconstruction_error(solution.matrix, problem.ground_truth) > 0.01
    matrix = np.zeros(problem.shape)
    matrix[problem.rows, problem.columns] = solution.dual
    assert reference.singular_values(matrix)[0] <= 1 + 1e-12
    assert solution.dual @ problem.values >= (1 - 1e-8) * solution.nuclear_norm


def test_what_the_norm_does_not_see():
    """Reduction, held-out entries and ground truth change nothing."""
    plain = dln.MatrixCompletion((2, 3), [0, 1, 1], [0, 1, 2], [1.0, 2.0, -1.0])
    other = dln.MatrixCompletion(
        (2, 3),
        plain.rows,
        plain.columns,
        plain.values,
        ([0], [1], [9.0]),
        np.ones((2, 3)),
        reduction="sum",
    )
    np.testing.assert_array_equal(
        minimum_nuclear_norm(plain).matrix, minimum_nuclear_norm(other).matrix
    )


def test_rotated_measurements_rotate_the_solution():
    problem = dln.MatrixSensing.synthetic((6, 5), 1, 20, 2)
    left, right = orthogonal(6, 1), orthogonal(5, 2)
    rotated = dln.MatrixSensing(left @ problem.measurements @ right, problem.values)
    solutions = [minimum_nuclear_norm(p, tolerance=1e-12) for p in (problem, rotated)]
    assert solutions[0].nuclear_norm == pytest.approx(solutions[1].nuclear_norm, rel=1e-11)
    # Both are within 1e-12 of the minimum, and so within about the root of that of each other.
    np.testing.assert_allclose(left @ solutions[0].matrix @ right, solutions[1].matrix, atol=1e-5)


# -- Extremes --


def test_everything_observed():
    matrix = np.random.default_rng(1).standard_normal((4, 6))
    problem = dln.MatrixCompletion.from_dense(matrix, np.ones((4, 6), bool))
    solution = minimum_nuclear_norm(problem)
    np.testing.assert_array_equal(solution.matrix, matrix)
    proved(problem, solution, 1e-8)


@pytest.mark.parametrize(
    "problem",
    [
        dln.MatrixCompletion((3, 2), [0, 1], [1, 1], [0.0, 0.0]),
        dln.MatrixSensing([np.eye(3)], [0.0]),
    ],
)
def test_data_of_zeros(problem):
    solution = minimum_nuclear_norm(problem)
    assert (solution.nuclear_norm, solution.gap, solution.relative_gap) == (0.0, 0.0, 0.0)
    assert (solution.n_iterations, solution.converged) == (0, True)
    assert not solution.matrix.any()
    assert solution.dual.shape == (problem.n_samples,)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales(scale):
    problem = dln.MatrixCompletion.synthetic((6, 6), 1, 20, 1)
    scaled = dln.MatrixCompletion(
        problem.shape, problem.rows, problem.columns, scale * problem.values
    )
    expected, actual = minimum_nuclear_norm(problem), minimum_nuclear_norm(scaled)
    assert actual.converged
    assert actual.nuclear_norm == pytest.approx(scale * expected.nuclear_norm, rel=2e-8)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_measurements(scale):
    """Each measurement may come in units of its own."""
    problem = dln.MatrixSensing.synthetic((5, 4), 1, 12, 3)
    scales = np.where(np.arange(12) % 2, 1.0, scale)
    scaled = dln.MatrixSensing(
        scales[:, None, None] * problem.measurements, scales * problem.values
    )
    expected, actual = minimum_nuclear_norm(problem), minimum_nuclear_norm(scaled)
    assert actual.nuclear_norm == pytest.approx(expected.nuclear_norm, rel=2e-8)
    assert actual.converged


# -- Dependent measurements --


def test_dependent_measurements_that_agree():
    """The same problem thrice, once in other units: nothing changes but the dual."""
    problem = dln.MatrixSensing.synthetic((6, 4), 1, 15, 5)
    repeated = dln.MatrixSensing(
        np.concatenate([problem.measurements, 2 * problem.measurements, problem.measurements]),
        np.concatenate([problem.values, 2 * problem.values, problem.values]),
    )
    solution = minimum_nuclear_norm(repeated)
    proved(repeated, solution, 1e-8)
    assert solution.nuclear_norm == pytest.approx(
        minimum_nuclear_norm(problem).nuclear_norm, rel=2e-8
    )


def test_nearly_dependent_measurements():
    """A condition number of 1e6, too large for the Cholesky factor."""
    rng = np.random.default_rng(6)
    base = rng.standard_normal((4, 5, 5))
    matrices = np.concatenate([base, base[:1] + 1e-6 * rng.standard_normal((1, 5, 5))])
    truth = np.outer(rng.standard_normal(5), rng.standard_normal(5))
    problem = dln.MatrixSensing(matrices, np.einsum("kij,ij->k", matrices, truth))
    proved(problem, minimum_nuclear_norm(problem), 1e-8)


def test_more_measurements_than_entries():
    problem = dln.MatrixSensing.synthetic((3, 4), 1, 40, 6)
    solution = minimum_nuclear_norm(problem)
    np.testing.assert_allclose(solution.matrix, problem.ground_truth, atol=1e-13)
    proved(problem, solution, 1e-8)


def test_noise_on_more_measurements_than_entries_contradicts():
    problem = dln.MatrixSensing.synthetic((3, 4), 1, 40, 6)
    noisy = problem.values + 1e-6 * np.random.default_rng(1).standard_normal(40)
    with pytest.raises(ValueError, match=r"values: expected .* contradicts the others by"):
        minimum_nuclear_norm(dln.MatrixSensing(problem.measurements, noisy))


@pytest.mark.parametrize(
    ("matrices", "values"),
    [([np.eye(2), np.eye(2)], [1.0, 1.5]), ([np.eye(2), np.zeros((2, 2))], [1.0, 0.5])],
)
def test_contradictions(matrices, values):
    with pytest.raises(ValueError, match="contradicts"):
        minimum_nuclear_norm(dln.MatrixSensing(matrices, values))


def test_an_empty_measurement_of_nothing_is_no_contradiction():
    problem = dln.MatrixSensing([np.eye(2), np.zeros((2, 2))], [1.0, 0.0])
    proved(problem, minimum_nuclear_norm(problem), 1e-8)


def test_an_entry_observed_twice_is_no_completion_problem():
    with pytest.raises(ValueError, match=r"\(0, 1\) more than once"):
        dln.MatrixCompletion((2, 2), [0, 0], [1, 1], [1.0, 2.0])


# -- Results and arguments --


def test_norms_that_leave_the_range():
    def solve(scale):
        values = scale * np.array([1.0, 1.7, 1.7])
        problem = dln.MatrixCompletion((2, 2), [0, 0, 1], [0, 1, 0], values)
        return dln.baselines.minimum_nuclear_norm(problem)

    assert solve(1e307).nuclear_norm == pytest.approx(3.4e307, rel=1e-8)
    with pytest.raises(ValueError, match="nuclear norm in the range of float64"):
        solve(1e308)


def test_the_limit_of_iterations_is_a_result():
    problem = dln.MatrixCompletion.synthetic((20, 20), 2, 150, 0)
    solution = minimum_nuclear_norm(problem, max_iterations=3)
    assert not solution.converged
    assert solution.n_iterations == 3
    assert solution.relative_gap > 1e-8
    proved(problem, solution, 1.0)


def test_solutions_do_not_change():
    solution = minimum_nuclear_norm(dln.MatrixSensing([np.eye(2)], [1.0]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution.nuclear_norm = 0.0
    for array in (solution.matrix, solution.dual):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"problem": dln.TargetMatrix(np.eye(2))}, TypeError, "problem: .*got TargetMatrix"),
        ({"problem": None}, TypeError, "problem: .*got NoneType"),
        ({"tolerance": 0}, ValueError, "tolerance: .*got 0"),
        ({"tolerance": np.nan}, ValueError, "tolerance: .*got nan"),
        ({"tolerance": "small"}, TypeError, "tolerance"),
        ({"max_iterations": 0}, ValueError, "max_iterations: .*got 0"),
        ({"max_iterations": 1.5}, TypeError, "max_iterations"),
    ],
)
def test_wrong_arguments(changes, error, message):
    arguments = {"problem": dln.MatrixSensing([np.eye(2)], [1.0]), **changes}
    with pytest.raises(error, match=message):
        minimum_nuclear_norm(**arguments)


# -- Acceleration --


def test_anderson_solves_linear_equations_in_as_many_steps_as_unknowns():
    """z <- z + f(z) with contraction 0.99: without acceleration 1e-8 takes 1,800 steps."""
    rng = np.random.default_rng(2)
    basis = orthogonal(6, 3)
    matrix = (basis * np.linspace(0.01, 1, 6)) @ basis.T
    goal = rng.standard_normal(6)
    point, acceleration = np.zeros(6), Anderson(6, 10)
    for _ in range(12):
        point = acceleration.next(point, goal - matrix @ point)
    np.testing.assert_allclose(matrix @ point, goal, atol=1e-6)


def test_anderson_goes_back_where_extrapolation_fails():
    """f is flat above 0 and steep below: from above, the secant leads far beyond f = 0."""

    def residual(z):
        return np.where(z > 0, -0.1 * (z + 10), -1 - 1.9 * z)

    point, acceleration, sizes = np.array([10.0]), Anderson(1, 5), []
    for _ in range(100):
        sizes.append(float(np.abs(residual(point)[0])))
        point = acceleration.next(point, residual(point))
    assert max(sizes) > 10  # it did go there
    assert sizes[-1] < 1e-12
