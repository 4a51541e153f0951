"""Hessian products and extreme eigenvalues against PyTorch and dense algebra."""

import os
import signal
import threading

import numpy as np
import pytest
import torch
from cases import CURVED_KINDS, curved_problem, curved_user_problem, problem_case
from helpers import assert_same_bits, network
from hypothesis import assume, given
from strategies import experiments, seeds

import pydlnet as dln
from pydlnet.metrics import hessian, hessian_extremes

torch.set_num_threads(1)

EPSILON = np.finfo(np.float64).eps

# Whose loss torch_loss() writes.
KINDS = CURVED_KINDS[:-1]
WIDTHS = [
    (4, 3),
    (1, 1),
    (1, 1, 1, 1),
    (4, 5, 3),
    (6, 1, 4),
    (4, 2, 7, 3),
    (20, 6, 6, 3),  # products meet at the output,
    (20, 3, 3, 20),  # or in the middle
    (9, 8, 7, 6, 5, 4),
]


def flat(layers):
    return np.concatenate([np.asarray(layer, np.float64).ravel() for layer in layers])


def torch_loss(problem, n_outputs):
    """Return the problem's loss of an end-to-end matrix, written with PyTorch."""

    def mean(total):
        return total / problem.n_samples if problem.reduction == "mean" else total

    kind = type(problem).__name__
    if kind == "TargetMatrix":
        return lambda w: 0.5 * ((w - torch.tensor(problem.target)) ** 2).sum()
    if kind == "Regression":
        x, y = torch.tensor(problem.inputs), torch.tensor(problem.outputs)
        return lambda w: mean(((x @ w.T - y).abs() ** problem.power).sum() / problem.power)
    if kind == "Classification":
        x, labels = torch.tensor(problem.inputs), torch.tensor(problem.labels)
        if n_outputs == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits
            return lambda w: mean(loss((x @ w.T)[:, 0], labels.double(), reduction="sum"))
        return lambda w: mean(torch.nn.functional.cross_entropy(x @ w.T, labels, reduction="sum"))
    values = torch.tensor(problem.values)
    if kind == "MatrixCompletion":
        places = torch.tensor(problem.rows), torch.tensor(problem.columns)
        return lambda w: mean(0.5 * ((w[places] - values) ** 2).sum())
    measurements = torch.tensor(problem.measurements)
    return lambda w: mean(0.5 * (((measurements * w).sum((1, 2)) - values) ** 2).sum())


def of_layers(loss):
    def phi(*layers):
        product = layers[0]
        for layer in layers[1:]:
            product = layer @ product
        return loss(product)

    return phi


def torch_hessian(weights, problem):
    phi = of_layers(torch_loss(problem, len(weights[-1])))
    blocks = torch.autograd.functional.hessian(phi, tuple(map(torch.tensor, weights)))
    rows = [
        np.hstack([block.numpy().reshape(w.size, -1) for block in row])
        for row, w in zip(blocks, weights, strict=True)
    ]
    return np.vstack(rows)


def tolerance_of(weights, matrix):
    """Bound rounding: sums of a few hundred numbers whose sizes multiply along the chain."""
    sizes = np.prod([max(1.0, np.linalg.norm(w, 2)) for w in weights])
    return 200 * EPSILON * sizes * max(1.0, float(np.abs(matrix).max()))


# -- Products --


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_product_is_that_of_torch(kind, widths, reduction):
    weights = network(widths, 1, 1.2)
    problem = curved_problem(kind, widths, reduction)
    direction = network(widths, 5, 3.0)
    product = dln.chain.hessian_product(weights, problem, direction)
    phi = of_layers(torch_loss(problem, widths[-1]))
    layers, along = tuple(map(torch.tensor, weights)), tuple(map(torch.tensor, direction))
    expected = torch.autograd.functional.vhp(phi, layers, along)[1]
    scale = max(float(e.abs().max()) for e in expected)
    for p, e in zip(product, expected, strict=True):
        assert p.dtype == np.float64
        np.testing.assert_allclose(p, e.numpy(), rtol=0, atol=tolerance_of(weights, scale))


@given(experiments(kinds=KINDS), seeds)
def test_product_is_the_derivative_of_the_gradients(experiment, seed):
    weights, case = experiment
    rng = np.random.default_rng(seed)
    direction = [rng.standard_normal(w.shape) for w in weights]
    direction = [d / np.linalg.norm(flat(direction)) for d in direction]
    product = flat(dln.chain.hessian_product(weights, case.problem, direction))

    def gradient(t):
        moved = [w + t * d for w, d in zip(weights, direction, strict=True)]
        return flat(dln.chain.value_and_gradients(moved, case.problem)[1])

    def difference(step):
        return (gradient(step) - gradient(-step)) / (2 * step)

    # Differences at two distances, their error of order step^2 taken out; it also bounds the rest.
    near, far = difference(1e-4), difference(2e-4)
    expected = near + (near - far) / 3
    scale = max(1.0, *(float(np.abs(gradient(t)).max()) for t in (0, 2e-4)))
    tolerance = float(np.abs(near - far).max()) / 3 + 100 * EPSILON * scale / 1e-4
    np.testing.assert_allclose(product, expected, rtol=0, atol=tolerance)


@given(experiments(kinds=KINDS), seeds)
def test_the_hessian_is_symmetric_and_linear(experiment, seed):
    weights, case = experiment
    rng = np.random.default_rng(seed)
    u, v = ([rng.standard_normal(w.shape) for w in weights] for _ in range(2))

    def times(direction):
        return flat(dln.chain.hessian_product(weights, case.problem, direction))

    hu, hv = times(u), times(v)
    size = np.linalg.norm(hu) + np.linalg.norm(hv)
    tolerance = tolerance_of(weights, size) * np.linalg.norm(flat(u) + flat(v))
    assert flat(u) @ hv == pytest.approx(flat(v) @ hu, abs=tolerance)
    both = times([2 * a - 3 * b for a, b in zip(u, v, strict=True)])
    np.testing.assert_allclose(both, 2 * hu - 3 * hv, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("widths", [(4, 3), (3, 4, 2), (5, 2, 2, 4)])
def test_a_loss_of_the_users_has_curvature(widths):
    weights = network(widths, 0)
    target = np.random.default_rng(3).standard_normal((widths[-1], widths[0]))
    phi = of_layers(lambda w: ((1 + (w - torch.tensor(target)) ** 2) ** 0.5).sum())
    direction = network(widths, 1)
    layers, along = tuple(map(torch.tensor, weights)), tuple(map(torch.tensor, direction))
    expected = torch.autograd.functional.vhp(phi, layers, along)[1]
    product = dln.chain.hessian_product(weights, curved_user_problem(target), direction)
    np.testing.assert_allclose(flat(product), flat(expected), rtol=0, atol=1e-13)


def test_confident_answers_keep_their_curvature():
    inputs, labels = np.array([[1.0], [-1.0]]), [0, 1]
    problem = dln.Classification(inputs, labels, reduction="sum")
    for score in (30.0, 200.0, 700.0):
        # p (1 - p) is exp(-s) / (1 + exp(-s))^2 for a score s; two samples have it.
        decay = np.exp(-score)
        single = hessian([np.array([[-score]])], problem)
        assert single[0, 0] == pytest.approx(2 * decay / (1 + decay) ** 2, rel=1e-13)
        several = hessian([np.array([[score], [0.0]])], problem)
        expected = 2 * decay / (1 + decay) ** 2 * np.array([[1, -1], [-1, 1]])
        np.testing.assert_allclose(several, expected, rtol=1e-13)


# -- The matrix --


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("widths", [(3, 2), (1, 1, 1), (3, 4, 2), (3, 1, 2, 4), (9, 2, 2, 1)])
def test_hessian_is_that_of_torch(kind, widths):
    weights = network(widths, 7)
    problem = curved_problem(kind, widths)
    expected = torch_hessian(weights, problem)
    matrix = hessian(weights, problem)
    assert_same_bits(matrix, matrix.T)
    tolerance = tolerance_of(weights, expected)
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=tolerance)
    start = 0
    for j, layer in enumerate(weights, start=1):
        own = slice(start, start + layer.size)
        block = hessian(weights, problem, layer=j)
        np.testing.assert_allclose(block, expected[own, own], rtol=0, atol=tolerance)
        start += layer.size


def test_inputs_are_left_alone_and_float32_counts_as_its_value():
    single = network((4, 3, 2), 0, dtype=np.float32)
    copies = [layer.copy() for layer in single]
    problem = curved_problem("target", (4, 3, 2))
    double = [layer.astype(np.float64) for layer in single]
    assert_same_bits(hessian(single, problem), hessian(double, problem))
    assert hessian_extremes(single, problem) == hessian_extremes(double, problem)
    for layer, copy in zip(single, copies, strict=True):
        assert_same_bits(layer, copy)


# -- Extreme eigenvalues --


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


# -- Bad input --


def test_losses_without_second_derivative_are_refused():
    weights = network((4, 3), 0)
    for problem, what in (
        (problem_case("regression-1.5", (3, 4)).problem, "power of at least 2"),
        (problem_case("user", (3, 4)).problem, "hessian_product="),
    ):
        for function in (hessian, hessian_extremes):
            with pytest.raises(ValueError, match=what):
                function(weights, problem)
        with pytest.raises(ValueError, match=what):
            dln.chain.hessian_product(weights, problem, weights)


def test_bad_arguments_are_named():
    weights = network((4, 3, 2), 0)
    problem = curved_problem("target", (4, 3, 2))
    with pytest.raises(ValueError, match=r"direction: expected the widths \(4, 3, 2\)"):
        dln.chain.hessian_product(weights, problem, network((4, 2, 2), 0))
    with pytest.raises(ValueError, match=r"direction.*finite"):
        dln.chain.hessian_product(weights, problem, [np.full_like(w, np.nan) for w in weights])
    with pytest.raises(TypeError, match="problem"):
        hessian(weights, "target")
    for layer in (0, 3, -1):
        with pytest.raises(ValueError, match="layer"):
            hessian(weights, problem, layer=layer)
    with pytest.raises(TypeError, match="layer"):
        hessian_extremes(weights, problem, layer=1.0)
    for tolerance in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="tolerance"):
            hessian_extremes(weights, problem, tolerance=tolerance)
    with pytest.raises(ValueError, match="at most 10000 entries"):
        hessian([np.zeros((100, 101))], dln.TargetMatrix(np.zeros((100, 101))))
    with pytest.raises(TypeError, match="hessian_product: expected a callable"):
        dln.EndToEndLoss(lambda w: (0.0, w), (2, 2), 3)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (np.zeros((2, 3)), ValueError, r"hessian_product: expected a result of shape \(2, 2\)"),
        ("abc", TypeError, "hessian_product: expected a real result"),
        (None, TypeError, "hessian_product: expected a real result"),
    ],
)
def test_what_the_users_second_derivative_returns_is_checked(answer, error, message):
    problem = dln.EndToEndLoss(lambda w: (0.0, w), (2, 2), lambda w, v: answer)
    with pytest.raises(error, match=message):
        hessian_extremes([np.eye(2)], problem)


def test_what_the_users_second_derivative_raises_comes_through():
    def second(end_to_end, direction):
        raise KeyError("mine")

    problem = dln.EndToEndLoss(lambda w: (0.0, w), (2, 2), second)
    with pytest.raises(KeyError, match="mine"):
        hessian_extremes([np.eye(2)], problem)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_a_search():
    weights = network((60,) * 4, 0)
    problem = curved_problem("target", (60,) * 4)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        hessian_extremes(weights, problem, tolerance=1e-300)
    timer.join()
