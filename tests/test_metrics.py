"""Metrics against their definitions, their conventions and their invariances."""

import numpy as np
import pytest
import reference
from helpers import network, orthogonal
from hypothesis import given
from hypothesis import strategies as st
from strategies import matrices, networks, seeds

import pydlnet as dln

SPECTRAL = ["singular_values", "effective_rank", "stable_rank", "nuclear_norm"]


@given(matrices)
def test_spectral_metrics_are_their_definitions(matrix):
    for name in SPECTRAL:
        expected = getattr(reference, name)(matrix)
        actual = getattr(dln.metrics, name)(matrix)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14 * np.abs(matrix).max())


@given(matrices, seeds)
def test_spectral_metrics_are_unchanged_by_orthogonal_factors(matrix, seed):
    rotated = orthogonal(matrix.shape[0], seed) @ matrix @ orthogonal(matrix.shape[1], seed)
    for name in SPECTRAL:
        metric = getattr(dln.metrics, name)
        np.testing.assert_allclose(
            metric(rotated), metric(matrix), rtol=1e-10, atol=1e-13 * np.abs(matrix).max()
        )


@given(matrices)
def test_ranks_lie_between_one_and_the_rank(matrix):
    rank = min(matrix.shape)
    for metric in (dln.metrics.effective_rank, dln.metrics.stable_rank):
        assert 1 - 1e-12 <= metric(matrix) <= rank + 1e-12
        assert metric(1e3 * matrix) == pytest.approx(metric(matrix), rel=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_zero_matrix(shape):
    zero = np.zeros(shape)
    for name in ("effective_rank", "stable_rank", "nuclear_norm"):
        assert getattr(dln.metrics, name)(zero) == 0.0
    np.testing.assert_array_equal(dln.metrics.singular_values(zero), 0.0)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_ranks_of_extreme_scales(scale):
    matrix = np.diag([3.0, 2.0, 1.0]) * scale
    assert dln.metrics.effective_rank(matrix) == pytest.approx(
        reference.effective_rank(np.diag([3.0, 2.0, 1.0])), rel=1e-13
    )
    assert dln.metrics.stable_rank(matrix) == pytest.approx(14 / 9, rel=1e-13)


def test_known_ranks():
    assert dln.metrics.effective_rank(np.eye(4)) == pytest.approx(4, rel=1e-14)
    assert dln.metrics.effective_rank(np.ones((4, 7))) == pytest.approx(1, rel=1e-12)
    assert dln.metrics.stable_rank(np.diag([2.0, 1.0, 1.0])) == pytest.approx(1.5, rel=1e-14)


@given(matrices, st.floats(0.3, 20))
def test_schatten_norms_are_their_definition(matrix, p):
    values = reference.singular_values(matrix)
    expected = values[0] * np.sum((values / values[0]) ** p) ** (1 / p)
    # Singular values have absolute errors; a small one enters with its p-th power. Those of random
    # matrices up to 12 x 12 are almost always above 1e-3 of the largest.
    assert dln.metrics.schatten_norm(matrix, p) == pytest.approx(expected, rel=1e-9)
    assert dln.metrics.schatten_norm(values, p) == pytest.approx(expected, rel=1e-12)
    assert dln.metrics.schatten_norm(values[::-1], p) == pytest.approx(expected, rel=1e-12)


@given(matrices)
def test_schatten_norms_have_the_known_ones_among_them(matrix):
    assert dln.metrics.schatten_norm(matrix, 1) == pytest.approx(
        reference.nuclear_norm(matrix), rel=1e-12
    )
    assert dln.metrics.schatten_norm(matrix, 2) == pytest.approx(np.linalg.norm(matrix), rel=1e-12)
    # From 1 to 12^(1/p) times the largest.
    assert dln.metrics.schatten_norm(matrix, 1e6) == pytest.approx(
        np.linalg.norm(matrix, 2), rel=3e-6
    )


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-5, 1e300])
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0, 3.0, 300.0])
def test_schatten_norms_do_not_leave_the_range_on_the_way(scale, p):
    """Four equal values: 4^(1/p) times the value, infinite only if that is."""
    with np.errstate(over="ignore"):
        expected = np.exp(np.log(4) / p + np.log(scale)) if p < 0.1 else scale * 4 ** (1 / p)
    # 1e-12 for the logarithms of numbers up to e^700.
    assert dln.metrics.schatten_norm(np.full(4, scale), p) == pytest.approx(expected, rel=1e-12)


def test_schatten_norms_that_leave_the_range_are_infinite():
    assert dln.metrics.schatten_norm([1.0, 1.0], 1e-4) == np.inf
    assert dln.metrics.schatten_norm([1e308, 1e308], 1) == np.inf
    # 2^(1/p) = e^1386 alone is out of range, its product with 1e-300 is not.
    assert dln.metrics.schatten_norm([1e-300, 1e-300], 5e-4) == pytest.approx(
        np.exp(np.log(2) / 5e-4 - 300 * np.log(10)), rel=1e-11
    )
    assert dln.metrics.schatten_norm([3.0], 5e-324) == 3.0


def test_norms_of_a_matrix_that_leave_the_range():
    """All entries are numbers, and both singular values 2^0.5 1.7e308."""
    matrix = 1.7e308 * np.array([[1.0, 1.0], [1.0, -1.0]])
    assert dln.metrics.schatten_norm(matrix, 2) == np.inf
    assert dln.metrics.nuclear_norm(matrix) == np.inf
    assert dln.metrics.effective_rank(matrix) == pytest.approx(2.0, rel=1e-14)
    assert dln.metrics.stable_rank(matrix) == pytest.approx(2.0, rel=1e-14)
    tiny = 5e-324 * np.array([[1.0, 1.0], [1.0, -1.0]])
    assert dln.metrics.stable_rank(tiny) == pytest.approx(2.0, rel=1e-14)


def test_schatten_quasi_norms_do_not_count_the_rounding_of_zeros():
    """Rank one: all of them are the norm, though computed values of 1e-17 would add 0.02 each."""
    matrix = np.outer([1.0, 2.0, 2.0, 0.1], [0.3, 0.4, 0.7])
    values = np.linalg.svd(matrix, compute_uv=False)
    assert dln.metrics.schatten_norm(matrix, 0.1) == pytest.approx(values[0], rel=1e-13)
    assert dln.metrics.schatten_norm(np.append(values[:1], 1e-17), 0.1) > 1.01 * values[0]
    assert dln.metrics.schatten_norm(np.zeros((2, 3)), 0.5) == 0.0


@pytest.mark.parametrize(
    ("values", "p", "error", "message"),
    [
        ([1.0, -1.0], 1, ValueError, "matrix_or_values: .*got -1"),
        ([1.0, np.nan], 1, ValueError, "matrix_or_values"),
        (np.ones((2, 2, 2)), 1, ValueError, r"matrix_or_values: .*\(2, 2, 2\)"),
        ([], 1, ValueError, "matrix_or_values"),
        (["a"], 1, TypeError, "matrix_or_values"),
        ([1.0], 0, ValueError, "p: .*got 0"),
        ([1.0], np.inf, ValueError, "p: .*got inf"),
        ([1.0], "1", TypeError, "p: "),
    ],
)
def test_wrong_arguments_of_schatten_norms(values, p, error, message):
    with pytest.raises(error, match=message):
        dln.metrics.schatten_norm(values, p)


@given(networks())
def test_imbalance_is_its_definition(weights):
    expected = reference.imbalance(weights)
    np.testing.assert_allclose(dln.metrics.imbalance(weights), expected, rtol=1e-12, atol=1e-13)
    assert dln.metrics.balancedness(weights) == pytest.approx(
        max(expected, default=0.0), rel=1e-12, abs=1e-13
    )


def test_metrics_of_float32_layers_are_float64():
    weights = network((3, 4, 2), dtype=np.float32)
    expected = reference.imbalance([w.astype(np.float64) for w in weights])
    actual = dln.metrics.imbalance(weights)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_deficiency_margin():
    """sigma_min(target) - ||W - target||_F (Arora, Cohen, Golowich & Hu 2019, Definition 2)."""
    target = np.diag([3.0, 2.0])
    assert dln.metrics.deficiency_margin(target, target) == pytest.approx(2.0)
    assert dln.metrics.deficiency_margin(target + np.diag([1.0, -1.0]), target) == pytest.approx(
        2 - np.sqrt(2)
    )
    assert dln.metrics.deficiency_margin(np.zeros((2, 2)), target) < 0


def test_reconstruction_error_is_a_mean_over_all_entries():
    truth = np.arange(6.0).reshape(2, 3)
    assert dln.metrics.reconstruction_error(truth + 2, truth) == pytest.approx(4.0)
    assert dln.metrics.reconstruction_error(truth, truth) == 0.0


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize(
    "matrix", [np.ones(3), np.ones((0, 3)), [[np.nan]], [[np.inf]], [[1j]], [["a"]], None]
)
def test_wrong_matrices(name, matrix):
    with pytest.raises((ValueError, TypeError), match="matrix"):
        getattr(dln.metrics, name)(matrix)


@pytest.mark.parametrize("name", ["deficiency_margin", "reconstruction_error"])
def test_wrong_shapes(name):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        getattr(dln.metrics, name)(np.ones((3, 2)), np.ones((2, 3)))


@pytest.mark.parametrize("name", [name for name in dln.metrics.__all__ if name.islower()])
def test_the_docstring_says_what_is_raised(name):
    """All of them check their arguments."""
    assert (
        "    Raises\n    ------\n    ValueError, TypeError\n" in getattr(dln.metrics, name).__doc__
    )
