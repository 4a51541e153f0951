"""Names of columns of a CSV file on what ``pydlnet run`` saves."""

import re

import numpy as np
import pandas as pd
import pytest
from experiment_file import problem

import pydlnet as dln

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.standard_normal((8, 5)), columns=["age", "bmi", "bp", "price", "size"])
RECORD = '[record]\nquantities = ["loss", "end_to_end"]\n'


@pytest.fixture
def data(call, write, tmp_path):
    """Return a function that runs a file on the table and returns what was saved."""
    TABLE.assign(kind=["a", "b"] * 4).to_csv(tmp_path / "data.csv", index=False)

    def run(keys, widths=(3, 2)):
        text = problem(keys, 'data = "data.csv"\n', widths) + RECORD
        code, _, err = call("run", write(text), "--overwrite")
        assert code == 0, err
        return dln.open("try.nc").data

    return run


@pytest.mark.parametrize("center", ["false", "true"])
@pytest.mark.parametrize("kind", ["Regression", "whiten"])
def test_columns_name_inputs_and_outputs(data, kind, center):
    keys = f'kind = "{kind}"\ncenter = {center}\ninputs = ["age", "bmi", "bp"]\n'
    both = data(keys + 'outputs = ["price", "size"]', [3, 2])
    assert both.input.values.tolist() == ["age", "bmi", "bp"]
    assert both.output.values.tolist() == ["price", "size"]
    one = data(keys + 'outputs = "price"', [3, 1])
    assert one.output.values.tolist() == ["price"]
    arrays = [TABLE[["age", "bmi", "bp"]].to_numpy(), TABLE[["price", "size"]].to_numpy()]
    if center == "true":
        arrays = [array - array.mean(axis=0) for array in arrays]
    made = dln.whiten(*arrays).problem if kind == "whiten" else dln.Regression(*arrays)
    record = dln.Record("end_to_end")
    expected = dln.run(
        made, dln.init.identity((3, 2)), dln.GradientDescent(0.1), n_steps=3, record=record
    )
    # Equal to rounding: means of columns are summed in the order in which these lie in memory.
    np.testing.assert_allclose(
        both.end_to_end.sel(input="bp", output="size"),
        expected.data.end_to_end[:, 1, 2],
        rtol=1e-13,
    )


def test_names_are_shown(call, data):
    data('kind = "Regression"\ninputs = ["age", "bmi", "bp"]\noutputs = ["price", "size"]')
    _, out, _ = call("show", "try.nc")
    assert re.search(r"^inputs +\[age, bmi, bp\]$", out, re.MULTILINE)


def test_the_rest_of_the_columns_and_classes(data):
    keys = 'kind = "Classification"\nlabels = "kind"\ninputs = "*"'
    named = data(keys, [5, 2])
    assert named.input.values.tolist() == list(TABLE.columns)
    assert named.output.values.tolist() == ["a", "b"]


def test_a_column_without_numbers_is_named(fails, tmp_path):
    (tmp_path / "data.csv").write_text("age,kind,price\n1,a,2\n2,b,3\n")
    keys = 'kind = "Regression"\ninputs = ["age", "kind"]\noutputs = "price"'
    error = fails(text=problem(keys, 'data = "data.csv"\n'))
    assert "problem.inputs: expected columns of real numbers, got 'kind'" in error
