"""Arrays of other libraries: accepted as they are where their numbers are, refused by name else."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import pydlnet as dln

MATRIX = np.arange(12.0).reshape(3, 4)

FORMS = {
    "lists": lambda matrix: matrix.tolist(),
    "torch": torch.from_numpy,
    "torch, strided": lambda matrix: torch.from_numpy(matrix.T.copy()).T,
    "pandas": lambda matrix: pd.DataFrame(matrix, columns=list("abcd")),
    "pandas, nullable": lambda matrix: pd.DataFrame(matrix).convert_dtypes(),
    "xarray": lambda matrix: xr.DataArray(matrix, dims=("output", "input")),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_matrices_of_other_libraries_are_accepted(form):
    value = form(MATRIX)
    np.testing.assert_array_equal(dln.TargetMatrix(value).ground_truth, MATRIX)
    problem = dln.Regression(value, value)
    np.testing.assert_array_equal(problem.inputs, MATRIX)
    np.testing.assert_array_equal(problem.outputs, MATRIX)
    np.testing.assert_array_equal(dln.chain.product([value]), MATRIX)
    trajectory = dln.run(dln.TargetMatrix(value), [value], dln.GradientDescent(0.1), n_steps=1)
    np.testing.assert_array_equal(trajectory.weights[0], MATRIX)
    mask = np.ones(MATRIX.shape, dtype=bool)
    assert dln.MatrixCompletion.from_dense(value, mask).n_samples == 12


@pytest.mark.parametrize("form", [pd.Series, torch.from_numpy, xr.DataArray, list])
def test_vectors_of_other_libraries_are_accepted(form):
    outputs = form(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(dln.Regression(MATRIX, outputs).outputs, [[1.0], [2.0], [3.0]])
    assert dln.Classification(MATRIX, form(np.array([0, 1, 1]))).shape == (2, 4)


REFUSED = {
    "requires grad": torch.ones(3, 4, requires_grad=True),
    "BFloat16": torch.ones(3, 4, dtype=torch.bfloat16),
    "meta": torch.ones(3, 4, device="meta"),
}


@pytest.mark.parametrize(("message", "tensor"), REFUSED.items())
def test_tensors_whose_numbers_are_not_at_hand_are_refused_by_name(message, tensor):
    with pytest.raises(TypeError, match=f"target: .*{message}"):
        dln.TargetMatrix(tensor)
    with pytest.raises(TypeError, match=rf"weights\[0\]: .*{message}"):
        dln.chain.product([tensor])
