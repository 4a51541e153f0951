"""Functions that return odd things, and odd things that functions are given."""

import os

import numpy as np
import pytest
import xarray as xr
from sweep_functions import square

import pydlnet as dln


def sweep_of(results, store):
    """Return a sweep whose points return these results, one after the other."""

    def nth(i):
        if isinstance(results[i], BaseException):
            raise results[i]
        return results[i]

    return dln.sweep(nth, {"i": list(range(len(results)))}, store=store)


def data_of(results, store):
    return sweep_of(results, store).data.load()


def test_words_numbers_and_complex_numbers_may_be_mixed(store):
    values = [1, 1.5, "word", True, 1j]
    assert data_of([{"a": value} for value in values], store)["a"].values.tolist() == values


def test_long_floats_keep_their_digits(store):
    third = np.longdouble(1) / 3
    assert data_of([{"a": third}], store)["a"].values[0] == third


def test_names_are_kept_apart(store):
    result = {"a": [1, 2], "a.npy": [3, 4], "a_0": 5.0, "i": 6, "i_recorded": 7, "../b/c": [8]}
    sweep = sweep_of([result], store)
    data = sweep.data.isel(i=0)
    for name, value in result.items():
        np.testing.assert_array_equal(data["i_recorded_" if name == "i" else name], value)
        np.testing.assert_array_equal(sweep.point(i=0)[name], value)


@pytest.mark.parametrize("status", [3.0, [1, 2], ["x", "y"]])
def test_a_status_of_the_functions_own_hides_no_failure(status, store):
    with pytest.warns(UserWarning, match="1 of 2 points failed"):
        data = data_of([{"status": status}, ValueError()], store)
    assert data["status"].values.tolist() == ["done", "failed"]
    np.testing.assert_array_equal(data["status_recorded"][0], status)


def test_a_coordinate_that_names_nan_twice_loses_no_record(store):
    times = [np.nan, np.nan, *range(18)]
    table = xr.Dataset({"v": ("t", np.arange(20.0))}, {"t": times})
    data = data_of([table], store)
    np.testing.assert_array_equal(data["v"][0], np.arange(20.0))
    np.testing.assert_array_equal(data["t_values"][0], times)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"a": np.ma.array([1.0, 2.0], mask=[0, 1])}, "result 'a': expected no masked entries"),
        ({"a": np.ma.masked}, "result 'a': expected no masked entries"),
        ({"a": "\ud800"}, "result 'a': expected text that UTF-8 can hold"),
        ({"a\0b": [1]}, "expected names of results without NUL"),
        ({"\ud800": 1}, "names of results: expected text that UTF-8 can hold"),
    ],
)
def test_what_no_file_can_hold_is_a_failure(result, message, store):
    with pytest.warns(UserWarning, match=message):
        sweep = sweep_of([result, {"b": 1}], store)
    assert sweep.counts["done"] == 1
    assert len(sweep.data["b"]) == 2


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def with_odd_note():
    error = ValueError("text")
    error.__notes__ = [3]
    return error


@pytest.mark.parametrize(
    ("error", "message"), [(Speechless(), "Speechless"), (with_odd_note(), "ValueError")]
)
def test_an_exception_that_cannot_be_shown_is_recorded(error, message, store):
    with pytest.warns(UserWarning, match="1 of 2 points failed"):
        sweep = sweep_of([error, {"a": 1}], store)
    assert [failure.message for failure in sweep.failures] == [message]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"x": [10**400]}, r"grid\['x'\]\[0\]: expected a number in the range of float64"),
        ({"x": ["\ud800"]}, r"grid\['x'\]\[0\]: expected text that UTF-8 can hold, got '\\ud800'"),
        ({"\ud800": [1]}, "grid: expected text that UTF-8 can hold"),
        ({"x": {"\ud800": 1}}, r"grid\['x'\]: expected text that UTF-8 can hold"),
        ({"x": {"1": 2, 1: 3}}, "labels: expected different values, got the same in places 0 and"),
        ({"x": np.ma.array([1, 2], mask=[0, 1])}, r"grid\['x'\]\[1\]: expected an array without"),
        ({"x": range(10**12)}, r"grid\['x'\]: expected at most 10,000,000 values, got 1,000,000"),
        ({"x": range(10**4), "y": range(10**4)}, "grid: expected at most 10,000,000 points, got 1"),
    ],
)
def test_grids_that_are_refused(grid, message, store):
    with pytest.raises(ValueError, match=message):
        dln.sweep(lambda x, y: {}, grid, store=store)
    assert not store.exists()


def test_labels_of_ensembles_are_checked_as_well(store):
    rates = {1: dln.GradientDescent(0.1), "1": dln.GradientDescent(0.2)}
    start = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
    with pytest.raises(ValueError, match="methods: labels: expected different values, got the sa"):
        dln.sweep_ensemble(dln.TargetMatrix(np.eye(2)), start, rates, n_steps=1, store=store)


def test_what_a_function_does_to_its_parameters_changes_no_other_point(store):
    def spoil(target, options, factor):
        target *= factor
        options["seen"].append(factor)
        return {"sum": target.sum(), "seen": len(options["seen"])}

    mine, options = np.ones(3), {"seen": []}
    grid = {"target": [mine], "options": [options], "factor": [2, 3]}
    data = dln.sweep(spoil, grid, store=store).data
    assert data["sum"].values.ravel().tolist() == [6, 9]
    assert data["seen"].values.ravel().tolist() == [1, 1]
    assert mine.tolist() == [1, 1, 1]
    assert options == {"seen": []}


def test_other_captured_values_are_a_warning(store):
    def make(target, default=()):
        def total(x, default=default):
            return {"y": x * float(np.sum(target)), "size": len(default)}

        return total

    first = make(np.ones(3))
    dln.sweep(first, {"x": [1]}, store=store)
    assert dln.sweep(make(np.ones(3)), {"x": [1]}, store=store).data["y"].values == [3]
    for other in (make(np.zeros(3)), make(np.ones(3), (1,)), make([object()])):
        with pytest.warns(UserWarning, match="or what it captures, has changed"):
            dln.sweep(other, {"x": [1]}, store=store)


def test_a_point_is_found_by_label_and_by_value(store):
    def last(target, scale):
        return {"y": float(target[0]) * 2}

    targets = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    sweep = dln.sweep(last, {"target": targets, "scale": [np.nan, 0.5]}, store=store)
    assert sweep.point(target="1: array of shape (2,)", scale=0.5)["y"] == 6
    assert sweep.point(target=np.array([3.0, 4.0]), scale=np.nan)["y"] == 6
    with pytest.raises(ValueError, match=r"scale: expected one of nan, 0.5, got 0.4"):
        sweep.point(target=targets[0], scale=0.4)
    with pytest.raises(ValueError, match=r"target: expected one of .*got array"):
        sweep.point(target=np.ones(2), scale=0.5)


def test_a_sweep_stays_open_when_the_working_directory_changes(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dln.sweep(lambda x: {"a": np.full(3, x)}, {"x": [1, 2]}, store=f"{store.name}/")
    sweep = dln.open_sweep(os.path.relpath(store))
    monkeypatch.chdir("/")
    assert sweep.data["a"].values.tolist() == [[1, 1, 1], [2, 2, 2]]


def test_an_unknown_value_is_named_with_those_that_there_are(store):
    sweep = dln.sweep(square, {"x": list(range(20))}, store=store)
    with pytest.raises(ValueError, match=r"x: expected one of 0, 1, 2, .*, 7, \.\.\., got 0.5"):
        sweep.point(x=0.5)
