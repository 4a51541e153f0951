"""Bad data for problems: a ValueError or TypeError naming the argument."""

import math

import numpy as np
import pandas as pd
import pytest

import pydlnet as dln

NAN, INF = math.nan, math.inf


def regression(inputs=((1.0, 2.0), (3.0, 4.0)), outputs=((1.0,), (2.0,)), **kwargs):
    return dln.Regression(inputs, outputs, **kwargs)


def classification(inputs=((1.0, 2.0), (3.0, 4.0)), labels=("a", "b"), **kwargs):
    return dln.Classification(inputs, labels, **kwargs)


def completion(shape=(3, 4), rows=(0, 1), columns=(2, 3), values=(1.0, 2.0), **kwargs):
    return dln.MatrixCompletion(shape, rows, columns, values, **kwargs)


MEASUREMENTS = np.ones((2, 3, 4))


def sensing(measurements=MEASUREMENTS, values=(1.0, 2.0), **kwargs):
    return dln.MatrixSensing(measurements, values, **kwargs)


def synthetic(shape=(3, 4), rank=1, n_observed=5, **kwargs):
    return dln.MatrixCompletion.synthetic(shape, rank, n_observed, 1, **kwargs)


BAD_MATRICES = [
    ([[1.0, NAN]], "nan"),
    ([[1.0, INF]], "inf"),
    (np.ones((0, 2)), "0"),
    (np.ones((2, 0)), "0"),
    (np.ones(2), "matrix"),
    ([[1.0, 2.0], [3.0]], ""),
    ([[1j, 2.0]], ""),
    ([[object(), 2.0]], ""),
    ([["a", "b"]], ""),
    (None, ""),
    (pd.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}), "nan"),
    (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), "masked"),
]


@pytest.mark.parametrize(("matrix", "message"), BAD_MATRICES, ids=lambda x: str(x)[:20])
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (dln.TargetMatrix, "target"),
        (lambda m: regression(inputs=m), "inputs"),
        (lambda m: regression(outputs=m), "outputs"),
        (lambda m: classification(inputs=m), "inputs"),
        (lambda m: dln.whiten(m, np.ones((2, 1))), "inputs"),
        (lambda m: dln.TargetMatrix([[1.0]]).value_and_gradient(m), "end_to_end"),
        (lambda m: dln.init.balanced_from(m, (2, 3, 2)), "matrix"),
        (lambda m: dln.init.spectral(m, (2, 3, 2)), "matrix"),
        (lambda m: dln.MatrixCompletion.from_dense(m, np.ones((1, 2), bool)), "matrix|mask"),
    ],
    ids=[
        "target",
        "inputs",
        "outputs",
        "classify",
        "whiten",
        "value",
        "balanced",
        "spectral",
        "from_dense",
    ],
)
def test_wrong_matrices(build, name, matrix, message):
    if name == "outputs" and isinstance(matrix, np.ndarray) and matrix.ndim == 1:
        return  # one output a sample may come as a vector
    with pytest.raises((ValueError, TypeError), match=name):
        build(matrix)


WRONG_DATA = [
    (lambda: regression(outputs=[[1.0]]), ValueError, r"outputs.*2"),
    (lambda: regression(power=1), ValueError, "power"),
    (lambda: regression(power=0.5), ValueError, "power"),
    (lambda: regression(power=-2), ValueError, "power"),
    (lambda: regression(power=NAN), ValueError, "power"),
    (lambda: regression(power=INF), ValueError, "power"),
    (lambda: regression(power="2"), TypeError, "power"),
    (lambda: regression(reduction="average"), ValueError, "reduction.*mean.*sum.*average"),
    (lambda: regression(reduction=None), TypeError, "reduction"),
    (lambda: classification(labels=["a"]), ValueError, "labels.*2"),
    (lambda: classification(labels=["a", "a"]), ValueError, "labels.*two classes"),
    (lambda: classification(labels=["a", None]), ValueError, r"labels\[1\]"),
    (lambda: classification(labels=[1.0, NAN]), ValueError, r"labels\[1\]"),
    (lambda: classification(labels=[["a", "b"]]), ValueError, "labels"),
    (lambda: classification(labels="ab"), (ValueError, TypeError), "labels"),
    (lambda: classification(labels=pd.Categorical(["a", None])), ValueError, r"labels\[1\]"),
    (lambda: completion(rows=[0, 3]), ValueError, r"rows\[1\].*3"),
    (lambda: completion(rows=[0, -1]), ValueError, r"rows\[1\].*-1"),
    (lambda: completion(columns=[0, 4]), ValueError, r"columns\[1\].*4"),
    (lambda: completion(rows=[1, 1], columns=[2, 2]), ValueError, r"\(1, 2\)"),
    (lambda: completion(rows=[0.0, 1.0]), TypeError, "rows"),
    (lambda: completion(rows=[True, False]), TypeError, "rows"),
    (lambda: completion(rows=[0]), ValueError, "rows"),
    (lambda: completion(rows=[], columns=[], values=[]), (ValueError, TypeError), "rows"),
    (lambda: completion(values=[1.0, NAN]), ValueError, "values"),
    (lambda: completion(values=[[1.0, 2.0]]), ValueError, "values"),
    (lambda: completion(shape=(3,)), ValueError, "shape"),
    (lambda: completion(shape=(3, 0)), ValueError, "shape"),
    (lambda: completion(shape=(3, -4)), ValueError, "shape"),
    (lambda: completion(shape=(3.0, 4)), TypeError, "shape"),
    (lambda: completion(shape=(2**40, 2**40)), ValueError, "shape"),
    (lambda: completion(shape=(2**80, 2)), ValueError, "shape"),
    (lambda: completion(held_out=([0], [2], [1.0])), ValueError, "held_out"),
    (lambda: completion(held_out=([9], [2], [1.0])), ValueError, "held_out"),
    (lambda: completion(held_out=([0, 0], [1, 1], [1.0, 1.0])), ValueError, "held_out"),
    (lambda: completion(held_out=3), TypeError, "held_out"),
    (lambda: completion(ground_truth=np.ones((4, 3))), ValueError, "ground_truth"),
    (
        lambda: dln.MatrixCompletion.from_dense(np.ones((2, 2)), np.ones((2, 3), bool)),
        ValueError,
        "mask",
    ),
    (
        lambda: dln.MatrixCompletion.from_dense(np.ones((2, 2)), np.zeros((2, 2), bool)),
        ValueError,
        "mask",
    ),
    (lambda: dln.MatrixCompletion.from_dense(np.ones((2, 2)), np.ones((2, 2))), TypeError, "mask"),
    (
        lambda: dln.MatrixCompletion.from_dense([[NAN, 1.0]], [[True, True]]),
        ValueError,
        "matrix",
    ),
    (lambda: synthetic(rank=0), ValueError, "rank"),
    (lambda: synthetic(rank=4), ValueError, "rank"),
    (lambda: synthetic(n_observed=13), ValueError, "n_observed"),
    (lambda: synthetic(n_observed=0), ValueError, "n_observed"),
    (lambda: synthetic(held_out=8), ValueError, "held_out"),
    (lambda: sensing(measurements=np.ones((3, 4))), ValueError, "measurements"),
    (lambda: sensing(measurements=np.ones((0, 3, 4)), values=[]), ValueError, "measurements"),
    (lambda: sensing(measurements=np.full((2, 3, 4), NAN)), ValueError, "measurements"),
    (lambda: sensing(values=[1.0]), ValueError, "values"),
    (lambda: sensing(values=[1.0, INF]), ValueError, "values"),
    (lambda: dln.EndToEndLoss(3, (3, 4)), TypeError, "function"),
    (lambda: dln.EndToEndLoss(lambda w: (0.0, w), 3), TypeError, "shape"),
    (lambda: dln.EndToEndLoss(lambda w: (0.0, w), (3, 0)), ValueError, "shape"),
    (lambda: dln.whiten(np.ones((3, 2)), np.ones((4, 1))), ValueError, "outputs"),
    (lambda: dln.whiten(np.ones((2, 3)), np.ones((2, 1))), ValueError, "rank"),
]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    WRONG_DATA,
    ids=[f"{i}-{m}" for i, (_, _, m) in enumerate(WRONG_DATA)],
)
def test_wrong_data(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_data_out_of_the_range_of_float32():
    problem = dln.TargetMatrix([[1e300]])
    with pytest.raises(ValueError, match=r"target.*float32"):
        dln.run(problem, [np.ones((1, 1), np.float32)], dln.GradientDescent(0.1), n_steps=1)


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype(np.float32),
        lambda a: a.astype(">f8"),
        lambda a: a.tolist(),
        lambda a: pd.DataFrame(a),
    ],
    ids=["fortran", "strided", "float32", "big-endian", "list", "dataframe"],
)
def test_any_layout_of_data_is_accepted(layout):
    data = np.arange(12.0).reshape(4, 3)
    data.flags.writeable = False
    expected = dln.Regression(data, data).value_and_gradient(np.ones((3, 3)))
    actual = dln.Regression(layout(data), layout(data)).value_and_gradient(np.ones((3, 3)))
    assert actual[0] == expected[0]
    np.testing.assert_array_equal(actual[1], expected[1])
