"""Each loss against its definition and against central differences; whitening."""

import numpy as np
import pandas as pd
import pytest
import reference
from cases import PROBLEM_KINDS, problem_case
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

import pydlnet as dln


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 6), (5, 1), (12, 17)])
def test_value_and_gradient_are_the_definition(kind, reduction, shape):
    case = problem_case(kind, shape, seed=1, reduction=reduction)
    matrix = np.random.default_rng(2).standard_normal(shape)
    value, gradient = case.problem.value_and_gradient(matrix)
    expected_value, expected_gradient = case.loss(matrix)
    assert value == pytest.approx(expected_value, rel=1e-13)
    size = 1 + np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-13 * size)
    assert gradient.shape == shape


@pytest.mark.parametrize("kind", [k for k in PROBLEM_KINDS if k != "regression-1.5"])
def test_gradient_is_the_derivative_of_the_value(kind):
    problem = problem_case(kind, (3, 4), seed=3).problem
    matrix = np.random.default_rng(4).standard_normal((3, 4))
    differences = reference.central_differences(lambda w: problem.value_and_gradient(w)[0], matrix)
    gradient = problem.value_and_gradient(matrix)[1]
    np.testing.assert_allclose(gradient, differences, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", [k for k in PROBLEM_KINDS if k not in ("target", "user")])
def test_mean_is_the_sum_over_the_number_of_samples(kind):
    matrix = np.random.default_rng(5).standard_normal((3, 4))
    mean = problem_case(kind, (3, 4), reduction="mean").problem
    total = problem_case(kind, (3, 4), reduction="sum").problem
    assert total.value_and_gradient(matrix)[0] == pytest.approx(
        mean.n_samples * mean.value_and_gradient(matrix)[0], rel=1e-13
    )


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
def test_problems_describe_themselves(kind):
    problem = problem_case(kind, (3, 4), seed=6).problem
    assert tuple(problem.shape) == (3, 4)
    assert problem.describe() == problem_case(kind, (3, 4), seed=6).problem.describe()
    other = problem_case(kind, (3, 4), seed=7).problem
    if kind != "user":  # a function has no digest
        assert problem.describe() != other.describe()


# -- TargetMatrix --


def test_target_is_copied_and_read_only():
    target = np.eye(3)
    problem = dln.TargetMatrix(target)
    target[0, 0] = 5.0
    assert problem.value_and_gradient(np.eye(3))[0] == 0.0
    np.testing.assert_array_equal(problem.ground_truth, np.eye(3))
    assert not problem.ground_truth.flags.writeable


# -- Regression --


@pytest.mark.parametrize("n_samples", [1, 2, 5, 6, 7, 50, 2000])
def test_least_squares_from_few_to_many_samples(n_samples):
    """Six inputs: below, at and above the size where the data are reduced."""
    rng = np.random.default_rng(8)
    inputs = rng.standard_normal((n_samples, 6))
    outputs = rng.standard_normal((n_samples, 3))
    problem = dln.Regression(inputs, outputs)
    matrix = rng.standard_normal((3, 6))
    value, gradient = problem.value_and_gradient(matrix)
    expected = reference.regression_loss(matrix, inputs, outputs)
    assert value == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-13 * 6)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("n_samples", [4, 60])
def test_least_squares_keeps_small_losses(condition, n_samples):
    """At an exact fit the loss is (epsilon ||X|| ||W||)^2 and not epsilon times a trace."""
    rng = np.random.default_rng(9)
    inputs = rng.standard_normal((n_samples, 5)) * np.geomspace(1, 1 / condition, 5)
    solution = rng.standard_normal((2, 5))
    problem = dln.Regression(inputs, inputs @ solution.T)
    value, gradient = problem.value_and_gradient(solution)
    assert 0 <= value <= 1e-28
    assert np.abs(gradient).max() <= 1e-14
    # A shift along the weakest input: its whole effect is of size 1/condition^2.
    shift = np.zeros((2, 5))
    shift[1, 4] = 1.0
    expected = 0.5 * np.mean(inputs[:, 4] ** 2)
    assert problem.value_and_gradient(solution + shift)[0] == pytest.approx(
        expected, rel=1e-13 * condition + 1e-12
    )


def test_least_squares_with_rank_deficient_inputs():
    rng = np.random.default_rng(10)
    inputs = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 5))
    outputs = rng.standard_normal((30, 1))
    matrix = rng.standard_normal((1, 5))
    value, gradient = dln.Regression(inputs, outputs).value_and_gradient(matrix)
    expected = reference.regression_loss(matrix, inputs, outputs)
    assert value == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("power", [1.1, 1.5, 2, 3, 4, 7.5])
def test_any_power_above_one(power):
    rng = np.random.default_rng(11)
    inputs, outputs = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    matrix = rng.standard_normal((3, 4))
    value, gradient = dln.Regression(inputs, outputs, power=power).value_and_gradient(matrix)
    expected = reference.regression_loss(matrix, inputs, outputs, power)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n_samples", [255, 256, 257, 700])
@pytest.mark.parametrize("n_inputs", [3, 300])
def test_many_samples_and_inputs(n_samples, n_inputs):
    """Samples are taken a block at a time: none may be lost or taken twice at the seams."""
    rng = np.random.default_rng(12)
    inputs, outputs = (
        rng.standard_normal((n_samples, n_inputs)),
        rng.standard_normal((n_samples, 2)),
    )
    labels = rng.integers(2, size=n_samples)
    matrix = rng.standard_normal((2, n_inputs)) / np.sqrt(n_inputs)
    for problem, expected in [
        (
            dln.Regression(inputs, outputs, power=4),
            reference.regression_loss(matrix, inputs, outputs, 4),
        ),
        (
            dln.Classification(inputs, labels),
            reference.classification_loss(matrix, inputs, labels),
        ),
    ]:
        value, gradient = problem.value_and_gradient(matrix)
        assert value == pytest.approx(expected[0], rel=1e-12)
        size = np.abs(expected[1]).max()
        np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("power", [1.1, 1.5, 3, 4])
def test_zero_residuals_have_zero_gradient(power):
    """|r|^(p - 2) r by naive code is 0 * inf = NaN at r = 0 for p < 2."""
    inputs = np.eye(3)
    value, gradient = dln.Regression(inputs, inputs, power=power).value_and_gradient(np.eye(3))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def run_in_single(problem, **keywords):
    weights = [np.zeros(problem.shape, np.float32)]
    return dln.run(problem, weights, dln.GradientDescent(0.0), n_steps=1, **keywords)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"), [("inputs", 3e38, 1.0), ("outputs", 1.0, 3e38)]
)
def test_sufficient_statistics_beyond_float32(name, inputs, outputs):
    """The data fit, but a column of 100 samples has ten times their size as its norm."""
    problem = dln.Regression(np.full((100, 1), inputs), np.full((100, 1), outputs))
    with pytest.raises(ValueError, match=f"{name}, reduced .*: expected numbers in .* float32"):
        run_in_single(problem)
    assert np.isfinite(problem.value_and_gradient([[0.0]])[0])


def test_the_constant_of_sufficient_statistics_may_be_beyond_float32():
    problem = dln.Regression(np.ones((4, 1)), [1e25, -1e25, 1e25, -1e25])
    trajectory = run_in_single(problem)
    assert trajectory.status == "finished"
    np.testing.assert_allclose(trajectory.data["loss"], 0.5e50)


# -- whiten --


@given(seeds, st.integers(1, 6), st.integers(1, 3), st.integers(0, 30))
def test_whitening_turns_regression_into_a_target(seed, n_inputs, n_outputs, extra):
    """Paper B, section B.1: the losses differ by the constant."""
    rng = np.random.default_rng(seed)
    n_samples = n_inputs + extra + 2
    inputs = rng.standard_normal((n_samples, n_inputs))
    outputs = rng.standard_normal((n_samples, n_outputs))
    result = dln.whiten(inputs, outputs)
    target, transform, constant = reference.whiten(inputs, outputs)
    condition = np.linalg.cond(inputs)
    np.testing.assert_allclose(
        result.transform, transform, rtol=0, atol=1e-14 * condition * np.abs(transform).max()
    )
    np.testing.assert_allclose(result.problem.ground_truth, target, rtol=0, atol=1e-13 * condition)
    assert result.constant == pytest.approx(constant, abs=1e-13 * condition)
    assert result.constant >= -1e-15
    matrix = rng.standard_normal((n_outputs, n_inputs))
    white = dln.Regression(inputs @ result.transform, outputs).value_and_gradient(matrix)
    plain = result.problem.value_and_gradient(matrix)
    assert white[0] == pytest.approx(plain[0] + result.constant, rel=1e-12 * condition)
    np.testing.assert_allclose(white[1], plain[1], rtol=0, atol=1e-12 * condition)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e7])
def test_whitening_of_ill_conditioned_inputs(condition):
    """Through the covariance the error is eps * condition^2, 0.06 at 1e7; not so through the SVD.

    What is left is the error of multiplying by the transform: eps * condition.
    """
    rng = np.random.default_rng(12)
    left = np.linalg.qr(rng.standard_normal((300, 8)))[0]
    right = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    inputs = (left * np.geomspace(1, 1 / condition, 8)) @ right.T * 17
    transform = dln.whiten(inputs, rng.standard_normal((300, 1))).transform
    white = inputs @ transform
    error = np.abs(white.T @ white / 300 - np.eye(8)).max()
    assert error <= 50 * np.finfo(float).eps * condition
    np.testing.assert_allclose(transform, transform.T, rtol=0, atol=1e-14 * transform.max())


def test_whitening_constant_of_a_perfect_fit_does_not_cancel():
    rng = np.random.default_rng(13)
    inputs = rng.standard_normal((50, 4))
    outputs = 1e3 * inputs @ rng.standard_normal((4, 2))
    assert abs(dln.whiten(inputs, outputs).constant) <= 1e-18 * 1e6


def test_rank_deficient_inputs_cannot_be_whitened():
    inputs = np.ones((10, 3)) * np.arange(10)[:, None]
    with pytest.raises(ValueError, match=r"inputs.*rank.*1"):
        dln.whiten(inputs, np.ones((10, 1)))


# -- Classification --


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b", "c"], ("a", "b", "c")),
        ([2, 0, 2, 7], (0, 2, 7)),
        ([True, False, True, True], (False, True)),
        ([1.5, -1.0, 1.5, 0.0], (-1.0, 0.0, 1.5)),
        (pd.Categorical(["b", "a", "b", "c"], ["c", "b", "a"]), ("c", "b", "a")),
        (pd.Series(["b", "a", "b", "c"]), ("a", "b", "c")),
        (["x", 3, "x", 2.5], ("x", 3, 2.5)),
    ],
    ids=["str", "int", "bool", "float", "categorical", "series", "not sortable"],
)
def test_labels_of_any_kind(labels, classes):
    inputs = np.random.default_rng(14).standard_normal((4, 3))
    problem = dln.Classification(inputs, labels)
    assert tuple(problem.classes) == classes
    assert tuple(problem.shape) == (len(classes), 3)
    indices = [classes.index(label) for label in labels]
    matrix = np.random.default_rng(15).standard_normal((len(classes), 3))
    value, gradient = problem.value_and_gradient(matrix)
    expected = reference.classification_loss(matrix, inputs, indices)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-14)


def test_categories_without_samples_keep_their_output():
    labels = pd.Categorical(["a", "b", "a"], ["a", "b", "unused"])
    assert tuple(dln.Classification(np.eye(3), labels).shape) == (3, 3)


def test_one_output_is_the_logistic_loss():
    rng = np.random.default_rng(16)
    inputs, labels = rng.standard_normal((20, 4)), ["no", "yes"] * 10
    problem = dln.Classification(inputs, labels)
    matrix = rng.standard_normal((1, 4))
    value, gradient = problem.value_and_gradient(matrix)
    margins = np.where(np.array(labels) == "yes", 1, -1) * (inputs @ matrix[0])
    assert value == pytest.approx(np.mean(np.log1p(np.exp(-margins))), rel=1e-14)
    assert gradient.shape == (1, 4)
    expected = reference.classification_loss(matrix, inputs, [0, 1] * 10)[1]
    np.testing.assert_allclose(gradient, expected, atol=1e-15)


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_huge_logits_do_not_overflow(n_outputs):
    labels = [0, 1, 2][: max(2, n_outputs)]
    inputs = np.eye(3)[: len(labels)]
    matrix = 1e5 * np.random.default_rng(17).standard_normal((n_outputs, 3))
    value, gradient = dln.Classification(inputs, labels).value_and_gradient(matrix)
    expected = reference.classification_loss(matrix, inputs, labels)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-15)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_small_cross_entropies_keep_their_digits(n_outputs):
    """log(1 + exp(-z)) is exp(-z) for large z and not 0."""
    matrix = np.zeros((n_outputs, 1))
    matrix[-1] = 50.0
    problem = dln.Classification([[1.0], [-1.0]], [1, 0])
    assert problem.value_and_gradient(matrix)[0] == pytest.approx(np.exp(-50.0), rel=1e-10)


# -- MatrixCompletion, MatrixSensing --


def test_completion_from_a_dense_matrix():
    rng = np.random.default_rng(18)
    matrix = rng.standard_normal((4, 5))
    mask = rng.random((4, 5)) < 0.5
    problem = dln.MatrixCompletion.from_dense(matrix, mask)
    assert problem.n_samples == mask.sum()
    end_to_end = rng.standard_normal((4, 5))
    value, gradient = problem.value_and_gradient(end_to_end)
    assert value == pytest.approx(0.5 * np.mean((end_to_end - matrix)[mask] ** 2), rel=1e-14)
    np.testing.assert_allclose(gradient, mask * (end_to_end - matrix) / mask.sum(), atol=1e-15)


def test_synthetic_completion_has_the_stated_truth():
    problem = dln.MatrixCompletion.synthetic((20, 30), rank=3, n_observed=100, rng=1)
    truth = problem.ground_truth
    assert truth.shape == (20, 30)
    assert np.linalg.norm(truth) == pytest.approx(np.sqrt(600), rel=1e-12)
    values = reference.singular_values(truth)
    assert values[2] > 1e-3
    assert values[3] < 1e-12
    assert problem.n_samples == 100
    assert problem.value_and_gradient(truth)[0] <= 1e-28
    again = dln.MatrixCompletion.synthetic((20, 30), rank=3, n_observed=100, rng=1)
    np.testing.assert_array_equal(again.ground_truth, truth)
    other = dln.MatrixCompletion.synthetic((20, 30), rank=3, n_observed=100, rng=2)
    assert np.abs(other.ground_truth - truth).max() > 0.1


def test_synthetic_completion_observes_distinct_entries_and_holds_out_others():
    problem = dln.MatrixCompletion.synthetic((6, 7), rank=1, n_observed=20, rng=3, held_out=15)
    _, gradient = problem.value_and_gradient(problem.ground_truth + 1.0)
    observed = {tuple(index) for index in np.argwhere(gradient > 1e-9).tolist()}
    assert len(observed) == 20
    rows, columns, values = problem.held_out
    held = set(zip(np.asarray(rows).tolist(), np.asarray(columns).tolist(), strict=True))
    assert len(held) == 15
    assert not held & observed
    np.testing.assert_allclose(values, problem.ground_truth[rows, columns], atol=1e-14)


def test_synthetic_sensing_is_consistent():
    problem = dln.MatrixSensing.synthetic((6, 6), rank=2, n_measurements=30, rng=4)
    truth = problem.ground_truth
    assert np.linalg.norm(truth) == pytest.approx(6.0, rel=1e-12)
    assert reference.singular_values(truth)[2] < 1e-13
    assert problem.n_samples == 30
    assert problem.value_and_gradient(truth)[0] <= 1e-28
    # Entries of A_i have variance 1/36, so the mean loss at truth + D is about ||D||^2 / 72.
    shifted = problem.value_and_gradient(truth + np.ones((6, 6)))[0]
    assert 0.2 < shifted < 1.2
