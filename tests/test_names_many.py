"""Names of inputs and outputs where there are many runs: ensembles, sweeps, grids."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pydlnet as dln

RNG = np.random.default_rng(0)
FEATURES = pd.DataFrame(RNG.standard_normal((30, 3)), columns=["age", "bmi", "bp"])
OUTPUTS = pd.DataFrame(RNG.standard_normal((30, 2)), columns=["price", "size"])
NAMED = dln.Regression(FEATURES, OUTPUTS)
PLAIN = NAMED.assign_coords(input=None, output=None)
START = dln.init.balanced((3, 4, 2), scale=0.5, rng=1)
METHODS = [dln.GradientDescent(rate) for rate in (0.01, 0.05)]
RECORD = dln.Record(["loss", "end_to_end"], every=5)


def names(data):
    return {side: data[side].values.tolist() for side in ("output", "input") if side in data.coords}


ALL = {"output": ["price", "size"], "input": ["age", "bmi", "bp"]}


def test_an_ensemble_has_the_names_of_its_problem():
    data = dln.run_ensemble(NAMED, START, METHODS, n_steps=20, record=RECORD).data
    assert names(data) == ALL
    plain = dln.run_ensemble(PLAIN, START, METHODS, n_steps=20, record=RECORD).data
    np.testing.assert_array_equal(
        data.end_to_end.sel(output="size", input="bmi"), plain.end_to_end[..., 1, 1]
    )


def test_an_ensemble_has_the_names_that_all_its_problems_agree_on():
    other = dln.Regression(FEATURES[["bmi", "age", "bp"]], OUTPUTS)
    pairs = {
        (NAMED, NAMED): ALL,
        (NAMED, PLAIN): ALL,
        (PLAIN, PLAIN): {},
        (NAMED, other): {"output": ALL["output"]},
    }
    for problems, expected in pairs.items():
        data = dln.run_ensemble(problems, START, METHODS, n_steps=5, record=RECORD).data
        assert names(data) == expected


def test_starts_of_an_ensemble_may_be_tables_whose_names_are_compared():
    table = pd.DataFrame(START[0], columns=FEATURES.columns)
    dln.run_ensemble(NAMED, [table, START[1]], METHODS, n_steps=5)
    wrong = [table[["bmi", "age", "bp"]], START[1]]
    with pytest.raises(ValueError, match=r"starts: expected the names of inputs that problems"):
        dln.run_ensemble(NAMED, wrong, METHODS, n_steps=5)
    with pytest.raises(ValueError, match=r"starts\[1\]: expected the names of inputs"):
        dln.run_ensemble(NAMED, [START, wrong], METHODS, n_steps=5)


def point(names):
    frame = FEATURES.set_axis(names, axis="columns")
    problem = dln.Regression(frame, OUTPUTS)
    return dln.run(problem, START, METHODS[0], n_steps=10, record=RECORD)


def test_a_sweep_has_the_names_of_its_points(tmp_path):
    order = ("bp", "age", "bmi")
    grid = {"names": [order]}
    data = dln.sweep(point, grid, store=tmp_path / "one", n_jobs=1).data
    assert names(data) == {"output": ALL["output"], "input": list(order)}
    np.testing.assert_array_equal(
        data.end_to_end.sel(input="age").squeeze(), point(order).data.end_to_end[..., 1]
    )


def test_a_sweep_over_other_names_has_all_of_them(tmp_path):
    grid = {"names": [("age", "bmi", "bp"), ("bp", "age", "sex")]}
    data = dln.sweep(point, grid, store=tmp_path / "two", n_jobs=1).data
    assert set(data.input.values) == {"age", "bmi", "bp", "sex"}
    for k, order in enumerate(grid["names"]):
        mine, alone = data.end_to_end.isel({data.end_to_end.dims[0]: k}), point(order).data
        for name in data.input.values:
            expected = alone.end_to_end.sel(input=name) if name in order else np.nan
            np.testing.assert_array_equal(
                mine.sel(input=name), np.broadcast_to(expected, mine.shape[:-1])
            )


MIXED = {"times": pd.to_datetime(["2021", "2019", "2020"]), "numbers": [7, 8, 9]}


def mixed(kind):
    problem = NAMED.assign_coords(input=MIXED[kind])
    return dln.run(problem, START, METHODS[0], n_steps=10, record=RECORD)


def test_names_of_several_kinds_are_text_in_a_sweep(tmp_path):
    data = dln.sweep(mixed, {"kind": list(MIXED)}, store=tmp_path / "mixed", n_jobs=1).data
    assert {"7", "8", "9"} < set(data.input.values)
    assert sum(name.startswith("2019-01-01") for name in data.input.values) == 1
    np.testing.assert_array_equal(
        data.end_to_end.sel(kind="numbers", input="8"), mixed("numbers").data.end_to_end[..., 1]
    )


@pytest.mark.parametrize("order", [[30, 10, 20], pd.to_datetime(["2021", "2019", "2020"])])
def test_names_that_are_numbers_or_times_keep_their_order_in_a_sweep(tmp_path, order):
    problem = NAMED.assign_coords(input=order)

    starts = {"small": START, "large": [2 * layer for layer in START]}
    swept = dln.sweep_ensemble(
        problem, starts, METHODS, n_steps=10, record=RECORD, store=tmp_path / "grid", n_jobs=1
    )
    np.testing.assert_array_equal(swept.data.input, problem.coords["input"])
    alone = dln.run_ensemble(problem, START, METHODS, n_steps=10, record=RECORD).data
    np.testing.assert_array_equal(
        swept.data.end_to_end.sel(starts="small", input=order[1]),
        alone.end_to_end.sel(input=order[1]),
    )


def test_members_of_a_sweep_have_their_own_names_in_any_company(tmp_path):
    other = dln.Regression(FEATURES[["bmi", "age", "bp"]], OUTPUTS)
    problems = {"one": NAMED, "other": other}
    data = dln.sweep_ensemble(
        problems, START, METHODS[0], n_steps=10, record=RECORD, store=tmp_path / "grid", n_jobs=1
    ).data
    for label, problem in problems.items():
        alone = dln.run_ensemble(problem, START, METHODS[0], n_steps=10, record=RECORD).data
        xr.testing.assert_equal(
            data.end_to_end.sel(problems=label, input="bmi").reset_coords(drop=True),
            alone.end_to_end.isel(run=0).sel(input="bmi").reset_coords(drop=True),
        )


def test_points_are_the_same_with_and_without_names(tmp_path):
    arguments = {"n_steps": 10, "record": RECORD, "store": tmp_path / "grid", "n_jobs": 1}
    first = dln.sweep_ensemble(NAMED, START, METHODS, **arguments)
    again = dln.sweep_ensemble(PLAIN, START, METHODS, **arguments)
    assert names(again.data) == ALL  # computed before, and not again
    xr.testing.assert_equal(first.data.load(), again.data.load())
