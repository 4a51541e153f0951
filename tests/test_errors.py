"""Bad input: a clear ValueError or TypeError naming the argument, before anything runs."""

import dataclasses
import math

import numpy as np
import pytest
from helpers import network

import pydlnet as dln

PROBLEM = dln.TargetMatrix(np.ones((3, 4)))
METHOD = dln.GradientDescent(0.1)
WIDTHS = (4, 6, 3)
NAN, INF = math.nan, math.inf


def with_entry(value):
    weights = network(WIDTHS)
    weights[1][2, 3] = value
    return weights


# -- Weights --

WRONG_WEIGHTS = [
    ([], ValueError, "weights"),
    (None, TypeError, "weights"),
    ("weights", TypeError, "weights"),
    (np.ones((2, 3, 4)), TypeError, "weights"),
    ([np.ones((6, 4)), np.ones((3, 5))], ValueError, r"weights\[1\].*\(3, 6\).*\(3, 5\)"),
    ([np.ones((6, 4)), np.ones((6, 3))], ValueError, r"weights\[1\].*\(6, 6\).*\(6, 3\)"),
    ([np.ones((6, 4)), np.ones(6)], ValueError, r"weights\[1\].*matrix"),
    ([np.ones((6, 4)), np.ones((1, 3, 6))], ValueError, r"weights\[1\]"),
    ([np.ones((0, 4)), np.ones((3, 0))], ValueError, r"weights\[0\].*\(0, 4\)"),
    ([np.ones((6, 0)), np.ones((3, 6))], ValueError, r"weights\[0\].*\(6, 0\)"),
    (with_entry(NAN), ValueError, r"weights\[1\].*nan.*2, 3"),
    (with_entry(INF), ValueError, r"weights\[1\].*inf.*2, 3"),
    ([np.ones((6, 4), complex), np.ones((3, 6))], TypeError, r"weights\[0\]"),
    ([np.ones((6, 4), object), np.ones((3, 6))], TypeError, r"weights\[0\]"),
    ([np.full((6, 4), "a"), np.ones((3, 6))], TypeError, r"weights\[0\]"),
    ([np.ones((6, 4), bool), np.ones((3, 6))], TypeError, r"weights\[0\]"),
    ([np.ones((6, 4), np.float16), np.ones((3, 6))], TypeError, r"weights\[0\].*float16"),
    ([np.ones((6, 4), np.longdouble), np.ones((3, 6))], TypeError, r"weights\[0\]"),
    (
        [np.ones((6, 4), np.float32), np.ones((3, 6))],
        TypeError,
        r"weights\[1\].*float32.*float64",
    ),
    ([[[1.0, 2.0], [3.0]]], ValueError, r"weights\[0\]"),
    ([np.array(1.0)], ValueError, r"weights\[0\]"),
    ({"W1": np.ones((3, 4))}, TypeError, "weights"),
    (5, TypeError, "weights"),
]
WRONG_IDS = [f"{i}-{message}" for i, (_, _, message) in enumerate(WRONG_WEIGHTS)]


@pytest.mark.parametrize(("weights", "error", "message"), WRONG_WEIGHTS, ids=WRONG_IDS)
@pytest.mark.parametrize(
    "function",
    [
        lambda w: dln.run(PROBLEM, w, METHOD, n_steps=1),
        dln.chain.product,
        lambda w: dln.chain.gradients(w, np.ones((3, 4))),
        lambda w: dln.chain.value_and_gradients(w, PROBLEM),
        lambda w: dln.chain.step(w, PROBLEM, 0.1),
        dln.metrics.imbalance,
    ],
    ids=["run", "product", "gradients", "value_and_gradients", "step", "imbalance"],
)
def test_wrong_weights(function, weights, error, message):
    with pytest.raises(error, match=message):
        function(weights)


@pytest.mark.parametrize("problem", [PROBLEM, dln.EndToEndLoss(lambda w: (0.0, w), (3, 4))])
def test_a_network_that_does_not_fit_the_problem(problem):
    for function in (
        lambda w: dln.run(problem, w, METHOD, n_steps=1),
        lambda w: dln.chain.value_and_gradients(w, problem),
        lambda w: dln.chain.step(w, problem, 0.1),
    ):
        with pytest.raises(ValueError, match=r"weights.*\(3, 4\).*\(4, 3\)"):
            function(network((3, 2, 4)))


def test_a_gradient_that_does_not_fit_the_network():
    with pytest.raises(ValueError, match=r"end_to_end_gradient.*\(3, 4\).*\(4, 3\)"):
        dln.chain.gradients(network(WIDTHS), np.ones((4, 3)))


@pytest.mark.parametrize("rate", [-0.1, NAN, INF, "fast", None, 1j, np.ones(2)])
def test_wrong_rate_of_a_single_step(rate):
    with pytest.raises((ValueError, TypeError), match="learning_rate"):
        dln.chain.step(network(WIDTHS), PROBLEM, rate)


# -- run --


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"problem": np.ones((3, 4))}, TypeError, "problem"),
        ({"problem": None}, TypeError, "problem"),
        ({"method": None}, (TypeError, ValueError), "method"),
        ({"method": 0.1}, TypeError, "method"),
        ({"method": dln.GradientDescent}, TypeError, "method"),
        ({"n_steps": -1}, ValueError, "n_steps"),
        ({"n_steps": 2.5}, TypeError, "n_steps"),
        ({"n_steps": None}, TypeError, "n_steps"),
        ({"n_steps": True}, TypeError, "n_steps"),
        ({"n_steps": 2**64}, (ValueError, OverflowError), "n_steps"),
        ({"record": "loss"}, TypeError, "record"),
        ({"record": ["loss"]}, TypeError, "record"),
        ({"stop": 0.1}, TypeError, "stop"),
        ({"rng": "seed"}, TypeError, "rng"),
        ({"rng": -1}, ValueError, "rng"),
        ({"progress": "yes"}, TypeError, "progress"),
        (
            {"method": dln.GradientDescent([0.1] * 4), "n_steps": 5},
            ValueError,
            "learning_rate.*5.*4",
        ),
    ],
    ids=str,
)
def test_wrong_arguments_of_run(arguments, error, message):
    defaults = {"problem": PROBLEM, "weights": network(WIDTHS), "method": METHOD, "n_steps": 1}
    with pytest.raises(error, match=message):
        dln.run(**{**defaults, **arguments})


# -- Methods --

METHODS = [
    dln.GradientDescent(0.1),
    dln.Momentum(0.1, 0.9),
    dln.GroupRMSprop(0.1),
    dln.RMSprop(),
    dln.Adam(),
    dln.AdaGrad(),
    dln.AdaDelta(),
    dln.EndToEndDescent(0.1, 3),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    "rate", [-0.1, NAN, INF, -INF, "0.1", None, 1j, [], [[0.1]], [0.1, -0.1], [0.1, NAN], True]
)
def test_wrong_rates(method, rate):
    with pytest.raises((ValueError, TypeError), match="learning_rate"):
        dataclasses.replace(method, learning_rate=rate)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight_decay", -0.1),
        ("weight_decay", NAN),
        ("weight_decay", "1"),
        ("batch_size", 0),
        ("batch_size", -3),
        ("batch_size", 2.5),
        ("batch_size", True),
    ],
)
def test_wrong_common_fields(method, field, value):
    with pytest.raises((ValueError, TypeError), match=field):
        dataclasses.replace(method, **{field: value})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dln.Momentum(0.1, -0.1), "momentum"),
        (lambda: dln.Momentum(0.1, 1.0), "momentum"),
        (lambda: dln.Momentum(0.1, NAN), "momentum"),
        (lambda: dln.Momentum(0.1, 0.9, nesterov="yes"), "nesterov"),
        (lambda: dln.GroupRMSprop(0.1, decay=1.0), "decay"),
        (lambda: dln.GroupRMSprop(0.1, decay=-0.1), "decay"),
        (lambda: dln.GroupRMSprop(0.1, epsilon=-1e-8), "epsilon"),
        (lambda: dln.RMSprop(decay=2.0), "decay"),
        (lambda: dln.RMSprop(epsilon=NAN), "epsilon"),
        (lambda: dln.RMSprop(momentum=1.5), "momentum"),
        (lambda: dln.RMSprop(centered=1.0), "centered"),
        (lambda: dln.Adam(betas=(0.9,)), "betas"),
        (lambda: dln.Adam(betas=(0.9, 1.0)), r"betas\[1\]"),
        (lambda: dln.Adam(betas=0.9), "betas"),
        (lambda: dln.Adam(epsilon=-1.0), "epsilon"),
        (lambda: dln.AdaGrad(initial_accumulator=-1.0), "initial_accumulator"),
        (lambda: dln.AdaDelta(decay=1.0), "decay"),
        (lambda: dln.AdaDelta(epsilon=INF), "epsilon"),
    ],
)
def test_wrong_fields(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


# -- Under python -O --


def test_checks_hold_without_assertions(isolated):
    code = """
import numpy as np, pydlnet as dln
from pydlnet import _core
problem = dln.TargetMatrix(np.ones((3, 4)))
bad = [
    lambda: dln.run(problem, [np.ones((6, 4)), np.ones((3, 5))], dln.Adam(), n_steps=1),
    lambda: dln.GradientDescent(-1.0),
    lambda: dln.chain.product([np.ones((6, 4)), np.ones((3, 5))]),
    lambda: dln.Record("no"),
    lambda: _core.chain_product([np.ones((6, 4)), np.ones((3, 5))]),
    lambda: _core.singular_values(np.ones((0, 4))),
    lambda: dln.MatrixCompletion((3, 4), [5], [0], [1.0]),
]
for f in bad:
    try:
        f()
    except (ValueError, TypeError):
        continue
    raise SystemExit("accepted")
print("all refused")
"""
    result = isolated(code, "-O")
    assert result.stdout == "all refused\n", result.stderr


# -- The core checks again --

LOSS = PROBLEM.core_loss(np.float64, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda core: core.chain_product([np.ones((6, 4)), np.ones((3, 5))]),
        lambda core: core.chain_product([]),
        lambda core: core.chain_product([np.ones(3)]),
        lambda core: core.chain_product([np.ones((2, 2), object)]),
        lambda core: core.chain_gradients([np.ones((6, 4))], np.ones((4, 6))),
        lambda core: core.chain_value_and_gradients([np.ones((4, 3))], LOSS),
        lambda core: core.chain_value_and_gradients([np.ones((3, 4))], object()),
        lambda core: core.chain_value_and_gradients([np.ones((3, 4), np.float32)], LOSS),
        lambda core: core.chain_step([np.ones((3, 4))], LOSS, NAN),
        lambda core: core.svd(np.ones((0, 3))),
        lambda core: core.svd(np.ones(3)),
        lambda core: core.svd(None),
        lambda core: core.svd(np.diag([1.0, NAN, 1.0])),
        lambda core: core.singular_values(np.diag([1.0, NAN, 1.0])),
        lambda core: core.singular_values(np.diag([1.0, INF, 1.0])),
        lambda core: core.row_space(np.diag([1.0, NAN, 1.0]), 1e-10, 3),
        lambda core: core.open_curvature([], LOSS, None, 1e-6, 30),
        lambda core: core.qr(np.ones((3, 0))),
        lambda core: core.reduce_least_squares(np.ones((5, 2)), np.ones((4, 1))),
        lambda core: core.reduce_least_squares(np.ones((2, 5)), np.ones((2, 1))),
        lambda core: core.power_loss(np.ones((5, 2)), np.ones((4, 1)), 2.0, True, False),
        lambda core: core.entries_loss(
            3, 4, np.array([3]), np.array([0]), np.array([1.0]), True, False
        ),
        lambda core: core.entries_loss(
            3, 4, np.array([-1]), np.array([0]), np.array([1.0]), True, False
        ),
        lambda core: core.entries_loss(
            3, 4, np.array([0, 1]), np.array([0]), np.array([1.0]), True, False
        ),
        lambda core: core.classification_loss(np.ones((2, 3)), np.array([0, 7]), 2, True, False),
        lambda core: core.classification_loss(np.ones((2, 3)), np.array([0, -1]), 2, True, False),
        lambda core: core.classification_loss(np.ones((2, 3)), np.array([0]), 2, True, False),
        lambda core: core.sensing_loss(np.ones((2, 3, 4)), np.ones(3), True, False),
    ],
)
def test_the_core_refuses_rather_than_crashes(call):
    with pytest.raises((ValueError, TypeError)):
        call(dln._core)
