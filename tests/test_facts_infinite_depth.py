"""Facts about the limit of infinite depth: Cohen, Menon & Veraszto 2023."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad_vec

from pydlnet import theory

pytestmark = pytest.mark.facts


def spectrum_at(sigma, depth):
    """Return the eigenvalues at finite depth, over N, as they are defined."""
    sigma = np.asarray(sigma)
    j = np.arange(1, depth + 1)[:, None, None]
    terms = sigma[:, None] ** (2 * (j - 1) / depth) * sigma ** (2 * (depth - j) / depth)
    return terms.mean(axis=0)


def test_the_spectrum_is_the_limit_of_large_depth():
    sigma = [3.0, 1.7, 1.7, 0.6, 1e-3]
    limit = theory.infinite_depth_spectrum(sigma)
    errors = [np.abs(spectrum_at(sigma, n) - limit) for n in (100, 1000, 10_000)]
    assert errors[-1].max() < 3e-3
    # A trapezoidal rule with its two ends counted in full: first order in 1 / N.
    for coarse, fine in itertools.pairwise(errors):
        np.testing.assert_allclose(np.max(coarse) / np.max(fine), 10, rtol=0.3)
    np.testing.assert_allclose(np.diag(limit), np.square(sigma), rtol=1e-15)


def test_the_sample_of_two_values():
    sigma = [1.7, 0.6]
    for depth, expected in ((10, 1.21006), (100, 1.214386), (1000, 1.2146239)):
        assert spectrum_at(sigma, depth)[0, 1] == pytest.approx(expected, abs=5e-6)
    assert theory.infinite_depth_spectrum(sigma)[0, 1] == pytest.approx(1.2146481, abs=5e-8)


@pytest.mark.parametrize("gap", [1e-15, 1e-9, 1e-3, 1.0, 100.0, 1e100])
def test_close_and_distant_values(gap):
    sigma = np.array([2.0, 2.0 / (1 + gap)])
    expected = quad_vec(lambda x: sigma[0] ** (2 * x) * sigma[1] ** (2 - 2 * x), 0, 1, 1e-300)[0]
    actual = theory.infinite_depth_spectrum(sigma)
    # The quadrature's own accuracy; at 1e100 its integrand has a boundary layer.
    assert actual[0, 1] == actual[1, 0] == pytest.approx(expected, rel=1e-9)


def test_zero_and_tiny_values():
    values = theory.infinite_depth_spectrum([2.0, 1e-300, 0.0, 0.0])
    np.testing.assert_array_equal(values[2:], 0)
    np.testing.assert_array_equal(values[:, 2:], 0)
    assert values[0, 0] == 4
    assert 0 < values[0, 1] < 0.01


@pytest.mark.parametrize(("shape", "rank"), [((4, 4), 4), ((3, 5), 3), ((5, 3), 2)])
def test_the_velocity_is_an_integral_of_fractional_powers(shape, rank):
    rng = np.random.default_rng(1)
    w = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    gradient = rng.standard_normal(shape)
    left, sigma, right = np.linalg.svd(w)

    def integrand(x):
        inside, outside = np.zeros(shape[0]), np.zeros(shape[1])
        inside[:rank], outside[:rank] = sigma[:rank] ** (2 * x), sigma[:rank] ** (2 - 2 * x)
        return (left * inside) @ left.T @ gradient @ (right.T * outside) @ right

    expected = -quad_vec(integrand, 0, 1, 1e-13)[0]
    actual = theory.infinite_depth_velocity(w, gradient)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_the_velocity_of_modes_is_that_of_infinitely_deep_ones():
    strengths, targets = np.array([0.7, 0.2, 0.1]), np.array([2.0, 0.1, -1.0])
    velocity = theory.infinite_depth_velocity(np.diag(strengths), np.diag(strengths - targets))
    dt = 1e-5
    after = theory.mode_strength(dt, targets, strengths, np.inf)
    np.testing.assert_allclose((after - strengths) / dt, np.diag(velocity), atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.infinite_depth_spectrum([1.0, -1.0]), r"singular_values: .* got -1\.0"),
        (lambda: theory.infinite_depth_spectrum([1e200]), "singular_values: .* range of float64"),
        (lambda: theory.infinite_depth_spectrum([[1.0]]), "singular_values: expected a vector"),
        (
            lambda: theory.infinite_depth_velocity(np.eye(2), np.ones((2, 3))),
            r"gradient: expected shape \(2, 2\), got \(2, 3\)",
        ),
    ],
)
def test_bad_infinite_depths_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
