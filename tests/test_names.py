"""Names of inputs and outputs: out of tables, on datasets, in files, and where they disagree."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import names_of_problem

import pydlnet as dln
from pydlnet import datasets

RNG = np.random.default_rng(0)
FEATURES = pd.DataFrame(RNG.standard_normal((30, 3)), columns=["age", "bmi", "bp"])
OUTPUTS = pd.DataFrame(RNG.standard_normal((30, 2)), columns=["price", "size"])
START = dln.init.balanced((3, 4, 2), scale=0.5, rng=1)
METHOD = dln.GradientDescent(0.05)
RECORD = dln.Record(["loss", "end_to_end", "singular_vectors", "weights"], every=5)
OVER_INPUTS = ["end_to_end", "right_singular_vector", "W1"]
OVER_OUTPUTS = ["end_to_end", "left_singular_vector", "W2"]


def run(problem, start=START, n_steps=20, **keywords):
    return dln.run(problem, start, METHOD, n_steps=n_steps, record=RECORD, **keywords)


def names(data):
    return {side: data[side].values.tolist() for side in ("output", "input") if side in data.coords}


@pytest.mark.parametrize("compression", [True, False])
def test_columns_of_tables_are_coordinates_of_what_is_recorded(compression):
    named = run(dln.Regression(FEATURES, OUTPUTS), exact_compression=compression).data
    plain = run(
        dln.Regression(FEATURES.to_numpy(), OUTPUTS.to_numpy()), exact_compression=compression
    ).data
    assert names(named) == {"output": ["price", "size"], "input": ["age", "bmi", "bp"]}
    assert names(plain) == {}
    for name in OVER_INPUTS:
        for i, feature in enumerate(FEATURES):
            xr.testing.assert_equal(
                named[name].sel(input=feature, drop=True).drop_vars("output", errors="ignore"),
                plain[name].isel(input=i),
            )
    for name in OVER_OUTPUTS:
        for i, output in enumerate(OUTPUTS):
            xr.testing.assert_equal(
                named[name].sel(output=output, drop=True).drop_vars("input", errors="ignore"),
                plain[name].isel(output=i),
            )


def test_names_of_a_wide_network_that_runs_compressed_are_lifted_back_with_it():
    columns = [f"x{i}" for i in range(40)]
    target = pd.DataFrame(np.outer(np.arange(30.0), np.arange(40.0)) / 100, columns=columns)
    target.index = [f"y{i}" for i in range(30)]
    start = dln.init.balanced((40, 4, 4, 30), scale=0.1, rng=0)
    trajectory = run(dln.TargetMatrix(target), start, n_steps=10)
    assert (
        "40 -> " in trajectory.data.attrs["exact_algebra"]
        or "instead of 40" in (trajectory.data.attrs["exact_algebra"])
    )
    last = trajectory.data.end_to_end.isel(step=-1).to_pandas()
    assert list(last.columns) == columns
    assert list(last.index) == list(target.index)
    np.testing.assert_allclose(last, dln.chain.product(trajectory.weights), atol=1e-12)


def test_a_dataset_without_inputs_has_no_coordinate_of_them():
    record = dln.Record("loss")
    data = dln.run(dln.Regression(FEATURES, OUTPUTS), START, METHOD, n_steps=5, record=record).data
    assert set(data.coords) == {"step", "time"}


def test_a_series_names_the_single_output():
    problem = dln.Regression(FEATURES, OUTPUTS["price"])
    assert problem.coords["output"].tolist() == ["price"]
    assert "output" not in dln.Regression(FEATURES, OUTPUTS["price"].to_numpy()).coords


def test_what_pandas_numbers_has_no_names():
    frame = pd.DataFrame(np.ones((2, 3)))
    assert dln.TargetMatrix(frame).coords == {}
    assert dln.TargetMatrix(frame.convert_dtypes()).coords == {}
    assert dln.TargetMatrix(frame.rename(columns=int)).coords == {}
    # What is left of a table is called as it was in the whole.
    assert names_of_problem(dln.TargetMatrix(frame.iloc[:, 1:])) == {"input": [1, 2]}


def test_data_arrays_bring_their_coordinates():
    coords = {"who": ["ann", "bob"], "what": [10, 20, 30]}
    target = xr.DataArray(np.eye(2, 3), coords, ("who", "what"))
    expected = {"output": ["ann", "bob"], "input": [10, 20, 30]}
    assert names_of_problem(dln.TargetMatrix(target)) == expected
    assert names_of_problem(dln.MatrixCompletion.from_dense(target)) == expected
    measurements = target.expand_dims(measurement=4).copy()
    assert names_of_problem(dln.MatrixSensing(measurements, np.ones(4))) == expected
    loss = dln.EndToEndLoss(lambda W: (0.0, W), (2, 3), ground_truth=target)
    assert names_of_problem(loss) == expected


class Table:
    """A table of a library that follows pandas, whose indexes are arrays of its own."""

    iloc, ndim = None, 2

    def __init__(self, frame):
        self.axes = [np.asarray(axis) for axis in frame.axes]
        self._frame = frame

    def __array__(self, dtype=None, copy=None):
        return self._frame.to_numpy()


def test_tables_of_other_libraries_bring_their_columns():
    problem = dln.Regression(Table(FEATURES), OUTPUTS)
    assert problem.coords["input"].tolist() == list(FEATURES.columns)
    np.testing.assert_array_equal(problem.inputs, FEATURES)


def test_whitened_data_keeps_its_names():
    problem = dln.whiten(FEATURES, OUTPUTS).problem
    assert names_of_problem(problem) == {"output": ["price", "size"], "input": ["age", "bmi", "bp"]}
    same = dln.whiten(FEATURES.to_numpy(), OUTPUTS.to_numpy()).problem
    np.testing.assert_array_equal(problem.target, same.target)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a", "b"] * 10, ["a", "b"]),
        ([3, 7, 3] * 10, [3, 7]),
        ([0, 1, 2] * 10, [0, 1, 2]),
        ([True, False, True] * 10, [False, True]),
        ([0.5, 2.0, 0.5] * 10, [0.5, 2.0]),
        (
            pd.Categorical(["low", "high", "low"] * 10, ["low", "high"], ordered=True),
            ["low", "high"],
        ),
        ([("a", 1), ("b", 2), ("a", 1)] * 10, ["a, 1", "b, 2"]),
        ([1, "1", 1] * 10, ["1", "'1'"]),
    ],
)
def test_classes_of_every_kind_name_the_outputs(labels, expected):
    if isinstance(labels[0], tuple):
        labels = pd.Series(labels)
    problem = dln.Classification(FEATURES, labels)
    start = dln.init.balanced((3, 4, len(expected)), scale=0.5, rng=1)
    data = run(problem, start).data
    assert names(data) == {"output": expected, "input": ["age", "bmi", "bp"]}
    picked = data.end_to_end.sel(output=expected[1], input="bp")
    np.testing.assert_array_equal(picked, data.end_to_end.values[:, 1, 2])


def test_times_are_classes_too():
    days = np.array(["2020-01-01", "2021-01-01"] * 15, dtype="M8[D]")
    data = run(dln.Classification(FEATURES, days)).data
    np.testing.assert_array_equal(data.output, np.unique(days))
    assert data.end_to_end.sel(output="2021-01-01").sizes["step"] == data.sizes["step"]


def test_a_single_output_is_the_second_class():
    start = dln.init.balanced((3, 4, 1), scale=0.5, rng=1)
    data = run(dln.Classification(FEATURES, ["no", "yes"] * 15), start).data
    assert names(data) == {"output": ["yes"], "input": ["age", "bmi", "bp"]}


def test_ratings_are_named_by_users_and_items():
    table = pd.DataFrame({"u": ["bob", "ann", "bob"], "i": [7, 7, 9], "v": [1.0, 5.0, 4.0]})
    rated = datasets.ratings(table)
    problem = rated.completion(held_out=1, rng=0)
    assert names_of_problem(problem) == {"output": ["ann", "bob"], "input": [7, 9]}
    data = run(problem, dln.init.balanced((2, 2, 2), scale=0.5, rng=0)).data
    np.testing.assert_array_equal(
        data.end_to_end.sel(output="bob", input=9),
        data.end_to_end.isel(output=rated.row("bob"), input=rated.column(9)),
    )


def test_a_pivoted_table_with_gaps_is_a_completion_problem():
    stars = pd.DataFrame({"Alien": [5.0, None], "Brazil": [4.0, 2.0]}, index=["ann", "bob"])
    problem = dln.MatrixCompletion.from_dense(stars)
    assert names_of_problem(problem) == {"output": ["ann", "bob"], "input": ["Alien", "Brazil"]}
    seen = {
        (problem.coords["output"][i], problem.coords["input"][j]): value
        for i, j, value in zip(problem.rows, problem.columns, problem.values, strict=True)
    }
    assert seen == stars.stack().dropna().to_dict()
    masked = dln.MatrixCompletion.from_dense(stars, stars > 3)
    assert masked.n_samples == 2
    with pytest.raises(ValueError, match="mask: expected the names of inputs that matrix has"):
        dln.MatrixCompletion.from_dense(stars, (stars > 3)[["Brazil", "Alien"]])


KINDS = {
    "text": (["age", "bmi", "größe"], object),
    "empty text": (["", "bmi", "bp"], object),
    "integers": ([30, -1, 2**62], np.int64),
    "floats": ([0.1, 1e300, float("inf")], np.float64),
    "times": (pd.date_range("2020", periods=3, freq="h") + pd.Timedelta(1, "ns"), "M8[ns]"),
    "tuples": ([("a", 1), ("a", 2), ("b", 1)], object),
    "MultiIndex": (pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]), object),
    "periods": (pd.period_range("2020", periods=3, freq="M"), object),
    "mixed": (["age", 3, None.__class__], object),
    "categories": (pd.CategoricalIndex(["x", "y", "z"]), object),
    "nullable": (pd.Index([3, 1, 2], dtype="Int64"), np.int64),
    "years out of range": (np.array(["1500", "1600", "1700"], "M8[Y]"), object),
    "durations": (pd.to_timedelta([1, 2, 3], "D"), object),
    "time zones": (pd.date_range("2020", periods=3, tz="UTC"), object),
}


@pytest.mark.parametrize(("labels", "dtype"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ["run.nc", "run.zarr", "store.zarr"])
def test_names_of_every_kind_are_kept_on_disk(tmp_path, name, labels, dtype):
    frame = FEATURES.copy()
    frame.columns = labels
    problem = dln.Regression(frame, OUTPUTS)
    assert problem.coords["input"].dtype == dtype
    path = tmp_path / name
    trajectory = run(problem, store=path if name == "store.zarr" else None)
    if name != "store.zarr":
        trajectory.save(path)
    opened = dln.open(path)
    assert opened.data["input"].dtype == dtype
    xr.testing.assert_identical(opened.data.load(), trajectory.data.load())
    # As xarray alone reads it.
    engine = {"engine": "h5netcdf"} if path.suffix == ".nc" else {}
    with xr.open_dataset(path, **engine) as foreign:
        assert foreign["input"].values.tolist() == problem.coords["input"].tolist()
        assert foreign["output"].values.tolist() == ["price", "size"]
    again = dln.run(dln.Regression(frame.to_numpy(), OUTPUTS.to_numpy()), opened, n_steps=5)
    assert names(again.data) == names(trajectory.data)


def test_bools_name_outputs_in_files(tmp_path):
    trajectory = run(dln.Classification(FEATURES, [False, True] * 15))
    for name in ("run.nc", "run.zarr"):
        trajectory.save(tmp_path / name)
        data = dln.open(tmp_path / name).data.load()
        xr.testing.assert_identical(data, trajectory.data)
        assert data["output"].dtype == np.bool_


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age", "age", "bp"], "inputs: expected different names of inputs, got 'age' twice"),
        (["age", None, "bp"], "inputs: expected a name of every input, got a missing one at 1"),
        ([1.0, np.nan, 2.0], "a missing one at 1"),
        (pd.DatetimeIndex(["2020", None, "2021"]), "a missing one at 1"),
        (["age", "b\0", "bp"], "inputs: expected names without NUL"),
        (
            pd.Index(["age", "\ud800", "bp"], dtype=object),
            "inputs: expected names that UTF-8 can hold",
        ),
    ],
)
def test_names_that_are_ambiguous_or_missing_are_refused(columns, message):
    frame = FEATURES.copy()
    frame.columns = columns
    with pytest.raises(ValueError, match=message):
        dln.Regression(frame, OUTPUTS)
    assert dln.Regression(frame.to_numpy(), OUTPUTS).coords.keys() == {"output"}


def test_samples_in_another_order_are_refused():
    shuffled = OUTPUTS.sample(frac=1.0, random_state=0)
    with pytest.raises(ValueError, match=r"outputs: expected the index of inputs, \[0, 1, 2, 3"):
        dln.Regression(FEATURES, shuffled)
    with pytest.raises(ValueError, match="labels: expected the index of inputs"):
        dln.Classification(FEATURES, (shuffled["price"] > 0).rename("class"))
    with pytest.raises(ValueError, match="outputs: expected the index of inputs"):
        dln.whiten(FEATURES, shuffled)
    # Together they may come in any order, and counted rows belong to named ones.
    dln.Regression(FEATURES.loc[shuffled.index], shuffled)
    dln.Regression(FEATURES.set_axis(pd.date_range("2020", periods=30)), OUTPUTS)
    dln.Regression(FEATURES, shuffled.to_numpy())


def test_exchanged_dimensions_are_refused():
    target = run(dln.Regression(FEATURES, OUTPUTS)).data.end_to_end.isel(step=-1, drop=True)
    assert names_of_problem(dln.TargetMatrix(target))["input"] == ["age", "bmi", "bp"]
    with pytest.raises(ValueError, match=r"target: expected the dimensions \(output, input\)"):
        dln.TargetMatrix(target.T)
    with pytest.raises(ValueError, match="inputs: expected the dimensions"):
        dln.Regression(xr.DataArray(np.eye(2), dims=("input", "sample")), np.ones(2))


def test_names_are_no_part_of_the_mathematics(tmp_path):
    named = dln.Regression(FEATURES, OUTPUTS)
    plain = named.assign_coords(input=None, output=None)
    assert plain.coords == {}
    assert named.describe() == plain.describe()
    assert names_of_problem(pickle.loads(pickle.dumps(named))) == names_of_problem(named)
    whole = run(named).data
    # A store that was begun without names goes on with them, and takes them; and the reverse.
    run(plain, n_steps=10, store=tmp_path / "a.zarr")
    assert names(dln.open(tmp_path / "a.zarr").data) == {}
    xr.testing.assert_equal(run(named, store=tmp_path / "a.zarr").data.load(), whole)
    assert names(dln.open(tmp_path / "a.zarr", verify=True).data) == names(whole)
    xr.testing.assert_equal(run(plain, store=tmp_path / "a.zarr").data.load(), whole)
    run(named, n_steps=10, store=tmp_path / "b.zarr")
    xr.testing.assert_equal(run(plain, store=tmp_path / "b.zarr").data.load(), whole)
    with pytest.raises(ValueError, match="problem: expected the names of inputs that store has"):
        run(named.assign_coords(input=["bmi", "age", "bp"]), store=tmp_path / "b.zarr")


def test_continuing_keeps_names_and_compares_them():
    named, plain = (
        dln.Regression(FEATURES, OUTPUTS),
        dln.Regression(FEATURES.to_numpy(), OUTPUTS.to_numpy()),
    )
    whole = run(named).data
    for first in (named, plain):
        for second in (named, plain):
            data = dln.run(second, run(first, n_steps=10), n_steps=10).data
            expected = {} if first is second is plain else names(whole)
            assert names(data) == expected
            xr.testing.assert_equal(data.drop_vars(expected), whole.drop_vars(names(whole)))
    other = dln.Regression(FEATURES[["bmi", "age", "bp"]], OUTPUTS)
    with pytest.raises(ValueError, match="the trajectory: expected the names of inputs"):
        dln.run(other, run(named), n_steps=10)
    # Nothing of what is asked for before the end is lost, names included.
    assert names(dln.run(named, run(named), n_steps=0).data) == names(whole)


def test_layers_may_be_tables_whose_names_are_compared():
    first = pd.DataFrame(START[0], columns=FEATURES.columns)
    last = xr.DataArray(START[1], {"output": ["price", "size"]}, ("output", "hidden_1"))
    plain = dln.Regression(FEATURES.to_numpy(), OUTPUTS.to_numpy())
    named = dln.Regression(FEATURES, OUTPUTS)
    expected = run(named).data
    xr.testing.assert_equal(run(plain, [first, last]).data, expected)
    xr.testing.assert_equal(run(named, iter([first, last])).data, expected)
    with pytest.raises(ValueError, match="weights: expected the names of inputs that problem has"):
        run(named, [first[["bmi", "age", "bp"]], last])
    with pytest.raises(ValueError, match=r"weights\[0\]: expected the dimensions"):
        run(named, [xr.DataArray(START[0], dims=("input", "hidden_1")), last])


def test_recorded_layers_start_another_run():
    trajectory = run(dln.Regression(FEATURES, OUTPUTS))
    last = trajectory.data.isel(step=-1)
    again = run(dln.Regression(FEATURES, OUTPUTS), [last.W1, last.W2])
    assert names(again.data) == names(trajectory.data)
    np.testing.assert_array_equal(again.data.W1[0], trajectory.weights[0])


def test_quantities_over_inputs_have_their_names():
    def largest(weights):
        return np.abs(weights[0]).max(axis=0)

    largest.dims = ("input",)
    record = dln.Record([largest], every=5)
    data = dln.run(dln.Regression(FEATURES, OUTPUTS), START, METHOD, n_steps=20, record=record).data
    assert data.largest.sel(input="bmi").isel(step=0) == np.abs(START[0][:, 1]).max()
