"""The bare pass against the definition, in both dtypes, and its behaviour at the boundary."""

import numpy as np
import pytest
import reference
from cases import PROBLEM_KINDS, problem_case
from helpers import network
from hypothesis import given
from strategies import dtypes, networks, widths

import pydlnet as dln
from pydlnet import _core

SHAPES = [
    (3, 4),
    (1, 1),
    (4, 1, 3),
    (1, 5, 1),
    (8, 8, 8, 8),
    (17, 9, 33, 5),
    (64, 64, 64),
    (65, 63, 67),
    (130, 7, 129),
    *[tuple([n] * 4) for n in (2, 3, 5, 6, 7, 10, 12, 15, 16, 20, 24, 31, 32)],
    (5, *[3] * 63, 4),
]


def check_pass(weights):
    """Compare loss, gradients and step with longdouble arithmetic, entry by entry.

    The bound is the textbook one (see reference.rounding_bounds), so a kernel that drops,
    repeats or misplaces a single term fails, and one that sums in another order does not.
    """
    dtype = weights[0].dtype
    epsilon = np.finfo(dtype).eps
    shape = (weights[-1].shape[0], weights[0].shape[1])
    target = np.random.default_rng(9).standard_normal(shape).astype(dtype)
    exact = [w.astype(np.longdouble) for w in weights]
    end_to_end = reference.product(exact)
    value, residual = reference.target_loss(end_to_end, target.astype(np.longdouble))
    expected = reference.gradients(exact, residual)

    absolute = reference.product([np.abs(w).astype(np.float64) for w in weights])
    product_bound, gradient_bounds = reference.rounding_bounds(weights, absolute + np.abs(target))
    tiny = np.finfo(dtype).tiny * max(map(max, (w.shape for w in weights)))
    residual_error = epsilon * (product_bound + np.abs(target))
    value_error = np.sum(np.abs(residual) * residual_error + residual_error**2) + (
        4 * epsilon * residual.size * value
    )

    actual = dln.chain.product(weights)
    assert actual.dtype == dtype
    assert np.all(np.abs(actual - end_to_end) <= epsilon * product_bound + tiny)

    problem = dln.TargetMatrix(target)
    actual_value, actual_gradients = dln.chain.value_and_gradients(weights, problem)
    assert abs(actual_value - value) <= value_error + tiny
    stepped = dln.chain.step(weights, problem, 0.125)
    for w, s, a, e, bound in zip(
        weights, stepped, actual_gradients, expected, gradient_bounds, strict=True
    ):
        assert a.dtype == s.dtype == dtype
        assert np.all(np.abs(a - e) <= epsilon * bound + tiny)
        new = w.astype(np.longdouble) - np.longdouble(0.125) * e
        assert np.all(np.abs(s - new) <= epsilon * (0.125 * bound + 2 * np.abs(w)) + tiny)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s[:6])))
def test_pass_is_the_definition(shape, dtype):
    check_pass(network(shape, seed=1, dtype=dtype))


@given(widths(), dtypes)
def test_pass_is_the_definition_for_any_widths(sizes, dtype):
    check_pass(network(sizes, seed=2, dtype=dtype))


@pytest.mark.parametrize("shape", [(3, 4), (4, 2, 3), (9, 5, 1, 12)])
def test_gradients_of_a_given_end_to_end_gradient(shape):
    weights = network(shape, seed=3)
    gradient = np.random.default_rng(4).standard_normal((shape[-1], shape[0]))
    expected = reference.gradients(weights, gradient)
    for a, e in zip(dln.chain.gradients(weights, gradient), expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-14 * (1 + np.abs(e).max()))


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("shape", [(4, 3), (6, 2, 5, 3), (5, 4, 1)])
def test_value_and_gradients_of_every_problem(kind, shape):
    case = problem_case(kind, (shape[-1], shape[0]), seed=5)
    weights = network(shape, seed=6)
    expected_value, gradient = case.loss(reference.product(weights))
    value, gradients = dln.chain.value_and_gradients(weights, case.problem)
    # 40 samples and widths below 10: a few hundred roundings of numbers of order one.
    assert value == pytest.approx(expected_value, rel=1e-13)
    for a, e in zip(gradients, reference.gradients(weights, gradient), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-13 * (1 + np.abs(gradient).max()))


@given(networks())
def test_nothing_is_modified(weights):
    copies = [w.copy() for w in weights]
    problem = dln.TargetMatrix(np.ones((weights[-1].shape[0], weights[0].shape[1])))
    dln.chain.product(weights)
    dln.chain.value_and_gradients(weights, problem)
    results = dln.chain.step(weights, problem, 0.1)
    for w, copy, result in zip(weights, copies, results, strict=True):
        np.testing.assert_array_equal(w, copy)
        assert not np.shares_memory(w, result)


def test_depth_one_product_is_a_copy():
    weights = network((3, 4))
    result = dln.chain.product(weights)
    np.testing.assert_array_equal(result, weights[0])
    assert not np.shares_memory(result, weights[0])


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda w: np.repeat(w, 2, axis=1)[:, ::2],
        lambda w: w[::-1].copy()[::-1],
        lambda w: w.astype(">f8"),
        lambda w: w.tolist(),
    ],
    ids=["fortran", "strided", "reversed", "big-endian", "list"],
)
def test_any_layout_gives_the_same_bits(layout):
    weights = network((5, 4, 6, 3), seed=7)
    expected = dln.chain.product(weights)
    np.testing.assert_array_equal(dln.chain.product([layout(w) for w in weights]), expected)


def test_read_only_layers_are_accepted():
    weights = network((5, 4, 3))
    for w in weights:
        w.flags.writeable = False
    result = dln.chain.product(weights)
    np.testing.assert_allclose(result, weights[1] @ weights[0], atol=1e-14)
    assert result.flags.writeable


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_core_passes_non_finite_numbers_on(value):
    """A kernel that skips zeros or multiplies padding would lose or spread a NaN."""
    weights = network((5, 4, 3), seed=8)
    weights[0][2, 1] = value
    result = _core.chain_product(weights)
    finite = np.isfinite(result)
    assert not finite[:, 1].any()
    assert np.delete(finite, 1, axis=1).all()
