"""Odd values for every argument of the public functions: what is refused names the argument."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers import network
from hypothesis import given
from hypothesis import strategies as st

import pydlnet as dln

WIDTHS = (4, 3, 2)
TARGET = np.arange(8.0).reshape(2, 4)
TARGET_PROBLEM = dln.TargetMatrix(TARGET)
WEIGHTS = network(WIDTHS)
METHOD = dln.GradientDescent(0.1)
INPUTS, OUTPUTS = np.arange(20.0).reshape(5, 4), np.ones((5, 2))

# Every keyword that has a good value here is given a wrong one in turn.
CALLS = {
    "TargetMatrix": (dln.TargetMatrix, {"target": TARGET}),
    "Regression": (
        dln.Regression,
        {"inputs": INPUTS, "outputs": OUTPUTS, "power": 2.0, "reduction": "mean"},
    ),
    "Classification": (dln.Classification, {"inputs": INPUTS, "labels": np.array([0, 1, 0, 1, 1])}),
    "MatrixCompletion": (
        dln.MatrixCompletion,
        {"shape": (2, 4), "rows": [0, 1], "columns": [0, 3], "values": [1.0, 2.0]},
    ),
    "MatrixSensing": (
        dln.MatrixSensing,
        {"measurements": np.ones((3, 2, 4)), "values": np.ones(3), "reduction": "sum"},
    ),
    "whiten": (dln.whiten, {"inputs": INPUTS[:, :1], "outputs": OUTPUTS}),
    "GradientDescent": (
        dln.GradientDescent,
        {"learning_rate": 0.1, "weight_decay": 0.0, "batch_size": 2},
    ),
    "Momentum": (dln.Momentum, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adam": (dln.Adam, {"learning_rate": 0.1, "betas": (0.9, 0.99), "epsilon": 1e-8}),
    "GradientFlow": (dln.GradientFlow, {"rtol": 1e-6, "atol": 1e-9}),
    "EndToEndDescent": (dln.EndToEndDescent, {"learning_rate": 0.1, "depth": 2}),
    "Record": (dln.Record, {"quantities": "loss", "every": 2}),
    "Record, steps": (dln.Record, {"quantities": ["loss"], "steps": [0, 2]}),
    "Record, times": (dln.Record, {"quantities": ["loss"], "times": [0.0, 0.5]}),
    "Stop": (
        dln.Stop,
        {"loss": 0.1, "gradient_norm": 0.1, "seconds": 1.0, "check_every": 2, "condition": len},
    ),
    "log_spaced": (dln.log_spaced, {"n": 10}),
    "balanced": (dln.init.balanced, {"widths": WIDTHS, "scale": 0.1, "rng": 0}),
    "gaussian": (dln.init.gaussian, {"widths": WIDTHS, "std": 0.1, "rng": 0}),
    "identity": (dln.init.identity, {"widths": WIDTHS, "scale": 0.1}),
    "orthogonal": (dln.init.orthogonal, {"widths": WIDTHS, "scale": 0.1, "rng": 0}),
    "run": (
        dln.run,
        {
            "problem": TARGET_PROBLEM,
            "weights": WEIGHTS,
            "method": METHOD,
            "n_steps": 2,
            "record": dln.Record("loss", every=1),
            "stop": dln.Stop(loss=0.1),
            "rng": 0,
            "progress": False,
            "threads": 1,
            "exact_compression": True,
        },
    ),
    "run_ensemble": (
        dln.run_ensemble,
        {
            "problems": [TARGET_PROBLEM],
            "starts": [WEIGHTS],
            "methods": [METHOD],
            "n_steps": 2,
            "rng": 0,
            "progress": False,
            "threads": 1,
        },
    ),
    "chain.product": (dln.chain.product, {"weights": WEIGHTS}),
    "chain.gradients": (
        dln.chain.gradients,
        {"weights": WEIGHTS, "end_to_end_gradient": np.ones((2, 4))},
    ),
    "chain.step": (
        dln.chain.step,
        {"weights": WEIGHTS, "problem": TARGET_PROBLEM, "learning_rate": 0.1},
    ),
    "metrics.effective_rank": (dln.metrics.effective_rank, {"matrix": TARGET}),
    "metrics.imbalance": (dln.metrics.imbalance, {"weights": WEIGHTS}),
    "gas_sensor": (
        lambda path, gas: dln.datasets.gas_sensor("no.zip" if path is None else path, gas),
        {"path": "nothing.zip", "gas": "ethanol"},  # None would be a download
    ),
    "ratings": (
        dln.datasets.ratings,
        {
            "path": pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "value": [0.5, 1.0]}),
            **{"user": 0, "item": "item", "value": 2, "separator": None, "duplicates": "last"},
        },
    ),
    "image": (
        dln.datasets.image,
        {"path": "nothing.png", "fraction": 0.3, "rng": 0, "color": True, "size": 3},
    ),
    "open": (dln.open, {"path": "nothing.nc"}),
}

# Sizes are small or absurd: what is neither would take its time and be right.
numbers = st.sampled_from(
    (0, 1, -1, 3, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, np.int8(-3),
     0.0, -0.0, 0.5, 1.5, 1e-320, 1e155, 1e308, -1e308, math.nan, math.inf, -math.inf,
     np.float32(0.5))
)  # fmt: skip
dtypes = st.sampled_from(
    ["f8", "f4", "f2", "g", "i8", "u8", "i1", "b1", "c16", "O", "S3", "U2", ">f8", "M8[s]"]
)


@st.composite
def arrays(draw):
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    values = [float(number) for number in draw(st.lists(numbers, min_size=1, max_size=6))]
    with np.errstate(all="ignore"):
        array = np.resize(np.array(values), shape)
        dtype = draw(dtypes)
        array = np.zeros(shape, dtype) if dtype == "M8[s]" else array.astype(dtype)
    array.setflags(write=draw(st.booleans()))
    return draw(st.sampled_from([array, array.T, array[..., ::-1] if array.ndim else array]))


odd_values = st.one_of(
    numbers,
    arrays(),
    st.sampled_from([None, True, "", "loss", "\0", b"x", (), [], {}, {"a": 1}, 1j, object(), len]),
    st.lists(st.one_of(numbers, st.text(max_size=3), st.none(), arrays()), max_size=4),
    st.text(max_size=5),
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_what_is_refused_names_the_argument(name, data):
    function, good = CALLS[name]
    argument = data.draw(st.sampled_from(list(good)), label="argument")
    value = data.draw(odd_values, label="value")
    try:
        function(**{**good, argument: value})
    except (ValueError, TypeError, FileNotFoundError) as error:
        message = str(error)
    else:
        return
    # An argument may not fit another one, whose name is as good; but there is one.
    assert any(message.startswith(known) or f" {known}:" in message for known in good), message


@pytest.mark.parametrize("name", set(CALLS) - {"gas_sensor", "image", "open"})
def test_the_good_values_are_good(name):
    function, good = CALLS[name]
    function(**good)
