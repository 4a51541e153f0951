"""The oracle itself, against central differences and PyTorch: a wrong oracle would hide bugs."""

import numpy as np
import pytest
import reference
import torch
from cases import METHODS, PROBLEM_KINDS, problem_case
from helpers import assert_close, network

torch.set_num_threads(1)


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 5)])
def test_loss_gradients_match_central_differences(kind, reduction, shape):
    loss = problem_case(kind, shape, seed=3, reduction=reduction).loss
    matrix = np.random.default_rng(4).standard_normal(shape)
    differences = reference.central_differences(lambda w: loss(w)[0], matrix)
    size = max(1.0, np.abs(differences).max())
    # |x|^1.5 has an unbounded third derivative: there the differences are good to h^1.5 only.
    tolerance = 1e-4 if kind == "regression-1.5" else 1e-7
    np.testing.assert_allclose(loss(matrix)[1], differences, rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("widths", [(3, 4), (4, 2, 3), (2, 5, 1, 3), (3, 3, 3, 3, 3)])
def test_layer_gradients_match_central_differences(widths):
    weights = network(widths, seed=1)
    target = np.random.default_rng(2).standard_normal((widths[-1], widths[0]))

    def loss(end_to_end):
        return reference.target_loss(end_to_end, target)

    grads = reference.gradients(weights, loss(reference.product(weights))[1])
    for j in range(len(weights)):

        def of_layer(layer, j=j):
            return loss(reference.product([*weights[:j], layer, *weights[j + 1 :]]))[0]

        differences = reference.central_differences(of_layer, weights[j])
        np.testing.assert_allclose(grads[j], differences, rtol=0, atol=1e-7)


@pytest.mark.parametrize("case", [c for c in METHODS if c.torch_class], ids=lambda c: c.name)
def test_updates_match_torch(case):
    weights = network((4, 5, 3), seed=5)
    target = np.random.default_rng(6).standard_normal((3, 4))
    layers = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = getattr(torch.optim, case.torch_class)(layers, **case.torch_parameters)
    for _ in range(20):
        optimizer.zero_grad()
        (0.5 * ((layers[1] @ layers[0] - torch.tensor(target)) ** 2).sum()).backward()
        optimizer.step()
    expected = [layer.detach().numpy() for layer in layers]
    actual = reference.descend(
        case.update,
        weights,
        lambda w: reference.target_loss(w, target),
        [case.rate] * 20,
        case.weight_decay,
        **case.parameters,
    )[-1]
    assert_close(actual, expected, 1e-12)


def test_balanced_start_has_the_product_and_no_imbalance():
    matrix = np.random.default_rng(7).standard_normal((3, 5))
    for widths in [(5, 3), (5, 4, 3), (5, 6, 3, 4, 3)]:
        weights = reference.balanced_from(matrix, widths)
        np.testing.assert_allclose(reference.product(weights), matrix, atol=1e-14)
        np.testing.assert_allclose(reference.imbalance(weights), 0, atol=1e-14)


def test_end_to_end_step_is_plain_descent_at_depth_one():
    rng = np.random.default_rng(8)
    matrix, gradient = rng.standard_normal((2, 3, 4))
    stepped = reference.end_to_end_step(matrix, gradient, 0.1, 1, weight_decay=0.2)
    np.testing.assert_allclose(stepped, matrix - 0.1 * (gradient + 0.2 * matrix), atol=1e-15)
