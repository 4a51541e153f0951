"""Gradient flow: against the plain definition, as a scheme, and as a run like the others."""

import re
from pathlib import Path

import numpy as np
import pytest
import reference
from helpers import assert_close, assert_same_bits, assert_same_run, network, orthogonal, path
from scipy.integrate import solve_ivp
from scipy.integrate._ivp import dop853_coefficients

import pydlnet as dln

TARGET = np.random.default_rng(1).standard_normal((3, 4))
PROBLEM = dln.TargetMatrix(TARGET)
START = network((4, 5, 3), seed=2)
FLOW = dln.GradientFlow()
EVERYTHING = ["loss", "gradient_norm", "singular_values", "imbalance", "weights", "end_to_end"]


def run(until, record=None, method=FLOW, problem=PROBLEM, weights=START, **keywords):
    return dln.run(problem, weights, method, until=until, record=record, **keywords)


def split(flat, shapes):
    ends = np.cumsum([rows * cols for rows, cols in shapes])[:-1]
    parts = np.split(flat, ends)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def plain_flow(loss, weights, times, weight_decay=0.0):
    """Return the layers at each of the times, from the definition by SciPy."""
    shapes = [layer.shape for layer in weights]

    def velocity(_, flat):
        layers = split(flat, shapes)
        _, gradient = loss(reference.product(layers))
        moves = reference.gradients(layers, gradient)
        pairs = zip(moves, layers, strict=True)
        return np.concatenate([-(move + weight_decay * w).ravel() for move, w in pairs])

    start = np.concatenate([layer.ravel() for layer in weights])
    span = (0.0, float(times[-1]))
    found = solve_ivp(velocity, span, start, method="DOP853", t_eval=times, rtol=1e-13, atol=1e-15)
    return [split(flat, shapes) for flat in found.y.T]


# ---------------------------------------------------------------------------------------------
# The scheme
# ---------------------------------------------------------------------------------------------


def table(name):
    """Return the rows of a table in the header of the scheme."""
    text = (Path(__file__).parents[1] / "cpp/dlnet/dop853.hpp").read_text(encoding="utf-8")
    body = re.search(rf"double {name}(?:\[\w+(?: \+ 1)?\])+ =\s*(\{{.*?\}});", text, re.DOTALL)[1]
    rows = re.findall(r"\{([^{}]*)\}", body)
    return [[float(number) for number in row.split(",") if number.strip()] for row in rows]


def padded(rows, size):
    return np.array([row + [0.0] * (size - len(row)) for row in rows])


def test_the_coefficients_are_those_of_scipy():
    np.testing.assert_array_equal(padded(table("a"), 12), dop853_coefficients.A[:13, :12])
    np.testing.assert_array_equal(padded(table("error_5"), 13)[0], dop853_coefficients.E5)
    np.testing.assert_array_equal(padded(table("error_3"), 13)[0], dop853_coefficients.E3)


def trees(order):
    """Return all rooted trees with `order` nodes, as nested sorted tuples of subtrees."""
    found = {()}
    for _ in range(order - 1):
        found = {grown for tree in found for grown in with_a_leaf(tree)}
    return found


def with_a_leaf(tree):
    yield tuple(sorted((*tree, ())))
    for i, subtree in enumerate(tree):
        for grown in with_a_leaf(subtree):
            yield tuple(sorted((*tree[:i], grown, *tree[i + 1 :])))


def nodes(tree):
    return 1 + sum(nodes(subtree) for subtree in tree)


def density(tree):
    return nodes(tree) * np.prod([density(subtree) for subtree in tree])


def elementary_weight(tree, a):
    stages = np.ones(len(a))
    for subtree in tree:
        stages = stages * (a @ elementary_weight(subtree, a))
    return stages


@pytest.mark.parametrize("order", range(1, 9))
def test_the_scheme_has_order_eight(order):
    # Every condition is sum_i b_i Phi_i(tree) = 1 / gamma(tree), one for each rooted tree. The
    # coefficients are up to 43, so that products of eight of them cancel to a few 1e-13.
    a = padded(table("a"), 12)
    found = trees(order)
    assert len(found) == [1, 1, 2, 4, 9, 20, 48, 115][order - 1]
    for tree in found:
        total = a[12] @ elementary_weight(tree, a[:12])
        assert total == pytest.approx(1.0 / density(tree), abs=2e-12)


@pytest.mark.parametrize(("name", "order"), [("error_5", 5), ("error_3", 3)])
def test_an_estimate_vanishes_up_to_its_order(name, order):
    a, weights = padded(table("a"), 12)[:12], padded(table(name), 12)[0]
    for tree in (tree for n in range(1, order + 1) for tree in trees(n)):
        assert weights @ elementary_weight(tree, a) == pytest.approx(0.0, abs=1e-12)
    beyond = [weights @ elementary_weight(tree, a) for tree in trees(order + 1)]
    assert np.max(np.abs(beyond)) > 1e-6


def test_errors_follow_the_tolerance():
    # The error of a step is of order 8 in its length and is what the tolerance bounds, as
    # estimated in order 7: so a hundredth of the tolerance costs 100^(1/8) = 1.8 times the steps
    # and not 100^(1/5) = 2.5 times, and buys about two digits.
    target = np.array([[1.0]])
    exact = plain_flow(lambda w: reference.target_loss(w, target), [np.array([[5.0]])] * 2, [2.0])
    counts, errors = [], []
    for rtol in (1e-6, 1e-8, 1e-10, 1e-12):
        found = run(2.0, None, dln.GradientFlow(rtol, 0.0), dln.TargetMatrix(target), [[[5.0]]] * 2)
        counts.append(found.data.attrs["n_accepted"])
        errors.append(abs(found.weights[0] - exact[0][0]).item())
    assert counts[3] / counts[0] < 100.0 ** (3.0 / 6.0)
    assert all(
        error <= 20.0 * rtol * 5.0 for error, rtol in zip(errors, (1e-6, 1e-8), strict=False)
    )
    assert errors[3] < 1e-4 * errors[0]


# ---------------------------------------------------------------------------------------------
# The plain definition
# ---------------------------------------------------------------------------------------------


def regression(power):
    rng = np.random.default_rng(5)
    inputs, outputs = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    problem = dln.Regression(inputs, outputs, power=power)
    return problem, lambda w: reference.regression_loss(w, inputs, outputs, power)


def completion():
    rows, columns = np.array([0, 1, 2, 0]), np.array([3, 0, 1, 2])
    values = np.array([1.0, -1.0, 0.5, 2.0])
    problem = dln.MatrixCompletion((3, 4), rows, columns, values)
    return problem, lambda w: reference.completion_loss(w, rows, columns, values)


def classification():
    rng = np.random.default_rng(6)
    inputs, labels = rng.standard_normal((6, 4)), np.arange(6) % 3
    problem = dln.Classification(inputs, labels)
    return problem, lambda w: reference.classification_loss(w, inputs, labels)


CASES = {
    "target": (PROBLEM, lambda w: reference.target_loss(w, TARGET)),
    "regression": regression(2.0),
    "power 4": regression(4.0),
    "completion": completion(),
    "classification": classification(),
}


@pytest.mark.parametrize(
    ("widths", "weight_decay"), [((4, 3), 0.0), ((4, 5, 3), 0.05), ((4, 2, 6, 3), 0.0)]
)
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_solution_of_the_equation(case, widths, weight_decay):
    problem, loss = CASES[case]
    times = np.array([0.3, 1.0, 1.7, 4.0])
    weights = network(widths, seed=3)
    found = run(
        4.0,
        dln.Record(["loss", "weights", "gradient_norm"], times=times),
        dln.GradientFlow(1e-11, 1e-13, weight_decay),
        problem,
        weights,
    )
    assert found.data["time"].values.tolist() == [0.0, *times]
    exact = plain_flow(loss, weights, times, weight_decay)
    # Errors of steps add up, and saddles amplify them: a hundred times the tolerance.
    for actual, expected in zip(path(found)[1:], exact, strict=True):
        assert_close(actual, expected, 1e-9)
    assert_close(found.weights, exact[-1], 1e-9)
    value, gradient = loss(reference.product(exact[-1]))
    norm = np.sqrt(sum(np.sum(g**2) for g in reference.gradients(exact[-1], gradient)))
    assert found.data["loss"].values[-1] == pytest.approx(value, rel=1e-7, abs=1e-12)
    assert found.data["gradient_norm"].values[-1] == pytest.approx(norm, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("size", [1e-8, 1e-12, 1e-20])
def test_small_starts_leave_the_saddle_at_the_right_time(size):
    # Two layers with singular values a: a^2 follows the logistic curve [Saxe et al. 2014].
    target = np.diag([3.0, 1.0])
    escape = np.log(1.0 / size) / 3.0
    times = escape * np.array([0.5, 0.9, 1.0, 1.1])
    found = run(
        times[-1],
        dln.Record("singular_values", times=times),
        problem=dln.TargetMatrix(target),
        weights=[size * np.eye(2)] * 2,
    )
    grown = size**2 * np.exp(np.outer(2.0 * times, [3.0, 1.0]))
    strengths = grown / (1.0 + (grown - size**2) / [3.0, 1.0])
    np.testing.assert_allclose(found.data["singular_value"][1:], strengths, rtol=1e-7)


def test_between_the_ends_of_steps_it_is_as_good_as_there():
    # Hundreds of times in less than fifty steps, down to where stability limits their length. The
    # interpolant of DOP853 is wrong by 2e-6 there.
    times = np.linspace(0.0, 20.0, 501)
    found = run(20.0, dln.Record("weights", times=times))
    assert found.data.attrs["n_accepted"] < 50
    exact = plain_flow(CASES["target"][1], START, times)
    for actual, expected in zip(path(found), exact, strict=True):
        assert_close(actual, expected, 2e-8)


def test_a_compressed_flow_is_the_full_one():
    rng = np.random.default_rng(0)
    target = np.outer(rng.standard_normal(30), rng.standard_normal(40)) / 10.0
    weights = dln.init.gaussian((40, 5, 30), end_to_end_scale=0.5, rng=1)
    record = dln.Record(["loss", "singular_values", "weights", "imbalance"], times=[1.0, 5.0])
    compressed, full = (
        dln.run(
            dln.TargetMatrix(target),
            weights,
            dln.GradientFlow(1e-11),
            until=5.0,
            record=record,
            exact_compression=exact,
        )
        for exact in (True, False)
    )
    assert compressed.data.attrs["exact_algebra"] != full.data.attrs["exact_algebra"]
    assert_close(compressed.weights, full.weights, 1e-9)
    for name in ("loss", "singular_value", "imbalance"):
        np.testing.assert_allclose(compressed.data[name], full.data[name], rtol=1e-8, atol=1e-9)


def test_rotations_of_hidden_bases_rotate_the_flow():
    q = orthogonal(5, seed=4)
    one = run(3.0)
    other = run(3.0, weights=[q @ START[0], START[1] @ q.T])
    assert_close(other.weights, [q @ one.weights[0], one.weights[1] @ q.T], 1e-12)
    for name in ("n_accepted", "n_rejected", "n_gradients"):
        assert other.data.attrs[name] == one.data.attrs[name]


# ---------------------------------------------------------------------------------------------
# The same bits
# ---------------------------------------------------------------------------------------------


def with_function(times=None):
    def norm(weights):
        return float(np.sum(weights[0] ** 2))

    return dln.Record([*EVERYTHING, norm], times=times)


@pytest.mark.parametrize("middle", [0.0, 1e-4, 0.777, 10.0 ** (5 / 30), 6.5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_continuing_is_bit_for_bit(middle, weight_decay):
    method = dln.GradientFlow(weight_decay=weight_decay)
    whole = run(8.0, with_function(), method)
    half = run(middle, with_function(), method)
    assert half.data["time"].values[-1] == middle
    assert_same_run(dln.run(PROBLEM, half, until=8.0), whole)


def test_continuing_many_times_is_bit_for_bit():
    whole = run(8.0, with_function())
    piece = run(0.0, with_function())
    for until in np.linspace(0.0, 8.0, 57)[1:]:
        piece = dln.run(PROBLEM, piece, until=float(until))
    assert_same_run(piece, whole)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize("widths", [(4, 5, 3), (4, 20, 3)])
def test_a_saved_flow_goes_on_bit_for_bit(tmp_path, ending, widths):
    weights = network(widths, seed=3)
    record = dln.Record(EVERYTHING)
    whole = run(8.0, record, weights=weights)
    file = tmp_path / f"half{ending}"
    run(3.3, record, weights=weights).save(file)
    opened = dln.open(file)
    assert opened.method == FLOW
    assert opened.record == record
    assert_same_run(dln.run(PROBLEM, opened, until=8.0), whole)


def test_what_is_recorded_changes_nothing():
    sparse = run(8.0, dln.Record("weights", times=[2.0]))
    dense = run(8.0, dln.Record(EVERYTHING, times=np.linspace(0.0, 8.0, 4001)))
    at_two = dense.data.sel(step=1000)
    assert at_two["time"] == 2.0
    for j in (1, 2):
        assert_same_bits(sparse.data[f"W{j}"].values[1], at_two[f"W{j}"].values)
        assert_same_bits(sparse.weights[j - 1], dense.weights[j - 1])
    for name in ("n_accepted", "n_rejected", "n_gradients", "imbalance_drift"):
        assert sparse.data.attrs[name] == dense.data.attrs[name]


def test_other_times_from_the_middle_on():
    half = run(1.5, dln.Record("weights", times=[1.0, 1.5]))
    later = dln.run(PROBLEM, half, until=8.0, record=dln.Record("weights", times=[2.0, 7.0]))
    assert later.data["time"].values.tolist() == [0.0, 1.0, 1.5, 2.0, 7.0, 8.0]
    assert later.data["step"].values.tolist() == list(range(6))
    whole = run(8.0, dln.Record("weights", times=[2.0, 7.0]))
    assert_same_bits(later.data["W1"].values[3:], whole.data["W1"].values[1:])


def test_a_last_record_off_the_times_goes():
    half = run(1.5, dln.Record(times=[1.0, 2.0]))
    assert half.data["time"].values.tolist() == [0.0, 1.0, 1.5]
    whole = dln.run(PROBLEM, half, until=2.5)
    assert whole.data["time"].values.tolist() == [0.0, 1.0, 2.0, 2.5]
    assert whole.data["step"].values.tolist() == [0, 1, 2, 3]


def test_threads_change_nothing():
    target = np.random.default_rng(0).standard_normal((100, 100)) / 10.0
    weights = dln.init.gaussian((100, 100, 100), end_to_end_scale=0.5, rng=1)
    one, two = (
        run(1.0, problem=dln.TargetMatrix(target), weights=weights, threads=n) for n in (1, 2)
    )
    assert_same_run(two, one)


def test_rejected_steps_leave_no_trace():
    # The gradient has no value beyond a wall, so that steps are rejected with NaN everywhere.
    def loss(matrix):
        inside = matrix[0, 0] < 1.0
        return (0.5 * matrix[0, 0] ** 2 - matrix[0, 0] if inside else np.nan), (
            matrix - 1.0 if inside else np.full((1, 1), np.nan)
        )

    problem = dln.EndToEndLoss(loss, (1, 1))
    whole = run(20.0, problem=problem, weights=[[[0.1]], [[0.1]]])
    assert whole.data.attrs["n_rejected"] > 0
    middle = run(7.0, problem=problem, weights=[[[0.1]], [[0.1]]])
    assert_same_run(dln.run(problem, middle, until=20.0), whole)


# ---------------------------------------------------------------------------------------------
# Ends
# ---------------------------------------------------------------------------------------------


def test_zero_length():
    start = run(0.0, dln.Record(EVERYTHING))
    assert start.status == "finished"
    assert start.data["time"].values.tolist() == [0.0]
    assert_close(start.weights, START, 0.0)
    half = run(1.0, dln.Record(EVERYTHING))
    same = dln.run(PROBLEM, half, until=1.0, record=dln.Record("loss", times=[0.5]))
    assert same.data.equals(half.data)
    assert same.record == half.record
    assert_same_run(dln.run(PROBLEM, same, until=5.0), run(5.0, dln.Record(EVERYTHING)))


def test_the_default_times_are_thirty_a_decade():
    times = run(100.0).data["time"].values
    assert times[0] == 0.0
    np.testing.assert_allclose(times[1:], 10.0 ** (np.arange(-90, 61) / 30), rtol=1e-14)
    assert run(1e-5).data["time"].values.tolist() == [0.0, 1e-5]


@pytest.mark.parametrize(
    "stop",
    [
        dln.Stop(loss=1e-6),
        dln.Stop(gradient_norm=1e-3, check_every=3),
        dln.Stop(condition=lambda w: np.abs(w[1] @ w[0] - TARGET).max() < 0.01, check_every=2),
    ],
)
def test_stops(stop):
    found = run(1000.0, dln.Record(["loss", "gradient_norm"]), stop=stop)
    assert found.status == "converged"
    last = found.data.isel(step=-1)
    assert last["time"] < 1000.0
    if stop.loss is not None:
        assert last["loss"] <= stop.loss < found.data["loss"].values[-2]
    if stop.gradient_norm is not None:
        assert last["gradient_norm"] <= stop.gradient_norm
        assert found.data.attrs["n_accepted"] % stop.check_every == 0
    if stop.condition is not None:
        assert stop.condition(found.weights)
    # Where it stopped is where a step ended, so it goes on from there as if nothing had been.
    whole = run(1000.0, dln.Record(["loss", "gradient_norm"]))
    assert_same_run(dln.run(PROBLEM, found, until=1000.0), whole)
    assert dln.run(PROBLEM, found, until=1000.0, stop=stop).status == "converged"


def test_a_bound_that_was_met_before_does_not_turn_back_time():
    half = run(1.0)
    bound = float(half.data["loss"].values[-1])
    later = dln.run(PROBLEM, half, until=50.0, stop=dln.Stop(loss=2.0 * bound))
    assert later.status == "converged"
    assert later.data["time"].values[-1] >= 1.0


def test_the_time_limit_and_going_on():
    problem = dln.EndToEndLoss(lambda w: (0.5 * float(np.sum(w**2)), np.sin(w)), (3, 4))
    method = dln.GradientFlow(rtol=1e-13)
    limited = run(1e7, None, method, problem, stop=dln.Stop(seconds=0.1))
    assert limited.status == "time_limit"
    reached = float(limited.data["time"].values[-1])
    assert 0.0 < reached < 1e7
    whole = dln.run(problem, limited, until=2.0 * reached)
    assert_same_run(whole, run(2.0 * reached, None, method, problem))


def test_a_singularity_ends_it():
    # w' = w^3 for both layers: infinite at t = 1 / (2 w^2) = 1/2.
    problem = dln.EndToEndLoss(lambda w: (-0.5 * w[0, 0] ** 2, -w), (1, 1))
    found = run(5.0, None, FLOW, problem, [[[1.0]], [[1.0]]])
    assert found.status == "step_too_small"
    assert found.data["time"].values[-1] == pytest.approx(0.5, rel=1e-6)
    assert np.isfinite(found.weights[0]).all()
    assert dln.run(problem, found, until=5.0).status == "step_too_small"


def test_divergence():
    problem = dln.EndToEndLoss(lambda w: (-0.5 * w.item() * w.item(), -w), (1, 1))
    found = run(1000.0, dln.Record(["loss", "singular_values"]), FLOW, problem, [[[1.0]]])
    assert found.status == "diverged"
    # w = exp(t), whose square overflows at t = 354.9.
    assert 354.0 < found.data["time"].values[-1] < 362.0
    assert not np.isfinite(found.data["loss"].values[-1])
    assert np.isnan(found.data["singular_value"].values[-1]).all()
    assert np.isfinite(found.data["loss"].values[:-1]).all()
    assert run(1.0, weights=[1e200 * w for w in START]).status == "diverged"


def test_a_fixed_point_is_left_alone():
    found = run(1e250, dln.Record(times=[1.0, 1e100]), weights=[np.zeros((5, 4)), np.zeros((3, 5))])
    assert found.status == "finished"
    assert not any(layer.any() for layer in found.weights)


@pytest.mark.parametrize("power", [1.5, 1.1])
def test_a_kink_is_passed_or_named(power):
    inputs = np.array([[1.0], [2.0]])
    problem = dln.Regression(inputs, 3.0 * inputs, power=power)
    stop = dln.Stop(seconds=5.0)
    found = run(50.0, None, dln.GradientFlow(1e-6), problem, [[[1.0]], [[0.5]]], stop=stop)
    assert found.status in ("finished", "step_too_small", "time_limit")
    assert found.weights[1] @ found.weights[0] == pytest.approx(3.0, abs=1e-4)


def test_what_a_loss_raises_comes_through():
    def loss(matrix):
        if matrix[0, 0] > 1.0:
            raise ZeroDivisionError("here")
        return -matrix[0, 0], -np.ones((1, 1))

    with pytest.raises(ZeroDivisionError, match="here") as caught:
        run(50.0, None, FLOW, dln.EndToEndLoss(loss, (1, 1)), [[[0.5]]])
    assert "raised by the loss" in caught.value.__notes__[0]


def test_a_function_sees_the_layers_of_each_time():
    seen = run(4.0, dln.Record(["weights", {"first": lambda w: w[0]}], times=[0.5, 1.0, 3.0]))
    assert_same_bits(seen.data["first"].values, seen.data["W1"].values)
    half = run(1.7, dln.Record(["weights", {"first": lambda w: w[0]}], times=[0.5, 1.0, 3.0]))
    seen = dln.run(PROBLEM, half, until=4.0)
    assert_same_bits(seen.data["first"].values, seen.data["W1"].values)


def test_another_problem_or_tolerance_goes_on_from_the_time_reached():
    half = run(1.7)
    other = dln.TargetMatrix(2.0 * TARGET)
    for later in (
        dln.run(other, half, until=3.0),
        dln.run(other, half, dln.GradientFlow(rtol=1e-6), until=3.0),
    ):
        afresh = run(1.3, method=later.method, problem=other, weights=half.weights)
        assert_close(later.weights, afresh.weights, 1e-5)
        assert later.data["time"].values[-1] == 3.0
        assert (np.diff(later.data["time"].values) > 0.0).all()


# ---------------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"n_steps": 5}, ValueError, "n_steps: expected until=TIME"),
        ({"n_steps": 5, "until": 1.0}, ValueError, "n_steps: expected until=TIME"),
        ({}, TypeError, "until: expected the time"),
        ({"until": -1.0}, ValueError, "until: expected a finite number >= 0"),
        ({"until": np.inf}, ValueError, "until: expected a finite number"),
        ({"until": "1"}, TypeError, "until: expected a real number"),
        ({"until": 1.0, "record": dln.Record(every=5)}, ValueError, "record: expected times"),
        ({"until": 1.0, "record": dln.Record(steps=[5])}, ValueError, "record: expected times"),
        (
            {"until": 1.0, "record": dln.Record("learning_rate")},
            ValueError,
            "record: expected no learning_rate",
        ),
    ],
)
def test_arguments_of_steps_are_refused(keywords, kind, message):
    with pytest.raises(kind, match=message):
        dln.run(PROBLEM, START, FLOW, **keywords)


def test_float32_is_refused():
    with pytest.raises(TypeError, match="weights: expected float64"):
        run(1.0, weights=network((4, 5, 3), seed=2, dtype=np.float32))


def test_arguments_of_flows_are_refused_with_steps():
    descent = dln.GradientDescent(0.1)
    with pytest.raises(ValueError, match="until: expected a GradientFlow"):
        dln.run(PROBLEM, START, descent, until=1.0)
    with pytest.raises(ValueError, match="record: expected steps"):
        dln.run(PROBLEM, START, descent, n_steps=5, record=dln.Record(times=[1.0]))
    with pytest.raises(TypeError, match="n_steps: expected the number"):
        dln.run(PROBLEM, START, descent)


def test_flows_and_steps_do_not_mix():
    steps = dln.run(PROBLEM, START, dln.GradientDescent(0.1), n_steps=5)
    with pytest.raises(ValueError, match=r"weights: expected a trajectory of a flow"):
        dln.run(PROBLEM, steps, FLOW, until=1.0)
    with pytest.raises(ValueError, match=r"weights: expected a trajectory of steps"):
        dln.run(PROBLEM, run(1.0), dln.GradientDescent(0.1), n_steps=5)
    assert dln.run(PROBLEM, steps.weights, FLOW, until=1.0).status == "finished"


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match=r"until: expected a time >= 1\.5"):
        dln.run(PROBLEM, run(1.5), until=1.0)


@pytest.mark.parametrize(
    ("times", "kind", "message"),
    [
        ([1.0, 1.0], ValueError, "strictly increasing"),
        ([-1.0, 1.0], ValueError, r"times\[0\]: expected a number >= 0"),
        ([np.nan], ValueError, "times: expected finite"),
        ([], (ValueError, TypeError), "times: expected"),
        ([[1.0]], ValueError, "times: expected a vector"),
        ("1", TypeError, "times: expected"),
    ],
)
def test_times_are_checked(times, kind, message):
    with pytest.raises(kind, match=message):
        dln.Record(times=times)


def test_steps_and_times_exclude_each_other():
    for keywords in ({"every": 5}, {"steps": [1, 2]}):
        with pytest.raises(ValueError, match="either steps or times"):
            dln.Record(times=[1.0], **keywords)


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"rtol": 0.0}, ValueError, "rtol: expected a finite number > 0"),
        ({"rtol": 1e-15}, ValueError, r"rtol: expected a number in \[2.2e-14, 1\)"),
        ({"rtol": 10.0}, ValueError, r"rtol: expected a number in \[2.2e-14, 1\)"),
        ({"rtol": "x"}, TypeError, "rtol: expected a real number"),
        ({"atol": -1.0}, ValueError, "atol: expected a finite number >= 0"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay: expected"),
    ],
)
def test_settings_are_checked(keywords, kind, message):
    with pytest.raises(kind, match=message):
        dln.GradientFlow(**keywords)


def test_ensembles_and_tuning_take_steps():
    with pytest.raises(TypeError, match="got GradientFlow"):
        dln.run_ensemble(PROBLEM, START, FLOW, n_steps=5)
    with pytest.raises(TypeError, match="got GradientFlow"):
        dln.tune(PROBLEM, START, FLOW, [0.1], 1e-3, n_steps=5)


def test_settings_and_records_survive_json():
    method = dln.GradientFlow(1e-5, 0.0, 0.1)
    assert dln.methods.method_from_dict(method.to_dict()) == method
    for record in (dln.Record(times=[0.5, 1.0]), dln.Record(), dln.Record(every=3)):
        assert dln.recording.record_from_dict(record.to_dict()) == record
