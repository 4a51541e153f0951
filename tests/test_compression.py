"""Compressed runs against runs in full coordinates."""

import numpy as np
import pytest
from cases import QUANTITIES
from helpers import assert_same_bits, assert_same_run, network
from hypothesis import given, settings
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet import _core
from pydlnet.bases import counted_widths

# The others need a problem that knows more.
EVERYTHING = tuple(
    name for name in QUANTITIES if name not in ("reconstruction_error", "held_out_error")
)
METHODS = {
    "descent": dln.GradientDescent(0.05),
    "descent with decay": dln.GradientDescent(0.05, weight_decay=0.02),
    "momentum": dln.Momentum(0.02, 0.8),
    "Nesterov with decay": dln.Momentum(0.02, 0.8, nesterov=True, weight_decay=0.02),
    # The large epsilon keeps the rate below the limit of stability where gradients vanish.
    "group": dln.GroupRMSprop(0.02, epsilon=1.0),
    "group with decay": dln.GroupRMSprop(0.02, epsilon=1.0, weight_decay=0.02),
}
# Wide, tall and bottleneck, hidden widths in excess, depth 1 to 4; the rank of the data is 2.
ENDS = {
    (30, 4): "d_0 30 -> 6",
    (4, 30): "d_1 30 -> 6",
    (20, 3, 20): "d_0 20 -> 5, d_2 20 -> 5",
    (25, 3, 4): "d_0 25 -> 5",
    (24, 3, 4, 24): "d_0 24 -> 5, d_3 24 -> 6",
    (18, 4, 3, 4, 20): "d_0 18 -> 6, d_4 20 -> 6",
    (40, 9, 3, 4): "d_0 40 -> 11",
    (30, 12, 2, 5): "d_0 30 -> 14, d_3 5 -> 4",
}
HIDDEN = {
    (4, 30, 3): "d_1 30 -> 7",
    (4, 40, 9, 2): "d_1 40 -> 13",
    (3, 20, 4, 30, 2): "d_1 20 -> 7, d_3 30 -> 6",
}


def low_rank(shape, seed=0, size=1.0):
    """Return a matrix of rank 2 with singular values `size` and half of that."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.standard_normal((shape[0], 2)))
    right, _ = np.linalg.qr(rng.standard_normal((shape[1], 2)))
    return size * (left * [1.0, 0.5]) @ right.T


def target(widths):
    return dln.TargetMatrix(low_rank((widths[-1], widths[0])))


def regression(widths, n_samples, reduction="mean"):
    """Return a problem whose inputs and outputs both have rank 2."""
    truth = low_rank((widths[-1], widths[0]), 1, 1.5)
    latent = np.random.default_rng(2).standard_normal((n_samples, 2))
    inputs = latent @ np.linalg.svd(truth)[2][:2]
    if reduction == "sum":
        inputs /= np.sqrt(n_samples)
    return dln.Regression(inputs, inputs @ truth.T, reduction=reduction, ground_truth=truth + 0.1)


def start(widths, dtype=np.float64, seed=3):
    return network(widths, seed, 0.7, dtype)


def both(problem, weights, method, n_steps=2000, quantities=EVERYTHING, **kwargs):
    """Return a compressed run and one in full coordinates."""
    if problem.ground_truth is not None:
        quantities = (*quantities, "reconstruction_error")
    if problem.held_out is not None:
        quantities = (*quantities, "held_out_error")
    record = kwargs.pop("record", dln.Record(quantities, steps=[1, 10, 100, 700, 1300]))
    return [
        dln.run(
            problem,
            weights,
            method,
            n_steps=n_steps,
            record=record,
            exact_compression=wish,
            **kwargs,
        )
        for wish in (True, False)
    ]


def assert_agree(actual, expected, tolerance=1e-12):
    """Compare every record, and the layers."""
    assert "->" not in expected.data.attrs["exact_algebra"]
    assert actual.status == expected.status == "finished"
    assert set(actual.data.variables) == set(expected.data.variables)
    size = float(abs(expected.data["end_to_end"]).max()) + 1.0  # the targets' size is about 1
    for name, values in expected.data.variables.items():
        found, wanted = actual.data[name].values, values.values
        assert found.shape == wanted.shape, name
        assert found.dtype == wanted.dtype, name
        assert actual.data[name].dims == expected.data[name].dims
        if name in ("left_singular_vector", "right_singular_vector", "alignment"):
            continue  # see assert_modes_agree
        if name in ("loss", "reconstruction_error", "held_out_error"):
            # Squares of residuals that rounding moves by a share of the matrices.
            moved = 0.1 * tolerance * size
            bound = tolerance * wanted + 2 * moved * np.sqrt(2 * wanted) + moved**2
        elif name == "gradient_norm":
            bound = tolerance * size * (1.0 + np.abs(wanted))
        elif name in ("effective_rank", "stable_rank"):
            values = expected.data["singular_value"].values[:, 0]  # they compare with the largest
            bound = tolerance * wanted * (1.0 + 1.0 / values)
        else:
            bound = np.full(wanted.shape, tolerance * np.nanmax(np.abs(wanted), initial=0.0))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted), err_msg=name)
        difference = np.nan_to_num(np.abs(found.astype(np.float64) - wanted))
        assert np.all(difference <= np.nan_to_num(bound)), (name, np.max(difference / bound))
    layers = zip(actual.weights, expected.weights, strict=True)
    for j, (found, wanted) in enumerate(layers, start=1):
        # Against the whole history: momentum takes layers through zero.
        largest = np.max(np.abs(expected.data[f"W{j}"].values))
        assert np.max(np.abs(found - wanted)) <= tolerance * largest
    assert_modes_agree(actual, expected, 1e3 * tolerance)


def assert_modes_agree(actual, expected, tolerance):
    """Compare singular vectors of values that stand alone; the others span the rest."""
    for step in range(actual.data.sizes["step"]):
        found, wanted = actual.data.isel(step=step), expected.data.isel(step=step)
        values = wanted["singular_value"].values
        distance = np.abs(values[:, None] - values) + np.diag(np.full(len(values), np.inf))
        alone = np.min(distance, axis=1, initial=np.inf) > 0.02 * values[0]
        alone &= values > 0.02 * values[0]  # the others are one another's rotations
        tolerance_here = tolerance * max(1.0, 1.0 / max(values[0], 1e-300))
        np.testing.assert_allclose(
            found["alignment"][alone], wanted["alignment"][alone], rtol=0, atol=tolerance_here
        )
        for name in ("left_singular_vector", "right_singular_vector"):
            vectors = found[name].values
            gram = vectors.T @ vectors
            np.testing.assert_allclose(gram, np.eye(len(values)), rtol=0, atol=1e-13)
            np.testing.assert_allclose(
                vectors[:, alone], wanted[name].values[:, alone], rtol=0, atol=tolerance_here
            )
        left, right = (found[f"{side}_singular_vector"].values for side in ("left", "right"))
        image = (left * found["singular_value"].values) @ right.T
        difference = np.max(np.abs(image - found["end_to_end"].values))
        assert difference <= tolerance * values[0]
        tops = np.take_along_axis(left, np.argmax(np.abs(left), axis=0)[None], axis=0)
        assert np.all(tops > 0.0)


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


@pytest.mark.parametrize("wish", [True, "rank"])
@pytest.mark.parametrize("suffix", [None, ".nc", ".zarr"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_continuing_is_bit_for_bit(tmp_path, method, suffix, wish):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    widths = (24, 3, 20, 2, 24)
    record = dln.Record(EVERYTHING, every=10)
    problem = target(widths)

    def go(weights, n_steps, **kwargs):
        return dln.run(problem, weights, method, n_steps=n_steps, record=record, **kwargs)

    whole = go(start(widths), 60, exact_compression=wish)
    part = go(start(widths), 25, exact_compression=wish)
    if suffix:
        part.save(tmp_path / f"part{suffix}")
        part = dln.open(tmp_path / f"part{suffix}")
    continued = go(part, 35)
    assert "d_0 24 -> 5, d_2 20 -> 5" in whole.data.attrs["exact_algebra"]
    assert continued.state.compression.by_rank == (wish == "rank")
    assert_same_run(continued, whole)
    for found, wanted in zip(continued.state.layers, whole.state.layers, strict=True):
        assert_same_bits(found, wanted)


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("n_samples", [7, 200])
def test_regression_continues_bit_for_bit(tmp_path, n_samples, batch_size):
    problem = regression((20, 3, 18), n_samples)
    method = dln.Momentum(0.02, 0.8, batch_size=batch_size)
    record = dln.Record((*EVERYTHING, "reconstruction_error"), every=10)
    whole, part = (
        dln.run(problem, start((20, 3, 18)), method, n_steps=n, record=record, rng=19)
        for n in (60, 25)
    )
    part.save(tmp_path / "part.nc")
    continued = dln.run(problem, dln.open(tmp_path / "part.nc"), n_steps=35)
    assert whole.data.attrs["exact_algebra"].endswith("d_0 20 -> 5, d_2 18 -> 5")
    assert_same_run(continued, whole)


def test_a_run_in_full_coordinates_goes_on_in_them():
    widths = (20, 3, 20)
    whole, part = (
        dln.run(
            target(widths), start(widths), METHODS["momentum"], n_steps=n, exact_compression=False
        )
        for n in (50, 20)
    )
    assert_same_run(dln.run(target(widths), part, n_steps=30), whole)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_leaves_its_coordinates_when_asked_to(name):
    widths = (20, 3, 20)
    compressed, full = both(target(widths), start(widths), METHODS[name], n_steps=100)
    left, expected = (
        dln.run(target(widths), run, n_steps=100, exact_compression=False)
        for run in (compressed, full)
    )
    assert left.data.attrs["exact_algebra"] == "none"
    assert_agree(left, expected)


@pytest.mark.parametrize("name", METHODS)
def test_another_problem_gets_coordinates_of_its_own(name):
    widths = (20, 3, 20)
    other = dln.TargetMatrix(low_rank((20, 20), 18))
    compressed, full = both(target(widths), start(widths), METHODS[name], n_steps=100)
    assert_agree(*(dln.run(other, run, n_steps=100) for run in (compressed, full)))


def test_another_method_begins_in_coordinates_of_its_own():
    widths = (20, 3, 20)
    adam = dln.run(target(widths), start(widths), dln.Adam(0.01), n_steps=30)
    descent = dln.run(target(widths), adam, METHODS["descent"], n_steps=30)
    assert descent.data.attrs["exact_algebra"] == ENDS[widths]
    back = dln.run(target(widths), descent, dln.Adam(0.01), n_steps=30)
    assert back.data.attrs["exact_algebra"] == "none"


def test_functions_of_the_users_get_the_full_network():
    widths = (20, 3, 20)
    seen = []

    def first_layer(weights):
        seen.append([layer.shape for layer in weights])
        assert not any(layer.flags.writeable for layer in weights)
        return weights[0]

    def condition(weights):
        seen.append([layer.shape for layer in weights])
        return False

    record = dln.Record([{"mine": first_layer}, "weights"], every=10)
    stop = dln.Stop(condition=condition, check_every=7)
    run = dln.run(
        target(widths), start(widths), METHODS["descent"], n_steps=35, record=record, stop=stop
    )
    assert run.data.attrs["exact_algebra"] == ENDS[widths]
    assert seen == [[(3, 20), (20, 3)]] * len(seen)
    assert_same_bits(run.data["mine"].values, run.data["W1"].values)
    assert_same_bits(run.data["W1"].values[-1], run.weights[0])


@pytest.mark.parametrize("widths", [(20, 3, 20), (4, 30, 3)], ids=str)
def test_what_is_recorded_changes_no_bit(widths):
    runs = [
        dln.run(target(widths), start(widths), METHODS["momentum"], n_steps=50, record=record)
        for record in (
            dln.Record("loss"),
            dln.Record([*EVERYTHING, {"mine": lambda weights: 1.0}], every=7),
        )
    ]
    for found, wanted in zip(runs[0].weights, runs[1].weights, strict=True):
        assert_same_bits(found, wanted)
    assert runs[0].data.attrs["exact_algebra"] == runs[1].data.attrs["exact_algebra"]
    assert_same_bits(runs[0].data["loss"].values[-1], runs[1].data["loss"].values[-1])


def test_the_start_is_not_modified_and_the_image_is_read_only():
    widths = (20, 3, 20)
    weights = start(widths)
    copies = [layer.copy() for layer in weights]
    run = dln.run(target(widths), weights, METHODS["descent"], n_steps=5)
    for layer, copy in zip(weights, copies, strict=True):
        assert_same_bits(layer, copy)
    with pytest.raises(ValueError, match="read-only"):
        run.weights[0][0, 0] = 1.0


@pytest.mark.parametrize(
    ("value", "error"), [("full", ValueError), (1, TypeError), (None, TypeError)]
)
def test_other_wishes_are_refused(value, error):
    with pytest.raises(error, match="exact_compression: expected True, False or"):
        dln.run(
            target((4, 3)),
            start((4, 3)),
            METHODS["descent"],
            n_steps=1,
            exact_compression=value,
        )


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 6),
    st.sampled_from([0.0, -1.0, -3.0]),
    st.sampled_from([1.0, 1e-290, 1e290]),
    st.integers(0, 2**32 - 1),
)
def test_a_row_space_stops_at_the_rank(rows, cols, rank, slope, size, seed):
    rng = np.random.default_rng(seed)
    rank = min(rank, rows, cols)
    left = np.linalg.qr(rng.standard_normal((rows, rows)))[0][:, :rank]
    right = np.linalg.qr(rng.standard_normal((cols, cols)))[0][:, :rank]
    matrix = (left * 10.0 ** (slope * np.arange(rank) / 2)) @ right.T
    eps = np.finfo(np.float64).eps
    tolerance = 40 * eps
    basis, coefficients = _core.row_space(size * matrix, tolerance, 40)
    assert basis.shape == (cols, rank)
    assert coefficients.shape == (rows, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), rtol=0, atol=1e-14)
    # Rounding of the product and of the factorisation, and what the tolerance cuts.
    error = np.linalg.norm(matrix - (coefficients / size) @ basis.T)
    assert error <= (tolerance + 20 * eps) * np.sqrt(max(rank, 1))
    short, _ = _core.row_space(matrix, tolerance, rank // 2)
    assert short.shape[1] == rank // 2


@pytest.mark.parametrize("slope", [-0.05, -0.3, -1.0])
def test_a_row_space_of_a_decaying_spectrum_keeps_what_counts(slope):
    left, right = np.linalg.qr(np.random.default_rng(20).standard_normal((2, 60, 60)))[0]
    values = 10.0 ** (slope * np.arange(60))
    matrix = (left * values) @ right.T
    basis, coefficients = _core.row_space(matrix, 1e-12, 60)
    assert np.linalg.norm(matrix - coefficients @ basis.T) <= 1.1e-12
    # Column pivoting finds the rank up to a modest factor in the values.
    assert np.sum(values > 1e-11) <= basis.shape[1] <= np.sum(values > 1e-14)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), rtol=0, atol=1e-13)
