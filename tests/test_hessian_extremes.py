"""The extreme eigenvalues of the Hessian, against those of the matrix."""

import os
import signal
import threading

import numpy as np
import pytest
from cases import CURVED_KINDS, curved_problem
from helpers import network
from hypothesis import assume, given
from strategies import experiments
from torch_curvature import EPSILON, KINDS

import pydlnet as dln
from pydlnet.metrics import hessian, hessian_extremes


def check_extremes(found, matrix, n_small=96):
    values = np.linalg.eigvalsh(matrix)
    size = max(abs(values[0]), abs(values[-1]))
    # Rounding of n products and of their dense counterpart.
    rounding = 10 * len(matrix) * EPSILON * size
    for value, residual, expected in (
        (found.largest, found.largest_residual, values[-1]),
        (found.smallest, found.smallest_residual, values[0]),
    ):
        assert abs(value - expected) <= residual + rounding
        assert residual <= 1e-8 * size + rounding
        # Isolated or not, the error is far below the residual that the search ends at.
        assert abs(value - expected) <= (0 if len(matrix) <= n_small else 1e-10) * size + rounding
    assert found.n_products <= 10_000


@given(experiments(kinds=KINDS))
def test_extremes_are_those_of_the_matrix(experiment):
    weights, case = experiment
    assume(sum(layer.size for layer in weights) <= 300)
    check_extremes(hessian_extremes(weights, case.problem), hessian(weights, case.problem))


@pytest.mark.parametrize("kind", CURVED_KINDS)
@pytest.mark.parametrize("widths", [(6, 8, 6), (10, 10), (6, 6, 6, 6), (12, 11, 10, 9, 8)])
@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_extremes_of_larger_networks(kind, widths, scale):
    """Near the saddle at zero, where the Hessian is indefinite, and away from it."""
    weights = network(widths, 4, scale)
    problem = curved_problem(kind, widths)
    check_extremes(hessian_extremes(weights, problem), hessian(weights, problem))


@pytest.mark.parametrize("widths", [(6, 6, 6), (12, 11, 10, 9)])
def test_extremes_of_one_layer(widths):
    weights = network(widths, 4)
    problem = curved_problem("regression-2", widths)
    for j in range(1, len(widths)):
        found = hessian_extremes(weights, problem, layer=j)
        check_extremes(found, hessian(weights, problem, layer=j))
        # The loss is convex in each layer alone.
        assert found.smallest >= -1e-13 * found.largest


@pytest.mark.parametrize("widths", [(2, 2, 2, 2), (8, 8, 8, 8), (30, 30, 30, 30)])
def test_zero_layers_have_no_curvature_at_depth_three(widths):
    zeros = [np.zeros((a, b)) for a, b in zip(widths[1:], widths[:-1], strict=True)]
    found = hessian_extremes(zeros, curved_problem("target", widths))
    assert (found.largest, found.smallest) == (0.0, 0.0)
    assert (found.largest_residual, found.smallest_residual) == (0.0, 0.0)
    assert found.stable_learning_rate == np.inf


@pytest.mark.parametrize("width", [3, 6, 20, 40])
def test_zero_layers_at_depth_two_are_a_saddle(width):
    """The second derivative is -2 <target, V_2 V_1>: eigenvalues +-sigma_r, each `width` times."""
    target = np.random.default_rng(width).standard_normal((width, width))
    found = hessian_extremes([np.zeros((width, width))] * 2, dln.TargetMatrix(target))
    sigma = np.linalg.norm(target, 2)
    assert found.largest == pytest.approx(sigma, rel=1e-13)
    assert found.smallest == pytest.approx(-sigma, rel=1e-13)


@pytest.mark.parametrize("size", [3, 9, 10, 40])
def test_one_eigenvalue_of_full_multiplicity(size):
    found = hessian_extremes([np.ones((size, size))], dln.TargetMatrix(np.eye(size)))
    assert found.largest == pytest.approx(1.0, rel=1e-14)
    assert found.smallest == pytest.approx(1.0, rel=1e-14)
    assert found.stable_learning_rate == pytest.approx(2.0)


def test_a_tighter_tolerance_gives_smaller_residuals():
    weights = network((12, 11, 10, 9), 4)
    problem = curved_problem("completion", (12, 11, 10, 9))
    rough, fine = (
        hessian_extremes(weights, problem, tolerance=tolerance) for tolerance in (1e-2, 1e-12)
    )
    assert rough.n_products < fine.n_products
    assert fine.largest_residual <= 1e-11 * fine.largest < rough.largest_residual
    exact = np.linalg.eigvalsh(hessian(weights, problem))
    assert abs(rough.largest - exact[-1]) <= rough.largest_residual
    assert abs(fine.smallest - exact[0]) <= fine.smallest_residual + 1e-12 * exact[-1]


def test_a_small_negative_eigenvalue_is_seen_below_many_zeros():
    """Hundreds of products and several restarts: a late point of gradient descent."""
    target = np.random.default_rng(0).standard_normal((16, 16)) / 4
    problem = dln.TargetMatrix(target)
    start = dln.init.gaussian((16,) * 4, end_to_end_scale=0.5, rng=0)
    weights = dln.run(problem, start, dln.GradientDescent(0.02), n_steps=3000).weights
    exact = np.linalg.eigvalsh(hessian(weights, problem))
    assert -1e-2 < exact[0] / exact[-1] < -1e-7
    found = hessian_extremes(weights, problem)
    assert found.n_products > 96
    assert found.smallest == pytest.approx(exact[0], abs=1e-10 * exact[-1])


@pytest.mark.parametrize("widths", [(3, 3, 3), (12, 12, 12)])
def test_curvature_beyond_the_range_is_nan(widths):
    weights = [1e155 * layer for layer in network(widths, 0)]
    found = hessian_extremes(weights, curved_problem("target", widths))
    numbers = (found.largest, found.smallest, found.largest_residual, found.stable_learning_rate)
    assert np.isnan(numbers).all()


def test_the_largest_entries_are_in_range():
    problem = dln.EndToEndLoss(lambda W: (0.0, W), (1, 2), lambda W, V: 1.7e308 * V)
    np.testing.assert_array_equal(hessian([np.ones((1, 2))], problem), 1.7e308 * np.eye(2))


def test_tiny_curvature_keeps_its_digits():
    """Squares of the entries of the Hessian underflow, its entries do not."""
    scale = 2.0**-300
    weights = network((4, 3, 2), 0)
    problem = curved_problem("sensing", (4, 3, 2))
    block = np.linalg.eigvalsh(hessian(weights, problem, layer=2))
    found = hessian_extremes([scale * weights[0], weights[1]], problem, layer=2)
    assert found.largest == pytest.approx(scale**2 * block[-1], rel=1e-13)


def test_extremes_are_reproducible():
    weights = network((9, 9, 9, 9), 0)
    problem = curved_problem("classification", (9, 9, 9, 9))
    assert hessian_extremes(weights, problem) == hessian_extremes(weights, problem)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_a_search():
    weights = network((60,) * 4, 0)
    problem = curved_problem("target", (60,) * 4)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        hessian_extremes(weights, problem, tolerance=1e-300)
    timer.join()
