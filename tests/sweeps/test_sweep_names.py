"""What makes two points the same one, and the messages for what cannot be one."""

import dataclasses
import functools

import numpy as np
import pytest
from sweep_functions import noise, square, train

import pydlnet as dln
from pydlnet.sweeps.canonical import canonical
from pydlnet.sweeps.grid import as_grid

SAME = [
    (1, 1.0, np.float64(1), np.int32(1), np.array(1.0)),
    (0.1, np.float64(0.1)),
    (-0.0, 0),
    ((1, 2), [1.0, 2]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}),
    (float("nan"), np.nan),
    (np.arange(3.0), np.arange(6.0)[::2] / 2),
    (dln.GradientDescent(0.1), dln.GradientDescent(np.float64(0.1))),
    (dln.TargetMatrix(np.eye(2)), dln.TargetMatrix([[1.0, 0.0], [0.0, 1.0]])),
]


def key(value):
    return as_grid({"x": [value]}, "").keys[0]


def test_equal_values_are_one_point_and_others_are_not():
    names = [{key(value) for value in group} for group in SAME]
    assert [len(group) for group in names] == [1] * len(SAME)
    others = [
        True,
        "1",
        None,
        [1],
        np.array([1.0]),
        2**53 + 1,
        float(2**53),
        np.inf,
        np.float32(0.1),
    ]
    others += [np.arange(3.0, dtype=np.float32), dln.GradientDescent(0.2), dln.Momentum(0.1, 0.5)]
    others += [dln.init.balanced, 1j, {"a": 1}, {"mapping": {"a": 1}}]
    every = [name for group in names for name in group] + [key(value) for value in others]
    assert len(set(every)) == len(every)


def test_names_of_points_do_not_change():
    """A change here makes every stored sweep compute everything again: raise LAYOUT with it."""
    grid = as_grid({"depth": [2], "rate": [0.1], "kind": ["a"]}, '{"function":"f"}')
    assert grid.keys == ["287722e9f6cdb0e9bc76baa55dac8aa8"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: 0, "expected a function defined at the top of a module"),
        (dln.GradientDescent(lambda step: 0.1), "learning_rate: expected a function defined at"),
        (dln.EndToEndLoss(lambda w: (0.0, w), (2, 2)), "expected a function defined at the top"),
        (object(), "expected a number, a string, None, an array, a problem"),
        (np.array([object()]), "expected an array of numbers or strings, got object"),
        ({1: 2}, "expected a mapping with strings as keys"),
        (np.longdouble(1) / 3, "expected a number that float64 can hold"),
        (dataclasses.make_dataclass("Loose", ["a"])(1), "expected a frozen dataclass"),
    ],
)
def test_what_has_no_name_of_its_own_is_refused(value, expected):
    with pytest.raises(TypeError, match=expected) as caught:
        canonical(value, "grid['x'][0]")
    assert str(caught.value).startswith("grid['x'][0]")


class Holder:
    def method(self, x):
        return {"x": x}

    def __call__(self, x):
        return {"x": x}


@pytest.mark.parametrize(
    ("function", "grid", "options", "error", "message"),
    [
        (
            train,
            {"dept": [1], "learning_rate": [1]},
            {},
            ValueError,
            "no parameter 'dept'; did you",
        ),
        (
            train,
            {"depth": [1]},
            {},
            ValueError,
            "grid: expected values of 'learning_rate' at every",
        ),
        (square, {}, {}, ValueError, "grid: expected at least one parameter, got an empty mapping"),
        (square, [], {}, ValueError, "grid: expected at least one point, got an empty list"),
        (square, {"x": []}, {}, ValueError, r"grid\['x'\]: expected at least one value, got none"),
        (square, {"x": 3}, {}, TypeError, r"grid\['x'\]: expected a sequence of values, got int 3"),
        (square, {"x": "abc"}, {}, TypeError, "expected a sequence of values, got str 'abc'"),
        (square, {"x": np.array(2)}, {}, TypeError, "expected a sequence of values, got a single"),
        (square, 5, {}, TypeError, "grid: expected a mapping of names to values, or a list"),
        (square, [{"x": 1}, 2], {}, TypeError, r"grid\[1\]: expected a mapping of names to values"),
        (square, {"x": [1, 2, 1.0]}, {}, ValueError, "the same in places 0 and 2: 1.0"),
        (square, [{"x": 1}, {"x": 1}], {}, ValueError, "the same in places 0 and 1"),
        (square, {"status": [1]}, {}, ValueError, "the name 'status' is taken by the results"),
        (square, {1: [1]}, {}, TypeError, "grid: expected names of parameters, got int 1"),
        (square, {"x": [1]}, {"n_jobs": 0}, ValueError, "n_jobs: expected an integer >= 1"),
        (square, {"x": [1]}, {"n_jobs": 1.5}, TypeError, "n_jobs: expected an integer, got float"),
        (
            square,
            {"x": [1]},
            {"shard": (4, 3)},
            ValueError,
            r"shard\[0\]: expected an integer <= 3",
        ),
        (square, {"x": [1]}, {"shard": "1/3"}, TypeError, r"shard: expected a pair \(number, coun"),
        (square, {"x": [1]}, {"rng": 1}, TypeError, "rng: expected None, as .*square has no param"),
        (noise, {"x": [1]}, {"rng": -1}, ValueError, "rng: expected an integer >= 0"),
        (square, {"x": [1]}, {"version": 2}, TypeError, "version: expected a string, got int 2"),
        (square, {"x": [1]}, {"recompute": 1}, TypeError, "recompute: expected a bool, got int 1"),
        (square, {"x": [1]}, {"verify": None}, TypeError, "verify: expected a bool, got NoneType"),
        (square, {"x": [1]}, {"progress": 1}, TypeError, "progress: expected a bool or None, got"),
        (
            square,
            {"x": [1]},
            {"executor": 3},
            TypeError,
            "executor: expected an object with the in",
        ),
        (square, {"x": [1]}, {"store": 3}, TypeError, "store: expected a path, got int 3"),
        (3, {"x": [1]}, {}, TypeError, "function: expected a function, got int 3"),
        (Holder(), {"x": [1]}, {}, TypeError, "function: expected a function or a functools.parti"),
        (Holder().method, {"x": [1]}, {}, TypeError, "function: expected a function or a functoo"),
        (functools.partial(square, 1), {"x": [1]}, {}, TypeError, "a partial with keywords only"),
    ],
)
def test_messages(function, grid, options, error, message, store):
    with pytest.raises(error, match=message):
        dln.sweep(function, grid, **{"store": store, **options})
    assert not store.exists()


@pytest.mark.parametrize("value", [3.0, [1], "text", None, np.eye(2)])
def test_a_function_must_return_something_with_names(value, store):
    def wrong(x):
        return value

    with pytest.warns(
        UserWarning, match="expected it to return a Trajectory, an xarray.Dataset or"
    ):
        dln.sweep(wrong, {"x": [1]}, store=store)


def test_a_folder_of_something_else_is_refused(store, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        ValueError, match=r"store: expected the folder of a sweep or nothing.*a file"
    ):
        dln.sweep(square, {"x": [1]}, store=tmp_path / "file")
    with pytest.raises(ValueError, match="got a folder with other things in it"):
        dln.sweep(square, {"x": [1]}, store=tmp_path)
    dln.sweep(square, {"x": [1]}, store=store)
    with pytest.raises(
        ValueError, match=r"expected a sweep of \S*noise in .*, got one of \S*square"
    ):
        dln.sweep(noise, {"x": [1]}, store=store)
    with pytest.raises(
        ValueError, match="path: expected the folder of a sweep, got something else"
    ):
        dln.open_sweep(tmp_path)
    with pytest.raises(ValueError, match=r"path: expected a trajectory, got a sweep.*open_sweep"):
        dln.open(store)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(ValueError, match=r"sweep.json is damaged, or of something else"):
        dln.sweep(square, {"x": [1]}, store=tmp_path)
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        dln.open_sweep(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="y: unknown parameter; known are x"):
        dln.open_sweep(store).point(y=1)
    with pytest.raises(ValueError, match="x: expected one of 1, got 7"):
        dln.open_sweep(store).point(x=7)
