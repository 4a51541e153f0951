"""The order of products: chains with narrow outputs or bottlenecks against the definitions."""

import dataclasses

import numpy as np
import pytest
import reference
from cases import METHODS, PROBLEM_KINDS, problem_case
from helpers import assert_close, assert_same_bits, assert_same_run, network, path
from test_chain import check_pass

import pydlnet as dln

FROM_OUTPUT = "products from the output side"
FROM_BOTH = "products from both sides"
CHAINS = {
    (60, 20, 30, 4): FROM_OUTPUT,
    (70, 12, 9, 17, 1): FROM_OUTPUT,
    (50, 20, 30, 12, 20): FROM_OUTPUT,
    (40, 30, 5, 30, 60): FROM_BOTH,  # more outputs than the width where products meet
    (20, 60, 21, 60, 19): FROM_BOTH,  # and fewer
    (4, 30, 20, 60): "none",
    (30, 30, 30, 30): "none",
}
REORDERED = [widths for widths, order in CHAINS.items() if order != "none"]
SMOOTH = [c for c in METHODS if c.name.startswith(("descent", "momentum", "nesterov", "group"))]
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def run(widths, method, n_steps, dtype=np.float64, kind="target", **kwargs):
    case = problem_case(kind, (widths[-1], widths[0]), seed=3)
    weights = network(widths, seed=4, dtype=dtype)
    return dln.run(
        case.problem, weights, method, n_steps=n_steps, rng=0, exact_compression=False, **kwargs
    )


def algebra(trajectory):
    return trajectory.data.attrs["exact_algebra"]


@pytest.mark.parametrize(("widths", "order"), CHAINS.items())
def test_the_order_is_that_of_the_widths_alone(widths, order):
    for method in (dln.GradientDescent(1e-3), dln.Adam()):
        for dtype in (np.float64, np.float32):
            assert algebra(run(widths, method, 1, dtype)) == order
    recorded = run(widths, dln.Adam(), 1, record=dln.Record(["end_to_end", "imbalance"], every=1))
    assert algebra(recorded) == order


@pytest.mark.parametrize("widths", [(900, 2), (900, 30, 2), (2, 30, 900)])
def test_one_or_two_layers_have_one_order(widths):
    assert algebra(run(widths, dln.GradientDescent(1e-3), 1)) == "none"


def test_other_algebra_is_named_too():
    regression = run((20, 20, 30, 2), dln.GradientDescent(1e-3), 1, kind="regression-2")
    assert algebra(regression) == f"sufficient statistics; {FROM_OUTPUT}"
    problem = dln.MatrixCompletion.synthetic((4, 60), rank=2, n_observed=10, rng=1)
    weights = network((60, 20, 30, 4))
    completion = dln.run(
        problem, weights, dln.GradientDescent(1e-3), n_steps=1, exact_compression=False
    )
    assert algebra(completion) == f"sparse residual; {FROM_OUTPUT}"


@DTYPES
@pytest.mark.parametrize("widths", CHAINS)
def test_pass_is_the_definition(widths, dtype):
    check_pass(network(widths, seed=1, dtype=dtype))


@pytest.mark.parametrize("widths", CHAINS)
def test_gradients_of_a_given_end_to_end_gradient(widths):
    weights = network(widths, seed=3)
    gradient = np.random.default_rng(4).standard_normal((widths[-1], widths[0]))
    expected = reference.gradients(weights, gradient)
    assert_close(dln.chain.gradients(weights, gradient), expected, 1e-13)


@DTYPES
@pytest.mark.parametrize("widths", REORDERED)
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_every_step_is_that_of_the_reference(case, widths, dtype):
    """Ten steps of each method, at a rate that the larger layers bear."""
    case = dataclasses.replace(
        case, method=dataclasses.replace(case.method, learning_rate=case.rate / 20)
    )
    trajectory = run(widths, case.method, 10, dtype, record=dln.Record("weights", every=1))
    target = problem_case("target", (widths[-1], widths[0]), seed=3)
    expected = reference.descend(
        case.update,
        [w.astype(np.float64) for w in network(widths, seed=4, dtype=dtype)],
        target.loss,
        [case.rate] * 10,
        case.weight_decay,
        **case.parameters,
    )
    # Entry-wise methods divide by roots of small squares.
    tolerance = {np.float64: 1e-11, np.float32: 2e-3}[dtype]
    if case in SMOOTH:
        tolerance = {np.float64: 1e-12, np.float32: 1e-4}[dtype]
    for actual, layers in zip(path(trajectory), expected, strict=True):
        assert_close(actual, layers, tolerance)
    for start, end in zip(expected[0], trajectory.weights, strict=True):
        assert np.abs(end - start).max() > 1e-4


@pytest.mark.parametrize("widths", [(60, 20, 30, 4), (40, 30, 5, 30, 60)])
@pytest.mark.parametrize("kind", PROBLEM_KINDS)
def test_every_problem_follows_the_definition(kind, widths):
    if kind == "classification" and widths[-1] > 40:
        widths = (60, 30, 5, 30, 40)  # each class has a sample
    trajectory = run(widths, dln.GradientDescent(1e-3), 5, kind=kind)
    case = problem_case(kind, (widths[-1], widths[0]), seed=3)
    expected = reference.descend(
        reference.gradient_descent, network(widths, seed=4), case.loss, [1e-3] * 5
    )
    assert algebra(trajectory).endswith((FROM_OUTPUT, FROM_BOTH))
    assert_close(trajectory.weights, expected[-1], 1e-12)


@DTYPES
@pytest.mark.parametrize("widths", REORDERED)
def test_recorded_quantities_are_their_definitions(widths, dtype):
    names = ["loss", "gradient_norm", "end_to_end", "imbalance", "weights", "layer_norms"]
    names += ["singular_values", "alignment"]
    trajectory = run(widths, dln.GroupRMSprop(1e-3), 6, dtype, record=dln.Record(names, every=2))
    loss = problem_case("target", (widths[-1], widths[0]), seed=3).loss
    tolerance = 1e-10 if dtype == np.float64 else 1e-3
    for t, layers in enumerate(path(trajectory)):
        expected = reference.quantities([w.astype(np.float64) for w in layers], loss)
        for name in set(trajectory.data.data_vars) & set(expected):
            actual, e = trajectory.data[name].values[t], expected[name]
            if name == "alignment":  # beyond the narrowest width the modes span a null space
                actual, e = actual[: min(widths)], e[: min(widths)]
            np.testing.assert_allclose(actual, e, tolerance, tolerance, err_msg=name)


# -- Bits --


@DTYPES
@pytest.mark.parametrize("widths", REORDERED)
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_records_stops_and_continuing_change_no_bit(case, widths, dtype):
    method = dataclasses.replace(case.method, learning_rate=1e-3)
    bare = dln.Record("loss", every=20)
    whole = run(widths, method, 20, dtype, record=bare)
    names = ["loss", "weights", "end_to_end", "singular_vectors", "gradient_norm", "imbalance"]
    recorded = run(
        widths,
        method,
        20,
        dtype,
        record=dln.Record(names, every=1),
        stop=dln.Stop(loss=0.0, gradient_norm=0.0, check_every=3),
    )
    for a, b in zip(whole.weights, recorded.weights, strict=True):
        assert_same_bits(a, b)
    problem = problem_case("target", (widths[-1], widths[0]), seed=3).problem
    continued = dln.run(problem, run(widths, method, 7, dtype, record=bare), n_steps=13)
    assert_same_run(continued, whole)


@DTYPES
@pytest.mark.parametrize("widths", [(300, 120, 110, 40), (300, 250, 100, 250, 200)])
@pytest.mark.parametrize("method", [dln.GradientDescent(1e-4), dln.Momentum(1e-4, 0.9)])
def test_same_bits_for_every_number_of_threads(method, widths, dtype, monkeypatch):
    # As many as asked for, also where the machine has fewer processors.
    monkeypatch.setattr("pydlnet.simulate.as_threads", lambda n: n)
    alone = run(widths, method, 3, dtype, threads=1)
    assert algebra(alone) != "none"
    for threads in (2, 3):
        assert_same_run(run(widths, method, 3, dtype, threads=threads), alone)


@pytest.mark.parametrize("widths", [(60, 20, 30, 4), (40, 30, 5, 30, 60)])
def test_mini_batches_follow_the_definition(widths):
    """One batch of all samples is the full gradient, to the order of its sum."""
    method = dln.GradientDescent(1e-3, batch_size=30)
    batched = run(widths, method, 5, kind="regression-2")
    full = run(widths, dln.GradientDescent(1e-3), 5, kind="regression-2")
    assert_close(batched.weights, full.weights, 1e-12)
    halves = run(widths, dataclasses.replace(method, batch_size=15), 5, kind="regression-2")
    for a, b in zip(halves.weights, full.weights, strict=True):
        assert np.abs(a - b).max() > 1e-6
