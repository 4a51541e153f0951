"""Metrics against their definitions, their conventions and their invariances."""

import numpy as np
import pytest
import reference
from helpers import network, orthogonal
from hypothesis import given
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


@pytest.mark.parametrize("name", dln.metrics.__all__)
def test_the_docstring_says_what_is_raised(name):
    """All of them check their arguments."""
    assert (
        "    Raises\n    ------\n    ValueError, TypeError\n" in getattr(dln.metrics, name).__doc__
    )
