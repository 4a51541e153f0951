"""Decompositions of the core: right to a few units in the last place of the largest value."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from pydlnet import _core

EPS = np.finfo(float).eps

# A Gram matrix would be off by 1 / sqrt(EPS) units of the largest.
FEW_UNITS = 10 * EPS


def precise_values(matrix):
    """Return u^T A v in extended precision for LAPACK's vectors: errors of theirs count squared.

    LAPACK's own values are off by up to 10 units at the sizes below.
    """
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    u, vt = u.astype(np.longdouble), vt.astype(np.longdouble)
    product = np.einsum("ij,jk->ik", matrix.astype(np.longdouble), vt.T)
    values = (u * product).sum(0) / np.sqrt((u**2).sum(0) * (vt**2).sum(1))
    return np.sort(values)[::-1].astype(float)


def hadamard(size):
    """Return an orthogonal matrix with entries exactly +-2^-k; size is a power of 4."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.sqrt(size)


def graded(size, bits):
    """Return a matrix and its singular values, powers of two over `bits` bits.

    Entries are sums of numbers that fit into one significand, so the matrix is exact.
    """
    values = 2.0 ** -np.linspace(0, bits, size).astype(int)
    basis = hadamard(size)
    return (basis * values) @ basis.T, values


@pytest.mark.parametrize("size", [4, 16, 64])
@pytest.mark.parametrize("scale", [1.0, 2.0**-900, 2.0**900])
def test_graded_matrices_against_their_exact_values(size, scale):
    matrix, values = graded(size, 40)
    for m in (matrix, matrix[:, ::-1], matrix.T):
        computed = _core.singular_values(np.ascontiguousarray(m * scale))
        np.testing.assert_allclose(computed / scale, values, rtol=0, atol=FEW_UNITS)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (1, 7),
        (7, 1),
        (2, 2),
        (3, 5),
        (8, 8),
        (9, 16),
        (32, 32),
        (33, 33),
        (50, 20),
        (100, 100),
        (200, 150),
    ],
)
def test_random_matrices(shape):
    matrix = np.random.default_rng(1).standard_normal(shape)
    expected = precise_values(matrix)
    computed = _core.singular_values(matrix)
    assert computed.shape == expected.shape
    np.testing.assert_allclose(computed, expected, rtol=0, atol=FEW_UNITS * expected[0])


@given(seeds, st.integers(1, 12), st.integers(1, 12), st.integers(0, 16))
def test_graded_rows_and_columns_against_lapack(seed, m, n, decades):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((m, n)) * np.logspace(0, -decades, n)
    matrix *= np.logspace(0, decades, m)[rng.permutation(m), None]
    expected = scipy.linalg.svdvals(matrix)
    computed = _core.singular_values(matrix)
    np.testing.assert_allclose(computed, expected, rtol=0, atol=FEW_UNITS * expected[0])
    assert np.all(np.diff(computed) <= 0)
    assert np.all(computed >= 0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (40, 40)])
def test_zero_matrix(shape):
    np.testing.assert_array_equal(_core.singular_values(np.zeros(shape)), 0.0)
    u, s, v = _core.svd(np.zeros(shape))
    k = min(shape)
    np.testing.assert_array_equal(s, 0.0)
    np.testing.assert_allclose(u.T @ u, np.eye(k), atol=1e-14)
    np.testing.assert_allclose(v.T @ v, np.eye(k), atol=1e-14)


def test_diagonal_and_permutation_matrices():
    values = np.array([3.0, 1e-5, 0.0, 7.0, 1e-300])
    matrix = np.ascontiguousarray(np.diag(values)[:, [2, 0, 4, 1, 3]])
    computed = _core.singular_values(matrix)
    np.testing.assert_allclose(computed, np.sort(values)[::-1], rtol=0, atol=FEW_UNITS * 7)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)])
def test_vectors(shape):
    vector = np.random.default_rng(2).standard_normal(shape)
    assert _core.singular_values(vector)[0] == pytest.approx(np.linalg.norm(vector), rel=4 * EPS)


@pytest.mark.parametrize("shape", [(6, 6), (12, 5), (5, 12), (60, 60)])
@pytest.mark.parametrize("rank", [1, 3])
def test_rank_deficient_matrices(shape, rank):
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    computed = _core.singular_values(matrix)
    assert np.all(computed[rank:] <= FEW_UNITS * computed[0])
    check_svd(matrix)


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-310, 5e-324])
@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (40, 30)])
def test_extreme_scales(scale, shape):
    """Squares of these overflow or vanish; denormals carry few digits themselves."""
    base = np.rint(8 * np.random.default_rng(4).standard_normal(shape))
    matrix = base * scale
    expected = scipy.linalg.svdvals(base)
    computed = _core.singular_values(matrix)
    assert np.all(np.isfinite(computed))
    tolerance = FEW_UNITS * expected[0] * scale + min(shape) * 5e-324
    # (base * scale) is the exact matrix for the smallest scale only; others round once more.
    np.testing.assert_allclose(computed, expected * scale, rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("values", [(1, 1, 1, 1), (2, 2, 1, 1), (1, 1, 0, 0)])
def test_repeated_values(values):
    rng = np.random.default_rng(5)
    left = np.linalg.qr(rng.standard_normal((6, 4)))[0]
    right = np.linalg.qr(rng.standard_normal((5, 4)))[0]
    matrix = (left * values) @ right.T
    computed = _core.singular_values(matrix)
    np.testing.assert_allclose(computed[:4], values, rtol=0, atol=FEW_UNITS * values[0])
    check_svd(matrix)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 6), (6, 1), (4, 4), (3, 7), (7, 3), (20, 20), (90, 70), (200, 200)]
)
def test_svd_reconstructs(shape):
    check_svd(np.random.default_rng(6).standard_normal(shape))


@given(seeds, st.integers(1, 14), st.integers(1, 14))
def test_entries_of_every_size(seed, m, n):
    """Squares of most entries vanish beside those of others, or altogether."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-320, 0, (m, n))
    check_svd(matrix)


@given(seeds, st.integers(2, 20))
def test_clusters_at_one_and_at_rounding(seed, n):
    """Equal values and many at the level of rounding separate slowly, if at all."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    check_svd((left * rng.choice([1.0, 1e-8, 1e-16, 1e-160, 0.0], n)) @ right)


@given(seeds, st.integers(2, 20))
def test_bidiagonal_matrices_with_zeros(seed, n):
    rng = np.random.default_rng(seed)
    sizes = [0.0, 1.0, 1e-8, 1e-16, 1e-17, 1e-100, 2e-162]
    matrix = np.diag(rng.choice(sizes, n)) + np.diag(rng.choice(sizes, n - 1), 1)
    check_svd(matrix)
    check_svd(matrix[::-1, ::-1])


def check_svd(matrix):
    """Check the thin factors, their orthogonality and that the values are the same as without."""
    u, s, v = _core.svd(np.ascontiguousarray(matrix))
    k = min(matrix.shape)
    assert u.shape == (matrix.shape[0], k)
    assert s.shape == (k,)
    assert v.shape == (matrix.shape[1], k)
    size = 4 * EPS * max(matrix.shape)
    np.testing.assert_allclose(u.T @ u, np.eye(k), rtol=0, atol=size)
    np.testing.assert_allclose(v.T @ v, np.eye(k), rtol=0, atol=size)
    np.testing.assert_allclose((u * s) @ v.T, matrix, rtol=0, atol=size * s[0])
    np.testing.assert_allclose(
        _core.singular_values(np.ascontiguousarray(matrix)), s, rtol=0, atol=FEW_UNITS * s[0]
    )


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (9, 4), (4, 9), (120, 60)])
def test_qr(shape):
    matrix = np.random.default_rng(7).standard_normal(shape)
    q, r = _core.qr(matrix)
    k = min(shape)
    assert q.shape == (shape[0], k)
    assert r.shape == (k, shape[1])
    size = 4 * EPS * max(shape)
    np.testing.assert_allclose(q.T @ q, np.eye(k), rtol=0, atol=size)
    np.testing.assert_allclose(q @ r, matrix, rtol=0, atol=size * np.linalg.norm(matrix, 2))
    np.testing.assert_array_equal(np.tril(r, -1), 0.0)


@pytest.mark.parametrize("n_samples", [4, 5, 300])
def test_reduced_least_squares_has_the_same_loss(n_samples):
    rng = np.random.default_rng(8)
    inputs, outputs = rng.standard_normal((n_samples, 4)), rng.standard_normal((n_samples, 2))
    r, q_outputs, residual = _core.reduce_least_squares(inputs, outputs)
    assert r.shape == (4, 4)
    assert q_outputs.shape == (4, 2)
    matrix = rng.standard_normal((2, 4))
    full = np.sum((inputs @ matrix.T - outputs) ** 2)
    assert np.sum((r @ matrix.T - q_outputs) ** 2) + residual == pytest.approx(full, rel=1e-13)
    best = np.linalg.lstsq(inputs, outputs, rcond=None)[0]
    expected = np.sum((inputs @ best - outputs) ** 2)
    assert residual == pytest.approx(expected, rel=1e-12, abs=1e-28)
    assert residual >= 0


@pytest.mark.parametrize("scale", [1e-170, 1e-155, 1.0, 1e150])
def test_qr_of_columns_whose_squares_leave_the_range(scale):
    rng = np.random.default_rng(5)
    inputs, outputs = rng.standard_normal((40, 6)), rng.standard_normal((40, 2))
    scales = np.array([1.0, scale, 1.0, scale, 3.0, 1.0])
    r, qty, residual = _core.reduce_least_squares(inputs * scales, outputs)
    # The same sums of squares as the data themselves, column by column.
    w = rng.standard_normal((6, 2))
    direct = np.sum((inputs @ w - outputs) ** 2)
    np.testing.assert_allclose(np.sum((r / scales @ w - qty) ** 2) + residual, direct, rtol=1e-13)
    q, r = _core.qr(inputs * scales)
    np.testing.assert_allclose(q @ (r / scales), inputs, atol=1e-14)
    np.testing.assert_allclose(q.T @ q, np.eye(6), atol=1e-14)
