"""Certificates against their formulas written out, and what they say where they do not apply."""

import math

import numpy as np
import pytest
import reference
import scipy.stats
from helpers import network, orthogonal

import pydlnet as dln

theory = dln.theory
SHAPES = [(3, 3), (2, 2, 2), (3, 4, 3, 5), (5, 3, 3, 3, 3), (4, 2, 1)]


def near_target(sizes, seed=0, distance=0.4, scale=1.0):
    """Return a target with sigma_min = scale, and a balanced start at distance scale from it."""
    rng = np.random.default_rng(seed)
    k = min(sizes[0], sizes[-1])
    left, right = orthogonal(sizes[-1], seed)[:, :k], orthogonal(sizes[0], seed + 1)[:, :k]
    target = (
        scale * (left * np.linspace(1.5, 1.0, k)) @ right.T if k > 1 else scale * left @ right.T
    )
    shift = rng.standard_normal(target.shape)
    shift *= scale * distance / np.linalg.norm(shift)
    return target, dln.init.balanced_from(target + shift, sizes)


def by_the_paper(weights, target):
    """Return delta, rate and decrease per rate of Theorem 1 as printed, in extended precision."""
    depth = len(weights)
    end_to_end = reference.product([np.asarray(w, np.longdouble) for w in weights])
    norm = np.sqrt(np.sum(np.asarray(target, np.longdouble) ** 2))
    gap = np.sqrt(np.sum((end_to_end - target) ** 2))
    margin = np.linalg.svd(target, compute_uv=False)[-1] - gap
    n = np.longdouble(depth)
    delta = margin**2 / (256 * n**3 * norm ** (2 * (n - 1) / n))
    rate = margin ** ((4 * n - 2) / n) / (6144 * n**3 * norm ** ((6 * n - 4) / n))
    return margin, delta, rate, margin ** (2 * (n - 1) / n), gap**2 / 2


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_theorem_1_as_printed(sizes, scale):
    target, start = near_target(sizes, scale=scale)
    found = theory.certificate(start, dln.TargetMatrix(target))
    margin, delta, rate, decrease, loss = by_the_paper(start, target)
    # The margin is a difference, good to a few units of sigma_min; powers up to 4 of it follow.
    assert found.deficiency_margin == pytest.approx(float(margin), rel=1e-13)
    assert found.balancedness_allowed == pytest.approx(float(delta), rel=1e-12)
    assert found.learning_rate_allowed == pytest.approx(float(rate), rel=1e-12)
    assert found.excess_loss == pytest.approx(float(loss), rel=1e-12)
    # Zero but for the rounding of products of layers of the size scale^(1/N).
    assert found.balancedness <= 1e-14 * max(1.0, scale)
    assert (found.holds, found.reasons, found.depth) == (True, (), len(start))
    half = 0.5 * found.learning_rate_allowed
    # 1 minus something tiny: compared through the difference, which 1 leaves eps of.
    assert 1 - found.contraction(half) == pytest.approx(half * float(decrease), abs=2.3e-16)
    expected = np.log(loss / (1e-9 * loss)) / (half * decrease)
    # Rounded up; the logarithm and the rate are good to a few units.
    assert found.steps(half, 1e-9 * float(loss)) == pytest.approx(float(expected), rel=1e-11, abs=1)
    assert found.steps(half, 2 * float(loss)) == 0
    assert found.layer_norm_bound ** len(start) == pytest.approx(4 * np.linalg.norm(target))
    assert found.end_to_end_norm_bound == pytest.approx(2 * np.linalg.norm(target))


def test_the_margin_in_hand_decides():
    """Phi = diag(3, 2), W = diag(3, 1.5): c = 1.5, ||Phi||^2 = 13, N = 2."""
    target = np.diag([3.0, 2.0])
    start = dln.init.balanced_from(np.diag([3.0, 1.5]), (2, 2, 2))
    found = theory.certificate(start, dln.TargetMatrix(target))
    assert found.deficiency_margin == pytest.approx(1.5, rel=1e-14)
    assert found.balancedness_allowed == pytest.approx(2.25 / (256 * 8 * 13**0.5), rel=1e-13)
    assert found.learning_rate_allowed == pytest.approx(1.5**3 / (6144 * 8 * 169), rel=1e-13)
    assert found.contraction(1e-7) == pytest.approx(1 - 1.5e-7, rel=1e-15)
    assert "applies" in str(found)
    assert f"{found.learning_rate_allowed:.6g}" in str(found)


def test_a_start_in_float32_is_taken_as_it_is():
    target, start = near_target((3, 4, 3))
    single = [w.astype(np.float32) for w in start]
    found = theory.certificate(single, dln.TargetMatrix(target))
    exact = theory.certificate([w.astype(np.float64) for w in single], dln.TargetMatrix(target))
    assert found == exact


def unfit_starts():
    target, start = near_target((3, 3, 3))
    bottleneck = network((3, 2, 3), seed=1)
    flat = target.copy()
    flat[:, 2] = flat[:, 1]
    return {
        "balancedness": (target, [2 * start[0], 0.5 * start[1]]),
        "deficiency margin": (target, [-start[0], start[1]]),
        "widths": (target, bottleneck),
        "target": (flat, start),
        "zero target": (np.zeros((3, 3)), start),
        "overflow": (target, [1e200 * start[0], 1e-200 * start[1]]),
    }


@pytest.mark.parametrize("name", unfit_starts())
def test_what_fails_is_named_and_no_number_looks_valid(name):
    target, start = unfit_starts()[name]
    found = theory.certificate(start, dln.TargetMatrix(target))
    word = {"zero target": "target", "overflow": "balancedness"}.get(name, name)
    assert not found.holds
    assert any(reason.startswith(f"{word}: ") for reason in found.reasons)
    assert math.isnan(found.learning_rate_allowed)
    for call in (lambda: found.contraction(1e-9), lambda: found.steps(1e-9, 1e-6)):
        with pytest.raises(ValueError, match=rf"learning_rate: .*{word}"):
            call()
    assert "does not apply because" in str(found)
    if word != "balancedness":
        assert math.isnan(found.balancedness_allowed)
        assert math.isnan(found.contraction_rate)


def test_reasons_say_by_how_much():
    """sigma_min = 1 and ||W - Phi|| = 2 sqrt(2); then a pair of layers 3 and 1."""
    (reason,) = theory.certificate([-np.eye(2)], dln.TargetMatrix(np.eye(2))).reasons
    assert "got -1.82843" in reason
    layers = [np.array([[3.0]]), np.array([[1 / 3]])]
    (reason,) = theory.certificate(layers, dln.TargetMatrix([[1.0]])).reasons
    assert f"expected at most {1 / 2048:.6g}, got {9 - 1 / 9:.6g}" in reason


def test_a_single_layer_without_a_margin_has_no_contraction():
    """Its exponent 2 - 2/N is 0, which turns anything into 1."""
    found = theory.certificate([np.zeros((2, 2))], dln.TargetMatrix(np.eye(2)))
    assert math.isnan(found.contraction_rate)


def test_rates_that_are_not_covered():
    target, start = near_target((2, 2, 2))
    found = theory.certificate(start, dln.TargetMatrix(target))
    largest = found.learning_rate_allowed
    assert 0 < 1 - found.contraction(largest) < 1
    for rate in (np.nextafter(largest, 1), 0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="learning_rate: expected"):
            found.contraction(rate)
    for accuracy in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="accuracy: expected"):
            found.steps(largest, accuracy)
    with pytest.raises(ValueError, match="range of float64"):
        found.steps(1e-320, 1e-300)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_extreme_targets(scale):
    """The bounds are numbers or a reason, never zero or infinite."""
    target, start = near_target((2, 2, 2), scale=scale)
    found = theory.certificate(start, dln.TargetMatrix(target))
    if found.holds:
        assert 0 < found.learning_rate_allowed < np.inf
        assert 0 < found.balancedness_allowed < np.inf
    else:
        assert math.isnan(found.learning_rate_allowed)


def regression(n_samples=12, size=3, reduction="mean", scale=1.0, white=True):
    rng = np.random.default_rng(5)
    inputs = orthogonal(n_samples, 2)[:, :size] * np.sqrt(n_samples) * scale
    if not white:
        inputs = inputs * np.linspace(1, 2, size)
    outputs = inputs @ np.diag([1.2, 1.1, 1.0])[:size] / scale + rng.standard_normal((n_samples, 3))
    return dln.Regression(inputs, outputs, reduction=reduction)


@pytest.mark.parametrize(("reduction", "scale"), [("mean", 1.0), ("sum", 1.0), ("mean", 3.0)])
def test_whitened_regression_is_a_multiple_of_the_distance_to_a_target(reduction, scale):
    problem = regression(reduction=reduction, scale=scale)
    factor = (12 if reduction == "sum" else 1) * scale**2
    best = np.linalg.lstsq(problem.inputs, problem.outputs, rcond=None)[0].T
    start = dln.init.balanced_from(best + 0.01, (3, 3, 3))
    found = theory.certificate(start, problem)
    plain = theory.certificate(start, dln.TargetMatrix(best))
    assert found.holds
    smallest = problem.value_and_gradient(best)[0]
    # Least squares through LAPACK: the condition is 1.
    assert found.deficiency_margin == pytest.approx(plain.deficiency_margin, rel=1e-11)
    assert found.learning_rate_allowed == pytest.approx(
        plain.learning_rate_allowed / factor, rel=1e-10
    )
    assert found.contraction_rate == pytest.approx(plain.contraction_rate * factor, rel=1e-10)
    # The loss of the start, less its smallest value, loses the digits of the latter.
    assert found.excess_loss == pytest.approx(
        problem.value_and_gradient(best + 0.01)[0] - smallest, rel=1e-9
    )
    rate = found.learning_rate_allowed
    data = dln.run(
        problem, start, dln.GradientDescent(rate), n_steps=50, record=dln.Record(every=1)
    ).data
    excess = data["loss"].values - smallest
    # Losses near `smallest` are good to a few units in its last place.
    assert np.all(excess[1:] <= found.contraction(rate) * excess[:-1] + 1e-14 * smallest)


def inapplicable_problems():
    rng = np.random.default_rng(3)
    inputs, outputs = rng.standard_normal((9, 3)), rng.standard_normal((9, 3))
    return {
        "power": dln.Regression(inputs, outputs, power=4),
        "not whitened": regression(white=False),
        "too few": dln.Regression(inputs[:2], outputs[:2]),
        "labels": dln.Classification(inputs, np.arange(9) % 3),
        "completion": dln.MatrixCompletion((3, 3), [0, 1], [1, 2], [1.0, 2.0]),
        "sensing": dln.MatrixSensing(rng.standard_normal((4, 3, 3)), np.ones(4)),
        "custom": dln.EndToEndLoss(lambda w: (0.0, w), (3, 3)),
    }


@pytest.mark.parametrize("name", inapplicable_problems())
def test_problems_that_the_theorems_are_not_about(name):
    problem = inapplicable_problems()[name]
    start = dln.init.balanced((3, 3, 3), 1.0, 0)
    with pytest.raises(ValueError, match=r"^problem: .*does not apply because"):
        theory.certificate(start, problem)


@pytest.mark.parametrize("weights", [[], [np.eye(2), np.eye(3)], [np.full((3, 3), np.nan)], 3])
def test_wrong_weights(weights):
    with pytest.raises((ValueError, TypeError), match="weights"):
        theory.certificate(weights, dln.TargetMatrix(np.eye(3)))


def test_wrong_shapes_and_kinds():
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(2, 2\)"):
        theory.certificate([np.eye(2)], dln.TargetMatrix(np.eye(3)))
    with pytest.raises(TypeError, match="problem: expected a Problem, got ndarray"):
        theory.certificate([np.eye(2)], np.eye(2))
    with pytest.raises(ValueError, match="weights: expected a product in the range"):
        theory.certificate([1e200 * np.eye(2)] * 2, dln.TargetMatrix(np.eye(2)))


# ---------------------------------------------------------------------------------------------
# Random starts
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("norm", [0.2, 1.0, 7.0])
def test_theorem_2_as_printed(depth, norm):
    """s^2 d_0 / ||Phi|| and a = ||Phi||^2 / (s d_0)^2, as in the paper."""
    d_0, s = 40, norm / 40 / 20
    problem = dln.TargetMatrix(norm * orthogonal(d_0)[:1])
    found = theory.balanced_start_certificate((d_0, *[2] * (depth - 1), 1), s, problem)
    a, n = 400.0, depth
    probability = (
        (1 - 2 * np.exp(-d_0 / 16)) * (3 - 4 * scipy.stats.norm.cdf(2 * np.sqrt(2 / a))) / 2
    )
    rate = (s**2 * d_0) ** (4 - 2 / n) / (1e5 * n**3 * norm ** (10 - 6 / n))
    assert found.holds
    assert found.probability == pytest.approx(probability, rel=1e-12)
    assert found.learning_rate_allowed == pytest.approx(rate, rel=1e-12)
    assert found.deficiency_margin == pytest.approx(s**2 * d_0 / (2 * norm), rel=1e-13)
    accuracy = 1e-7 * norm**2
    steps = (4 / rate) * (
        np.log(4) * (norm / (s**2 * d_0)) ** (2 - 2 / n)
        + norm ** (2 / n - 2) * np.log(norm**2 / (8 * accuracy))
    )
    largest = found.learning_rate_allowed
    assert found.steps(largest, accuracy) == pytest.approx(steps, rel=1e-11)
    # No sooner than Theorem 1 for the two phases with the margins c and ||Phi|| / 2.
    phases = [(found.deficiency_margin, np.log(4)), (norm / 2, np.log(norm**2 / 8 / accuracy))]
    assert steps >= sum(log / (rate * margin ** (2 - 2 / n)) for margin, log in phases)
    assert "applies" in str(found)


def test_theorem_2_on_whitened_samples_summed():
    """Twelve times the loss: a twelfth of the rate, as many steps at it."""
    inputs = orthogonal(20, 2)[:, :14] * np.sqrt(20)
    outputs = inputs[:, :1]
    white = dln.whiten(inputs, outputs).problem
    found = [
        theory.balanced_start_certificate((14, 3, 1), 1e-3, problem)
        for problem in (white, dln.Regression(inputs, outputs, reduction="sum"))
    ]
    rates = [each.learning_rate_allowed for each in found]
    assert rates[1] == pytest.approx(rates[0] / 20, rel=1e-12)
    assert found[1].steps(rates[1], 20e-6) == pytest.approx(
        found[0].steps(rates[0], 1e-6), rel=1e-9
    )


@pytest.mark.parametrize(("d_0", "a"), [(12, 30.0), (20, 100.0), (60, 100.0), (100, 1e4)])
def test_theorem_2_promises_no_more_than_the_exact_probability(d_0, a):
    """||W - Phi||^2 / s^2 has a noncentral chi-square distribution."""
    s = 1 / (np.sqrt(a) * d_0)
    target = orthogonal(d_0, 1)[:1]
    found = theory.balanced_start_certificate((d_0, 2, 1), s, dln.TargetMatrix(target))
    radius = (1 - found.deficiency_margin) / s
    exact = scipy.stats.ncx2.cdf(radius**2, d_0, 1 / s**2)
    assert 0 < found.probability <= exact < 0.5
    margins = [
        dln.metrics.deficiency_margin(reference.product(start), target)
        for start in (dln.init.balanced((d_0, 2, 1), s, seed) for seed in range(400))
    ]
    share = np.mean(np.array(margins) >= found.deficiency_margin)
    # 400 draws: four standard deviations are at most 0.1.
    assert share == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(
    ("d_0", "scale", "words"),
    [(11, 1e-4, ["widths: "]), (100, 0.5, ["scale: "]), (3, 1.0, ["widths: ", "scale: "])],
)
def test_theorem_2_says_nothing_about_small_inputs_or_large_starts(d_0, scale, words):
    problem = dln.TargetMatrix(np.ones((1, d_0)))
    found = theory.balanced_start_certificate((d_0, 2, 1), scale, problem)
    assert (found.holds, found.probability) == (False, 0.0)
    assert math.isnan(found.learning_rate_allowed)
    assert [reason[: len(w)] for reason, w in zip(found.reasons, words, strict=True)] == words
    with pytest.raises(ValueError, match="no rate is covered"):
        found.steps(1e-9, 1e-3)
    assert "does not apply because" in str(found)


def test_theorem_2_begins_to_say_something_where_its_reasons_end():
    problem = dln.TargetMatrix(np.full((1, 100), 0.1))
    limit = scipy.stats.norm.ppf(0.75) / np.sqrt(8) / 100
    below, above = (
        theory.balanced_start_certificate((100, 1), limit * f, problem) for f in (0.999, 1.001)
    )
    assert (below.holds, above.holds) == (True, False)
    assert 0 < below.probability < 1e-2


def test_theorem_2_needs_one_output_and_a_target():
    with pytest.raises(ValueError, match=r"widths: expected d_N = 1, got 2: .*does not apply"):
        theory.balanced_start_certificate((20, 2), 0.1, dln.TargetMatrix(np.ones((2, 20))))
    with pytest.raises(ValueError, match="widths: expected an end-to-end"):
        theory.balanced_start_certificate((19, 1), 0.1, dln.TargetMatrix(np.ones((1, 20))))
    for scale in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="scale: expected"):
            theory.balanced_start_certificate((20, 1), scale, dln.TargetMatrix(np.ones((1, 20))))
    zero = theory.balanced_start_certificate((20, 1), 0.1, dln.TargetMatrix(np.zeros((1, 20))))
    assert not zero.holds
    assert "zero target" in zero.reasons[0]


@pytest.mark.parametrize("sizes", [(3, 4, 2), (6, 6, 6, 6), (1, 1, 1)])
@pytest.mark.parametrize("std", [0.02, 0.2])
def test_claim_2_promises_no_more_than_the_draws_keep(sizes, std):
    delta = std**2 * np.sqrt(12 * (len(sizes) - 1) * max(sizes) ** 3)
    bound = theory.balanced_probability(sizes, std, delta)
    assert bound == pytest.approx(1 - 10 / 12, rel=1e-12)
    share = np.mean(
        [
            dln.metrics.balancedness(dln.init.gaussian(sizes, std=std, rng=seed)) <= delta
            for seed in range(200)
        ]
    )
    assert share >= bound


def test_claim_2_at_its_ends():
    assert theory.balanced_probability((4, 4, 4), 1.0, 0.1) == 0.0
    assert theory.balanced_probability((4, 4, 4), 0.0, 0.1) == 1.0
    assert theory.balanced_probability((4, 4, 4), 1e200, 1e-200) == 0.0
    with pytest.raises(ValueError, match="balancedness: expected"):
        theory.balanced_probability((4, 4), 1.0, 0.0)
    with pytest.raises(ValueError, match="std: expected"):
        theory.balanced_probability((4, 4), -1.0, 1.0)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_regression_whose_squares_leave_the_range(scale):
    inputs = scale * np.eye(3)
    with pytest.raises(ValueError, match=r"does not apply because .* range of float64"):
        dln.theory.certificate([np.eye(3)], dln.Regression(inputs, np.eye(3)))
