"""Properties that hold for every network, problem and start."""

import numpy as np
import pytest
import reference
from helpers import assert_close, assert_same_bits, assert_same_run, orthogonal, path
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import experiments, networks, seeds, starts

import pydlnet as dln

# Methods whose update commutes with orthogonal changes of the hidden bases.
ROTATION_INVARIANT = [
    dln.GradientDescent(0.01),
    dln.GradientDescent(0.01, weight_decay=0.1),
    dln.Momentum(0.01, 0.8),
    dln.Momentum(0.01, 0.8, nesterov=True),
    dln.GroupRMSprop(0.001, epsilon=1e-2),
]
METHODS = [*ROTATION_INVARIANT, dln.RMSprop(), dln.Adam(), dln.AdaGrad(), dln.AdaDelta()]
methods = st.sampled_from(METHODS)


def sizes_of(weights):
    return [weights[0].shape[1], *(w.shape[0] for w in weights)]


@given(experiments())
def test_neighbouring_gradients_agree_across_a_hidden_layer(experiment):
    """W_{j+1}^T G_{j+1} = G_j W_j^T: both are the gradient of W_{j+1} M W_j at M = I."""
    weights, case = experiment
    _, grads = dln.chain.value_and_gradients(weights, case.problem)
    size = 1 + max(np.abs(g).max() for g in grads) * max(np.abs(w).max() for w in weights)
    for j in range(len(weights) - 1):
        left, right = weights[j + 1].T @ grads[j + 1], grads[j] @ weights[j].T
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-12 * size)


@given(experiments())
def test_a_step_is_descent_along_the_gradients(experiment):
    weights, case = experiment
    _, grads = dln.chain.value_and_gradients(weights, case.problem)
    stepped = dln.chain.step(weights, case.problem, 0.01)
    expected = [w - 0.01 * g for w, g in zip(weights, grads, strict=True)]
    assert_close(stepped, expected, 1e-13)


@given(experiments(), methods, st.integers(0, 5), st.integers(0, 5))
def test_a_plus_b_steps_are_a_then_b(experiment, method, a, b):
    weights, case = experiment
    record = dln.Record(["loss", "weights"], every=2)
    whole = dln.run(case.problem, weights, method, n_steps=a + b, record=record, rng=0)
    first = dln.run(case.problem, weights, method, n_steps=a, record=record, rng=0)
    assert_same_run(dln.run(case.problem, first, n_steps=b), whole)


@given(experiments(), methods, st.sets(st.integers(0, 8), min_size=1))
def test_recording_more_changes_nothing(experiment, method, steps):
    weights, case = experiment
    sparse = dln.run(
        case.problem, weights, method, n_steps=8, record=dln.Record("loss", steps=sorted(steps))
    )
    dense = dln.run(
        case.problem,
        weights,
        method,
        n_steps=8,
        record=dln.Record(["loss", "weights", "gradient_norm", "singular_values"], every=1),
    )
    for a, b in zip(sparse.weights, dense.weights, strict=True):
        assert_same_bits(a, b)
    for a, b in zip(path(dense)[-1], dense.weights, strict=True):
        assert_same_bits(a, b)
    assert_same_bits(
        sparse.data["loss"].values, dense.data["loss"].sel(step=sparse.data["step"]).values
    )


@given(experiments(), methods)
def test_inputs_stay_unmodified(experiment, method):
    weights, case = experiment
    copies, described = [w.copy() for w in weights], case.problem.describe()
    dln.run(case.problem, weights, method, n_steps=3)
    for w, copy in zip(weights, copies, strict=True):
        assert_same_bits(w, copy)
    assert case.problem.describe() == described


@given(experiments(min_depth=2), st.sampled_from(ROTATION_INVARIANT), seeds)
def test_hidden_bases_do_not_matter(experiment, method, seed):
    """W_j -> Q_j W_j Q_{j-1}^T leaves the end-to-end trajectory as it is."""
    weights, case = experiment
    hidden = [orthogonal(n, seed + i) for i, n in enumerate(sizes_of(weights)[1:-1])]
    bases = [np.eye(sizes_of(weights)[0]), *hidden, np.eye(sizes_of(weights)[-1])]
    rotated = [bases[j + 1] @ w @ bases[j].T for j, w in enumerate(weights)]
    compare_products(case.problem, weights, case.problem, rotated, method)


@given(networks(), st.sampled_from(METHODS), seeds)
def test_transposing_everything_transposes_the_trajectory(weights, method, seed):
    shape = (weights[-1].shape[0], weights[0].shape[1])
    target = np.random.default_rng(seed).standard_normal(shape)
    mirrored = [w.T.copy() for w in reversed(weights)]
    compare_products(
        dln.TargetMatrix(target),
        weights,
        dln.TargetMatrix(target.T),
        mirrored,
        method,
        np.transpose,
    )


@given(networks(), st.sampled_from(ROTATION_INVARIANT), seeds)
def test_rotating_the_target_rotates_the_trajectory(weights, method, seed):
    shape = (weights[-1].shape[0], weights[0].shape[1])
    target = np.random.default_rng(seed).standard_normal(shape)
    left, right = orthogonal(shape[0], seed), orthogonal(shape[1], seed + 1)
    rotated = list(weights)
    rotated[0] = rotated[0] @ right.T
    rotated[-1] = left @ rotated[-1]
    compare_products(
        dln.TargetMatrix(target),
        weights,
        dln.TargetMatrix(left @ target @ right.T),
        rotated,
        method,
        lambda w: left.T @ w @ right,
    )


def compare_products(problem, weights, other_problem, other, method, back=lambda w: w):
    """Compare end-to-end trajectories over a few steps, before rounding is amplified."""
    record = dln.Record(["end_to_end", "loss"], every=1)
    first = dln.run(problem, weights, method, n_steps=5, record=record).data
    second = dln.run(other_problem, other, method, n_steps=5, record=record).data
    size = 1 + np.abs(first["end_to_end"].values).max()
    assume(size < 1e3)  # not a step too large for the problem
    entrywise = isinstance(method, dln.Adam | dln.RMSprop | dln.AdaGrad | dln.AdaDelta)
    # Entry-wise methods divide by |g|: an entry that is 0 up to rounding moves in either direction.
    tolerance = 1e-6 if entrywise else 1e-10
    for a, b in zip(first["end_to_end"].values, second["end_to_end"].values, strict=True):
        np.testing.assert_allclose(back(b), a, rtol=0, atol=tolerance * size)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5), seeds)
def test_balanced_starts_of_any_hidden_width_move_alike(n_inputs, n_outputs, depth, seed):
    rng = np.random.default_rng(seed)
    least = min(n_inputs, n_outputs)
    problem = dln.TargetMatrix(rng.standard_normal((n_outputs, n_inputs)))
    narrow = (n_inputs, *[least] * (depth - 1), n_outputs)
    wide = (n_inputs, *rng.integers(least, least + 5, depth - 1).tolist(), n_outputs)
    starts_ = [dln.init.balanced(sizes, 0.5, seed) for sizes in (narrow, wide)]
    compare_products(problem, starts_[0], problem, starts_[1], dln.GradientDescent(0.01))


@given(starts(), seeds)
def test_small_steps_do_not_raise_the_loss(start, seed):
    sizes, weights = start
    problem = dln.TargetMatrix(np.random.default_rng(seed).standard_normal((sizes[-1], sizes[0])))
    losses = (
        dln.run(problem, weights, dln.GradientDescent(1e-4), n_steps=20, record=dln.Record(every=1))
        .data["loss"]
        .values
    )
    assert np.all(np.diff(losses) <= 1e-13 * losses[0])


@given(experiments(kinds=("target", "regression-2", "completion", "sensing")))
def test_loss_is_the_same_wherever_it_is_asked_for(experiment):
    weights, case = experiment
    value, _ = dln.chain.value_and_gradients(weights, case.problem)
    end_to_end = dln.chain.product(weights)
    assert value == pytest.approx(case.problem.value_and_gradient(end_to_end)[0], rel=1e-12)
    recorded = dln.run(case.problem, weights, dln.GradientDescent(0.0), n_steps=0).data["loss"]
    assert float(recorded[0]) == pytest.approx(value, rel=1e-12)
    assert value == pytest.approx(case.loss(reference.product(weights))[0], rel=1e-12)
