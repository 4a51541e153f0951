"""Hessian products and the Hessian as a matrix, against PyTorch."""

import numpy as np
import pytest
import torch
from cases import curved_problem, curved_user_problem, problem_case
from helpers import assert_same_bits, network
from hypothesis import given
from strategies import experiments, seeds
from torch_curvature import (
    EPSILON,
    KINDS,
    flat,
    of_layers,
    tolerance_of,
    torch_hessian,
    torch_loss,
)

import pydlnet as dln
from pydlnet.metrics import hessian, hessian_extremes

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
