"""What several test modules need: networks, comparisons, paths out of datasets."""

import itertools
import signal

import numpy as np

from pydlnet import interruption

# Attributes that say how a run went, not what it computed.
CLOCKS = {"wall_seconds"}


def network(widths, seed=0, scale=1.0, dtype=np.float64):
    """Return random layers with entries of variance scale^2 / d_{j-1}."""
    rng = np.random.default_rng(seed)
    return [
        (scale * rng.standard_normal((d_out, d_in)) / np.sqrt(d_in)).astype(dtype)
        for d_in, d_out in itertools.pairwise(widths)
    ]


def orthogonal(size, seed=0):
    """Return a random orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]


def path(trajectory):
    """Return the layers at every recorded step; the run must have recorded `weights`."""
    names = [f"W{j}" for j in range(1, len(trajectory.weights) + 1)]
    arrays = [trajectory.data[name].values for name in names]
    return [list(layers) for layers in zip(*arrays, strict=True)]


def steps_of(trajectory):
    """Return the recorded steps as a list of ints."""
    return trajectory.data["step"].values.tolist()


def assert_close(actual, expected, tolerance):
    """Compare layer by layer; `tolerance` is absolute, relative to the largest entry of all."""
    size = max(1e-300, *(float(np.max(np.abs(e))) for e in expected))
    assert len(actual) == len(expected)
    for j, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.shape == e.shape
        error = float(np.max(np.abs(np.asarray(a, np.float64) - e)))
        assert error <= tolerance * size, f"layer {j + 1}: {error:.3g} > {tolerance * size:.3g}"


def assert_same_bits(actual, expected):
    """Compare arrays bit for bit (NaN equals NaN, the sign of a zero counts)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)
    if actual.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))


def assert_same_run(actual, expected):
    """Compare everything two runs have computed, bit for bit."""
    assert actual.status == expected.status
    assert actual.step == expected.step
    assert set(actual.data.variables) == set(expected.data.variables)
    for name in expected.data.variables:
        assert_same_bits(actual.data[name].values, expected.data[name].values)
        assert actual.data[name].dims == expected.data[name].dims
    for a, e in zip(actual.weights, expected.weights, strict=True):
        assert_same_bits(a, e)
    kept = set(expected.data.attrs) - CLOCKS
    assert set(actual.data.attrs) - CLOCKS == kept
    for name in kept:
        assert np.all(actual.data.attrs[name] == expected.data.attrs[name]), name


def press_ctrl_c_late(monkeypatch, module):
    """Press Ctrl-C once, in the next run of this module, when it is complete."""
    build, left = module.to_dataset, [None]

    def to_dataset(*arguments):
        if left:
            left.pop()
            signal.raise_signal(signal.SIGINT)
        return build(*arguments)

    monkeypatch.setattr(module, "to_dataset", to_dataset)
    # What another test pressed does not count: twice within two seconds is something else.
    monkeypatch.setattr(interruption._handler, "_last", -np.inf)


def names_of_problem(problem):
    """Return the names of inputs and outputs as lists, by side."""
    return {side: labels.tolist() for side, labels in problem.coords.items()}
