"""What is known of gradient flow: exact solutions, conserved quantities, and what it saves."""

import numpy as np
import pytest
from helpers import network

import pydlnet as dln

pytestmark = pytest.mark.facts

TIMES = np.linspace(0.5, 12.0, 24)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_modes_follow_their_exact_solution_saxe_mcclelland_ganguli_2014(depth):
    targets, starts = np.array([3.0, 2.0, 0.5]), np.array([1e-2, 3e-2, 0.9])
    weights = [np.diag(starts ** (1.0 / depth))] * depth
    found = dln.run(
        dln.TargetMatrix(np.diag(targets)),
        weights,
        dln.GradientFlow(1e-10),
        until=12.0,
        record=dln.Record("end_to_end", times=TIMES),
    )
    modes = np.einsum("tii->ti", found.data["end_to_end"].values[1:])
    expected = dln.theory.mode_strength(TIMES, targets, starts, depth)
    np.testing.assert_allclose(modes, expected, rtol=1e-7)


def test_two_balanced_layers_follow_the_riccati_solution_braun_et_al_2022():
    target = np.random.default_rng(0).standard_normal((3, 5))
    weights = dln.init.balanced((5, 4, 3), scale=0.1, rng=1)
    found = dln.run(
        dln.TargetMatrix(target),
        weights,
        dln.GradientFlow(1e-10),
        until=12.0,
        record=dln.Record("end_to_end", times=TIMES),
    )
    expected = dln.theory.two_layer_flow(weights, target, TIMES)
    np.testing.assert_allclose(found.data["end_to_end"].values[1:], expected, atol=1e-8)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_flow_conserves_the_imbalance_arora_cohen_hazan_2018(weight_decay):
    weights = network((4, 6, 5, 3), seed=2)
    problem = dln.TargetMatrix(np.random.default_rng(1).standard_normal((3, 4)))
    record = dln.Record("imbalance", times=TIMES)
    method = dln.GradientFlow(weight_decay=weight_decay)
    found = dln.run(problem, weights, method, until=12.0, record=record)
    imbalance = found.data["imbalance"].values
    times = found.data["time"].values[:, np.newaxis]
    expected = imbalance[0] * np.exp(-2.0 * weight_decay * times)
    np.testing.assert_allclose(imbalance, expected, rtol=1e-6)
    assert 0.0 < found.data.attrs["imbalance_drift"] < 1e-7
    # As the attribute says, from the layers themselves.
    factor = np.exp(-2.0 * weight_decay * 12.0)
    drifts = [
        np.linalg.norm(difference(found.weights, j) - factor * difference(weights, j))
        / max(squares(found.weights, j), squares(weights, j))
        for j in range(2)
    ]
    assert found.data.attrs["imbalance_drift"] == pytest.approx(max(drifts), rel=1e-3, abs=1e-15)


def difference(weights, j):
    return weights[j + 1].T @ weights[j + 1] - weights[j] @ weights[j].T


def squares(weights, j):
    return np.sum(weights[j] ** 2) + np.sum(weights[j + 1] ** 2)


def test_a_balanced_start_stays_balanced():
    weights = dln.init.balanced((5, 4, 4, 3), scale=0.5, rng=1)
    problem = dln.TargetMatrix(np.random.default_rng(1).standard_normal((3, 5)))
    found = dln.run(
        problem, weights, dln.GradientFlow(), until=50.0, record=dln.Record("imbalance")
    )
    assert found.data["imbalance"].values.max() < 1e-7


@pytest.mark.parametrize("widths", [(4, 4, 4), (4, 4, 4, 4)])
def test_a_start_at_1e_6_takes_a_twentieth_of_the_gradients_of_descent(widths):
    # The error of gradient descent is proportional to its rate. It is measured on the way, where
    # most of the loss is gone; at the end both are at the minimum.
    problem = dln.TargetMatrix(np.diag([4.0, 3.0, 2.0, 1.0]))
    weights = dln.init.gaussian(widths, end_to_end_scale=1e-6, rng=0)
    bound = dln.Stop(loss=1e-6)
    flow = dln.run(problem, weights, dln.GradientFlow(), until=1e4, stop=bound)
    assert flow.status == "converged"
    on_the_way = dln.run(problem, weights, dln.GradientFlow(), until=1e4, stop=dln.Stop(loss=8.0))
    rate = 2e-4
    middle = rate * round(float(on_the_way.data["time"][-1]) / rate)
    flow_middle = dln.run(problem, weights, dln.GradientFlow(), until=middle)
    exact = dln.run(problem, weights, dln.GradientFlow(1e-13, 1e-16), until=middle)
    descents = [
        dln.run(problem, weights, dln.GradientDescent(r), n_steps=round(middle / r))
        for r in (rate, rate / 2.0)
    ]
    errors = [distance(descent, exact) for descent in descents]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)
    same = rate * distance(flow_middle, exact) / errors[0]
    n_gradients = float(flow.data["time"][-1]) / same
    assert n_gradients > 20.0 * flow.data.attrs["n_gradients"]


def distance(one, other):
    pairs = zip(one.weights, other.weights, strict=True)
    return np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs))
