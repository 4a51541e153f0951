"""What gradient flow takes and refuses."""

import numpy as np
import pytest
from helpers import network
from small_flow import FLOW, PROBLEM, START, run

import pydlnet as dln


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"n_steps": 5}, ValueError, "n_steps: expected until=TIME"),
        ({"n_steps": 5, "until": 1.0}, ValueError, "n_steps: expected until=TIME"),
        ({}, TypeError, "until: expected the time"),
        ({"until": -1.0}, ValueError, "until: expected a finite number >= 0"),
        ({"until": np.inf}, ValueError, "until: expected a finite number"),
        ({"until": "1"}, TypeError, "until: expected a real number"),
        ({"until": 1.0, "record": dln.Record(every=5)}, ValueError, "record: expected times"),
        ({"until": 1.0, "record": dln.Record(steps=[5])}, ValueError, "record: expected times"),
        (
            {"until": 1.0, "record": dln.Record("learning_rate")},
            ValueError,
            "record: expected no learning_rate",
        ),
    ],
)
def test_arguments_of_steps_are_refused(keywords, kind, message):
    with pytest.raises(kind, match=message):
        dln.run(PROBLEM, START, FLOW, **keywords)


def test_float32_is_refused():
    with pytest.raises(TypeError, match="weights: expected float64"):
        run(1.0, weights=network((4, 5, 3), seed=2, dtype=np.float32))


def test_arguments_of_flows_are_refused_with_steps():
    descent = dln.GradientDescent(0.1)
    with pytest.raises(ValueError, match="until: expected a GradientFlow"):
        dln.run(PROBLEM, START, descent, until=1.0)
    with pytest.raises(ValueError, match="record: expected steps"):
        dln.run(PROBLEM, START, descent, n_steps=5, record=dln.Record(times=[1.0]))
    with pytest.raises(TypeError, match="n_steps: expected the number"):
        dln.run(PROBLEM, START, descent)


def test_flows_and_steps_do_not_mix():
    steps = dln.run(PROBLEM, START, dln.GradientDescent(0.1), n_steps=5)
    with pytest.raises(ValueError, match=r"weights: expected a trajectory of a flow"):
        dln.run(PROBLEM, steps, FLOW, until=1.0)
    with pytest.raises(ValueError, match=r"weights: expected a trajectory of steps"):
        dln.run(PROBLEM, run(1.0), dln.GradientDescent(0.1), n_steps=5)
    assert dln.run(PROBLEM, steps.weights, FLOW, until=1.0).status == "finished"


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match=r"until: expected a time >= 1\.5"):
        dln.run(PROBLEM, run(1.5), until=1.0)


@pytest.mark.parametrize(
    ("times", "kind", "message"),
    [
        ([1.0, 1.0], ValueError, "strictly increasing"),
        ([-1.0, 1.0], ValueError, r"times\[0\]: expected a number >= 0"),
        ([np.nan], ValueError, "times: expected finite"),
        ([], (ValueError, TypeError), "times: expected"),
        ([[1.0]], ValueError, "times: expected a vector"),
        ("1", TypeError, "times: expected"),
    ],
)
def test_times_are_checked(times, kind, message):
    with pytest.raises(kind, match=message):
        dln.Record(times=times)


def test_steps_and_times_exclude_each_other():
    for keywords in ({"every": 5}, {"steps": [1, 2]}):
        with pytest.raises(ValueError, match="either steps or times"):
            dln.Record(times=[1.0], **keywords)


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"rtol": 0.0}, ValueError, "rtol: expected a finite number > 0"),
        ({"rtol": 1e-15}, ValueError, r"rtol: expected a number in \[2.2e-14, 1\)"),
        ({"rtol": 10.0}, ValueError, r"rtol: expected a number in \[2.2e-14, 1\)"),
        ({"rtol": "x"}, TypeError, "rtol: expected a real number"),
        ({"atol": -1.0}, ValueError, "atol: expected a finite number >= 0"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay: expected"),
    ],
)
def test_settings_are_checked(keywords, kind, message):
    with pytest.raises(kind, match=message):
        dln.GradientFlow(**keywords)


def test_ensembles_and_tuning_take_steps():
    with pytest.raises(TypeError, match="got GradientFlow"):
        dln.run_ensemble(PROBLEM, START, FLOW, n_steps=5)
    with pytest.raises(TypeError, match="got GradientFlow"):
        dln.tune(PROBLEM, START, FLOW, [0.1], 1e-3, n_steps=5)


def test_settings_and_records_survive_json():
    method = dln.GradientFlow(1e-5, 0.0, 0.1)
    assert dln.methods.method_from_dict(method.to_dict()) == method
    for record in (dln.Record(times=[0.5, 1.0]), dln.Record(), dln.Record(every=3)):
        assert dln.recording.record_from_dict(record.to_dict()) == record
