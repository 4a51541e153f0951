"""The end-to-end rule as a method: against its definition, and against networks."""

import itertools
import json

import mpmath
import numpy as np
import pytest
import reference
from cases import PROBLEM_KINDS, QUANTITIES, problem_case
from helpers import assert_close, assert_same_bits, assert_same_run, network, orthogonal

import pydlnet as dln
from pydlnet import theory

SHAPES = [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (4, 4)]
OF_LAYERS = (
    "imbalance",
    "layer_norms",
    "layer_singular_values",
    "weights",
    "sharpness",
    "hessian_min",
)
# The others need a problem that knows more.
EVERYTHING = [
    name
    for name in QUANTITIES
    if name not in (*OF_LAYERS, "reconstruction_error", "held_out_error")
]


def linear(gradient):
    """Return a problem with the same gradient everywhere."""
    return dln.EndToEndLoss(lambda w: (float(np.vdot(w, gradient)), gradient), gradient.shape)


def one_step(matrix, gradient, depth, rate=1.0, weight_decay=0.0):
    """Return what a step of the method makes of a matrix."""
    method = dln.EndToEndDescent(rate, depth, weight_decay)
    return dln.run(linear(gradient), [matrix], method, n_steps=1).weights[0]


# -- One step against the definition --


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(2))
def test_a_step_is_that_of_powers_with_200_digits(shape, depth, seed):
    rng = np.random.default_rng(seed)
    matrix, gradient = rng.standard_normal((2, *shape))
    direction = reference.powers_as_written(matrix, gradient, depth)
    expected = (1.0 - 0.5 * 0.3 * depth) * matrix - 0.5 * direction
    actual = one_step(matrix, gradient, depth, rate=0.5, weight_decay=0.3)
    # A decomposition and four products of matrices of width 5, and depth powers.
    tolerance = 100 * np.finfo(float).eps * (np.abs(direction).max() + np.abs(matrix).max())
    np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=0.0)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 2, 3, 4], [2, 4, 6, 8], [1, 0, 1, 0]],  # rank 2
        [[1, 2, 1], [2, 4, 0], [3, 6, 1], [4, 8, 0]],  # rank 2, tall
        [[1, 1, 0], [1, -1, 0], [0, 0, 0]],  # two equal values and a zero
        [[2, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],  # rank 1
        [[0, 0, 0], [0, 0, 0]],
    ],
)
def test_a_step_from_singular_matrices(matrix, depth):
    """Where a power of what rounding leaves of a zero would count: (1e-16)^(2/5) = 4e-7."""
    matrix = np.array(matrix, dtype=float)
    gradient = np.random.default_rng(2).standard_normal(matrix.shape)
    expected = matrix - reference.powers_as_written(matrix, gradient, depth)
    # Squares of singular values up to 170, some ten operations each.
    np.testing.assert_allclose(one_step(matrix, gradient, depth), expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 50, 10**6])
@pytest.mark.parametrize("is_tall", [False, True])
def test_every_pair_of_singular_values_has_its_eigenvalue(depth, is_tall):
    """Equal, close to each other, far from each other and zero, on a diagonal, to rounding."""
    values = [3.0, 3.0, 3.0 * (1 - 1e-15), 3.0 * (1 - 1e-7), 1.0, 1e-5, 1e-12, 0.0]
    matrix = np.zeros((8, 9))
    np.fill_diagonal(matrix, values)
    gradient = np.ones((8, 9))
    if is_tall:
        matrix, gradient = matrix.T.copy(), gradient.T.copy()
    # The rule is linear in the rate: a rate so large that of W nothing is left but rounding.
    actual = -one_step(matrix, gradient, depth, rate=2.0**60) / 2.0**60
    if is_tall:
        actual = actual.T
    with mpmath.workdps(60):
        expected = [[float(eigenvalue(a, b, depth)) for b in [*values, 0.0]] for a in values]
    # Entries are sums over all vectors of the pair's subspaces, which share their eigenvalue only
    # to rounding; what is left of larger ones in smaller entries is absolute.
    scale = np.max(expected)
    np.testing.assert_allclose(actual, expected, rtol=3e-15, atol=1e-15 * scale)


def eigenvalue(a, b, depth):
    """Return the sum over j of a^(2(j-1)/N) b^(2(N-j)/N) with the digits of mpmath."""
    p, q = (mpmath.power(mpmath.mpf(x), mpmath.mpf(2) / depth) for x in (a, b))
    if p == q:
        return depth * p ** (depth - 1)
    return (p**depth - q**depth) / (p - q)


@pytest.mark.parametrize("shape", [(40, 33), (33, 40), (64, 64), (1, 200), (150, 90)])
@pytest.mark.parametrize("depth", [2, 6])
def test_wide_matrices(shape, depth):
    rng = np.random.default_rng(3)
    matrix, gradient = rng.standard_normal((2, *shape)) / np.sqrt(max(shape))
    expected = reference.end_to_end_step(matrix, gradient, 0.3, depth, 0.1)
    actual = one_step(matrix, gradient, depth, rate=0.3, weight_decay=0.1)
    # Rounding of decompositions grows with the root of the width.
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=2e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_in_single_precision_is_rounded_once(shape):
    """All of it is computed in double: half a unit of the last place."""
    rng = np.random.default_rng(4)
    matrix, gradient = rng.standard_normal((2, *shape)).astype(np.float32)
    actual = one_step(matrix, gradient.astype(float), 3, rate=0.25)
    exact = reference.end_to_end_step(matrix.astype(float), gradient.astype(float), 0.25, 3)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, exact, rtol=1.01 * 2.0**-24, atol=1e-14)


def test_scales_far_from_one():
    """A rule of degree 2 - 2/N in W: W = 2^k A goes as far as A with another rate."""
    matrix, gradient = np.random.default_rng(5).standard_normal((2, 4, 3))
    one = one_step(matrix, gradient, 2, rate=0.5)
    for exponent in (-400, 400):
        scale = 2.0**exponent
        np.testing.assert_allclose(
            one_step(scale * matrix, gradient, 2, rate=0.5) / scale, one, rtol=1e-13, atol=1e-14
        )


# -- Runs --


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("kind", PROBLEM_KINDS)
def test_runs_follow_the_definition(kind, depth):
    case = problem_case(kind, (3, 4))
    rates, decay = np.linspace(0.02, 0.005, 25) / depth, 0.1
    matrix = network((4, 3), seed=6)[0]
    method = dln.EndToEndDescent(rates, depth, weight_decay=decay)
    record = dln.Record(EVERYTHING, every=5)
    trajectory = dln.run(case.problem, [matrix], method, n_steps=25, record=record)
    for step in range(26):
        if step % 5 == 0:
            expected = reference.quantities([matrix], case.loss)
            for name in ("loss", "gradient_norm", "alignment", "end_to_end"):
                actual = trajectory.data[name].sel(step=step).values
                # 25 steps, each right to some hundred units of rounding.
                np.testing.assert_allclose(actual, expected[name], rtol=1e-10, atol=1e-11)
        if step < 25:
            gradient = case.loss(matrix)[1]
            matrix = reference.end_to_end_step(matrix, gradient, rates[step], depth, decay)
    np.testing.assert_allclose(trajectory.weights[0], matrix, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(trajectory.data["time"][-1], rates.sum(), rtol=1e-14)
    np.testing.assert_allclose(trajectory.data["learning_rate"][:5], rates[::5], rtol=1e-15)


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_at_depth_1_it_is_gradient_descent_bit_for_bit(kind, dtype, batch_size):
    if batch_size and kind in ("target", "user"):
        return  # they have no samples
    problem = problem_case(kind, (3, 4)).problem
    start = network((4, 3), seed=7, dtype=dtype)
    options = {"weight_decay": 0.2, "batch_size": batch_size}
    runs = [
        dln.run(problem, start, method, n_steps=20, record=dln.Record(EVERYTHING, every=4), rng=1)
        for method in (
            dln.EndToEndDescent(0.05, 1, **options),
            dln.GradientDescent(0.05, **options),
        )
    ]
    for name in runs[0].data.variables:
        assert_same_bits(runs[0].data[name].values, runs[1].data[name].values)
    assert_same_bits(runs[0].weights[0], runs[1].weights[0])


@pytest.mark.parametrize("kind", ["regression-2", "classification", "completion", "sensing"])
def test_a_mini_batch_of_everything_is_the_full_gradient(kind):
    problem, start = problem_case(kind, (3, 4)).problem, network((4, 3))
    full = dln.run(problem, start, dln.EndToEndDescent(0.02, 3), n_steps=10)
    method = dln.EndToEndDescent(0.02, 3, batch_size=problem.n_samples)
    batch = dln.run(problem, start, method, n_steps=10, rng=1)
    assert_close(batch.weights, full.weights, 1e-12)


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_continuing_saving_and_opening_keep_every_bit(tmp_path, batch_size, dtype):
    problem = problem_case("regression-2", (3, 4)).problem
    method = dln.EndToEndDescent(0.03, 4, weight_decay=0.01, batch_size=batch_size)
    record = dln.Record(["loss", "end_to_end", "singular_values"], every=3)
    start = network((4, 3), dtype=dtype)
    whole = dln.run(problem, start, method, n_steps=21, record=record, rng=5)
    part = dln.run(problem, start, method, n_steps=8, record=record, rng=5)
    part.save(tmp_path / "part.nc")
    opened = dln.open(tmp_path / "part.nc")
    assert opened.method == method
    assert_same_run(dln.run(problem, part, n_steps=13), whole)
    assert_same_run(dln.run(problem, opened, n_steps=13), whole)


def test_the_schedule_of_records_changes_no_bit():
    problem = problem_case("target", (5, 5)).problem
    start, method = network((5, 5)), dln.EndToEndDescent(0.1, 3)
    often = dln.run(problem, start, method, n_steps=30, record=dln.Record(EVERYTHING, every=1))
    rarely = dln.run(problem, start, method, n_steps=30)
    assert_same_bits(often.weights[0], rarely.weights[0])


@pytest.mark.parametrize("shape", [(3, 4), (6, 6)])
@pytest.mark.parametrize("kind", ["target", "completion"])
def test_members_of_ensembles_are_single_runs_in_any_company(shape, kind):
    depths = [1, 2, 3, 2, 7, 1]
    problems = [problem_case(kind, shape, seed=seed).problem for seed in range(6)]
    starts = [network(shape[::-1], seed=seed) for seed in range(6)]
    methods = [dln.EndToEndDescent(0.1 / (depth + k), depth) for k, depth in enumerate(depths)]
    together = dln.run_ensemble(problems, starts, methods, n_steps=30, threads=2)
    for k in range(6):
        single = dln.run(problems[k], starts[k], methods[k], n_steps=30)
        assert_close(together.weights[k], single.weights, 1e-12)
        alone = dln.run_ensemble(problems[k], starts[k], methods[k], n_steps=30)
        assert_same_bits(together.weights[k][0], alone.weights[0][0])


@pytest.mark.parametrize("shape", [(40, 3), (3, 40)])
@pytest.mark.parametrize("depth", [2, 3])
def test_fewer_coordinates_give_the_same_run(shape, depth):
    rng = np.random.default_rng(8)
    target = rng.standard_normal((shape[0], 1)) @ rng.standard_normal((1, shape[1])) / 6
    problem, start = dln.TargetMatrix(target), network(shape[::-1], seed=9)
    method = dln.EndToEndDescent(0.05, depth, weight_decay=0.02)
    record = dln.Record(EVERYTHING, every=10)
    short, full = (
        dln.run(problem, start, method, n_steps=50, record=record, exact_compression=wish)
        for wish in (True, False)
    )
    assert short.data.attrs["exact_algebra"] != full.data.attrs["exact_algebra"] == "none"
    assert_close(short.weights, full.weights, 1e-12)
    for name in ("loss", "gradient_norm", "singular_value", "end_to_end"):
        expected = full.data[name].values
        size = np.abs(expected).max()
        np.testing.assert_allclose(short.data[name], expected, rtol=1e-9, atol=1e-12 * size)


def test_zero_stays_where_it_is():
    problem = dln.TargetMatrix(np.ones((3, 2)))
    for depth, loss in ((1, 0.0), (2, 3.0), (5, 3.0)):
        method = dln.EndToEndDescent(1.0, depth)
        trajectory = dln.run(problem, [np.zeros((3, 2))], method, n_steps=5)
        assert trajectory.data["loss"][-1] == loss


def test_what_the_loss_does_not_see_may_not_hang_the_decomposition():
    """Entry (1, 1) is not observed: it overflows while the loss is finite."""
    problem = dln.MatrixCompletion((2, 2), [0], [1], [0.0])
    start = np.array([[1e300, 1e100], [0.0, 1.0]])
    trajectory = dln.run(problem, [start], dln.EndToEndDescent(1.0, 2), n_steps=10)
    assert trajectory.status == "diverged"


def test_divergence_is_a_status():
    problem = dln.TargetMatrix(np.eye(3))
    trajectory = dln.run(problem, [2.0 * np.eye(3)], dln.EndToEndDescent(10.0, 3), n_steps=100)
    assert trajectory.status == "diverged"
    assert not np.isfinite(trajectory.data["loss"][-1])


# -- Networks --


def test_theorem_1_networks_come_to_lie_on_the_curve_as_the_rate_falls():
    """At equal times the distance is of first order in the rate, whatever the hidden widths."""
    problem = dln.TargetMatrix(np.random.default_rng(10).standard_normal((3, 4)))
    matrix = network((4, 3), seed=11)[0]
    for widths in ((4, 3, 3), (4, 5, 7, 3), (4, 4, 3, 3, 3)):
        start = dln.init.balanced_from(matrix, widths)
        gaps = []
        for rate in (4e-3, 2e-3, 1e-3):
            steps = round(1.0 / rate)
            net = dln.run(problem, start, dln.GradientDescent(rate), n_steps=steps)
            rule = dln.run(problem, [matrix], dln.EndToEndDescent(rate, len(start)), n_steps=steps)
            gaps.append(np.linalg.norm(dln.chain.product(net.weights) - rule.weights[0]))
        assert 1e-6 < gaps[-1] < 1e-2
        ratios = [a / b for a, b in itertools.pairwise(gaps)]
        np.testing.assert_allclose(ratios, 2.0, rtol=0.05)


@pytest.mark.parametrize("power", [2, 4])
@pytest.mark.parametrize("depth", [2, 3])
def test_networks_of_width_1_lie_on_the_curve(power, depth):
    """Figure 1 of Arora, Cohen & Hazan 2018: one output, hidden layers of width 1."""
    rng = np.random.default_rng(12)
    inputs = rng.standard_normal((50, 6))
    problem = dln.Regression(inputs, inputs @ rng.standard_normal((6, 1)), power=power)
    matrix = 0.1 * rng.standard_normal((1, 6))
    start = dln.init.balanced_from(matrix, (6, *[1] * (depth - 1), 1))
    rate, n_steps = 2e-4, 20_000
    record = dln.Record("loss", every=200)
    net = dln.run(problem, start, dln.GradientDescent(rate), n_steps=n_steps, record=record)
    rule = dln.run(
        problem, [matrix], dln.EndToEndDescent(rate, depth), n_steps=n_steps, record=record
    )
    assert net.data["loss"][-1] < 0.05 * net.data["loss"][0]
    # Distances of the order of the rate, as the test above has it, in the curves as well.
    np.testing.assert_allclose(rule.data["loss"], net.data["loss"], rtol=0.02)


def test_a_step_is_one_of_the_velocity():
    rng = np.random.default_rng(13)
    for shape in SHAPES:
        matrix, gradient = rng.standard_normal((2, *shape))
        velocity = theory.end_to_end_velocity(matrix, gradient, 3, weight_decay=0.2)
        actual = one_step(matrix, gradient, 3, rate=0.5, weight_decay=0.2)
        np.testing.assert_allclose(actual, matrix + 0.5 * velocity, rtol=0.0, atol=1e-14)


def test_singular_values_move_as_those_of_depth_n():
    """Theorem 3 of Arora et al. 2019 is about the layers that W stands for, not about one."""
    values, target = np.array([1.0, 0.5, 0.2]), np.array([2.0, 0.1, 1.0])
    left, right = orthogonal(3, 1), orthogonal(4, 2)[:, :3]
    problem = dln.TargetMatrix((left * target) @ right.T)
    record = dln.Record(["singular_values", "alignment"], every=1)
    trajectory = dln.run(
        problem,
        [(left * values) @ right.T],
        dln.EndToEndDescent(1e-5, 3),
        n_steps=1,
        record=record,
    )
    data = theory.compare_singular_values(trajectory)
    expected = -3 * values ** (4 / 3) * (values - target)
    np.testing.assert_allclose(data["singular_value_velocity"][0], expected, rtol=1e-12)
    # An Euler step differs from the flow by the square of the rate.
    np.testing.assert_allclose(data["singular_value_gap"][1], 0.0, atol=1e-8)


# -- Descriptions and errors --


def test_it_is_described_by_its_fields():
    method = dln.EndToEndDescent([0.1, 0.2], 3, weight_decay=0.5)
    description = json.loads(json.dumps(method.to_dict()))
    assert description == {
        "kind": "EndToEndDescent",
        "learning_rate": [0.1, 0.2],
        "depth": 3,
        "weight_decay": 0.5,
        "batch_size": None,
    }
    assert dln.methods.method_from_dict(description) == method
    assert method != dln.EndToEndDescent([0.1, 0.2], 4, weight_decay=0.5)


PROBLEM = dln.TargetMatrix(np.eye(3))


@pytest.mark.parametrize("depth", [0, -1, 2.5, True, "3", None, np.inf])
def test_the_depth_is_a_positive_integer(depth):
    with pytest.raises((ValueError, TypeError), match="depth"):
        dln.EndToEndDescent(0.1, depth)


@pytest.mark.parametrize("depth", [1, 2])
def test_layers_are_refused(depth):
    method = dln.EndToEndDescent(0.1, depth)
    message = r"weights: expected one matrix, \[W\].*got 2 layers"
    with pytest.raises(ValueError, match=message):
        dln.run(PROBLEM, network((3, 3, 3)), method, n_steps=1)
    with pytest.raises(ValueError, match=message):
        dln.run_ensemble(PROBLEM, network((3, 3, 3)), method, n_steps=1)


@pytest.mark.parametrize("name", OF_LAYERS)
def test_quantities_of_layers_are_refused(name):
    method, record = dln.EndToEndDescent(0.1, 2), dln.Record(["loss", name])
    with pytest.raises(ValueError, match=f"record: .*got '{name}'"):
        dln.run(PROBLEM, network((3, 3)), method, n_steps=1, record=record)
    with pytest.raises(ValueError, match=f"record: .*got '{name}'"):
        dln.run_ensemble(PROBLEM, network((3, 3)), method, n_steps=1, record=record)
