"""A step of two layers read as gradient descent with an adaptive rate and momentum."""

import itertools

import numpy as np
import pytest
from helpers import network

import pydlnet as dln
from pydlnet import theory


def scalar_path(rate, n_steps, start=(1e-3, 1e-2)):
    """Run a vector times a number and return the layers and gradients of every step."""
    rng = np.random.default_rng(4)
    problem = dln.TargetMatrix(rng.standard_normal((1, 5)))
    layers = [start[0] * rng.standard_normal((1, 5)), np.array([[start[1]]])]
    record = dln.Record("weights", every=1)
    run = dln.run(problem, layers, dln.GradientDescent(rate), n_steps=n_steps, record=record)
    path = list(zip(run.data["W1"].values, run.data["W2"].values, strict=True))
    return problem, path


@pytest.mark.facts
def test_the_parts_of_a_step_make_it_up():
    rate = 0.05
    problem, path = scalar_path(rate, 200)
    for (w1, w2), (next_w1, next_w2) in itertools.pairwise(path):
        step = theory.two_layer_step([w1, w2], problem, rate)
        total = step.gradient_part + step.momentum_part + step.remainder
        # The difference of two products of up to 2: rounding of these.
        np.testing.assert_allclose(total, next_w2 @ next_w1 - w2 @ w1, rtol=0.0, atol=2e-15)
        gradient = w2 @ w1 - problem.target
        np.testing.assert_allclose(step.gradient_part, -rate * w2**2 * gradient, rtol=1e-13)


@pytest.mark.facts
def test_the_momentum_is_a_sum_of_earlier_gradients():
    """Its coefficients reproduce the step from the gradients alone, up to the square of the rate.

    The rate falls by half and the distance over equal times as well; a step has rate^2 of it.
    """
    errors = []
    for rate in (2e-3, 1e-3):
        n_steps = round(3.0 / rate)
        problem, path = scalar_path(rate, n_steps)
        steps = [theory.two_layer_step(layers, problem, rate) for layers in path]
        rho = [step.adaptive_rate for step in steps]
        gamma = [step.forgetting for step in steps]
        gradients = np.array([(w2 @ w1 - problem.target)[0] for w1, w2 in path])
        mu = theory.momentum_coefficients(rho[:-1], gamma[:-1])
        # Where w grows earlier gradients push on.
        assert (mu > 0.0).all()
        start = (path[0][1] @ path[0][0])[0]
        momentum = mu @ gradients[: n_steps - 1]
        momentum -= -gamma[-2] * np.prod(1.0 - np.array(gamma[: n_steps - 1])) * start
        expected = -steps[n_steps - 1].momentum_part[0]
        errors.append(np.linalg.norm(momentum - expected) / np.linalg.norm(expected))
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_coefficients_as_written():
    rho, gamma = np.random.default_rng(5).standard_normal((2, 6))
    expected = [
        -gamma[5] * rho[tau] * np.prod([1.0 - gamma[s] for s in range(tau + 1, 5)])
        for tau in range(5)
    ]
    np.testing.assert_allclose(theory.momentum_coefficients(rho, gamma), expected, rtol=1e-14)
    assert theory.momentum_coefficients([1.0], [1.0]).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.two_layer_step(network((3, 2, 1)), np.ones((1, 3)), 0.1), r"\(3, 2, 1\)"),
        (lambda: theory.two_layer_step(network((3, 1)), np.ones((1, 3)), 0.1), r"\(3, 1\)"),
        (
            lambda: theory.two_layer_step([np.ones((1, 3)), np.zeros((1, 1))], np.ones((1, 3)), 1),
            "second layer other than 0",
        ),
        (lambda: theory.two_layer_step(network((3, 1, 1)), np.ones((1, 3)), -1), "learning_rate"),
        (lambda: theory.two_layer_step(network((3, 1, 1)), np.ones((1, 2)), 1), "problem"),
        (lambda: theory.momentum_coefficients([1.0, 2.0], [1.0]), "forgettings: expected as many"),
        (lambda: theory.momentum_coefficients([], []), "adaptive_rates"),
        (lambda: theory.two_layer_step([[[1.0]], [[5e-324]]], [[1.0]], 1), "weights: .* range"),
        (lambda: theory.momentum_coefficients([1e300] * 3, [-1e300] * 3), "forgettings: .* range"),
    ],
)
def test_wrong_arguments_of_the_reading_as_momentum(call, message):
    with pytest.raises(ValueError, match=message):
        call()
