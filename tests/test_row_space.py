"""Row spaces, found up to the rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydlnet import _core


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 6),
    st.sampled_from([0.0, -1.0, -3.0]),
    st.sampled_from([1.0, 1e-290, 1e290]),
    st.integers(0, 2**32 - 1),
)
def test_a_row_space_stops_at_the_rank(rows, cols, rank, slope, size, seed):
    rng = np.random.default_rng(seed)
    rank = min(rank, rows, cols)
    left = np.linalg.qr(rng.standard_normal((rows, rows)))[0][:, :rank]
    right = np.linalg.qr(rng.standard_normal((cols, cols)))[0][:, :rank]
    matrix = (left * 10.0 ** (slope * np.arange(rank) / 2)) @ right.T
    eps = np.finfo(np.float64).eps
    tolerance = 40 * eps
    basis, coefficients = _core.row_space(size * matrix, tolerance, 40)
    assert basis.shape == (cols, rank)
    assert coefficients.shape == (rows, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), rtol=0, atol=1e-14)
    # Rounding of the product and of the factorisation, and what the tolerance cuts.
    error = np.linalg.norm(matrix - (coefficients / size) @ basis.T)
    assert error <= (tolerance + 20 * eps) * np.sqrt(max(rank, 1))
    short, _ = _core.row_space(matrix, tolerance, rank // 2)
    assert short.shape[1] == rank // 2


@pytest.mark.parametrize("slope", [-0.05, -0.3, -1.0])
def test_a_row_space_of_a_decaying_spectrum_keeps_what_counts(slope):
    left, right = np.linalg.qr(np.random.default_rng(20).standard_normal((2, 60, 60)))[0]
    values = 10.0 ** (slope * np.arange(60))
    matrix = (left * values) @ right.T
    basis, coefficients = _core.row_space(matrix, 1e-12, 60)
    assert np.linalg.norm(matrix - coefficients @ basis.T) <= 1.1e-12
    # Column pivoting finds the rank up to a modest factor in the values.
    assert np.sum(values > 1e-11) <= basis.shape[1] <= np.sum(values > 1e-14)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), rtol=0, atol=1e-13)
