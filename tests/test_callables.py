"""Quantities of the user's: functions of the layers, called when a record is made."""

import numpy as np
import pytest
from helpers import assert_same_bits, network, path

import pydlnet as dln

PROBLEM = dln.TargetMatrix(np.ones((2, 4)))


def record_with(function, name="mine", n_steps=6, every=2):
    return dln.run(
        PROBLEM,
        network((4, 3, 2)),
        dln.GradientDescent(0.1),
        n_steps=n_steps,
        record=dln.Record(["weights", {name: function}], every=every),
    )


@pytest.mark.parametrize(
    ("function", "dims"),
    [
        (lambda w: float(w[0].sum()), ("step",)),
        (lambda w: np.float32(w[0].sum()), ("step",)),
        (lambda w: w[1] @ w[0], ("step", "mine_0", "mine_1")),
        (lambda w: w[0].sum(axis=0), ("step", "mine_0")),
    ],
)
def test_values_of_callables(function, dims):
    trajectory = record_with(function)
    assert trajectory.data["mine"].dims == dims
    for value, layers in zip(trajectory.data["mine"].values, path(trajectory), strict=True):
        np.testing.assert_allclose(value, function(layers), rtol=1e-14)


def test_callables_can_name_their_dims():
    def profile(weights):
        return weights[0].sum(axis=0)

    profile.dims = ("feature",)
    assert record_with(profile).data["mine"].dims == ("step", "feature")


def test_callables_get_read_only_full_layers():
    def check(weights):
        assert isinstance(weights, list)
        assert [w.shape for w in weights] == [(3, 4), (2, 3)]
        with pytest.raises(ValueError, match="read-only"):
            weights[0][:] = 0
        return 0.0

    record_with(check)


def test_callables_are_called_at_recorded_steps_only():
    calls = []
    record_with(lambda w: float(len(calls.append(0) or calls)), n_steps=9, every=4)
    assert len(calls) == len([0, 4, 8, 9])


@pytest.mark.parametrize("failing", [0, 2, 4])
def test_an_exception_of_a_callable_comes_through_and_names_the_step(failing):
    calls = []

    def fragile(weights):
        calls.append(0)
        if 2 * (len(calls) - 1) == failing:
            raise LookupError("mine")
        return 0.0

    with pytest.raises(LookupError, match="mine") as caught:
        record_with(fragile)
    notes = " ".join(caught.value.__notes__)
    assert "mine" in notes
    assert f"step {failing}" in notes


@pytest.mark.parametrize("change", [lambda: np.ones(3), lambda: 1.0])
def test_a_callable_must_keep_its_shape(change):
    calls = []

    def changing(weights):
        calls.append(0)
        return np.ones(2) if len(calls) < 3 else change()

    with pytest.raises(ValueError, match=r"mine.*\(2,\)") as caught:
        record_with(changing)
    assert "step 4" in str(caught.value) + " ".join(getattr(caught.value, "__notes__", []))


@pytest.mark.parametrize("value", ["text", None, np.array([object()]), 1j])
def test_a_callable_must_return_real_numbers(value):
    with pytest.raises((TypeError, ValueError), match="mine"):
        record_with(lambda weights: value)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_a_callable_keeps_its_dtype(dtype):
    data = record_with(lambda weights: np.ones(2, dtype)).data
    assert_same_bits(data["mine"].values, np.ones((4, 2), dtype))
