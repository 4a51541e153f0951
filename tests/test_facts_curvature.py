"""Facts about minima of 1/2 ||W_N ... W_1 - target||_F^2: spectrum, sharpness, trace, stability."""

import itertools

import numpy as np
import pytest
from helpers import network, orthogonal

import pydlnet as dln
from pydlnet import theory
from pydlnet.metrics import hessian, hessian_extremes

pytestmark = pytest.mark.facts

SHAPES = [(3, 3), (2, 4), (5, 2), (1, 3), (4, 1)]  # (d_N, d_0)


def target_of(shape, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    rank = min(shape) if rank is None else rank
    return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))


def minimum(target, depth):
    """Return layers with W = target that are balanced, by another way than the package's."""
    left, values, right = np.linalg.svd(target, full_matrices=False)
    widths = (target.shape[1], *([len(values)] * (depth - 1)), target.shape[0])
    middle = np.diag(values ** (1 / depth))
    if depth == 1:
        return [target.copy()], widths
    return [middle @ right, *([middle] * (depth - 2)), left @ middle], widths


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("deficient", [False, True])
def test_ghosh_2025_spectrum_of_a_balanced_minimum(shape, depth, deficient):
    """For rectangular and rank-deficient targets as well, where 0^0 is 1."""
    target = target_of(shape, depth, rank=max(1, min(shape) - deficient))
    layers, _ = minimum(target, depth)
    actual = np.linalg.eigvalsh(hessian(layers, dln.TargetMatrix(target)))
    predicted = theory.balanced_hessian_spectrum(target, depth)
    assert predicted.shape == shape
    assert predicted[0, 0] == predicted.max()
    expected = np.zeros(len(actual))
    # There are never more eigenvalues other than zero than entries of the layers.
    largest = np.sort(predicted.ravel())[::-1][: len(actual)]
    expected[: len(largest)] = largest
    # W differs from the target by rounding, of which a fractional power keeps less: entries of the
    # Hessian that ought to be zero are eps^(2/N) at the most, for the zero singular values.
    noise = (10 * np.finfo(float).eps) ** (min(1.0, 2.0 / depth) if deficient else 1.0)
    tolerance = 20 * noise * max(1.0, predicted.max())
    np.testing.assert_allclose(actual[::-1], expected, rtol=0, atol=tolerance)
    if deficient:
        return
    assert np.sum(predicted) == pytest.approx(theory.hessian_trace(layers))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_mulayoff_2020_no_minimum_is_flatter_than_a_balanced_one(shape, depth):
    target = target_of(shape, 7)
    problem = dln.TargetMatrix(target)
    bound = theory.smallest_sharpness(target, depth)
    layers, widths = minimum(target, depth)
    assert hessian_extremes(layers, problem).largest == pytest.approx(bound, rel=1e-12)
    assert 2 / bound == pytest.approx(
        theory.stability_limit(np.linalg.norm(target, 2), depth), rel=1e-12
    )
    sharper = []
    for seed in range(10):
        changed = rebalanced(layers, widths, seed)
        sharper.append(hessian_extremes(changed, problem).largest)
        assert sharper[-1] >= bound * (1 - 1e-10)
    assert max(sharper) > 1.5 * bound  # the bound is one of something that varies


def rebalanced(layers, widths, seed):
    """Return other layers of the same product: Q_j W_j Q_{j-1}^{-1} with random Q_j."""
    rng = np.random.default_rng(seed)
    sizes = widths[1:-1]
    between = [np.eye(d) + 0.4 * rng.standard_normal((d, d)) / np.sqrt(d) for d in sizes]
    changes = [np.eye(widths[0]), *between, np.eye(widths[-1])]
    return [
        after @ layer @ np.linalg.inv(before)
        for layer, (before, after) in zip(layers, itertools.pairwise(changes), strict=True)
    ]


@pytest.mark.parametrize("widths", [(3, 4), (3, 2, 4), (1, 1, 1), (5, 2, 6, 3, 4)])
def test_trace_is_that_of_the_hessian_anywhere(widths):
    weights = network(widths, 1)
    trace = theory.hessian_trace(weights)
    for seed in range(2):  # whatever the target
        problem = dln.TargetMatrix(target_of((widths[-1], widths[0]), seed))
        assert trace == pytest.approx(np.trace(hessian(weights, problem)), rel=1e-12)


@pytest.mark.parametrize(
    ("numbers", "trace"),
    [
        ((1e160, 1e-160, 1e-160), 2.0),  # the squared norm of a product overflows
        ((1e200, 1e200, 0.0, 0.0), 0.0),  # a product overflows
        ((1e200, 0.0, 1e200), np.inf),
        ((0.0, 0.0), 0.0),
    ],
)
def test_the_trace_is_infinite_only_where_it_leaves_the_range(numbers, trace):
    weights = [np.array([[number]]) for number in numbers]
    assert theory.hessian_trace(weights) == pytest.approx(trace, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_gatmiry_2023_smallest_trace(shape, depth):
    target = target_of(shape, 3)
    bound = theory.smallest_hessian_trace(target, depth)
    layers, widths = minimum(target, depth)
    for seed in range(10):
        assert theory.hessian_trace(rebalanced(layers, widths, seed)) >= bound * (1 - 1e-10)
    flattest = trace_flattest(target, depth)
    product = np.linalg.multi_dot([*flattest[::-1], np.eye(shape[1])])
    np.testing.assert_allclose(product, target, rtol=0, atol=1e-12)
    assert theory.hessian_trace(flattest) == pytest.approx(bound, rel=1e-12)


def trace_flattest(target, depth):
    """Return a minimum whose terms ||S_j||^2 ||P_{j-1}||^2 are equal and as small as they can be.

    P_j = c_j Q_j Sigma^(1/2) V^T and S_j = U Sigma^(1/2) Q_j^T / c_j with K the nuclear norm: the
    terms are K d_0 / c_1^2, then K^2 (c_{j-1} / c_j)^2, then d_N K c_{N-1}^2.
    """
    if depth == 1:
        return [target]
    left, values, right = np.linalg.svd(target, full_matrices=False)
    nuclear = values.sum()
    term = theory.smallest_hessian_trace(target, depth) / depth
    c = [np.sqrt(nuclear * target.shape[1] / term)]
    while len(c) < depth - 1:
        c.append(c[-1] * nuclear / np.sqrt(term))
    bases = [orthogonal(len(values), j) for j in range(depth - 1)]
    roots = np.diag(np.sqrt(values))
    inner = [(c[j] / c[j - 1]) * bases[j] @ bases[j - 1].T for j in range(1, depth - 1)]
    return [c[0] * bases[0] @ roots @ right, *inner, left @ roots @ bases[-1].T / c[-1]]


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("balanced", [True, False])
def test_descent_leaves_a_minimum_exactly_beyond_two_over_the_sharpness(depth, balanced):
    target = target_of((3, 3), 5)
    problem = dln.TargetMatrix(target)
    layers, widths = minimum(target, depth)
    layers = layers if balanced else rebalanced(layers, widths, 1)
    limit = hessian_extremes(layers, problem).stable_learning_rate
    rng = np.random.default_rng(0)
    near = [w + 1e-7 * rng.standard_normal(w.shape) for w in layers]
    start = dln.TargetMatrix.value_and_gradient(problem, dln.chain.product(near))[0]

    def after(rate):
        return dln.run(problem, near, dln.GradientDescent(rate), n_steps=300).data.loss[-1]

    # Along the top eigenvector a step multiplies by 1 - rate * sharpness, here -0.96 and -1.04.
    assert after(0.98 * limit) < 1e-3 * start
    assert after(1.02 * limit) > 1e3 * start


def test_bad_arguments_are_named():
    for function in (
        theory.balanced_hessian_spectrum,
        theory.smallest_sharpness,
        theory.smallest_hessian_trace,
    ):
        with pytest.raises(ValueError, match="depth"):
            function(np.eye(2), 0)
        with pytest.raises(ValueError, match="target"):
            function([[np.nan]], 2)
    with pytest.raises(ValueError, match="weights"):
        theory.hessian_trace([np.eye(2), np.eye(3)])
