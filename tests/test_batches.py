"""Mini-batches: which samples they take, and what they change."""

import itertools

import numpy as np
import pytest
import reference
from cases import problem_case
from helpers import assert_close, assert_same_bits, assert_same_run, network, path

import pydlnet as dln

N_SAMPLES, BATCH = 7, 3
WIDTHS = (4, 6, 3)


def batches_of(seed, n_epochs=4, **kwargs):
    """Return the samples of every batch: sample i moves column i of a single layer, no other."""
    inputs, outputs = np.eye(N_SAMPLES), np.ones((N_SAMPLES, 1))
    trajectory = dln.run(
        dln.Regression(inputs, outputs),
        [np.zeros((1, N_SAMPLES))],
        dln.GradientDescent(0.1, batch_size=BATCH),
        n_steps=3 * n_epochs,
        record=dln.Record("weights", every=1),
        rng=seed,
        **kwargs,
    )
    layers = trajectory.data["W1"].values[:, 0, :]
    return layers, [np.flatnonzero(d).tolist() for d in np.diff(layers, axis=0)]


def test_every_sample_comes_once_an_epoch():
    _, batches = batches_of(1)
    epochs = [batches[i : i + 3] for i in range(0, len(batches), 3)]
    for epoch in epochs:
        assert [len(b) for b in epoch] == [3, 3, 1]
        assert sorted(itertools.chain.from_iterable(epoch)) == list(range(N_SAMPLES))
    assert len({str(epoch) for epoch in epochs}) > 1


def test_orders_are_equally_likely():
    """A shuffle that draws from the wrong range favours some of the six orders of three samples."""
    n_epochs = 3000
    layers = (
        dln.run(
            dln.Regression(np.eye(3), np.ones((3, 1))),
            [np.zeros((1, 3))],
            dln.GradientDescent(1e-3, batch_size=1),
            n_steps=3 * n_epochs,
            record=dln.Record("weights", every=1),
            rng=7,
        )
        .data["W1"]
        .values[:, 0]
    )
    orders = np.abs(np.diff(layers, axis=0)).argmax(axis=1).reshape(n_epochs, 3)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    # The standard deviation of a count is (3000 * 5/36)^(1/2) = 20.
    assert np.abs(counts - n_epochs / 6).max() < 5 * 20.4


def test_a_batch_gives_the_mean_over_its_own_samples():
    """Also the short one: its samples count as much each as they are fewer."""
    layers, batches = batches_of(2)
    for before, after, batch in zip(layers, layers[1:], batches, strict=False):
        for i in batch:
            assert after[i] - before[i] == pytest.approx(0.1 / len(batch) * (1 - before[i]))


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_large_batches_take_the_mean_over_their_samples(kind):
    """Batches of 300 of 700 samples: more than the core takes at a time."""
    rng = np.random.default_rng(8)
    inputs, outputs = rng.standard_normal((700, 3)), rng.standard_normal((700, 2))
    labels = rng.integers(2, size=700)
    problem, loss = {
        "regression": (
            dln.Regression(inputs, outputs),
            lambda w, i: reference.regression_loss(w, inputs[i], outputs[i]),
        ),
        "classification": (
            dln.Classification(inputs, labels),
            lambda w, i: reference.classification_loss(w, inputs[i], labels[i]),
        ),
    }[kind]
    method = dln.GradientDescent(1e-9, batch_size=300)
    start = [rng.standard_normal((2, 3))]
    record = dln.Record("weights", every=1)
    layers = dln.run(problem, start, method, n_steps=3, record=record, rng=1).data["W1"].values
    moves = (layers[:-1] - layers[1:]) / 1e-9
    # The start hardly moves, so the batch gradients add up to the gradient of everything.
    sizes = np.array([300, 300, 100])[:, None, None]
    whole = loss(start[0], np.arange(700))[1]
    np.testing.assert_allclose((moves * sizes).sum(axis=0) / 700, whole, atol=1e-5)
    assert np.abs(moves[0] - moves[1]).max() > 1e-3


def test_batches_are_a_function_of_the_seed():
    assert batches_of(3)[1] == batches_of(3)[1]
    assert batches_of(3)[1] != batches_of(4)[1]
    assert batches_of(np.random.default_rng(5))[1] == batches_of(np.random.default_rng(5))[1]


def test_batches_do_not_depend_on_the_record():
    sparse = dln.run(
        dln.Regression(np.eye(N_SAMPLES), np.ones((N_SAMPLES, 1))),
        [np.zeros((1, N_SAMPLES))],
        dln.GradientDescent(0.1, batch_size=BATCH),
        n_steps=12,
        record=dln.Record("weights", steps=[5]),
        rng=6,
    )
    assert_same_bits(sparse.data["W1"].values[-1, 0], batches_of(6)[0][-1])


def test_without_a_seed_one_is_drawn_and_kept():
    problem = problem_case("regression-4", (3, 4)).problem
    method = dln.GradientDescent(0.01, batch_size=4)
    first = dln.run(problem, network(WIDTHS), method, n_steps=20)
    second = dln.run(problem, network(WIDTHS), method, n_steps=20)
    assert not np.array_equal(first.weights[0], second.weights[0])
    repeated = dln.run(
        problem, network(WIDTHS), method, n_steps=20, rng=int(first.data.attrs["seed"])
    )
    assert_same_run(repeated, first)


@pytest.mark.parametrize(
    "kind", ["regression-2", "regression-4", "classification", "completion", "sensing"]
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_batch_of_everything_is_the_full_gradient(kind, reduction):
    problem = problem_case(kind, (3, 4), reduction=reduction).problem
    full = dln.run(problem, network(WIDTHS), dln.GradientDescent(0.001), n_steps=10)
    for size in (problem.n_samples, problem.n_samples + 5):
        batch = dln.run(
            problem, network(WIDTHS), dln.GradientDescent(0.001, batch_size=size), n_steps=10, rng=1
        )
        assert_close(batch.weights, full.weights, 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "kind", ["regression-2", "regression-4", "classification", "completion", "sensing"]
)
def test_an_epoch_of_tiny_steps_is_a_full_step(kind, dtype):
    """With a rate small enough for the order not to matter, batch gradients add up to the whole."""
    problem = problem_case(kind, (3, 4), reduction="sum").problem
    weights = network(WIDTHS, dtype=dtype)
    rate = 1e-6 if dtype == np.float64 else 2e-5
    n_batches = -(-problem.n_samples // 4)
    epoch = dln.run(
        problem, weights, dln.GradientDescent(rate, batch_size=4), n_steps=n_batches, rng=2
    )
    full = dln.run(problem, weights, dln.GradientDescent(rate), n_steps=1)
    moved = max(np.abs(a - b).max() for a, b in zip(full.weights, weights, strict=True))
    for a, b in zip(epoch.weights, full.weights, strict=True):
        assert np.abs(a - b).max() <= 0.02 * moved


@pytest.mark.parametrize("method", [dln.GradientDescent, dln.Adam])
def test_recorded_quantities_use_the_full_data_and_no_decay(method):
    case = problem_case("regression-2", (3, 4))
    trajectory = dln.run(
        case.problem,
        network(WIDTHS),
        method(0.01, batch_size=4, weight_decay=0.3),
        n_steps=10,
        record=dln.Record(["loss", "weights", "gradient_norm", "alignment"], every=1),
        rng=1,
    )
    for t, layers in enumerate(path(trajectory)):
        expected = reference.quantities(layers, case.loss)
        for name in ("loss", "gradient_norm", "alignment"):
            actual = trajectory.data[name].values[t]
            np.testing.assert_allclose(actual, expected[name], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", ["target", "user"])
def test_batches_need_samples(kind):
    problem = problem_case(kind, (3, 4)).problem
    with pytest.raises(ValueError, match="batch_size"):
        dln.run(problem, network(WIDTHS), dln.GradientDescent(0.1, batch_size=2), n_steps=1)
