"""Matrix completion entry by entry: the sparse path against the definitions and the dense path."""

import dataclasses

import numpy as np
import pytest
import reference
from cases import METHODS
from helpers import assert_close, assert_same_bits, assert_same_run, network, path
from hypothesis import given
from hypothesis import strategies as st
from strategies import dtypes, seeds, widths

import pydlnet as dln

SPARSE = "sparse residual"
WIDTHS = (20, 12, 15)
QUANTITIES = [
    "loss",
    "gradient_norm",
    "reconstruction_error",
    "held_out_error",
    "singular_values",
    "singular_vectors",
    "imbalance",
    "end_to_end",
    "weights",
    "alignment",
]
# As in test_methods, for as many steps; entry-wise methods divide by roots of small squares.
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-4}


def completion(sizes=WIDTHS, n_observed=20, seed=1, **kwargs):
    return dln.MatrixCompletion.synthetic(
        (sizes[-1], sizes[0]), rank=2, n_observed=n_observed, rng=seed, **kwargs
    )


def loss_of(problem):
    entries = (problem.rows, problem.columns, problem.values)
    return lambda w: reference.completion_loss(w, *entries, problem.reduction)


def dense(problem):
    """Return the same loss as a function of the whole matrix."""
    return dln.EndToEndLoss(loss_of(problem), problem.shape)


def algebra(trajectory):
    return trajectory.data.attrs["exact_algebra"]


def expected_path(case, weights, problem, n_steps):
    return reference.descend(
        case.update,
        [w.astype(np.float64) for w in weights],
        loss_of(problem),
        [case.rate] * n_steps,
        case.weight_decay,
        **case.parameters,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sizes", [WIDTHS, (9, 30, 14, 40), (40, 1, 30), (25, 13, 2, 18, 21)])
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_every_step_is_that_of_the_reference(case, sizes, dtype):
    problem = completion(sizes, n_observed=sizes[0] * sizes[-1] // 20)
    weights = network(sizes, seed=3, dtype=dtype)
    record = dln.Record("weights", every=1)
    trajectory = dln.run(problem, weights, case.method, n_steps=15, record=record)
    assert algebra(trajectory).startswith(SPARSE)  # one chain goes from its output side, too
    expected = expected_path(case, weights, problem, 15)
    for actual, layers in zip(path(trajectory), expected, strict=True):
        assert_close(actual, layers, TOLERANCE[dtype])
    assert np.abs(trajectory.weights[-1] - weights[-1]).max() > 1e-3


@st.composite
def masks(draw):
    """Return widths and a problem whose mask may leave rows and columns empty, or none."""
    sizes = draw(widths(min_depth=1, max_depth=5))
    shape = (sizes[-1], sizes[0])
    n_entries = shape[0] * shape[1]
    n_observed = draw(st.sampled_from([1, n_entries]) | st.integers(1, n_entries))
    rng = np.random.default_rng(draw(seeds))
    # By columns some of the time: then most of them are empty.
    places = np.arange(n_entries) if draw(st.booleans()) else rng.permutation(n_entries)
    columns, rows = np.divmod(places[:n_observed], shape[0])
    values = rng.standard_normal(n_observed)
    reduction = draw(st.sampled_from(["mean", "sum"]))
    return sizes, dln.MatrixCompletion(shape, rows, columns, values, reduction=reduction)


# Whose updates are smooth in the gradients, so that rounding stays rounding from any start.
SMOOTH = [c for c in METHODS if c.name.startswith(("descent", "momentum", "nesterov", "group"))]


@given(masks(), seeds, dtypes, st.sampled_from(SMOOTH))
def test_any_mask_is_the_definition(mask, seed, dtype, case):
    sizes, problem = mask
    weights = network(sizes, seed, 0.7, dtype)
    case = dataclasses.replace(case, method=dataclasses.replace(case.method, learning_rate=1e-3))
    trajectory = dln.run(problem, weights, case.method, n_steps=5)
    assert_close(trajectory.weights, expected_path(case, weights, problem, 5)[-1], TOLERANCE[dtype])


@given(masks(), seeds, dtypes)
def test_gradients_of_any_mask_are_the_definition(mask, seed, dtype):
    sizes, problem = mask
    weights = network(sizes, seed, dtype=dtype)
    value, gradients = dln.chain.value_and_gradients(weights, problem)
    exact = [w.astype(np.longdouble) for w in weights]
    expected, slope = loss_of(problem)(reference.product(exact))
    # Entries of the product err by `of_product` epsilon, each term of the loss in proportion.
    of_product, _ = reference.rounding_bounds(weights, np.zeros(problem.shape))
    observed = of_product[problem.rows, problem.columns] + np.abs(problem.values)
    scale = 1.0 / problem.n_samples if problem.reduction == "mean" else 1.0
    size = np.zeros(problem.shape)
    size[problem.rows, problem.columns] = 4 * scale * observed
    epsilon = np.finfo(dtype).eps
    bound = epsilon * (problem.n_samples + 8) * (scale * np.sum(observed**2))
    assert abs(value - float(expected)) <= bound
    _, bounds = reference.rounding_bounds(weights, size)
    for actual, e, b in zip(gradients, reference.gradients(exact, slope), bounds, strict=True):
        assert np.all(np.abs(actual - e) <= epsilon * b)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_observed", [1, 20, 300])
@pytest.mark.parametrize("sizes", [WIDTHS, (20, 11, 12, 15)])
def test_both_paths_agree_in_everything_recorded(sizes, n_observed, dtype):
    problem = completion(sizes, n_observed)
    weights = network(sizes, seed=4, dtype=dtype)
    record = dln.Record([q for q in QUANTITIES if q[:4] not in ("reco", "held")], every=5)
    runs = [
        dln.run(p, weights, dln.GroupRMSprop(0.01), n_steps=20, record=record)
        for p in (problem, dense(problem))
    ]
    assert [algebra(t) for t in runs] == ["none" if n_observed == 300 else SPARSE, "none"]
    for name in runs[0].data.data_vars:
        actual, expected = (t.data[name].values for t in runs)
        tolerance = (2e-11 if dtype == np.float64 else 2e-3) * np.abs(expected).max()
        if name == "alignment" or name.endswith("vector"):  # of the leading mode, which is simple
            actual, expected = actual[..., 0], expected[..., 0]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_recorded_quantities_are_their_definitions(dtype, batch_size):
    problem = completion(held_out=9)
    method = dln.GradientDescent(0.1, batch_size=batch_size, weight_decay=0.2)
    trajectory = dln.run(
        problem,
        network(WIDTHS, seed=5, dtype=dtype),
        method,
        n_steps=12,
        record=dln.Record(QUANTITIES, every=3),
        rng=1,
    )
    assert algebra(trajectory) == SPARSE
    tolerance = 1e-11 if dtype == np.float64 else 1e-3
    for t, layers in enumerate(path(trajectory)):
        layers = [w.astype(np.float64) for w in layers]
        expected = reference.quantities(
            layers, loss_of(problem), problem.ground_truth, problem.held_out
        )
        for name in set(trajectory.data.data_vars) & set(expected) - {"alignment"}:
            np.testing.assert_allclose(
                trajectory.data[name].values[t],
                expected[name],
                rtol=tolerance,
                atol=tolerance,
                err_msg=name,
            )
        # Beyond the inner width the modes are those of a null space.
        np.testing.assert_allclose(
            trajectory.data["alignment"].values[t][:5],
            expected["alignment"][:5],
            atol=tolerance,
            rtol=0,
        )


# -- Bits --


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [None, 6])
@pytest.mark.parametrize("method", [dln.GradientDescent(0.1), dln.GroupRMSprop(0.01), dln.Adam()])
def test_records_and_stops_change_no_bit(method, batch_size, dtype):
    method = dataclasses.replace(method, batch_size=batch_size)
    problem = completion(held_out=9)
    weights = network(WIDTHS, seed=6, dtype=dtype)
    bare = dln.Record("loss", every=40)
    whole = dln.run(problem, weights, method, n_steps=40, record=bare, rng=2)
    assert algebra(whole) == SPARSE
    record = dln.Record(QUANTITIES, every=1)
    recorded = dln.run(problem, weights, method, n_steps=40, record=record, rng=2)
    first = dln.run(problem, weights, method, n_steps=13, record=bare, rng=2)
    continued = dln.run(problem, first, n_steps=27)
    assert_same_run(continued, whole)
    for layers in (recorded.weights, continued.weights):
        for a, b in zip(layers, whole.weights, strict=True):
            assert_same_bits(a, b)


def test_the_order_of_the_entries_changes_no_bit():
    problem = completion()
    turned = dln.MatrixCompletion(
        problem.shape, problem.rows[::-1], problem.columns[::-1], problem.values[::-1]
    )
    runs = [
        dln.run(p, network(WIDTHS), dln.GradientDescent(0.1), n_steps=20) for p in (problem, turned)
    ]
    for a, b in zip(runs[0].weights, runs[1].weights, strict=True):
        assert_same_bits(a, b)


def test_a_batch_of_everything_is_the_full_run_bit_for_bit():
    problem = completion()
    full, batch = (
        dln.run(problem, network(WIDTHS), dln.GradientDescent(0.1, batch_size=b), n_steps=20, rng=1)
        for b in (None, problem.n_samples)
    )
    for a, b in zip(batch.weights, full.weights, strict=True):
        assert_same_bits(a, b)


def test_a_step_of_the_chain_is_a_step_of_a_run():
    problem = completion()
    stepped = dln.chain.step(network(WIDTHS), problem, 0.1)
    run = dln.run(problem, network(WIDTHS), dln.GradientDescent(0.1), n_steps=1)
    for a, b in zip(stepped, run.weights, strict=True):
        assert_same_bits(a, b)


# -- The switch --


@pytest.mark.parametrize(
    ("sizes", "n_observed", "batch_size", "expected"),
    [
        (WIDTHS, 20, None, SPARSE),
        (WIDTHS, 300, None, "none"),
        (WIDTHS, 300, 10, SPARSE),  # a step sees few entries
        (WIDTHS, 300, 400, "none"),
        ((20, 15), 20, None, "none"),  # the gradient of the only layer is the dense matrix itself
    ],
)
def test_the_path_follows_from_the_shape_and_the_entries_of_a_step(
    sizes, n_observed, batch_size, expected
):
    method = dln.GradientDescent(0.01, batch_size=batch_size)
    trajectory = dln.run(completion(sizes, n_observed), network(sizes), method, n_steps=1, rng=0)
    assert algebra(trajectory) == expected


def test_an_epoch_of_tiny_steps_is_a_full_step():
    """With a rate small enough for the order not to matter, batch gradients add up to the whole."""
    problem = completion(n_observed=200, reduction="sum")
    weights = network(WIDTHS)
    epoch = dln.run(problem, weights, dln.GradientDescent(1e-6, batch_size=8), n_steps=25, rng=2)
    assert algebra(epoch) == SPARSE
    full = dln.run(problem, weights, dln.GradientDescent(1e-6), n_steps=1)
    assert algebra(full) == "none"
    for a, b, start in zip(epoch.weights, full.weights, weights, strict=True):
        assert np.abs(a - b).max() <= 1e-3 * np.abs(b - start).max()


def test_a_diverging_run_says_so():
    trajectory = dln.run(completion(), network(WIDTHS), dln.GradientDescent(1e6), n_steps=500)
    assert algebra(trajectory) == SPARSE
    assert trajectory.status == "diverged"
