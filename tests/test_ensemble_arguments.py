"""What ensembles take and refuse."""

import numpy as np
import pytest
from helpers import network

import pydlnet as dln

PROBLEM = dln.TargetMatrix(np.eye(3))
START = network((3, 3, 3), seed=0)
METHOD = dln.GradientDescent(0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([PROBLEM] * 2, [START] * 3, METHOD), ValueError, "one length, got 2 problems, 3 starts"),
        (([PROBLEM], [START] * 3, METHOD), ValueError, "one length, got 1 problems, 3 starts"),
        (([], START, METHOD), ValueError, "problems: expected at least one member"),
        ((PROBLEM, START, []), ValueError, "methods: expected at least one member"),
        ((PROBLEM, [], METHOD), ValueError, "starts: expected at least one"),
        ((3, START, METHOD), TypeError, "problems: expected a Problem or a sequence"),
        (([PROBLEM, 3], START, METHOD), TypeError, r"problems\[1\]: expected a Problem, got int"),
        ((PROBLEM, 3, METHOD), TypeError, "starts: expected lists of matrices, got int"),
        (
            (PROBLEM, START, [METHOD, dln.Adam(0.1)]),
            TypeError,
            r"methods\[1\]: expected a GradientDescent like methods\[0\], got Adam",
        ),
        (
            (PROBLEM, [START, network((3, 2, 3), seed=0)], METHOD),
            ValueError,
            r"starts\[1\]: expected widths \(3, 3, 3\) like starts\[0\], got \(3, 2, 3\)",
        ),
        (
            (PROBLEM, [START, network((3, 3, 3), seed=0, dtype=np.float32)], METHOD),
            TypeError,
            r"starts\[1\]: expected float64 like starts\[0\], got float32",
        ),
        (
            ([PROBLEM, dln.TargetMatrix(np.eye(4))], START, METHOD),
            ValueError,
            r"starts\[1\]: expected an end-to-end matrix of shape \(4, 4\)",
        ),
    ],
)
def test_bad_members_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        dln.run_ensemble(*arguments, n_steps=1)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"threads": 0}, ValueError, "threads: expected an integer >= 1"),
        ({"n_steps": -1}, ValueError, "n_steps"),
        ({"record": "loss"}, TypeError, "record: expected a Record"),
        ({"stop": 3}, TypeError, "stop: expected a Stop or a sequence"),
        ({"rng": "a"}, TypeError, "rng: expected"),
        ({"progress": 1}, TypeError, "progress: expected a bool"),
        ({"record": dln.Record("held_out_error")}, ValueError, "held_out="),
    ],
)
def test_bad_keywords_are_refused(keywords, error, message):
    with pytest.raises(error, match=message):
        dln.run_ensemble(PROBLEM, START, METHOD, **{"n_steps": 1, **keywords})


def test_a_trajectory_is_no_start():
    trajectory = dln.run(PROBLEM, START, METHOD, n_steps=1)
    with pytest.raises(TypeError, match="starts: expected layers, got a Trajectory"):
        dln.run_ensemble(PROBLEM, trajectory, METHOD, n_steps=1)


def test_values_of_one_quantity_have_one_shape():
    sizes = iter([2, 3, 2, 3])

    def ragged(weights):
        return np.zeros(next(sizes))

    with pytest.raises(ValueError, match=r"'ragged': expected shape \(2,\) as for run 0"):
        dln.run_ensemble(
            PROBLEM, [START, START], METHOD, n_steps=1, record=dln.Record(ragged, steps=[0])
        )


@pytest.mark.parametrize(
    "given",
    [
        lambda starts: (iter(start) for start in starts),
        lambda starts: [np.stack(start) for start in starts],
        lambda starts: np.stack([np.stack(start) for start in starts]),
    ],
    ids=["iterators", "stacked", "one array"],
)
def test_starts_of_every_kind(given):
    starts = [network((3, 3, 3), seed=k) for k in range(3)]
    problem, method = dln.TargetMatrix(np.eye(3)), dln.GradientDescent(0.1)
    expected = dln.run_ensemble(problem, starts, method, n_steps=2)
    found = dln.run_ensemble(problem, given(starts), method, n_steps=2)
    np.testing.assert_array_equal(found.data.loss, expected.data.loss)
