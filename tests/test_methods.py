"""Every method, step by step, against PyTorch or the published formula; learning rates."""

import dataclasses

import numpy as np
import pytest
import reference
import torch
from cases import METHODS
from helpers import assert_close, assert_same_bits, network, path

import pydlnet as dln

torch.set_num_threads(1)
N_STEPS = 25
WIDTHS = (4, 6, 3)
EVERY = dln.Record(["loss", "weights", "learning_rate"], every=1)


def run_case(case, dtype, **kwargs):
    target = np.random.default_rng(6).standard_normal((WIDTHS[-1], WIDTHS[0]))
    weights = network(WIDTHS, seed=5, dtype=dtype)
    trajectory = dln.run(
        dln.TargetMatrix(target), weights, case.method, n_steps=N_STEPS, record=EVERY, **kwargs
    )
    return weights, target, trajectory


def torch_path(case, weights, target):
    layers = [torch.tensor(w, requires_grad=True) for w in weights]
    goal = torch.tensor(target.astype(weights[0].dtype))
    optimizer = getattr(torch.optim, case.torch_class)(layers, **case.torch_parameters)
    steps = [weights]
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        (0.5 * ((layers[1] @ layers[0] - goal) ** 2).sum()).backward()
        optimizer.step()
        steps.append([layer.detach().numpy().copy() for layer in layers])
    return steps


# Rounding enters each of the 25 steps with about 30 units in the last place and is amplified
# where a method divides by the root of a small square: two digits for that.
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-4}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", [c for c in METHODS if c.torch_class], ids=lambda c: c.name)
def test_every_step_is_that_of_torch(case, dtype):
    weights, target, trajectory = run_case(case, dtype)
    expected = torch_path(case, weights, target)
    for actual, layers in zip(path(trajectory), expected, strict=True):
        assert actual[0].dtype == dtype
        assert_close(actual, layers, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_every_step_is_that_of_the_reference(case, dtype):
    weights, target, trajectory = run_case(case, dtype)
    expected = reference.descend(
        case.update,
        [w.astype(np.float64) for w in weights],
        lambda w: reference.target_loss(w, target.astype(dtype)),
        [case.rate] * N_STEPS,
        case.weight_decay,
        **case.parameters,
    )
    for actual, layers in zip(path(trajectory), expected, strict=True):
        assert_close(actual, layers, TOLERANCE[dtype])


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_methods_move_every_layer(case):
    """The comparisons above would pass if nothing moved in either."""
    weights, _, trajectory = run_case(case, np.float64)
    for before, after in zip(weights, trajectory.weights, strict=True):
        assert np.abs(before - after).max() > 1e-3


@pytest.mark.parametrize(
    ("method", "torch_class", "names"),
    [
        (dln.RMSprop(), "RMSprop", {"decay": "alpha"}),
        (dln.Adam(), "Adam", {}),
        (dln.AdaGrad(), "Adagrad", {"initial_accumulator": "initial_accumulator_value"}),
        (dln.AdaDelta(), "Adadelta", {"decay": "rho"}),
    ],
    ids=lambda x: x if isinstance(x, str) else None,
)
def test_defaults_are_those_of_torch(method, torch_class, names):
    defaults = getattr(torch.optim, torch_class)([torch.zeros(1)]).defaults
    names = {"learning_rate": "lr", "epsilon": "eps", **names}
    for field in dataclasses.fields(method):
        if field.name != "batch_size":
            assert getattr(method, field.name) == defaults[names.get(field.name, field.name)]


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_zero_gradients_are_harmless(case):
    """At a global minimum without decay nothing may become 0 / 0."""
    weights = [np.zeros((3, 4)), np.zeros((2, 3))]
    trajectory = dln.run(dln.TargetMatrix(np.zeros((2, 4))), weights, case.method, n_steps=3)
    assert trajectory.status == "finished"
    for w in trajectory.weights:
        np.testing.assert_array_equal(w, 0.0)


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_depth_one_and_width_one(case):
    for widths in [(3, 2), (1, 1), (2, 1, 1, 3)]:
        target = np.random.default_rng(7).standard_normal((widths[-1], widths[0]))
        weights = network(widths, seed=8)
        trajectory = dln.run(
            dln.TargetMatrix(target), weights, case.method, n_steps=8, record=EVERY
        )
        expected = reference.descend(
            case.update,
            weights,
            lambda w, target=target: reference.target_loss(w, target),
            [case.rate] * 8,
            case.weight_decay,
            **case.parameters,
        )
        assert_close(trajectory.weights, expected[-1], 1e-12)


# -- Learning rates --


def schedule(step):
    return 0.1 / (1 + step)


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_a_rate_is_a_number_an_array_or_a_function(case):
    rates = np.array([schedule(t) for t in range(N_STEPS)])
    as_array = dataclasses.replace(
        case, method=dataclasses.replace(case.method, learning_rate=rates)
    )
    as_function = dataclasses.replace(
        case, method=dataclasses.replace(case.method, learning_rate=schedule)
    )
    weights, target, by_array = run_case(as_array, np.float64)
    _, _, by_function = run_case(as_function, np.float64)
    for a, b in zip(by_array.weights, by_function.weights, strict=True):
        assert_same_bits(a, b)
    expected = reference.descend(
        case.update,
        weights,
        lambda w: reference.target_loss(w, target),
        rates,
        case.weight_decay,
        **case.parameters,
    )
    assert_close(by_array.weights, expected[-1], 1e-12)


def test_a_constant_function_is_the_number():
    weights = network(WIDTHS)
    problem = dln.TargetMatrix(np.ones((3, 4)))
    number = dln.run(problem, weights, dln.GradientDescent(0.1), n_steps=30)
    function = dln.run(problem, weights, dln.GradientDescent(lambda step: 0.1), n_steps=30)
    for a, b in zip(number.weights, function.weights, strict=True):
        assert_same_bits(a, b)


def test_recorded_rates_are_those_of_the_updates():
    _, _, trajectory = run_case(
        dataclasses.replace(METHODS[0], method=dln.GradientDescent(schedule)), np.float64
    )
    rates = trajectory.data["learning_rate"].values
    np.testing.assert_array_equal(rates[:-1], [schedule(t) for t in range(N_STEPS)])
    assert np.isfinite(rates).all()


def test_functions_get_each_step_once_in_order():
    seen = []

    def rate(step):
        assert type(step) is int
        seen.append(step)
        return 0.01

    dln.run(
        dln.TargetMatrix(np.ones((3, 4))), network(WIDTHS), dln.GradientDescent(rate), n_steps=2500
    )
    unique = list(dict.fromkeys(seen))
    assert unique[:2500] == list(range(2500))


def test_rate_zero_changes_nothing():
    weights = network(WIDTHS)
    trajectory = dln.run(
        dln.TargetMatrix(np.ones((3, 4))), weights, dln.GradientDescent(0.0), n_steps=5
    )
    for a, b in zip(trajectory.weights, weights, strict=True):
        assert_same_bits(a, b)


def test_rates_are_copied():
    rates = np.full(5, 0.1)
    method = dln.GradientDescent(rates)
    rates[:] = 7
    np.testing.assert_array_equal(method.learning_rate, 0.1)
    assert not method.learning_rate.flags.writeable


# -- Values --


@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_methods_are_values(case):
    assert case.method == dataclasses.replace(case.method)
    assert case.method != dataclasses.replace(case.method, learning_rate=0.123)
    assert case.method != dataclasses.replace(case.method, weight_decay=0.123)
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.method.learning_rate = 1.0


def test_different_kinds_are_different():
    assert dln.AdaGrad(0.1) != dln.GradientDescent(0.1)


def test_array_rates_compare_by_value():
    assert dln.GradientDescent([0.1, 0.2]) == dln.GradientDescent(np.array([0.1, 0.2]))
    assert dln.GradientDescent([0.1, 0.2]) != dln.GradientDescent([0.1, 0.3])


# -- Errors --


@pytest.mark.parametrize("epsilon", [0, 0.0, -0.0])
def test_one_rate_for_all_layers_needs_an_epsilon(epsilon):
    with pytest.raises(ValueError, match=r"epsilon: expected a finite number > 0, got -?0\.0"):
        dln.GroupRMSprop(0.1, epsilon=epsilon)


def test_one_rate_for_all_layers_at_a_stationary_point():
    """Without epsilon the rate would be 0.1 / 0."""
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(2)),
        [np.eye(2)],
        dln.GroupRMSprop(0.1),
        n_steps=3,
        record=dln.Record("learning_rate", every=1),
    )
    assert trajectory.status == "finished"
    assert_same_bits(trajectory.weights[0], np.eye(2))
    np.testing.assert_allclose(trajectory.data["learning_rate"], 0.1 / 1e-6)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"kind": "adamm"}, "; did you mean 'Adam'"),
        ({"kind": "Adam", "Epsilom": 1.0}, "; did you mean 'epsilon'"),
        ({"kind": "?"}, r"got '\?'$"),
    ],
)
def test_the_description_of_an_unknown_method(description, message):
    with pytest.raises(ValueError, match=message):
        dln.methods.method_from_dict(description)
