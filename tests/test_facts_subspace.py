"""Invariant subspaces of orthogonal starts: Yaras et al. 2023, Kwon et al. 2023."""

import itertools

import numpy as np
import pytest
import reference
from helpers import network, orthogonal

import pydlnet as dln
from pydlnet import theory

pytestmark = pytest.mark.facts


def start(d, scales, seed=1):
    return [scale * orthogonal(d, seed + i) for i, scale in enumerate(scales)]


def low_rank(d, rank, seed=7):
    return orthogonal(d, seed)[:, :rank] * np.linspace(2, 1, rank) @ orthogonal(d, seed + 1)[:rank]


def descend(weights, target, n_steps, decay):
    return dln.run(
        dln.TargetMatrix(target),
        [np.array(w) for w in weights],
        dln.GradientDescent(0.05, weight_decay=decay),
        n_steps=n_steps,
        record=dln.Record(["loss"], every=20),
    )


@pytest.mark.parametrize(
    ("d", "rank", "scales", "decay"),
    [
        (12, 2, (0.5, 0.3, 0.7), 0.02),
        (12, 2, (0.5, 0.3, 0.7), 0.0),
        (7, 1, (0.9, 0.9), 0.1),
        (9, 3, (0.8, 0.6, 0.9, 0.7), 0.0),
        (5, 3, (0.5, 0.6), 0.0),
        (6, 0, (0.9, 0.8, 0.9), 0.0),
        (6, 2, (0.9, 0.8, 0.0), 0.0),
    ],
)
def test_the_lifted_small_network_is_the_wide_one(d, rank, scales, decay):
    weights, target = start(d, scales), low_rank(d, rank)
    reduced = theory.invariant_subspace(weights, target)
    assert reduced.size == max(1, min(2 * rank, d))
    n_steps = 300
    wide = descend(weights, target, n_steps, decay)
    small = descend(reduced.weights, reduced.target, n_steps, decay)
    rho = reduced.complement(0.05, small.data["step"].values, decay)
    lifted = reduced.lift(small.weights, rho[-1])
    # Orthogonal bases to rounding, whose errors 300 steps amplify by the growth of the modes.
    for actual, expected in zip(lifted, wide.weights, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-12)
    losses = small.data["loss"].values + (d - reduced.size) / 2 * rho.prod(axis=1) ** 2
    np.testing.assert_allclose(losses, wide.data["loss"].values, rtol=1e-11, atol=1e-15)
    # The statement as it is published: d - 2 r singular values of each layer are equal.
    for layer, strength in zip(wide.weights, rho[-1], strict=True):
        shared = np.abs(reference.singular_values(layer) - abs(strength)) < 1e-9
        assert shared.sum() >= d - reduced.size


def test_lifting_the_start_gives_the_start():
    weights, target = start(8, (1e-170, 1e-3, 1e150)), low_rank(8, 2)
    reduced = theory.invariant_subspace(weights, target)
    lifted = reduced.lift(reduced.weights, reduced.scales)
    for actual, expected in zip(lifted, weights, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-14 * np.abs(expected).max())
    for frame, after in itertools.pairwise(reduced.frames):
        np.testing.assert_allclose(frame.T @ frame, np.eye(8), atol=1e-14)
        np.testing.assert_allclose(after.T @ after, np.eye(8), atol=1e-14)


def test_aligned_starts_need_no_more_than_the_rank():
    target = low_rank(8, 3)
    assert theory.invariant_subspace([np.eye(8)] * 3, target @ target.T).size == 3
    assert theory.invariant_subspace(start(8, (1, 1)), np.zeros((8, 8))).size == 1


def test_the_complement_is_its_recursion():
    reduced = theory.invariant_subspace(start(5, (0.5, 0.9, 1.2)), low_rank(5, 1))
    expected, rho = [], list(reduced.scales)
    for _ in range(50):
        expected.append(rho)
        a, b, c = rho
        rho = [
            a * (1 - 0.1 * (0.2 + (b * c) ** 2)),
            b * (1 - 0.1 * (0.2 + (a * c) ** 2)),
            c * (1 - 0.1 * (0.2 + (a * b) ** 2)),
        ]
    steps = np.arange(50)[::-1]
    np.testing.assert_allclose(reduced.complement(0.1, steps, 0.2), expected[::-1], rtol=1e-13)


def test_bad_reductions_are_refused():
    target = low_rank(5, 1)
    for scale in (1.0, 1e-200, 1e200):
        with pytest.raises(ValueError, match=r"weights\[1\]: expected a multiple of an orthogonal"):
            theory.invariant_subspace([np.eye(5), scale * network((5, 5))[0]], target)
    with pytest.raises(ValueError, match=r"weights\[0\]: expected shape \(5, 5\), got \(4, 5\)"):
        theory.invariant_subspace(network((5, 4, 5)), target)
    with pytest.raises(ValueError, match=r"target: expected shape \(5, 5\), got \(4, 4\)"):
        theory.invariant_subspace(start(5, (1, 1)), np.eye(4))
    reduced = theory.invariant_subspace(start(5, (1, 3)), target)
    with pytest.raises(ValueError, match=r"weights: expected 2 layers of shape \(2, 2\)"):
        reduced.lift([np.eye(3)] * 2, [1, 1])
    with pytest.raises(ValueError, match=r"complement: expected shape \(2,\), got \(3,\)"):
        reduced.lift(reduced.weights, [1, 1, 1])
    with pytest.raises(ValueError, match=r"learning_rate: .* diverge"):
        reduced.complement(9.0, [100])
    with pytest.raises(ValueError, match="read-only"):
        reduced.weights[0][0, 0] = 1.0
