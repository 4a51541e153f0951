"""Squared regression on diagonal statistics, against the same runs on its data."""

import numpy as np
import pytest
import reference
from compressed_pairs import EVERYTHING, METHODS, assert_agree, both
from helpers import assert_close, assert_same_bits, assert_same_run, network, orthogonal, path
from hypothesis import given, settings
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet import _core
from pydlnet.problems.diagonal import diagonal_basis, diagonal_statistics

EPS = np.finfo(np.float64).eps
DIAGONAL = "diagonalised data"
# Depth 1 to 4, square, narrow and wide, one output and many.
WIDTHS = [(12, 1), (9, 20), (17, 17, 17), (12, 5, 9, 12), (20, 15, 16, 17, 3), (33, 40, 1)]


def inputs_of(values, n_samples, seed=1):
    """Return inputs with these singular values times the root of n_samples."""
    shape = (max(n_samples, len(values)), len(values))
    left = np.linalg.qr(np.random.default_rng(seed).standard_normal(shape))[0][:n_samples]
    return np.sqrt(n_samples) * (left * values) @ orthogonal(len(values), seed + 1)


def regression(widths, n_samples=60, *, values=None, noise=0.1, reduction="mean"):
    """Return a problem of size 1; without values its data is well-conditioned."""
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((widths[-1], widths[0])) / np.sqrt(sum(widths))
    values = np.linspace(1.0, 0.4, widths[0]) if values is None else np.asarray(values)
    inputs = inputs_of(values, n_samples)
    outputs = inputs @ truth.T + noise * rng.standard_normal((n_samples, widths[-1]))
    if reduction == "sum":
        inputs, outputs = inputs / np.sqrt(n_samples), outputs / np.sqrt(n_samples)
    return dln.Regression(inputs, outputs, reduction=reduction, ground_truth=truth)


def start(widths, dtype=np.float64):
    return network(widths, 3, 0.7, dtype)


def run(problem, weights, method, n_steps, **kwargs):
    return dln.run(problem, weights, method, n_steps=n_steps, **kwargs)


def core_loss(matrix, outputs, scales, factor=1.0, constant=0.0):
    loss = _core.diagonal_loss(outputs, scales, factor, constant, single=matrix.dtype == np.float32)
    value, gradients = _core.chain_value_and_gradients([matrix], loss)
    return value, gradients[0]


@settings(max_examples=100)
@given(
    st.integers(1, 70),
    st.integers(1, 20),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)
def test_the_loss_of_diagonal_statistics(n_outputs, n_inputs, dtype, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n_outputs, n_inputs)).astype(dtype)
    outputs = rng.standard_normal((n_outputs, n_inputs))
    scales = rng.standard_normal(n_inputs) * 10.0 ** rng.integers(-8, 3, n_inputs)
    value, gradient = core_loss(matrix, outputs, scales, 0.3, 0.25)
    # As the core rounds them.
    b, s = (a.astype(dtype).astype(np.longdouble) for a in (outputs, scales))
    parts = np.abs(matrix * s) + np.abs(b)
    residual = matrix * s - b
    eps = np.finfo(dtype).eps
    expected = 0.25 + 0.15 * np.sum(residual**2)
    assert abs(value - expected) <= 0.3 * eps * np.sum(2 * parts**2) + 100 * EPS * expected
    assert np.all(np.abs(gradient - 0.3 * residual * s) <= 4 * eps * parts * np.abs(s))


def test_a_loss_refuses_scales_that_do_not_fit():
    for scales in (np.ones(3), np.ones((1, 2))):
        with pytest.raises(ValueError, match="scales: expected one for each column of outputs"):
            _core.diagonal_loss(np.ones((4, 2)), scales, 1.0, 0.0, single=False)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(1.0, 0.1, 10),
        10.0 ** -np.arange(10.0),
        10.0 ** (-2.0 * np.arange(10.0)),
        [1.0] * 10,  # any basis is one, and another at the next look
        [1.0, 1.0, 1.0, 1e-7, 1e-7, 1e-7, 1e-7, 0.0, 0.0, 0.0],
        [0.0] * 10,
    ],
    ids=str,
)
@pytest.mark.parametrize("n_samples", [4, 10, 30])
@pytest.mark.parametrize("size", [1.0, 1e-200, 1e100])
@pytest.mark.parametrize("cut", [False, True])
def test_diagonal_statistics_are_those_of_the_data(values, n_samples, size, cut):
    rng = np.random.default_rng(4)
    inputs = inputs_of(np.asarray(values), n_samples)
    outputs = rng.standard_normal((n_samples, 3))
    given_basis = np.ascontiguousarray(orthogonal(10, 7)[:, :6]) if cut else None
    basis = diagonal_basis(size * inputs, given_basis)
    n = basis.shape[1]
    assert basis.shape == (10, 6 if cut else 10)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n), rtol=0, atol=100 * EPS)
    if cut:
        np.testing.assert_allclose(given_basis @ (given_basis.T @ basis), basis, atol=100 * EPS)
    rotated = inputs @ basis
    found = diagonal_statistics(np.ascontiguousarray(size * rotated), outputs)
    norm = np.linalg.norm(inputs, 2)
    spectrum = np.zeros(n)
    spectrum[: min(n, n_samples)] = np.linalg.svd(rotated, compute_uv=False)
    np.testing.assert_allclose(np.abs(found.scales) / size, spectrum, rtol=0, atol=200 * EPS * norm)
    # ||X V^T - Y||^2 = ||S V^T - U^T Y||^2 + residual
    for _ in range(3):
        matrix = rng.standard_normal((3, n))
        whole = np.sum((rotated @ matrix.T - outputs) ** 2)
        diagonal = np.sum((matrix * (found.scales / size) - found.outputs) ** 2)
        assert diagonal + found.residual == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_run_agrees_with_one_on_its_data(method, widths):
    reduction = "sum" if len(widths) % 2 else "mean"
    problem = regression(widths, reduction=reduction)
    diagonal, full = both(problem, start(widths), method)
    assert diagonal.data.attrs["exact_algebra"].startswith("sufficient statistics; ")
    assert DIAGONAL in diagonal.data.attrs["exact_algebra"]
    assert_agree(diagonal, full)


def test_a_run_agrees_with_the_reference():
    widths = (12, 5, 9)
    problem = regression(widths)
    weights = start(widths)
    record = dln.Record(("loss", "weights"), every=1)
    found = run(problem, weights, METHODS["momentum"], 60, record=record)
    assert DIAGONAL in found.data.attrs["exact_algebra"]

    def loss(matrix):
        return reference.regression_loss(matrix, problem.inputs, problem.outputs)

    expected = reference.descend(reference.momentum, weights, loss, [0.02] * 60, momentum=0.8)
    losses = [loss(reference.product(layers))[0] for layers in expected]
    np.testing.assert_allclose(found.data["loss"], losses, rtol=1e-13)
    for actual, layers in zip(path(found), expected, strict=True):
        assert_close(actual, layers, 1e-13)


def test_the_rotation_comes_on_top_of_cut_widths():
    widths = (40, 9, 20, 40)
    values = np.concatenate([np.linspace(1.0, 0.5, 6), np.zeros(34)])
    for n_samples in (30, 200):
        problem = regression(widths, n_samples, values=values)
        diagonal, full = both(problem, start(widths), METHODS["momentum"])
        algebra = diagonal.data.attrs["exact_algebra"]
        assert algebra.endswith(f"{DIAGONAL}; d_0 40 -> 15")
        assert diagonal.state.compression.core_widths == (15, 9, 20, 40)
        assert_agree(diagonal, full)


@pytest.mark.parametrize(
    ("n_samples", "values"),
    [
        (60, 10.0 ** np.linspace(0, -8, 12)),
        (60, [1.0] * 12),
        (60, [1.0, 0.5, *[0.0] * 10]),
        (60, [0.0] * 12),
        (11, np.linspace(1.0, 0.5, 12)),
        (8, np.linspace(1.0, 0.5, 12)),
    ],
    ids=["cond 1e8", "equal", "rank 2", "zero", "m = 11", "m = 8"],
)
@pytest.mark.parametrize("name", ["descent with decay", "momentum", "group"])
def test_degenerate_data(n_samples, values, name):
    widths = (12, 14, 12)  # nothing that counting would cut far enough
    problem = regression(widths, n_samples, values=values)
    diagonal, full = both(problem, start(widths), METHODS[name])
    assert DIAGONAL in diagonal.data.attrs["exact_algebra"]
    assert_agree(diagonal, full)


def test_columns_of_zeros_and_of_other_units():
    widths = (12, 10, 9)
    data = regression(widths)
    units = np.array([0.0, 1e-3, 0.0, 1e-6, 1e-160, 1e-300, *[1.0] * 6])
    problem = dln.Regression(data.inputs * units, data.outputs, ground_truth=data.ground_truth)
    for method in METHODS.values():
        diagonal, full = both(problem, start(widths), method)
        assert DIAGONAL in diagonal.data.attrs["exact_algebra"]
        assert_agree(diagonal, full)


@pytest.mark.parametrize("n_samples", [8, 60])
@pytest.mark.parametrize("name", METHODS)
def test_single_precision(name, n_samples):
    widths = (12, 9, 12)
    problem = regression(widths, n_samples)
    diagonal, full = both(problem, start(widths, np.float32), METHODS[name], n_steps=300)
    assert DIAGONAL in diagonal.data.attrs["exact_algebra"]
    assert diagonal.weights[0].dtype == np.float32
    # As for compressed runs in single precision, with a memory of about 40 steps.
    assert_agree(diagonal, full, 4 * 7 * 21 / 2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("n_samples", [12, 60, 5000])
def test_a_loss_reaches_zero_where_the_data_can_be_met(n_samples):
    widths = (12, 12, 12)
    problem = regression(widths, n_samples, noise=0.0)
    for wish in (True, False):
        weights = dln.init.balanced(widths, scale=0.5, rng=0)
        found = run(problem, weights, dln.GradientDescent(0.3), 20_000, exact_compression=wish)
        assert (DIAGONAL in found.data.attrs["exact_algebra"]) == wish
        assert found.data["loss"][-1] < 1e-28


def test_a_loss_ends_at_the_residual_of_least_squares():
    widths = (12, 12, 12)
    problem = regression(widths, 500)
    best = np.linalg.lstsq(problem.inputs, problem.outputs, rcond=None)[0].astype(np.longdouble)
    residual = problem.inputs @ best - problem.outputs
    weights = dln.init.balanced(widths, scale=0.5, rng=0)
    found = run(problem, weights, dln.GradientDescent(0.3), 5000)
    expected = float(np.sum(residual**2) / 1000)
    assert float(found.data["loss"][-1]) == pytest.approx(expected, rel=1e-13)
    product = found.weights[1] @ found.weights[0]
    np.testing.assert_allclose(product, best.T.astype(float), rtol=0, atol=1e-13)


def test_where_it_is_not_applied():
    widths = (17, 17, 17)
    problem = regression(widths)
    quartic = dln.Regression(problem.inputs, problem.outputs, power=4)
    for method in (dln.Adam(), dln.GradientDescent(0.1, batch_size=10)):
        found = run(problem, start(widths), method, 3)
        assert found.data.attrs["exact_algebra"] == "sufficient statistics"
    off = run(problem, start(widths), METHODS["descent"], 3, exact_compression=False)
    assert off.data.attrs["exact_algebra"] == "sufficient statistics"
    for other in (quartic, dln.TargetMatrix(problem.ground_truth)):
        found = run(other, start(widths), METHODS["descent"], 3)
        assert found.data.attrs["exact_algebra"] == "none"
    for shape in ((4, 4, 4), (10, *[10] * 12)):  # small, deep: little to save
        found = run(regression(shape), start(shape), METHODS["descent"], 3)
        assert found.data.attrs["exact_algebra"] == "sufficient statistics"
    huge = dln.Regression(1e200 * problem.inputs, problem.outputs)
    found = run(huge, start(widths), METHODS["descent"], 3)
    assert found.status == "diverged"
    assert found.data.attrs["exact_algebra"] == "sufficient statistics"


@pytest.mark.parametrize("suffix", [None, ".nc", ".zarr"])
@pytest.mark.parametrize(("wish", "n_samples"), [(True, 60), (True, 8), ("rank", 60)])
@pytest.mark.parametrize("name", ["descent with decay", "momentum", "group"])
def test_continuing_is_bit_for_bit(tmp_path, name, n_samples, wish, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    widths = (12, 5, 9, 12)
    problem = regression(widths, n_samples, values=[1.0] * 6 + [0.5] * 6)
    record = dln.Record((*EVERYTHING, "reconstruction_error"), every=10)

    def go(weights, n_steps):
        return run(problem, weights, METHODS[name], n_steps, record=record, exact_compression=wish)

    whole, part = (go(start(widths), n) for n in (60, 25))
    if suffix:
        part.save(tmp_path / f"part{suffix}")
        part = dln.open(tmp_path / f"part{suffix}")
    continued = go(part, 35)
    assert DIAGONAL in whole.data.attrs["exact_algebra"]
    assert_same_run(continued, whole)
    for found, wanted in zip(continued.state.layers, whole.state.layers, strict=True):
        assert_same_bits(found, wanted)


def test_a_store_from_before_opens(tmp_path, monkeypatch):
    widths = (20, 3, 18)
    problem = regression(widths, values=[1.0, 0.5, *[0.0] * 18])
    monkeypatch.setattr("pydlnet.bases.NARROWEST_ROTATED", 1000)
    whole, part = (run(problem, start(widths), METHODS["momentum"], n) for n in (40, 15))
    assert DIAGONAL not in part.data.attrs["exact_algebra"]
    part.save(tmp_path / "part.nc")
    import h5netcdf

    with h5netcdf.File(tmp_path / "part.nc", "a") as file:
        del file["state"].attrs["diagonal"]
        file.attrs["pydlnet_layout"] = 2
    monkeypatch.undo()
    continued = run(problem, dln.open(tmp_path / "part.nc"), None, 25)
    assert_same_run(continued, whole)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_leaves_its_coordinates_when_asked_to(name):
    widths = (12, 9, 12)
    problem, other = regression(widths), regression(widths, values=np.linspace(0.4, 1.0, 12))
    diagonal, full = both(problem, start(widths), METHODS[name], n_steps=100)
    left, expected = (
        run(problem, part, None, 100, exact_compression=False) for part in (diagonal, full)
    )
    assert left.data.attrs["exact_algebra"] == "sufficient statistics"
    assert_agree(left, expected)
    assert_agree(*(run(other, part, None, 100) for part in (diagonal, full)))


def test_the_bound_on_the_loss_and_the_users_functions():
    widths = (12, 12, 12)
    problem = regression(widths)
    _, squares, _, _ = np.linalg.lstsq(problem.inputs, problem.outputs, rcond=None)
    least = np.sum(squares) / (2 * problem.n_samples)
    record = dln.Record(["loss", "weights", {"mine": lambda weights: weights[0]}], every=10)
    runs = [
        run(
            problem,
            start(widths),
            METHODS["momentum"],
            5000,
            record=record,
            stop=dln.Stop(loss=1.02 * least),
            exact_compression=wish,
        )
        for wish in (True, False)
    ]
    assert [found.status for found in runs] == ["converged"] * 2
    assert runs[0].step == runs[1].step
    assert_same_bits(runs[0].data["mine"].values, runs[0].data["W1"].values)
    assert_close([runs[0].data["mine"].values], [runs[1].data["mine"].values], 1e-12)


def test_divergence():
    widths = (12, 9, 12)
    problem = regression(widths)
    record = dln.Record(("loss", "singular_vectors", "end_to_end"), every=1)
    for dtype in (np.float32, np.float64):
        runs = both(problem, start(widths, dtype), dln.GradientDescent(50.0), 100, record=record)
        assert [found.status for found in runs] == ["diverged"] * 2
        assert runs[0].step == runs[1].step
