"""Compressed runs against runs in full coordinates."""

import numpy as np
import pytest
from compressed_pairs import ENDS, METHODS, assert_agree, both, low_rank, regression, start, target
from helpers import assert_same_run
from hypothesis import given, settings
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet.bases import counted_widths

HIDDEN = {
    (4, 30, 3): "d_1 30 -> 7",
    (4, 40, 9, 2): "d_1 40 -> 13",
    (3, 20, 4, 30, 2): "d_1 20 -> 7, d_3 30 -> 6",
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("widths", ENDS, ids=str)
def test_a_target_matrix_needs_few_inputs_and_outputs(widths, method):
    compressed, full = both(target(widths), start(widths), method)
    assert compressed.data.attrs["exact_algebra"] == ENDS[widths]
    assert compressed.widths == widths
    assert_agree(compressed, full)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("n_samples", [7, 200])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_squared_regression_needs_what_its_data_spans(method, n_samples, reduction):
    widths = (20, 3, 18)
    problem = regression(widths, n_samples, reduction)
    compressed, full = both(problem, start(widths), method)
    assert compressed.data.attrs["exact_algebra"].endswith("d_0 20 -> 5, d_2 18 -> 5")
    assert_agree(compressed, full)


def test_regression_on_noise_keeps_the_constant_of_its_loss():
    rng = np.random.default_rng(5)
    inputs = rng.standard_normal((50, 3))
    outputs = rng.standard_normal((50, 40))
    problem = dln.Regression(inputs, outputs, ground_truth=rng.standard_normal((40, 3)))
    compressed, full = both(problem, start((3, 2, 40)), dln.GradientDescent(0.1))
    assert compressed.data.attrs["exact_algebra"] == "sufficient statistics; d_2 40 -> 5"
    assert_agree(compressed, full)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("widths", HIDDEN, ids=str)
@pytest.mark.parametrize("kind", ["target", "regression", "quartic", "classes", "entries", "user"])
def test_hidden_widths_are_cut_for_every_problem(kind, widths, method):
    problem = hidden_problem(kind, widths)
    compressed, full = both(problem, start(widths), method)
    assert compressed.data.attrs["exact_algebra"].endswith(HIDDEN[widths])
    assert_agree(compressed, full)


def hidden_problem(kind, widths):
    rng = np.random.default_rng(7)
    shape = (widths[-1], widths[0])
    truth = rng.standard_normal(shape) / 2
    inputs = rng.standard_normal((30, widths[0]))
    outputs = inputs @ truth.T + 0.1 * rng.standard_normal((30, widths[-1]))
    if kind == "target":
        return dln.TargetMatrix(truth)
    if kind == "regression":
        return dln.Regression(inputs, outputs)
    if kind == "quartic":
        return dln.Regression(inputs, outputs, power=4)
    if kind == "classes":
        return dln.Classification(inputs, np.arange(30) % widths[-1])
    if kind == "entries":
        shown = np.arange(truth.size) % 3 > 0
        rows, columns = np.unravel_index(np.flatnonzero(shown), shape)
        held_out = (*np.unravel_index(np.flatnonzero(~shown), shape), truth.ravel()[~shown])
        return dln.MatrixCompletion(
            shape, rows, columns, truth.ravel()[shown], held_out=held_out, ground_truth=truth
        )
    return dln.EndToEndLoss(
        lambda matrix: (float(np.sum(np.cosh(matrix - truth) - 1)), np.sinh(matrix - truth)), shape
    )


def test_sensing_keeps_input_and_output():
    rng = np.random.default_rng(8)
    problem = dln.MatrixSensing(rng.standard_normal((9, 3, 4)), rng.standard_normal(9))
    compressed, full = both(problem, start((4, 30, 3)), dln.GradientDescent(0.02))
    assert compressed.data.attrs["exact_algebra"] == "d_1 30 -> 7"
    assert_agree(compressed, full)


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=5).map(tuple),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(METHODS)),
)
def test_any_shape_and_rank_agree(widths, rank, seed, name):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((widths[-1], rank)), rng.standard_normal((rank, widths[0]))
    matrix = factors[0] @ factors[1]
    matrix /= max(1.0, np.linalg.norm(matrix, 2))
    compressed, full = both(
        dln.TargetMatrix(matrix), start(widths, seed=seed), METHODS[name], n_steps=300
    )
    assert_agree(compressed, full)
    if compressed.state.compression is not None:
        rank = min(rank, *matrix.shape)
        assert compressed.state.compression.core_widths == counted_widths(widths, (rank, rank))


def test_counts_are_cut_until_nothing_more_goes():
    assert counted_widths((4, 40, 9, 2), (None, None)) == (4, 13, 9, 2)
    assert counted_widths((3, 50, 100, 4), (None, None)) == (3, 50, 54, 4)
    assert counted_widths((30, 100, 3), (2, 1)) == (30, 33, 3)
    assert counted_widths((100, 10, 10, 100), (5, 5)) == (15, 10, 10, 15)
    assert counted_widths((100, 4), (1, 1)) == (5, 4)


@pytest.mark.parametrize("widths", [(20, 3, 20), (4, 30, 3)], ids=str)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_single_precision(widths, method):
    compressed, full = both(target(widths), start(widths, np.float32), method, n_steps=300)
    assert compressed.weights[0].dtype == np.float32
    # A step loses about (d + 1) eps / 2 at random; descent contracts what was lost before, with
    # a memory of 1 / (rate * singular value of about 1/2) = 40 steps: 7 * 21 eps / 2 and a factor
    # of 2 for either run.
    assert_agree(compressed, full, 4 * 7 * 21 / 2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("n_samples", [7, 30])
@pytest.mark.parametrize("widths", [(20, 3, 18), (4, 30, 3)], ids=str)
def test_mini_batches(widths, n_samples):
    problem = regression(widths, n_samples)
    method = dln.GradientDescent(0.05, batch_size=4)
    compressed, full = both(problem, start(widths), method, rng=9)
    assert "->" in compressed.data.attrs["exact_algebra"]
    assert_agree(compressed, full)


def test_batches_see_outputs_that_the_statistics_do_not():
    # Q^T Y has rank 3, the raw outputs that batches are drawn from have rank 6.
    rng = np.random.default_rng(10)
    outputs = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 40)) / 5
    problem = dln.Regression(rng.standard_normal((50, 3)), outputs)
    method = dln.GradientDescent(0.02, batch_size=10)
    compressed, full = both(problem, start((3, 2, 40)), method, rng=11)
    assert compressed.data.attrs["exact_algebra"] == "sufficient statistics; d_2 40 -> 8"
    assert_agree(compressed, full)


@pytest.mark.parametrize(
    "method", [dln.Adam(), dln.RMSprop(), dln.AdaGrad(), dln.AdaDelta()], ids=lambda m: m._kind
)
def test_methods_by_entries_stay_in_full_coordinates(method):
    compressed, full = both(target((20, 3, 20)), start((20, 3, 20)), method, n_steps=5)
    assert compressed.data.attrs["exact_algebra"] == "none"
    assert_same_run(compressed, full)


@pytest.mark.parametrize("kind", ["quartic", "classes", "entries", "user"])
def test_other_losses_keep_input_and_output(kind):
    widths = (20, 2, 20)
    compressed, full = both(hidden_problem(kind, widths), start(widths), METHODS["descent"], 5)
    assert compressed.data.attrs["exact_algebra"] == "none"
    assert_same_run(compressed, full)


def test_a_target_of_full_rank_and_small_savings_are_left_alone():
    rng = np.random.default_rng(12)
    for widths, rank in (((20, 3, 20), 18), ((6, 5, 6), 1), ((3, 7, 3), 1)):
        matrix = rng.standard_normal((widths[-1], rank)) @ rng.standard_normal((rank, widths[0]))
        run = dln.run(dln.TargetMatrix(matrix), start(widths), METHODS["descent"], n_steps=1)
        assert run.data.attrs["exact_algebra"] == "none"


@pytest.mark.parametrize(
    ("problem", "cut"),
    [
        (dln.TargetMatrix, "d_0 120 -> 2, d_2 120 -> 2"),
        (lambda m: dln.Regression(np.eye(120), m.T, reduction="sum"), "d_2 120 -> 2"),
    ],
    ids=["target", "regression"],
)
def test_what_is_cut_from_the_data_counts_in_the_loss(problem, cut):
    # Singular values of 5e-15 next to 1 may be cut at this size (120 eps = 2.7e-14).
    left, right = np.linalg.qr(np.random.default_rng(13).standard_normal((2, 120, 120)))[0]
    weights = [right[:1].copy(), left[:, :1].copy()]  # at the minimum up to the tail
    matrix = weights[1] @ weights[0] + 5e-15 * left[:, 5:10] @ right[5:10]
    run = dln.run(problem(matrix), weights, dln.GradientDescent(0.1), n_steps=0)
    assert run.data.attrs["exact_algebra"].endswith(cut)
    # Entries of the large part are about 1/120: their rounding is a hundredth of the tail.
    assert float(run.data["loss"][0]) == pytest.approx(5 * 0.5 * 25e-30, rel=0.05, abs=0.0)


def test_the_bound_on_the_loss_is_that_of_the_full_network():
    widths = (20, 3, 20)
    runs = both(
        target(widths), start(widths), METHODS["descent"], stop=dln.Stop(loss=1e-5), n_steps=2000
    )
    assert [run.status for run in runs] == ["converged"] * 2
    assert runs[0].step == runs[1].step
    assert runs[0].data["loss"][-1] <= 1e-5


def test_divergence_and_huge_numbers():
    widths = (20, 3, 20)
    record = dln.Record(("loss", "singular_vectors", "layer_singular_values", "alignment"), every=1)
    for problem, dtype in ((target(widths), np.float64), (target(widths), np.float32)):
        runs = both(
            problem, start(widths, dtype), dln.GradientDescent(50.0), n_steps=100, record=record
        )
        assert [run.status for run in runs] == ["diverged"] * 2
        for name in ("left_singular_vector", "layer_singular_value", "alignment"):
            assert np.isnan(runs[0].data[name].values[-1]).all()
            assert np.isfinite(runs[0].data[name].values[0]).any()
    large = dln.run(
        dln.TargetMatrix(1e200 * low_rank((20, 20))), start(widths), METHODS["descent"], n_steps=3
    )
    assert (large.status, large.data.attrs["exact_algebra"]) == ("diverged", "none")


def test_a_rank_deficient_balanced_start_keeps_its_dynamics():
    # On the saddle's stable manifold: it is left by rounding alone, and rounding needs a direction.
    matrix = low_rank((20, 20), 14)
    left, _, right = np.linalg.svd(matrix)
    hidden = np.linalg.qr(np.random.default_rng(14).standard_normal((3, 3)))[0]
    first = hidden[:, :1] @ right[:1] * 0.5
    last = 0.5 * left[:, :1] @ hidden[:, :1].T
    run = dln.run(dln.TargetMatrix(matrix), [first, last], dln.GradientDescent(0.2), n_steps=5000)
    assert run.data.attrs["exact_algebra"] == "d_0 20 -> 5, d_2 20 -> 5"
    assert run.data["loss"][-1] < 1e-20


def test_by_rank_a_run_never_leaves_what_its_start_spans():
    left, right = np.linalg.qr(np.random.default_rng(15).standard_normal((2, 10, 10)))[0]
    problem = dln.TargetMatrix((left * [1.0, 0.5, *[0.0] * 8]) @ right)
    weights = dln.init.balanced_from(0.3 * left[:, :1] @ right[:1], (10, 10, 10))
    method = dln.GradientDescent(0.2)
    cut, full = (
        dln.run(problem, weights, method, n_steps=2000, exact_compression=wish)
        for wish in ("rank", True)
    )
    assert cut.data.attrs["exact_algebra"].endswith("d_1 10 -> 1, d_2 10 -> 2 (rank of the start)")
    assert cut.data["loss"][-1] == pytest.approx(0.125, rel=1e-6)  # the second value is not met
    assert full.data["loss"][-1] < 1e-20


def test_by_rank_is_exact_where_the_rank_stays():
    rng = np.random.default_rng(16)
    left, right = np.linalg.qr(rng.standard_normal((2, 12, 12)))[0]
    weights = dln.init.balanced_from(0.5 * left[:, :2] @ right[:2], (12, 12, 12, 12))
    problem = dln.TargetMatrix(low_rank((12, 12), 17))
    record = dln.Record(("end_to_end", "singular_values", "layer_singular_values"), every=50)
    cut, full = (
        dln.run(
            problem,
            weights,
            dln.GradientDescent(0.1),
            n_steps=300,
            record=record,
            exact_compression=wish,
        )
        for wish in ("rank", False)
    )
    assert "d_1 12 -> 2, d_2 12 -> 2" in cut.data.attrs["exact_algebra"]
    for name in ("end_to_end", "singular_value"):
        # What is left out of a layer is below (12 eps)^(1/3) = 1.4e-5; it tilts the bases, which
        # changes the product in second order.
        np.testing.assert_allclose(cut.data[name], full.data[name], rtol=0, atol=2e-10)
    spectra = cut.data["layer_singular_value"].values
    assert spectra.shape == (len(cut.data["step"]), 3, 12)
    np.testing.assert_array_equal(spectra[..., 8:], 0.0)
    np.testing.assert_allclose(spectra, full.data["layer_singular_value"], rtol=0, atol=5e-5)
