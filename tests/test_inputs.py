"""Arrays of other libraries: accepted as they are where their numbers are, refused by name else."""

import array_api_strict
import jax
import jax.experimental.sparse
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import sparse

import pydlnet as dln

MATRIX = np.arange(12.0).reshape(3, 4)

FORMS = {
    "lists": lambda matrix: matrix.tolist(),
    "torch": torch.from_numpy,
    "torch, strided": lambda matrix: torch.from_numpy(matrix.T.copy()).T,
    "pandas": lambda matrix: pd.DataFrame(matrix, columns=list("abcd")),
    "pandas, nullable": lambda matrix: pd.DataFrame(matrix).convert_dtypes(),
    "xarray": xr.DataArray,
    "torch, in use": lambda matrix: torch.from_numpy(matrix).requires_grad_(),
    "torch, a parameter": lambda matrix: torch.nn.Parameter(torch.from_numpy(matrix)),
    "torch, negated lazily": lambda matrix: torch._neg_view(torch.from_numpy(-matrix)),
    "jax": jnp.asarray,
    "array API": array_api_strict.asarray,
    "memoryview": memoryview,
    "Fortran": np.asfortranarray,
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


@pytest.mark.parametrize(
    "form",
    [
        *(pd.Series, torch.from_numpy, xr.DataArray, list, jnp.asarray, array_api_strict.asarray),
        memoryview,
    ],
)
def test_vectors_of_other_libraries_are_accepted(form):
    outputs = form(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(dln.Regression(MATRIX, outputs).outputs, [[1.0], [2.0], [3.0]])
    assert dln.Classification(MATRIX, form(np.array([0, 1, 1]))).shape == (2, 4)


def traced(values):
    """What a JAX function sees of its arguments."""
    seen = []
    jax.make_jaxpr(lambda x: seen.append(x) or x)(values)
    return seen[0]


class OnDevice:
    """An array whose library speaks DLPack, in the memory of something else."""

    __module__ = "cupy"

    def __init__(self, device):
        self.device, self.shape, self.ndim = device, (3, 4), 2

    def __dlpack_device__(self):
        return {"cuda:0": (2, 0), "pinned": (3, 0)}[self.device]

    def __array__(self, dtype=None, copy=None):
        assert self.device == "pinned"
        return MATRIX


class OnlyDLPack:
    """An array that NumPy cannot read in any other way."""

    def __dlpack_device__(self):
        return MATRIX.__dlpack_device__()

    def __dlpack__(self, **kwargs):
        return MATRIX.__dlpack__(**kwargs)


# What is made by JAX is made in the test: a process in which JAX has begun cannot fork any more.
REFUSED = {
    "BFloat16; use .float": torch.ones(3, 4, dtype=torch.bfloat16),
    "on meta; use .cpu": torch.ones(3, 4, device="meta"),
    "torch.sparse_coo; use .to_dense": torch.ones(3, 4).to_sparse(),
    "csr_array; use .toarray": sparse.csr_array(MATRIX),
    "BCOO; use .todense": lambda: jax.experimental.sparse.BCOO.fromdense(jnp.asarray(MATRIX)),
    "masked entries.*MatrixCompletion": np.ma.masked_less(MATRIX, 3.0),
    "OnDevice on cuda:0; use .get": OnDevice("cuda:0"),
    "device1": array_api_strict.asarray(MATRIX, device=array_api_strict.Device("device1")),
    "traced": lambda: traced(MATRIX),
    "Dataset": xr.Dataset({"a": ("x", [1.0, 2.0])}),
}


@pytest.mark.parametrize(("message", "array"), REFUSED.items(), ids=REFUSED)
def test_arrays_whose_numbers_are_not_at_hand_are_refused_by_name(message, array):
    array = array() if callable(array) else array
    for function, name in (
        (dln.TargetMatrix, "target"),
        (lambda a: dln.Regression(a, MATRIX), "inputs"),
        (lambda a: dln.Regression(MATRIX, a), "outputs"),
        (lambda a: dln.Classification(MATRIX, a), "labels"),
        (lambda a: dln.MatrixCompletion((3, 4), [0], [1], a), "values"),
        (lambda a: dln.MatrixCompletion.from_dense(MATRIX, a), "mask"),
        (lambda a: dln.chain.product([a]), r"weights\[0\]"),
    ):
        with pytest.raises(TypeError, match=f"^{name}: .*{message}"):
            function(array)


def test_memory_that_processor_and_gpu_share_is_read():
    np.testing.assert_array_equal(dln.TargetMatrix(OnDevice("pinned")).target, MATRIX)


def test_arrays_that_speak_dlpack_alone_are_read():
    np.testing.assert_array_equal(dln.TargetMatrix(OnlyDLPack()).target, MATRIX)


def test_a_masked_array_without_masked_entries_is_an_array():
    np.testing.assert_array_equal(dln.TargetMatrix(np.ma.array(MATRIX)).target, MATRIX)


def test_a_table_is_no_list_of_layers():
    with pytest.raises(TypeError, match="weights: expected a list of matrices, got DataFrame"):
        dln.chain.product(pd.DataFrame(MATRIX))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([True, False, True], r"inputs: .*'sex' of dtype bool; use .astype\(float\)"),
        (["f", "m", "f"], "inputs: .*'sex' of dtype (str|object); encode it"),
        (pd.Categorical(["f", "m", "f"]), "inputs: .*'sex' of dtype category"),
        (pd.date_range("2020", periods=3), "inputs: .*'sex' of dtype datetime64"),
    ],
)
def test_a_column_that_has_no_numbers_is_named(column, message):
    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0], "sex": column})
    with pytest.raises(TypeError, match=message):
        dln.Regression(frame, np.ones(3))


def test_a_column_may_be_called_like_a_method_of_an_array():
    frame = pd.DataFrame(MATRIX, columns=["device", "layout", "toarray", "todense"])
    assert dln.TargetMatrix(frame).shape == (3, 4)


def test_numbers_and_functions_may_use_arrays_of_other_libraries():
    rate = torch.tensor(0.25, requires_grad=True)
    problem = dln.EndToEndLoss(
        lambda W: (torch.tensor(0.5 * (W**2).sum(), requires_grad=True), jnp.asarray(W)), (3, 4)
    )

    def entry(weights):
        return torch.tensor(weights[0][0, 1], requires_grad=True)

    record = dln.Record([entry], every=1)
    start = [torch.from_numpy(MATRIX).requires_grad_()]
    trajectory = dln.run(problem, start, dln.GradientDescent(rate), n_steps=2, record=record)
    np.testing.assert_allclose(trajectory.data["entry"], [1.0, 0.75, 0.5625], rtol=1e-6)
    assert start[0].grad is None
