"""The estimators: scikit-learn's own checks, its tools, and answers known from elsewhere."""

import doctest

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import pydlnet as dln
from pydlnet.sklearn import DeepLinearRegressor, DeepMatrixCompletion

ESTIMATORS = [
    DeepLinearRegressor(),
    DeepLinearRegressor(depth=1, fit_intercept=False),
    DeepLinearRegressor(depth=2, width=3, tol=1e-3),
    DeepMatrixCompletion(),
    DeepMatrixCompletion(depth=2, validation_fraction=0.0, tol=1e-2),
]
CHECKS = [
    pytest.param(estimator, check, id=f"{estimator}-{check.func.__name__}")
    for estimator in ESTIMATORS
    for _, check in estimator_checks_generator(estimator)
    # Skipped unless the variable SCIPY_ARRAY_API is set, which changes how SciPy works.
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_the_checks_of_scikit_learn(estimator, check):
    check(clone(estimator))


def regression(n_samples=80, n_features=6, n_targets=4, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((n_samples, n_features)) * np.geomspace(0.01, 100, n_features) + 5
    matrix = rng.standard_normal((n_targets, n_features)) / np.geomspace(0.01, 100, n_features)
    outputs = inputs @ matrix.T + noise * rng.standard_normal((n_samples, n_targets)) - 3
    return inputs, outputs


def low_rank(noise=0.0, shape=(100, 30), missing=0.3, seed=0):
    """Return a matrix of rank 3 with features of all scales, and one with missing entries."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1]))
    matrix += noise * rng.standard_normal(shape)
    matrix = 5 + matrix * np.geomspace(1e-3, 1e3, shape[1])
    return matrix, np.where(rng.random(shape) < missing, np.nan, matrix)


def error(filled, matrix, seen):
    """Return the root mean square error at missing entries, in standard deviations."""
    residual = (filled - matrix) / matrix.std(axis=0)
    return float(np.sqrt(np.mean(residual[np.isnan(seen)] ** 2)))


# -- Regression --


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_fit_that_ends_late_is_least_squares(depth):
    inputs, outputs = regression()
    model = DeepLinearRegressor(depth, tol=1e-12, max_iter=10**6, random_state=0)
    model.fit(inputs, outputs)
    expected = LinearRegression().fit(inputs, outputs)
    np.testing.assert_allclose(
        model.predict(inputs), expected.predict(inputs), atol=1e-4 * outputs.std()
    )
    assert len(model.weights_) == depth
    np.testing.assert_allclose(dln.chain.product(model.weights_), model.coef_, rtol=1e-12)


def test_features_as_they_are_take_longer_and_end_at_the_same_place():
    inputs, outputs = regression()
    scaled = StandardScaler().fit_transform(inputs)
    model = DeepLinearRegressor(whiten=False, tol=1e-9, max_iter=10**6, random_state=0)
    model.fit(scaled, outputs)
    expected = LinearRegression().fit(scaled, outputs)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-2)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-10)


def test_more_features_than_samples_give_the_smallest_norm():
    rng = np.random.default_rng(0)
    inputs, outputs = rng.standard_normal((10, 40)), rng.standard_normal(10)
    model = DeepLinearRegressor(tol=1e-14, random_state=0).fit(inputs, outputs)
    centered = inputs - inputs.mean(axis=0)
    expected = np.linalg.lstsq(centered, outputs - outputs.mean(), rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected, atol=1e-6)


def test_a_narrow_network_is_reduced_rank_regression():
    inputs, outputs = regression(noise=0.5)
    model = DeepLinearRegressor(width=2, tol=1e-12, max_iter=10**6, random_state=0)
    model.fit(inputs, outputs)
    full = LinearRegression().fit(inputs, outputs)
    fitted = full.predict(inputs) - outputs.mean(axis=0)
    left, values, right = np.linalg.svd(fitted, full_matrices=False)
    expected = (left[:, :2] * values[:2]) @ right[:2] + outputs.mean(axis=0)
    assert np.linalg.matrix_rank(model.coef_, tol=1e-8 * np.linalg.norm(model.coef_)) == 2
    np.testing.assert_allclose(model.predict(inputs), expected, atol=1e-4 * outputs.std())


def test_a_fit_that_ends_early_has_a_low_rank():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((500, 8))
    outputs = inputs @ (np.diag([10.0, 1, 0.1, 0.1, 0, 0, 0, 0]))
    ranks = []
    for tol in (0.1, 1e-3, 1e-6):
        model = DeepLinearRegressor(tol=tol, max_iter=10**6, random_state=0).fit(inputs, outputs)
        values = np.linalg.svd(model.coef_, compute_uv=False)
        ranks.append(int(np.sum(values > 0.05)))
        explained = r2_score(outputs, model.predict(inputs), multioutput="variance_weighted")
        assert 1.0 - tol <= explained <= 1.0
    assert ranks == [1, 2, 4]


def test_what_does_not_converge_warns_and_what_diverges_raises():
    inputs, outputs = regression()
    with pytest.warns(ConvergenceWarning, match=r"after 5 iterations .*%.*max_iter"):
        DeepLinearRegressor(max_iter=5, random_state=0).fit(inputs, outputs)
    with pytest.raises(ValueError, match=r"learning_rate: .*diverged .* rate 50"):
        DeepLinearRegressor(learning_rate=50.0, random_state=0).fit(inputs, outputs)
    model = DeepLinearRegressor(learning_rate=0.01, max_iter=10**5, random_state=0)
    assert model.fit(inputs, outputs).learning_rate_ == 0.01
    with pytest.warns(ConvergenceWarning, match="of the variance is not fitted"):
        DeepMatrixCompletion(max_iter=5, random_state=0).fit(low_rank()[1])


def test_a_large_start_takes_a_rate_that_does_not_diverge():
    inputs, outputs = regression()
    model = DeepLinearRegressor(scale=100.0, max_iter=10**5, random_state=0).fit(inputs, outputs)
    assert model.learning_rate_ < 1 / 3
    assert model.score(inputs, outputs) > 0.9


@pytest.mark.parametrize("outputs", [np.zeros(5), np.full(5, 7.0)])
def test_there_may_be_nothing_to_learn(outputs):
    inputs = np.random.default_rng(0).standard_normal((5, 3))
    model = DeepLinearRegressor(random_state=0).fit(inputs, outputs)
    np.testing.assert_allclose(model.predict(inputs), outputs, atol=1e-12)
    model.fit(np.ones((5, 3)), np.arange(5.0))
    np.testing.assert_allclose(model.predict(np.ones((1, 3))), 2.0)
    model.fit([[1.0, 2.0]], [3.0])
    np.testing.assert_allclose(model.predict([[5.0, 5.0]]), 3.0)


WRONG = [
    ({"depth": 0}, ValueError, "depth"),
    ({"width": 0}, ValueError, "width"),
    ({"width": 2.5}, TypeError, "width"),
    ({"scale": 0.0}, ValueError, "scale"),
    ({"learning_rate": "fast"}, ValueError, "learning_rate.*'auto'.*'fast'"),
    ({"learning_rate": -1.0}, ValueError, "learning_rate"),
    ({"max_iter": 0}, ValueError, "max_iter"),
    ({"tol": 0.0}, ValueError, "tol"),
]


@pytest.mark.parametrize(("parameters", "kind", "message"), WRONG)
@pytest.mark.parametrize("estimator", [DeepLinearRegressor, DeepMatrixCompletion])
def test_wrong_parameters_are_named(estimator, parameters, kind, message):
    with pytest.raises(kind, match=message):
        estimator(**parameters).fit(*regression())


@pytest.mark.parametrize("name", ["whiten", "fit_intercept"])
def test_what_is_no_bool_is_refused(name):
    with pytest.raises(TypeError, match=f"{name}: expected a bool, got str 'no'"):
        DeepLinearRegressor(**{name: "no"}).fit(*regression())


@pytest.mark.parametrize("estimator", [DeepLinearRegressor, DeepMatrixCompletion])
def test_a_start_that_diverges_at_every_rate_is_named(estimator):
    with pytest.raises(ValueError, match=r"scale: .*smaller scale than 1e\+300"):
        estimator(scale=1e300, random_state=0).fit(*regression())


def test_numbers_beyond_the_range_are_refused():
    huge = np.array([1.7e308, -1.7e308, 0.0])
    with pytest.raises(ValueError, match=r"y: .*finite in float64"):
        DeepLinearRegressor().fit(np.eye(3), huge)
    with pytest.raises(ValueError, match=r"X: .*finite in float64"):
        DeepLinearRegressor().fit(huge[:, np.newaxis], [1.0, 2.0, 3.0])
    columns = np.asfortranarray([[1e308, 1.0], [1e308, 2.0], [-1e308, 3.0], [-1e308, 4.0]])
    with pytest.raises(ValueError, match=r"X: .*finite in float64"):
        DeepLinearRegressor().fit(columns, [1.0, 2.0, 3.0, 4.0])
    seen = np.array([[1e-300, 1.0], [2e-300, 2.0], [1e-300, np.nan]])
    completion = DeepMatrixCompletion(random_state=0).fit(seen)
    with pytest.raises(ValueError, match=r"X: .*finite in float64"):
        completion.transform([[1e300, np.nan]])


def test_regression_in_a_pipeline_a_grid_and_a_frame():
    inputs, outputs = regression()
    frame = pd.DataFrame(inputs, columns=list("abcdef"))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), DeepLinearRegressor(random_state=0)),
        {"deeplinearregressor__depth": [1, 3]},
        cv=3,
    )
    search.fit(frame, outputs)
    assert search.best_score_ > 0.9
    model = search.best_estimator_[-1]
    assert model.n_features_in_ == 6
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(inputs)


# -- Completion --


@pytest.mark.parametrize("depth", [2, 3])
def test_a_matrix_of_low_rank_is_recovered(depth):
    matrix, seen = low_rank()
    completion = DeepMatrixCompletion(depth, validation_fraction=0.0, random_state=0)
    filled = completion.fit_transform(seen)
    assert error(filled, matrix, seen) < 0.02
    assert error(KNNImputer().fit_transform(seen), matrix, seen) > 0.3
    values = np.linalg.norm(completion.components_, axis=1)
    assert values[2] > 10 * values[4]  # the fourth is the error of the means


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_is_not_fitted(noise):
    matrix, seen = low_rank(noise)
    completion = DeepMatrixCompletion(random_state=0)
    filled = completion.fit_transform(seen)
    knn = error(KNNImputer().fit_transform(seen), matrix, seen)
    assert error(filled, matrix, seen) < min(1.5 * noise, 0.8 * knn)
    assert error(filled, matrix, seen) < error(SimpleImputer().fit_transform(seen), matrix, seen)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_the_size_of_numbers_does_not_matter(scale):
    _, seen = low_rank(shape=(40, 8))
    seen = (seen - 5) / np.nanmax(np.abs(seen - 5), axis=0)
    fill = DeepMatrixCompletion(validation_fraction=0.0, random_state=0).fit_transform
    np.testing.assert_allclose(fill(seen * scale) / scale, fill(seen), rtol=1e-6, atol=1e-6)


def test_constants_stay_constants():
    _, seen = low_rank(noise=0.1, shape=(41, 8))
    constants = np.where(np.isnan(seen[:, :3]), np.nan, [0.1, -7.0, 1e9])
    filled = DeepMatrixCompletion(random_state=0).fit_transform(np.hstack([constants, seen]))
    np.testing.assert_array_equal(filled[:, :3], np.broadcast_to([0.1, -7.0, 1e9], (41, 3)))


def test_rows_that_were_not_seen_are_filled_by_what_was_learned():
    matrix, seen = low_rank()
    completion = DeepMatrixCompletion(validation_fraction=0.0, random_state=0).fit(seen[:80])
    filled = completion.transform(seen[80:])
    known = ~np.isnan(seen[80:])
    np.testing.assert_array_equal(filled[known], seen[80:][known])
    assert error(filled, matrix[80:], seen[80:]) < 0.05


def test_transform_is_the_mean_given_the_known_values():
    _, seen = low_rank(noise=0.3)
    completion = DeepMatrixCompletion(random_state=0).fit(seen)
    row = np.full(30, np.nan)
    row[[3, 7, 20]] = completion.mean_[[3, 7, 20]] + completion.scale_[[3, 7, 20]] * [1, -2, 0.5]
    covariance = completion.components_.T @ completion.components_
    known = np.isin(np.arange(30), [3, 7, 20])
    inner = covariance[np.ix_(known, known)] + completion.noise_variance_ * np.eye(3)
    expected = covariance[np.ix_(~known, known)] @ np.linalg.solve(inner, [1, -2, 0.5])
    filled = (completion.transform(row[np.newaxis])[0] - completion.mean_) / completion.scale_
    np.testing.assert_allclose(filled[~known], expected, rtol=1e-8)


def test_a_row_without_known_values_gets_the_mean():
    _, seen = low_rank()
    completion = DeepMatrixCompletion(random_state=0).fit(seen)
    filled = completion.transform(np.full((1, 30), np.nan))
    np.testing.assert_allclose(filled[0], completion.mean_)


def test_fitting_and_transforming_is_one_thing_and_changes_nothing():
    _, seen = low_rank(noise=0.2)
    before = seen.copy()
    completion = DeepMatrixCompletion(random_state=0)
    filled = completion.fit_transform(seen)
    np.testing.assert_array_equal(filled, completion.transform(seen))
    np.testing.assert_array_equal(seen, before)
    np.testing.assert_array_equal(filled[~np.isnan(seen)], seen[~np.isnan(seen)])
    assert np.isfinite(filled).all()


def test_frames_keep_their_names_and_lose_features_without_values():
    _, seen = low_rank(shape=(40, 4))
    frame = pd.DataFrame(seen, columns=list("abcd")).assign(empty=np.nan)
    completion = DeepMatrixCompletion(random_state=0).set_output(transform="pandas")
    filled = completion.fit_transform(frame)
    assert list(filled.columns) == list(completion.get_feature_names_out()) == list("abcd")
    assert completion.n_features_in_ == 5
    pipeline = make_pipeline(DeepMatrixCompletion(random_state=0), DeepLinearRegressor())
    assert np.isfinite(pipeline.fit(frame, np.arange(40.0)).predict(frame)).all()


@pytest.mark.parametrize(
    "seen",
    [
        np.array([[1.0, np.nan], [1.0, 2.0]]),
        np.array([[np.nan, 3.0]]),
        np.full((6, 3), 4.0),
        np.array([[1.0], [np.nan], [3.0]]),
    ],
)
def test_little_to_learn_from_is_filled_with_means(seen):
    kept = ~np.isnan(seen).all(axis=0)
    filled = DeepMatrixCompletion(random_state=0).fit_transform(seen)
    means = np.nanmean(seen[:, kept], axis=0)
    np.testing.assert_allclose(filled, np.where(np.isnan(seen[:, kept]), means, seen[:, kept]))


def test_nothing_known_and_infinite_values_are_refused():
    with pytest.raises(ValueError, match="X: expected at least one known value"):
        DeepMatrixCompletion().fit(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="infinity"):
        DeepMatrixCompletion().fit([[1.0, np.inf]])
    with pytest.raises(ValueError, match="validation_fraction"):
        DeepMatrixCompletion(validation_fraction=1.0).fit([[1.0, 2.0]])


def test_a_missing_library_is_named_with_its_extra(isolated):
    result = isolated("import sys; sys.modules['sklearn'] = None; import pydlnet; pydlnet.sklearn")
    assert "ImportError: pydlnet.sklearn needs scikit-learn" in result.stderr
    assert "pydlnet[sklearn]" in result.stderr


def test_the_examples_of_the_docstrings_run():
    for name in ("regression", "completion"):
        module = __import__(f"pydlnet.sklearn.{name}", fromlist=["x"])
        assert doctest.testmod(module).failed == 0
