"""Starts: shapes, the stated scales and distributions, balance."""

import itertools

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, starts, widths

import pydlnet as dln
from pydlnet._validation import widths_of

RANDOM = {
    "balanced": lambda sizes, rng, **kw: dln.init.balanced(sizes, 0.5, rng, **kw),
    "gaussian": lambda sizes, rng, **kw: dln.init.gaussian(sizes, 0.5, rng, **kw),
    "uniform": lambda sizes, rng, **kw: dln.init.uniform(sizes, 0.5, rng, **kw),
    "orthogonal": lambda sizes, rng, **kw: dln.init.orthogonal(sizes, 0.5, rng, **kw),
}
FIXED = {
    "identity": lambda sizes, rng, **kw: dln.init.identity(sizes, 0.5, **kw),
    "spectral": lambda sizes, rng, **kw: dln.init.spectral(
        np.ones((sizes[-1], sizes[0])), sizes, 0.5, **kw
    ),
}


@given(starts())
def test_starts_have_the_shapes_of_their_widths(start):
    sizes, weights = start
    assert isinstance(weights, list)
    assert [w.shape for w in weights] == [(b, a) for a, b in itertools.pairwise(sizes)]
    assert widths_of(weights) == tuple(sizes)
    for w in weights:
        assert w.dtype == np.float64
        assert w.flags.c_contiguous
        assert w.flags.writeable
        assert np.isfinite(w).all()


@pytest.mark.parametrize("kind", RANDOM | FIXED)
def test_float32_starts_are_the_rounded_ones(kind):
    build = (RANDOM | FIXED)[kind]
    double, single = build((4, 6, 3), 1), build((4, 6, 3), 1, dtype=np.float32)
    for d, s in zip(double, single, strict=True):
        assert s.dtype == np.float32
        np.testing.assert_array_equal(s, d.astype(np.float32))


@pytest.mark.parametrize("kind", RANDOM)
def test_rng_is_an_int_a_generator_or_none(kind):
    build = RANDOM[kind]

    def draw(rng):
        return np.concatenate([w.ravel() for w in build((4, 3, 5), rng)])

    np.testing.assert_array_equal(draw(1), draw(1))
    np.testing.assert_array_equal(draw(1), draw(np.random.default_rng(1)))
    assert not np.array_equal(draw(1), draw(2))
    assert not np.array_equal(draw(None), draw(None))
    generator = np.random.default_rng(3)
    assert not np.array_equal(draw(generator), draw(generator))


# -- Balanced --


@given(widths(), seeds)
def test_balanced_starts_are_balanced_and_have_the_best_product(sizes, seed):
    """Procedure 1; a bottleneck keeps the best approximation of the drawn matrix."""
    weights = dln.init.balanced(sizes, 0.5, seed)
    matrix = dln.init.balanced((sizes[0], sizes[-1]), 0.5, seed)[0]
    expected = reference.balanced_from(matrix, sizes)
    product = reference.product(weights)
    np.testing.assert_allclose(product, reference.product(expected), atol=1e-13)
    np.testing.assert_allclose(reference.imbalance(weights), 0, atol=1e-13)


def test_balanced_products_do_not_depend_on_hidden_widths():
    products = [
        reference.product(dln.init.balanced(sizes, 0.1, 7))
        for sizes in [(5, 4), (5, 4, 4), (5, 9, 4), (5, 4, 12, 7, 4)]
    ]
    for other in products[1:]:
        np.testing.assert_allclose(other, products[0], rtol=0, atol=1e-15)


def test_balanced_entries_are_independent_normal_with_the_given_deviation():
    entries = reference.product(dln.init.balanced((80, 90, 100), 0.3, 1)).ravel()
    # 8,000 draws: the standard deviation is known to 0.8 %, four times that is allowed.
    assert entries.std() == pytest.approx(0.3, rel=0.032)
    assert abs(entries.mean()) < 4 * 0.3 / np.sqrt(8000)
    assert np.mean(np.abs(entries) < 0.3) == pytest.approx(0.6827, abs=0.021)


@given(widths(max_width=8), seeds)
def test_balanced_from_reproduces_its_matrix(sizes, seed):
    rng = np.random.default_rng(seed)
    rank = min(sizes)
    matrix = rng.standard_normal((sizes[-1], rank)) @ rng.standard_normal((rank, sizes[0]))
    weights = dln.init.balanced_from(matrix, sizes)
    size = np.abs(matrix).max()
    np.testing.assert_allclose(reference.product(weights), matrix, rtol=0, atol=1e-13 * (1 + size))
    np.testing.assert_allclose(reference.imbalance(weights), 0, atol=1e-13 * (1 + size))


def test_balanced_from_refuses_a_rank_above_the_narrowest_width():
    with pytest.raises(ValueError, match=r"matrix.*rank.*2.*3"):
        dln.init.balanced_from(np.eye(3), (3, 2, 3))
    with pytest.raises(ValueError, match=r"matrix.*\(4, 3\).*\(3, 4\)"):
        dln.init.balanced_from(np.ones((3, 4)), (3, 3, 4))


def test_balanced_from_zero_is_zero():
    for w in dln.init.balanced_from(np.zeros((2, 3)), (3, 2, 2)):
        np.testing.assert_array_equal(w, 0.0)


# -- Gaussian and uniform --


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_layer_variance_is_the_stated_one(kind):
    """Entries have variance s^(2/N) / d_{j-1}: a wrong fan or a missing root shows at depth 3."""
    for w in getattr(dln.init, kind)((60, 70, 50, 80), 0.01, 1):
        expected = 0.01 ** (1 / 3) / np.sqrt(w.shape[1])
        assert w.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * w.size))
        assert abs(w.mean()) < 4 * expected / np.sqrt(w.size)


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_mean_square_norm_of_the_product(kind):
    """E ||W||_F^2 = s^2 d_N, over 4000 draws of a narrow network."""
    rng = np.random.default_rng(2)
    build = getattr(dln.init, kind)
    squares = [np.sum(reference.product(build((3, 6, 5, 4), 0.5, rng)) ** 2) for _ in range(4000)]
    error = 4 * np.std(squares) / np.sqrt(4000)
    assert np.mean(squares) == pytest.approx(0.25 * 4, abs=error)


def test_gaussian_std_holds_for_all_layers():
    for w in dln.init.gaussian((60, 70, 80), std=0.2, rng=3):
        assert w.std() == pytest.approx(0.2, rel=4 / np.sqrt(2 * w.size))


def test_uniform_entries_fill_their_interval():
    entries = dln.init.uniform((100, 100), 1.0, 4)[0].ravel()
    bound = np.sqrt(3 / 100)
    assert np.abs(entries).max() <= bound
    assert np.abs(entries).max() > 0.999 * bound
    assert np.mean(np.abs(entries) < bound / 2) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("arguments", [{}, {"end_to_end_scale": 1.0, "std": 1.0}])
def test_gaussian_takes_one_scale(arguments):
    with pytest.raises(ValueError, match=r"end_to_end_scale.*std"):
        dln.init.gaussian((3, 3), **arguments)


# -- Orthogonal, identity, spectral --


@given(widths(), seeds)
def test_orthogonal_layers(sizes, seed):
    factor = 0.5 ** (1 / (len(sizes) - 1))
    for w in dln.init.orthogonal(sizes, 0.5, seed):
        np.testing.assert_allclose(reference.singular_values(w), factor, rtol=1e-13)


def test_orthogonal_layers_are_haar_distributed():
    """Without the sign correction the diagonal of Q has a mean; entries have variance 1/d."""
    rng = np.random.default_rng(5)
    layers = np.array([dln.init.orthogonal((4, 4), 1.0, rng)[0] for _ in range(3000)])
    assert np.abs(layers.mean(axis=0)).max() < 5 * 0.5 / np.sqrt(3000)
    np.testing.assert_allclose(layers.var(axis=0), 0.25, atol=0.025)


@given(widths(), st.sampled_from([0.01, 1.0, 3.0]))
def test_identity_layers(sizes, scale):
    factor = scale ** (1 / (len(sizes) - 1))
    for w in dln.init.identity(sizes, scale):
        np.testing.assert_allclose(w, factor * np.eye(*w.shape), rtol=1e-15)


@given(widths(max_width=8), seeds)
def test_spectral_product_is_the_leading_singular_basis(sizes, seed):
    """scale * U_k V_k^T with k the narrowest width (Kwon et al. 2023)."""
    matrix = np.random.default_rng(seed).standard_normal((sizes[-1], sizes[0]))
    weights = dln.init.spectral(matrix, sizes, 0.3)
    left, _, right = np.linalg.svd(matrix)
    k = min(sizes)
    product = reference.product(weights)
    np.testing.assert_allclose(product, 0.3 * left[:, :k] @ right[:k], atol=1e-7)
    np.testing.assert_allclose(reference.imbalance(weights), 0, atol=1e-13)


@pytest.mark.parametrize("kind", ["balanced", "gaussian", "uniform", "orthogonal", "identity"])
def test_scale_zero_is_the_zero_network(kind):
    for w in getattr(dln.init, kind)((3, 4, 2), 0.0):
        np.testing.assert_array_equal(w, 0.0)


# -- Errors --

BUILD = {
    "balanced": lambda sizes, scale=1.0: dln.init.balanced(sizes, scale),
    "gaussian": lambda sizes, scale=1.0: dln.init.gaussian(sizes, scale),
    "uniform": lambda sizes, scale=1.0: dln.init.uniform(sizes, scale),
    "orthogonal": lambda sizes, scale=1.0: dln.init.orthogonal(sizes, scale),
    "identity": lambda sizes, scale=1.0: dln.init.identity(sizes, scale),
    "spectral": lambda sizes, scale=1.0: dln.init.spectral(np.ones((3, 3)), sizes, scale),
}


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ((), ValueError),
        ((3,), ValueError),
        ((3, 0, 3), ValueError),
        ((3, -1, 3), ValueError),
        ((3, 2.5, 3), TypeError),
        ((3, True, 3), TypeError),
        ("33", TypeError),
        (3, TypeError),
        ((3, 2**62, 3), ValueError),
        ((3, 2**70, 3), ValueError),
    ],
    ids=str,
)
def test_wrong_widths(kind, sizes, error):
    with pytest.raises(error, match="widths"):
        BUILD[kind](sizes)


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf, "1", None])
def test_wrong_scales(kind, scale):
    with pytest.raises((ValueError, TypeError), match=r"scale"):
        BUILD[kind]((3, 3, 3), scale)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda **kw: dln.init.balanced((3, 3), 1e300, 0, **kw), "scale"),
        (lambda **kw: dln.init.gaussian((3, 3), 1e300, 0, **kw), "end_to_end_scale"),
        (lambda **kw: dln.init.gaussian((3, 3), std=1e300, rng=0, **kw), "std"),
        (lambda **kw: dln.init.uniform((1, 3), 1e300, 0, **kw), "scale"),
        (lambda **kw: dln.init.balanced_from(1e300 * np.eye(3), (3, 3), **kw), "matrix"),
        (lambda **kw: dln.init.identity((3, 3), 1e300, **kw), "scale"),
        (lambda **kw: dln.init.orthogonal((3, 3), 1e300, 0, **kw), "scale"),
        (lambda **kw: dln.init.spectral(np.eye(3), (3, 3), 1e300, **kw), "scale"),
    ],
)
def test_an_overflow_names_the_argument(build, name):
    with pytest.raises(ValueError, match=f"^{name}: expected layers in the range of float32"):
        build(dtype=np.float32)


@pytest.mark.parametrize(
    ("scale", "name"),
    [({"end_to_end_scale": 1.7e308}, "end_to_end_scale"), ({"std": 1.7e308}, "std")],
)
def test_an_overflow_of_the_draw_names_the_argument(scale, name):
    with pytest.raises(ValueError, match=f"^{name}: expected finite numbers in the range of float"):
        dln.init.gaussian((1, 100), rng=0, **scale)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, int, complex, "no"])
def test_wrong_dtypes(dtype):
    with pytest.raises(TypeError, match="dtype"):
        dln.init.gaussian((3, 3), 1.0, dtype=dtype)


@pytest.mark.parametrize("rng", [-1, 1.5, "seed", np.random.RandomState(1)])
def test_wrong_rng(rng):
    with pytest.raises((ValueError, TypeError), match="rng"):
        dln.init.gaussian((3, 3), 1.0, rng)


@pytest.mark.parametrize("sizes", [np.array([3, 4, 2]), (np.int32(3), np.uint8(4), 2)])
def test_numpy_integers_are_widths(sizes):
    assert [w.shape for w in dln.init.identity(sizes)] == [(4, 3), (2, 4)]
