"""Facts of Arora, Cohen, Hu & Luo 2019 (arXiv:1905.13655) and its neighbours.

The velocity of singular values and vectors, closed trajectories of aligned modes, low rank from
small starts.
"""

import itertools

import numpy as np
import pytest
import reference
from helpers import orthogonal
from hypothesis import given
from strategies import seeds, widths

import pydlnet as dln

pytestmark = pytest.mark.facts


# -- Theorem 3: the velocity of singular values --


@pytest.mark.parametrize("sizes", [(4, 4), (4, 4, 4), (5, 4, 6, 3), (3, 3, 3, 3, 5)])
def test_theorem_3_singular_values_move_at_the_stated_velocity(sizes):
    """d sigma_r / dt = -N sigma_r^(2-2/N) <grad, u_r v_r^T>; first order in the rate."""
    depth = len(sizes) - 1
    problem = dln.TargetMatrix(np.random.default_rng(1).standard_normal((sizes[-1], sizes[0])))
    start = dln.init.balanced(sizes, 0.8, 2)
    left, values, right = np.linalg.svd(reference.product(start), full_matrices=False)
    _, gradient = problem.value_and_gradient(reference.product(start))
    overlap = np.einsum("ir,ij,rj->r", left, gradient, right)
    velocity = -depth * values ** (2 - 2 / depth) * overlap

    def error(rate):
        after = reference.singular_values(reference.product(dln.chain.step(start, problem, rate)))
        return np.abs((after - values) / rate - velocity).max()

    errors = [error(rate) for rate in (4e-5, 2e-5, 1e-5)]
    assert errors[-1] < 1e-3
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.05)


def test_theorem_3_alignment_is_the_recorded_velocity():
    """Finite differences of the recorded values against the recorded alignment."""
    start = dln.init.balanced((5, 4, 4, 4), 0.5, 3)
    problem = dln.TargetMatrix(np.random.default_rng(4).standard_normal((4, 5)))
    rate = 1e-5
    data = dln.run(
        problem,
        start,
        dln.GradientDescent(rate),
        n_steps=1000,
        record=dln.Record(["singular_values", "alignment"], every=1),
    ).data
    values, alignment = data["singular_value"].values, data["alignment"].values
    velocity = -3 * values ** (2 - 2 / 3) * alignment
    differences = (values[2:] - values[:-2]) / (2 * rate)
    # First order in the rate, with velocities up to 17 and accelerations of some hundred.
    np.testing.assert_allclose(differences, velocity[1:-1], atol=3e-3)


@given(widths(min_depth=3, max_depth=4, max_width=4), seeds)
def test_singular_values_do_not_cross_zero_at_depth_3(sizes, seed):
    """From a balanced start with det > 0 the determinant stays positive."""
    size = min(sizes)
    target = np.random.default_rng(seed).standard_normal((size, size))
    start = dln.init.balanced_from(0.3 * np.eye(size), (size,) * len(sizes))
    data = dln.run(
        dln.TargetMatrix(target),
        start,
        dln.GradientDescent(1e-3),
        n_steps=2000,
        record=dln.Record("end_to_end", every=200),
    ).data
    assert np.all(np.linalg.det(data["end_to_end"].values) > 0)


# -- Aligned modes: closed forms --


def aligned_modes(depth, targets, initial, rate, steps):
    """Return the modes of a diagonal network at the given steps."""
    start = dln.init.balanced_from(np.diag(initial), (len(targets),) * (depth + 1))
    return dln.run(
        dln.TargetMatrix(np.diag(targets)),
        start,
        dln.GradientDescent(rate),
        n_steps=steps[-1],
        record=dln.Record("end_to_end", steps=steps),
    ).data["end_to_end"]


def test_saxe_two_layers_follow_the_sigmoid():
    """u(t) = s e^(2st) / (e^(2st) - 1 + s / u_0); s = 2, u_0 = 0.01, t = 0.7 gives 0.1526577."""
    targets, initial = np.array([3.0, 2.0, 1.0]), np.array([0.01, 0.01, 0.02])

    def error(rate):
        steps = np.round(np.linspace(0, 3, 13) / rate).astype(int)
        modes = aligned_modes(2, targets, initial, rate, steps).values
        modes = np.einsum("trr->tr", modes)
        grown = np.exp(2 * targets * (steps * rate)[:, None])
        expected = targets * grown / (grown - 1 + targets / initial)
        return np.abs(modes - expected).max()

    errors = [error(rate) for rate in (2e-3, 1e-3, 5e-4)]
    assert errors[-1] < 5e-3
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.05)


def test_saxe_sample():
    modes = aligned_modes(2, [2.0], [0.01], 1e-5, [70_000])
    assert float(modes[-1, 0, 0]) == pytest.approx(0.1526577, rel=1e-4)


def test_gidel_modes_appear_one_after_the_other():
    """Layers e^-d, d = 30: mode i is near 0 at time 0.9 d / s_i and near s_i at 1.1 d / s_i."""
    delta, rate = 30, 1e-3
    for sigma, before, after in [(3.0, 0.0025 * 3, 2.978), (1.0, 0.0025, 0.9975)]:
        steps = [round(f * delta / sigma / rate) for f in (0.9, 1.1)]
        modes = aligned_modes(2, [sigma], [np.exp(-2 * delta)], rate, steps)
        closed = [
            sigma / (1 + (sigma * np.exp(2 * delta) - 1) * np.exp(-2 * sigma * t * rate))
            for t in steps
        ]
        assert closed[0] < 2 * before
        assert closed[1] == pytest.approx(after, rel=1e-3)
        # The rate delays the rise by a share of rate * sigma, which the exponential shows.
        assert float(modes.sel(step=steps[0])[0, 0]) == pytest.approx(closed[0], rel=0.2)
        assert float(modes.sel(step=steps[1])[0, 0]) == pytest.approx(closed[1], rel=2e-3)


@pytest.mark.parametrize(("depth", "scale", "time"), [(3, 1e-3, 999.15), (4, 1e-2, 4999.7)])
def test_chou_escape_times(depth, scale, time):
    """W_j(0) = a I escapes at about 1 / ((N-2) a^(N-2)), by quadrature 999.15 and 4999.7."""
    rate = 0.02
    end_to_end = aligned_modes(
        depth, [1.0], [scale**depth], rate, [round(f * time / rate) for f in (0.99, 1.02)]
    )
    assert float(end_to_end[-2, 0, 0]) < 0.01
    assert float(end_to_end[-1, 0, 0]) > 0.9


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_chou_symmetric_targets_reduce_to_their_eigenvalues(depth):
    """d <- d - rate d^(N-1) (d^N - lambda), with a negative eigenvalue going to zero."""
    eigenvalues = np.array([2.0, 0.7, -0.6])
    basis = orthogonal(3, seed=5)
    target = (basis * eigenvalues) @ basis.T
    trajectory = dln.run(
        dln.TargetMatrix((target + target.T) / 2),
        dln.init.identity((3,) * (depth + 1), 0.2**depth),
        dln.GradientDescent(0.01),
        n_steps=500,
    )
    d = np.full(3, 0.2)
    for _ in range(500):
        d = d - 0.01 * d ** (depth - 1) * (d**depth - eigenvalues)
    for layer in trajectory.weights:
        np.testing.assert_allclose(layer, (basis * d) @ basis.T, atol=1e-10)


# -- Implicit bias --


def test_section_3_deeper_networks_separate_the_modes_more():
    """When the first of two modes is half way, the second lags the more the deeper the network."""
    lags = []
    for depth, n_steps in [(1, 200), (2, 2000), (3, 20_000), (4, 200_000)]:
        start = dln.init.balanced_from(0.01 * np.eye(2), (2,) * (depth + 1))
        data = dln.run(
            dln.TargetMatrix(np.diag([2.0, 1.0])),
            start,
            dln.GradientDescent(0.01),
            n_steps=n_steps,
            record=dln.Record("singular_values", steps=dln.log_spaced(2000)),
        ).data
        values = data["singular_value"].values
        half = int(np.argmax(values[:, 0] >= 1.0))
        assert values[half, 0] >= 1.0
        lags.append(values[half, 1] / values[half, 0])
    assert lags[0] == pytest.approx(0.5, abs=0.02)
    assert np.all(np.diff(lags) < 0)


@pytest.mark.parametrize(
    ("depth", "scale", "expected"),
    [(2, 1e-2, 1.5068), (2, 1e-4, 1.50145), (3, 1e-2, 1.5138), (3, 1e-4, 1.50068)],
)
def test_theorems_1_and_2_commuting_sensing_finds_the_least_nuclear_norm(depth, scale, expected):
    """A diagonal instance whose linear program has the optimum 1.5, approached as scale -> 0."""
    rows = np.array([[1, 0.2, 0.7, 0.4], [0.1, 1, 0.3, 0.9]])
    values = rows @ [0, 1, 0, 0.5]
    problem = dln.MatrixSensing([np.diag(r) for r in rows], values, reduction="sum")
    start = dln.init.identity((4,) * (depth + 1), scale)
    data = dln.run(
        problem,
        start,
        dln.GradientDescent(0.01),
        n_steps=200_000,
        stop=dln.Stop(loss=1e-20),
        record=dln.Record(["loss", "nuclear_norm"]),
    ).data
    assert data["loss"].values[-1] < 1e-10
    assert data["nuclear_norm"].values[-1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_section_2_depth_completes_a_low_rank_matrix():
    """20 x 20 of rank 2, half observed: depth 1 learns nothing elsewhere, depth 3 nearly all."""
    problem = dln.MatrixCompletion.synthetic((20, 20), rank=2, n_observed=200, rng=1)
    errors, ranks = [], []
    for depth in (1, 2, 3):
        data = dln.run(
            problem,
            dln.init.gaussian((20,) * (depth + 1), 1e-3, 2),
            dln.GroupRMSprop(2e-3),
            n_steps=40_000,
            stop=dln.Stop(loss=1e-7),
            record=dln.Record(["reconstruction_error", "effective_rank"]),
        ).data
        errors.append(float(data["reconstruction_error"][-1]))
        ranks.append(float(data["effective_rank"][-1]))
    assert errors[0] == pytest.approx(0.5, abs=0.15)
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 1e-2
    assert ranks[0] > 10
    assert ranks[2] < 2.5


def test_razin_cohen_norms_grow_beyond_the_bound_as_the_loss_falls():
    """Positive determinant, w_12 = w_21 = 1, w_22 = 0 observed:
    |w_11| >= (1 - sqrt(2 l))^2 / sqrt(2 l) wherever the loss l is below 1/2."""
    problem = dln.MatrixCompletion((2, 2), [0, 1, 1], [1, 0, 1], [1.0, 1.0, 0.0], reduction="sum")
    start = dln.init.balanced_from([[0.01, 0.003], [0.002, 0.008]], (2, 2, 2, 2))
    data = dln.run(
        problem,
        start,
        dln.GradientDescent(1e-2),
        n_steps=400_000,
        record=dln.Record(["loss", "end_to_end"]),
    ).data
    losses, matrices = data["loss"].values, data["end_to_end"].values
    assert np.all(np.linalg.det(matrices) > 0)
    low = losses < 0.5
    roots = np.sqrt(2 * losses[low])
    assert np.all(np.abs(matrices[low, 0, 0]) >= (1 - roots) ** 2 / roots)
    assert losses[-1] == pytest.approx(2.1e-4, rel=0.1)
    assert abs(matrices[-1, 0, 0]) == pytest.approx(48.7, rel=0.02)


# -- Orthogonal starts: the bulk never mixes --


def test_yaras_most_singular_values_follow_a_scalar_recursion():
    """d - 2r singular values of layer l equal rho_l, with its recursion in the decay."""
    size, rank, rate, decay = 12, 2, 0.02, 0.1
    scales = [0.3, 0.4, 0.5]
    rng = np.random.default_rng(7)
    target = rng.standard_normal((size, rank)) @ rng.standard_normal((rank, size)) / size
    start = [s * orthogonal(size, seed=i) for i, s in enumerate(scales)]
    trajectory = dln.run(
        dln.TargetMatrix(target),
        start,
        dln.GradientDescent(rate, weight_decay=decay),
        n_steps=300,
    )
    rho = np.array(scales)
    for _ in range(300):
        others = np.prod(rho**2) / rho**2
        rho = rho * (1 - rate * decay - rate * others)
    for layer, expected in zip(trajectory.weights, rho, strict=True):
        distances = np.sort(np.abs(reference.singular_values(layer) - expected))
        assert np.all(distances[: size - 2 * rank] < 1e-10)


def test_kwon_a_narrow_spectral_start_is_never_behind_the_wide_one():
    rng = np.random.default_rng(8)
    size, rank = 10, 2
    target = rng.standard_normal((size, rank)) @ rng.standard_normal((rank, size)) / np.sqrt(size)
    losses = [
        dln.run(
            dln.TargetMatrix(target),
            start,
            dln.GradientDescent(0.02),
            n_steps=1500,
            record=dln.Record(every=1),
        )
        .data["loss"]
        .values
        for start in (
            dln.init.spectral(target, (size, rank, rank, size), 1e-3),
            dln.init.orthogonal((size,) * 4, 1e-3, 9),
        )
    ]
    assert np.all(losses[0] <= losses[1] * (1 + 1e-12))
    assert losses[0][-1] < 1e-6
