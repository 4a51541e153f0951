"""Compressed runs beside runs in full coordinates."""

import numpy as np
from cases import QUANTITIES
from helpers import network

import pydlnet as dln

# The others need a problem that knows more.
EVERYTHING = tuple(
    name for name in QUANTITIES if name not in ("reconstruction_error", "held_out_error")
)
METHODS = {
    "descent": dln.GradientDescent(0.05),
    "descent with decay": dln.GradientDescent(0.05, weight_decay=0.02),
    "momentum": dln.Momentum(0.02, 0.8),
    "Nesterov with decay": dln.Momentum(0.02, 0.8, nesterov=True, weight_decay=0.02),
    # The large epsilon keeps the rate below the limit of stability where gradients vanish.
    "group": dln.GroupRMSprop(0.02, epsilon=1.0),
    "group with decay": dln.GroupRMSprop(0.02, epsilon=1.0, weight_decay=0.02),
}
# Wide, tall and bottleneck, hidden widths in excess, depth 1 to 4; the rank of the data is 2.
ENDS = {
    (30, 4): "d_0 30 -> 6",
    (4, 30): "d_1 30 -> 6",
    (20, 3, 20): "d_0 20 -> 5, d_2 20 -> 5",
    (25, 3, 4): "d_0 25 -> 5",
    (24, 3, 4, 24): "d_0 24 -> 5, d_3 24 -> 6",
    (18, 4, 3, 4, 20): "d_0 18 -> 6, d_4 20 -> 6",
    (40, 9, 3, 4): "d_0 40 -> 11",
    (30, 12, 2, 5): "d_0 30 -> 14, d_3 5 -> 4",
}


def low_rank(shape, seed=0, size=1.0):
    """Return a matrix of rank 2 with singular values `size` and half of that."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.standard_normal((shape[0], 2)))
    right, _ = np.linalg.qr(rng.standard_normal((shape[1], 2)))
    return size * (left * [1.0, 0.5]) @ right.T


def target(widths):
    return dln.TargetMatrix(low_rank((widths[-1], widths[0])))


def regression(widths, n_samples, reduction="mean"):
    """Return a problem whose inputs and outputs both have rank 2."""
    truth = low_rank((widths[-1], widths[0]), 1, 1.5)
    latent = np.random.default_rng(2).standard_normal((n_samples, 2))
    inputs = latent @ np.linalg.svd(truth)[2][:2]
    if reduction == "sum":
        inputs /= np.sqrt(n_samples)
    return dln.Regression(inputs, inputs @ truth.T, reduction=reduction, ground_truth=truth + 0.1)


def start(widths, dtype=np.float64, seed=3):
    return network(widths, seed, 0.7, dtype)


def both(problem, weights, method, n_steps=2000, quantities=EVERYTHING, **kwargs):
    """Return a compressed run and one in full coordinates."""
    if problem.ground_truth is not None:
        quantities = (*quantities, "reconstruction_error")
    if problem.held_out is not None:
        quantities = (*quantities, "held_out_error")
    record = kwargs.pop("record", dln.Record(quantities, steps=[1, 10, 100, 700, 1300]))
    return [
        dln.run(
            problem,
            weights,
            method,
            n_steps=n_steps,
            record=record,
            exact_compression=wish,
            **kwargs,
        )
        for wish in (True, False)
    ]


def assert_agree(actual, expected, tolerance=1e-12):
    """Compare every record, and the layers."""
    assert "->" not in expected.data.attrs["exact_algebra"]
    assert actual.status == expected.status == "finished"
    assert set(actual.data.variables) == set(expected.data.variables)
    size = float(abs(expected.data["end_to_end"]).max()) + 1.0  # the targets' size is about 1
    for name, values in expected.data.variables.items():
        found, wanted = actual.data[name].values, values.values
        assert found.shape == wanted.shape, name
        assert found.dtype == wanted.dtype, name
        assert actual.data[name].dims == expected.data[name].dims
        if name in ("left_singular_vector", "right_singular_vector", "alignment"):
            continue  # see assert_modes_agree
        if name in ("loss", "reconstruction_error", "held_out_error"):
            # Squares of residuals that rounding moves by a share of the matrices.
            moved = 0.1 * tolerance * size
            bound = tolerance * wanted + 2 * moved * np.sqrt(2 * wanted) + moved**2
        elif name == "gradient_norm":
            bound = tolerance * size * (1.0 + np.abs(wanted))
        elif name in ("effective_rank", "stable_rank"):
            values = expected.data["singular_value"].values[:, 0]  # they compare with the largest
            bound = tolerance * wanted * (1.0 + 1.0 / values)
        else:
            bound = np.full(wanted.shape, tolerance * np.nanmax(np.abs(wanted), initial=0.0))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted), err_msg=name)
        difference = np.nan_to_num(np.abs(found.astype(np.float64) - wanted))
        assert np.all(difference <= np.nan_to_num(bound)), (name, np.max(difference / bound))
    layers = zip(actual.weights, expected.weights, strict=True)
    for j, (found, wanted) in enumerate(layers, start=1):
        # Against the whole history: momentum takes layers through zero.
        largest = np.max(np.abs(expected.data[f"W{j}"].values))
        assert np.max(np.abs(found - wanted)) <= tolerance * largest
    assert_modes_agree(actual, expected, 1e3 * tolerance)


def assert_modes_agree(actual, expected, tolerance):
    """Compare singular vectors of values that stand alone; the others span the rest."""
    for step in range(actual.data.sizes["step"]):
        found, wanted = actual.data.isel(step=step), expected.data.isel(step=step)
        values = wanted["singular_value"].values
        distance = np.abs(values[:, None] - values) + np.diag(np.full(len(values), np.inf))
        alone = np.min(distance, axis=1, initial=np.inf) > 0.02 * values[0]
        alone &= values > 0.02 * values[0]  # the others are one another's rotations
        tolerance_here = tolerance * max(1.0, 1.0 / max(values[0], 1e-300))
        np.testing.assert_allclose(
            found["alignment"][alone], wanted["alignment"][alone], rtol=0, atol=tolerance_here
        )
        for name in ("left_singular_vector", "right_singular_vector"):
            vectors = found[name].values
            gram = vectors.T @ vectors
            np.testing.assert_allclose(gram, np.eye(len(values)), rtol=0, atol=1e-13)
            np.testing.assert_allclose(
                vectors[:, alone], wanted[name].values[:, alone], rtol=0, atol=tolerance_here
            )
        left, right = (found[f"{side}_singular_vector"].values for side in ("left", "right"))
        image = (left * found["singular_value"].values) @ right.T
        difference = np.max(np.abs(image - found["end_to_end"].values))
        assert difference <= tolerance * values[0]
        tops = np.take_along_axis(left, np.argmax(np.abs(left), axis=0)[None], axis=0)
        assert np.all(tops > 0.0)
