"""What a sweep returns, keeps and computes again."""

import functools

import numpy as np
import pytest
import xarray as xr
from sweep_functions import PROBLEM, noise, odd, square, train

import pydlnet as dln

GRID = {"depth": [1, 2, 3], "learning_rate": [0.03, 0.1, 2.0]}


def test_the_data_is_that_of_each_run_in_the_union_of_their_steps(store):
    data = dln.sweep(train, GRID, store=store, rng=1).data
    assert data["loss"].dims == ("depth", "learning_rate", "step")
    assert data["layer_norm"].dims == ("depth", "learning_rate", "step", "layer")
    every = set()
    for depth in GRID["depth"]:
        for rate in GRID["learning_rate"]:
            point = dln.open_sweep(store).point(depth=depth, learning_rate=rate)
            every |= set(point["step"].values.tolist())
            mine = data.sel(depth=depth, learning_rate=rate)
            there = mine.sel(step=point["step"])
            np.testing.assert_array_equal(there["loss"], point["loss"])
            np.testing.assert_array_equal(there["singular_value"], point["singular_value"])
            np.testing.assert_array_equal(there["time"], point["time"])
            np.testing.assert_array_equal(there["learning_rate_recorded"], point["learning_rate"])
            np.testing.assert_array_equal(
                there["layer_norm"].isel(layer=slice(depth)), point["layer_norm"]
            )
            others = mine.drop_sel(step=point["step"])
            assert np.isnan(others["loss"]).all()
            assert np.isnan(mine["layer_norm"].isel(layer=slice(depth, None))).all()
            assert mine["last_step"] == point["step"][-1]
            np.testing.assert_array_equal(mine["final_loss"], point["loss"][-1])
    assert data["step"].values.tolist() == sorted(every)
    assert set(data["status"].values.ravel()) >= {"converged", "diverged"}


def test_a_point_is_the_run_that_its_function_makes(store):
    sweep = dln.sweep(train, GRID, store=store, rng=1, keep_trajectories=True)
    trajectory = sweep.trajectory(depth=2, learning_rate=0.03)
    point = sweep.point(depth=2, learning_rate=0.03)
    xr.testing.assert_equal(trajectory.data.load(), point[list(trajectory.data.variables)])
    longer = dln.run(PROBLEM, trajectory, n_steps=10)
    assert longer.step == trajectory.step + 10
    with pytest.raises(ValueError, match="keep_trajectories: expected a sweep whose"):
        dln.sweep(square, {"x": [1]}, store=f"{store}-squares").trajectory(x=1)


def test_any_selection_reads_what_it_selects(store):
    data = dln.sweep(train, GRID, store=store, rng=1).data
    whole = data.load().copy(deep=True)
    lazy = dln.open_sweep(store).data["singular_value"]
    full = whole["singular_value"]
    rows = xr.DataArray([2, 0], dims="pick")
    for pick in (
        {"depth": 1},
        {"depth": [2, 0], "step": slice(3, 20, 4), "mode": 1},
        {"learning_rate": slice(None, None, -1), "step": [5, 5, 1]},
        {"depth": rows, "learning_rate": rows},
        {"depth": [], "step": 0},
    ):
        xr.testing.assert_identical(lazy.isel(pick), full.isel(pick))


def test_what_is_done_is_not_computed_again(store, calls):
    dln.sweep(square, {"x": [1, 2]}, store=store)
    assert calls() == {"1": 1, "2": 1}
    result = dln.sweep(square, {"x": [1, 2, 3]}, store=store)
    assert calls() == {"3": 1}
    assert result.data["square"].values.tolist() == [1, 4, 9]
    assert result.data["square"].dtype == np.int64
    # In another order, as other types of the same numbers, with the function's default name.
    again = dln.sweep(square, {"x": np.array([3.0, 1.0])}, store=store)
    assert calls() == {}
    assert again.data["square"].values.tolist() == [9, 1]
    assert again.data["x"].dtype == np.float64
    dln.sweep(square, {"x": [1]}, store=store, version="2")
    assert calls() == {"1": 1}
    dln.sweep(square, {"x": [1, 2]}, store=store, recompute=True)
    assert calls() == {"1": 1, "2": 1}
    assert len(dln.open_sweep(store)) == 2


def test_failures_are_recorded_and_tried_again(store, calls):
    with pytest.warns(UserWarning, match=r"2 of 5 points failed.*'x': 2.*ValueError: 2 is even"):
        result = dln.sweep(odd, {"x": [1, 2, 3, 4, 5]}, store=store)
    assert result.counts == {"done": 3, "failed": 2, "missing": 0}
    assert result.data["status"].values.tolist() == ["done", "failed", "done", "failed", "done"]
    np.testing.assert_array_equal(result.data["x_recorded"], [1, np.nan, 3, np.nan, 5])
    first = result.failures[0]
    assert first.parameters == {"x": 2}
    assert first.message == "ValueError: 2 is even"
    assert "sweep_functions.py" in first.traceback
    calls()
    with pytest.warns(UserWarning, match="points failed"):
        dln.sweep(odd, {"x": [1, 2, 3, 4, 5]}, store=store)
    assert calls() == {"2": 1, "4": 1}
    with pytest.raises(ValueError, match="expected a point that is done, got x=2: ValueError"):
        result.point(x=2)


def test_a_changed_source_is_a_warning(store, calls):
    def make(factor):
        def scaled(x):
            return {"y": factor * x}

        return scaled

    dln.sweep(make(1), {"x": [1, 2]}, store=store)
    with pytest.warns(UserWarning, match="has changed since 2 of the points.*recompute=True"):
        kept = dln.sweep(make(2), {"x": [1, 2]}, store=store)
    assert kept.data["y"].values.tolist() == [1, 2]
    anew = dln.sweep(make(2), {"x": [1, 2]}, store=store, recompute=True)
    assert anew.data["y"].values.tolist() == [2, 4]


def test_seeds_depend_on_seed_and_point_alone(store):
    points = [{"x": x} for x in (3, 1, 2)]
    listed = dln.sweep(noise, points, store=f"{store}-1", rng=7).data
    in_grid = dln.sweep(noise, {"x": [1, 2, 3, 4]}, store=f"{store}-2", rng=7, n_jobs=2).data
    for i, point in enumerate(points):
        same = in_grid.sel(point)
        np.testing.assert_array_equal(listed["vector"].isel(point=i), same["vector"])
    assert len(np.unique(in_grid["first"])) == 4
    other = dln.sweep(noise, {"x": [1, 2, 3, 4]}, store=f"{store}-3", rng=8).data
    assert not np.isin(other["first"], in_grid["first"]).any()


def test_the_folder_keeps_the_seed(store):
    seed = dln.sweep(noise, {"x": [1]}, store=store).seed
    assert dln.sweep(noise, {"x": [1, 2]}, store=store).seed == seed
    with pytest.raises(ValueError, match=rf"rng: expected the seed {seed} of the sweep in .*got 5"):
        dln.sweep(noise, {"x": [1, 2]}, store=store, rng=5)
    anew = dln.sweep(noise, {"x": [1]}, store=store, rng=5, recompute=True)
    # The other point is of the earlier seed, and does not count.
    assert anew.seed == 5
    both = dln.sweep(noise, {"x": [1, 2]}, store=store, rng=5).data["first"]
    np.testing.assert_array_equal(
        both, dln.sweep(noise, {"x": [1, 2]}, store=f"{store}-new", rng=5).data["first"]
    )


def test_shards_make_up_the_sweep(store, calls):
    grid = {"x": list(range(7))}
    for number in (1, 2, 3):
        part = dln.sweep(square, grid, store=store, shard=(number, 3))
    assert calls() == {str(x): 1 for x in range(7)}
    assert part.counts == {"done": 7, "failed": 0, "missing": 0}


def test_values_may_be_problems_methods_and_have_labels(store):
    def final(descent, target):
        start = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
        return dln.run(dln.TargetMatrix(target), start, descent, n_steps=100)

    methods = {"slow": dln.GradientDescent(0.01), "fast": dln.GradientDescent(0.1)}
    targets = [np.eye(2), np.diag([3.0, 1.0])]
    data = dln.sweep(final, {"descent": methods, "target": targets}, store=store).data
    assert data["descent"].values.tolist() == ["slow", "fast"]
    assert data["target"].values.tolist() == [f"{i}: array of shape (2, 2)" for i in (0, 1)]
    for name, method in methods.items():
        for i, target in enumerate(targets):
            alone = final(method, target).data["loss"].values[-1]
            assert data["final_loss"].sel(descent=name).values[i] == alone


def test_datasets_of_any_kind_come_back(store):
    def table(n):
        names = ["a", "b", "c"][:n]
        return xr.Dataset(
            {
                "complex": ("name", np.arange(n) * 1j),
                "when": ("name", np.arange(n).astype("datetime64[s]")),
                "text": ("name", np.array(names, dtype=object)),
                "flag": True,
            },
            {"name": names},
            {"n": n, "common": "yes"},
        )

    data = dln.sweep(table, {"n": [3, 1]}, store=store).data
    assert data["name"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(data["complex"][0], [0, 1j, 2j])
    assert np.isnan(data["complex"][1, 1:]).all()
    assert np.isnat(data["when"][1, 1:]).all()
    assert data["text"].values.tolist() == [["a", "b", "c"], ["a", "", ""]]
    assert data["flag"].dtype == bool
    assert data.attrs == {"common": "yes"}
    point = dln.open_sweep(store).point(n=3)
    xr.testing.assert_equal(point, table(3))


def test_what_a_partial_binds_counts(store, calls):
    def power(x, p):
        return {"y": x**p}

    for p, expected in ((2, [1, 4]), (3, [1, 8])):
        bound = functools.partial(power, p=p)
        assert dln.sweep(bound, {"x": [1, 2]}, store=store).data["y"].values.tolist() == expected


def test_opening_shows_a_sweep_that_has_only_begun(store):
    dln.sweep(square, {"x": [1, 2, 3]}, store=store, shard=(2, 3))
    sweep = dln.open_sweep(store)
    assert sweep.counts == {"done": 1, "failed": 0, "missing": 2}
    np.testing.assert_array_equal(sweep.data["square"], [np.nan, 4, np.nan])
    assert sweep.data["status"].values.tolist() == ["missing", "done", "missing"]
    states = [(point["parameters"]["x"], point["status"]) for point in sweep.points()]
    assert states == [(1, "missing"), (2, "done"), (3, "missing")]
    with pytest.raises(ValueError, match="expected a point that is done, got x=1: missing"):
        sweep.point(x=1)
    assert "3 points (1 done, 2 missing)" in repr(sweep)
