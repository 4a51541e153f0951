"""Modes followed through crossings, on paths of matrices whose modes are known."""

import numpy as np
import pytest
import xarray as xr
from helpers import orthogonal
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

import pydlnet as dln
from pydlnet.metrics import track_modes


def turning(size, seed, angles):
    """Return orthogonal matrices that turn with the angles about random axes."""
    skew = np.random.default_rng(seed).standard_normal((size, size))
    values, vectors = np.linalg.eigh(1j * (skew - skew.T))
    phases = np.exp(-1j * np.multiply.outer(angles, values))
    return np.einsum("ia,ta,ja->tij", vectors, phases, vectors.conj()).real


def recorded(values, left, right, seed=0):
    """Return the dataset that records of sum_r s_r u_r v_r^T give: descending, with any signs."""
    rng = np.random.default_rng(seed)
    order = np.argsort(-values, axis=1, kind="stable")
    signs = rng.choice([-1.0, 1.0], values.shape)[:, None, :]
    take = np.take_along_axis
    return xr.Dataset(
        {
            "singular_value": (("step", "mode"), take(values, order, 1)),
            "left_singular_vector": (
                ("step", "output", "mode"),
                signs * take(left, order[:, None, :], 2),
            ),
            "right_singular_vector": (
                ("step", "input", "mode"),
                signs * take(right, order[:, None, :], 2),
            ),
            "alignment": (("step", "mode"), take(100 * values, order, 1)),
            "loss": ("step", np.arange(len(values), dtype=float)),
        },
        {"step": 10 * np.arange(len(values))},
    )


def crossing(shape=(5, 4), speed=0.3, n_records=41):
    """Return values that cross between records, on vectors that turn slowly."""
    t = np.linspace(0, 1, n_records)
    values = np.stack([1 + 0 * t, 0.21 + 2 * t, 3 * np.sin(3 * t) ** 2 + 0.1, 0.05 + t**2], axis=1)
    left = turning(shape[0], 1, speed * t) @ orthogonal(shape[0], 3)
    right = turning(shape[1], 2, speed * t) @ orthogonal(shape[1], 4)
    return values, left[:, :, :4], right[:, :, :4]


def matrices_of(data):
    return np.einsum(
        "tir,tr,tjr->tij",
        data["left_singular_vector"].values,
        data["singular_value"].values,
        data["right_singular_vector"].values,
    )


def numbered(values, first=0):
    """Return the columns in the descending order of one record."""
    return values[:, np.argsort(-values[first], kind="stable")]


def assert_followed(tracked, values, left, right, first=0):
    """Compare with the known path; vectors up to one sign for the whole path."""
    order = np.argsort(-values[first], kind="stable")
    np.testing.assert_allclose(tracked["singular_value"].values, values[:, order], atol=1e-12)
    for name, vectors in [("left_singular_vector", left), ("right_singular_vector", right)]:
        overlap = np.sum(tracked[name].values * vectors[:, :, order], axis=1)
        np.testing.assert_allclose(np.abs(overlap), 1, atol=1e-9)
        assert np.all(np.sign(overlap) == np.sign(overlap[0]))


@given(seeds, st.sampled_from([(4, 4), (5, 4), (4, 6)]))
def test_modes_are_followed_through_crossings(seed, shape):
    path = crossing(shape=shape)
    data = recorded(*path, seed)
    tracked = track_modes(data)
    assert_followed(tracked, *path)
    np.testing.assert_allclose(matrices_of(tracked), matrices_of(data), atol=1e-13)
    np.testing.assert_array_equal(
        tracked["mode_rank"].values,
        np.argsort(np.argsort(-numbered(path[0]), axis=1), axis=1),
    )
    assert float(tracked["mode_overlap"].min()) > 0.99


def test_what_comes_along():
    """Other variables over step and mode follow, the rest and the argument stay."""
    path = crossing()
    data = recorded(*path)
    copy = data.copy(deep=True)
    tracked = track_modes(data)
    np.testing.assert_allclose(tracked["alignment"].values, 100 * numbered(path[0]), rtol=1e-13)
    xr.testing.assert_identical(data, copy)
    xr.testing.assert_identical(tracked["loss"], data["loss"])
    for name in ("singular_value", "left_singular_vector", "alignment", "mode_rank"):
        assert tracked[name].dims == data.get(name, data["singular_value"]).dims
    assert {"long_name", "units", "reference"} <= set(tracked["mode_overlap"].attrs)


def test_a_run_through_a_crossing():
    """Diagonal, depth 2: each mode goes from its start to its target."""
    trajectory = dln.run(
        dln.TargetMatrix(np.diag([1.0, 2.0, 0.5])),
        dln.init.balanced_from(np.diag([0.5, 0.1, 0.3]), (3, 3, 3)),
        dln.GradientDescent(1e-2),
        n_steps=2000,
        record=dln.Record(["singular_values", "singular_vectors"], every=10),
    )
    tracked = track_modes(trajectory.data)["singular_value"].values
    np.testing.assert_allclose(tracked[0], [0.5, 0.3, 0.1], rtol=1e-12)
    np.testing.assert_allclose(tracked[-1], [1.0, 0.5, 2.0], rtol=1e-3)
    assert np.all(np.diff(tracked, axis=0) > -1e-12)


# -- Equal values --


def mixed_at(record, path, modes, seed=5):
    """Make modes of a record equal and mix their vectors, as a decomposition may."""
    values, left, right = (a.copy() for a in path)
    values[record, modes] = values[record, modes[0]]
    turn = orthogonal(len(modes), seed)
    kept = values, left.copy(), right.copy()
    left[record][:, modes] = left[record][:, modes] @ turn
    right[record][:, modes] = right[record][:, modes] @ turn
    return (values, left, right), kept


@pytest.mark.parametrize("record", [0, 1, 20, 40])
@pytest.mark.parametrize("modes", [[0, 1], [0, 1, 2], [0, 1, 2, 3], [2, 3]])
def test_equal_values_take_the_vectors_of_their_neighbours(record, modes):
    """Any basis of the span is recorded; the nearest to the neighbour's is within its turning."""
    shown, known = mixed_at(record, crossing(speed=0.05), modes)
    data = recorded(*shown)
    tracked = track_modes(data)
    first = 0 if record else 1
    order = np.argsort(-known[0][first], kind="stable")
    np.testing.assert_allclose(tracked["singular_value"].values, known[0][:, order], atol=1e-12)
    overlap = np.sum(tracked["left_singular_vector"].values * known[1][:, :, order], axis=1)
    # At the mixed record the vectors are the neighbour's, a fortieth of the path away.
    assert np.abs(overlap).min() > 0.99
    np.testing.assert_allclose(matrices_of(tracked), matrices_of(data), atol=1e-12)
    # What else was recorded belongs to vectors that are not there any more.
    lost = np.isnan(tracked["alignment"].values)
    assert lost[record].sum() == len(modes)
    assert lost.sum() == len(modes)


def test_identity_start_is_joined_to_what_comes_after():
    """All modes are equal at step 0: their vectors are those of the next record."""
    target = orthogonal(3, 1) @ np.diag([3.0, 2.0, 1.0]) @ orthogonal(3, 2)
    trajectory = dln.run(
        dln.TargetMatrix(target),
        dln.init.identity((3, 3, 3), 0.01),
        dln.GradientDescent(1e-3),
        n_steps=100,
        record=dln.Record(["singular_values", "singular_vectors"], every=1),
    )
    tracked = track_modes(trajectory.data)
    np.testing.assert_allclose(tracked["singular_value"].values[0], 0.01, rtol=1e-12)
    assert float(tracked["mode_overlap"].min()) > 0.99


# -- Zeros and gaps --


@pytest.mark.parametrize("shape", [(4, 4), (5, 4), (4, 6)])
def test_zero_modes_stay_out_of_the_way(shape):
    """Two modes cross while two stay zero, with new arbitrary vectors at each record."""
    values, left, right = crossing(shape=shape)
    values[:, 2:] = 0.0
    rng = np.random.default_rng(1)
    for t in range(len(values)):
        for vectors in (left, right):
            basis = np.linalg.qr(
                np.hstack([vectors[t, :, :2], rng.standard_normal((vectors.shape[1], 2))])
            )[0]
            vectors[t, :, 2:] = basis[:, 2:]
    tracked = track_modes(recorded(values, left, right))
    np.testing.assert_allclose(tracked["singular_value"].values, numbered(values), atol=1e-15)
    assert float(tracked["mode_overlap"][:, :2].min()) > 0.99
    for name, known in [("left_singular_vector", left), ("right_singular_vector", right)]:
        vectors = tracked[name].values
        overlap = np.sum(vectors[:, :, :2] * known[:, :, [0, 1]], axis=1)
        np.testing.assert_allclose(np.abs(overlap), 1, atol=1e-9)
        # They stay orthonormal.
        np.testing.assert_allclose(
            np.einsum("tir,tis->trs", vectors, vectors), np.tile(np.eye(4), (41, 1, 1)), atol=1e-12
        )


def test_vectors_of_zeros_turn_on_each_side_by_themselves():
    """Null spaces that rest, in new bases at each record: the first ones are found again."""
    values, left, right = crossing(speed=0.0)
    values[:, 2:] = 0.0
    for t in range(len(values)):
        left[t, :, 2:] = left[t, :, 2:] @ orthogonal(2, 2 * t)
        right[t, :, 2:] = right[t, :, 2:] @ orthogonal(2, 2 * t + 1)
    tracked = track_modes(recorded(values, left, right))
    for name in ("left_singular_vector", "right_singular_vector"):
        vectors = tracked[name].values
        np.testing.assert_allclose(vectors, np.broadcast_to(vectors[0], vectors.shape), atol=1e-9)


def test_a_matrix_of_zeros_and_what_grows_from_it():
    """Depth 1 from zero."""
    trajectory = dln.run(
        dln.TargetMatrix(np.diag([2.0, 1.0])),
        [np.zeros((2, 2))],
        dln.GradientDescent(0.1),
        n_steps=5,
        record=dln.Record(["singular_values", "singular_vectors"], every=1),
    )
    tracked = track_modes(trajectory.data)
    np.testing.assert_array_equal(tracked["singular_value"].values[0], 0.0)
    np.testing.assert_allclose(
        np.abs(tracked["left_singular_vector"].values), np.tile(np.eye(2), (6, 1, 1)), atol=1e-12
    )


def test_undefined_records_are_passed_over():
    path = crossing()
    data = recorded(*path)
    for name in ("singular_value", "left_singular_vector", "right_singular_vector"):
        data[name][{"step": [0, 17, 18, 40]}] = np.nan
    tracked = track_modes(data)
    order = np.argsort(-path[0][1], kind="stable")
    defined = np.setdiff1d(np.arange(41), [0, 17, 18, 40])
    np.testing.assert_allclose(
        tracked["singular_value"].values[defined], path[0][defined][:, order], atol=1e-12
    )
    for name in ("singular_value", "mode_rank", "mode_overlap"):
        assert np.isnan(tracked[name].values[[0, 17, 18, 40]]).all()
    nothing = data.where(data["step"] < 0)
    assert np.isnan(track_modes(nothing)["singular_value"].values).all()


def test_a_mode_through_zero_comes_back():
    """Depth 1, from 1 to a target of -1: the value is its size, the pair of vectors turns over."""
    t = np.linspace(-1, 1, 40)
    values = np.stack([np.abs(t), 2 + 0 * t], axis=1)
    left = np.tile(np.eye(2), (40, 1, 1))
    right = left.copy()
    right[t < 0, 0, 0] = -1.0
    tracked = track_modes(recorded(values, left, right))
    np.testing.assert_allclose(tracked["singular_value"].values, values[:, ::-1], atol=1e-15)
    np.testing.assert_allclose(
        matrices_of(tracked), matrices_of(recorded(values, left, right)), atol=1e-15
    )


# -- Arguments --


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d: d.drop_vars("left_singular_vector"), ValueError, "'left_singular_vector'"),
        (lambda d: d.drop_vars("singular_value"), ValueError, "'singular_value', which Record"),
        (lambda d: d.expand_dims(run=2), ValueError, r"over .*'run'.*; select one run first"),
        (lambda d: d.isel(mode=0), ValueError, "'singular_value' over"),
        (lambda d: d.isel(mode=slice(None, None, -1)), ValueError, "descending order"),
        (lambda d: d["singular_value"], TypeError, "expected an xarray.Dataset .*got DataArray"),
        (lambda d: None, TypeError, "got NoneType"),
    ],
)
def test_wrong_datasets(change, error, message):
    with pytest.raises(error, match=f"dataset: .*{message}"):
        track_modes(change(recorded(*crossing())))


@pytest.mark.parametrize("tolerance", [-1e-3, 1.0, np.nan])
def test_wrong_tolerance(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        track_modes(recorded(*crossing()), tolerance=tolerance)
