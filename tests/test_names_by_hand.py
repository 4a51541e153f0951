"""Names of inputs and outputs that `assign_coords` gives."""

import numpy as np
import pytest
from helpers import names_of_problem

import pydlnet as dln


def test_names_given_by_hand():
    problem = dln.TargetMatrix(np.eye(2, 3)).assign_coords(input=["a", "b", "c"], output=(5, 3))
    assert names_of_problem(problem) == {"output": [5, 3], "input": ["a", "b", "c"]}
    assert names_of_problem(problem.assign_coords(input=None)) == {"output": [5, 3]}
    assert "a, b, c" in problem._repr_html_()
    with pytest.raises(ValueError, match="read-only"):
        problem.coords["input"][0] = "x"
    problem.coords.clear()
    assert problem.coords


def test_odd_numbers_as_names():
    problem = dln.TargetMatrix(np.eye(2, 2))
    assert names_of_problem(problem.assign_coords(input=[10**400, 0.5]))["input"][1] == "0.5"
    assert names_of_problem(problem.assign_coords(input=[np.bool_(True), 1])) == {
        "input": ["True", "1"]
    }
    days = problem.assign_coords(input=[20230101.0, 20230102.0], output=[0.5, 2.0])
    panels = dln.plot.end_to_end(
        dln.run(
            days,
            dln.init.identity((2, 2)),
            dln.GradientDescent(0.1),
            n_steps=1,
            record=dln.Record("end_to_end"),
        )
    )
    texts = [text.get_text() for text in np.ravel(panels)[0].get_xticklabels()]
    assert texts == ["20230101.0", "20230102.0"]
    assert [text.get_text() for text in np.ravel(panels)[0].get_yticklabels()] == ["0.5", "2"]


@pytest.mark.parametrize(
    ("coords", "error", "message"),
    [
        ({"input": ["a", "b"]}, ValueError, "input: expected 3 names, got 2"),
        ({"input": ["a", "a", "b"]}, ValueError, "input: expected different names"),
        ({"input": "abc"}, TypeError, "input: expected a sequence of names, got str"),
        ({"input": np.eye(3)}, ValueError, "input: expected one name each"),
        ({"input": [["a"], ["b"], ["c"]]}, TypeError, "input: expected text or numbers as names"),
        ({"input": [(1, [2]), 3, 4]}, TypeError, "input: expected text or numbers as names"),
        ({"input": {"a", "b", "c"}}, TypeError, "input: expected a sequence of names, got set"),
        ({"inputs": ["a", "b", "c"]}, TypeError, "got 'inputs'; did you mean 'input'"),
    ],
)
def test_names_given_by_hand_are_checked(coords, error, message):
    with pytest.raises(error, match=message):
        dln.TargetMatrix(np.eye(2, 3)).assign_coords(**coords)
