"""What is recorded, against plain definitions."""

import numpy as np
import pytest
import reference
from cases import QUANTITIES
from helpers import assert_same_bits, network, path, steps_of

import pydlnet as dln


def completion(shape, seed=1):
    """Return a completion problem with truth and held-out entries, and its plain loss."""
    n_entries = shape[0] * shape[1]
    problem = dln.MatrixCompletion.synthetic(
        shape, rank=1, n_observed=max(1, n_entries // 2), rng=seed, held_out=n_entries // 4
    )
    return problem, lambda w: reference.completion_loss(
        w, problem.rows, problem.columns, problem.values
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("widths", [(4, 3), (5, 2, 4), (3, 6, 1, 5, 4), (12, 12, 12)])
@pytest.mark.parametrize("method", [dln.GradientDescent(0.2), dln.Adam(0.01)], ids=["gd", "adam"])
def test_every_quantity_is_its_definition(widths, dtype, method):
    """Evaluated from the recorded weights of the same step: no trajectory enters."""
    problem, loss = completion((widths[-1], widths[0]))
    trajectory = dln.run(
        problem,
        network(widths, 2, dtype=dtype),
        method,
        n_steps=6,
        record=dln.Record(QUANTITIES, every=2),
    )
    # Products and norms of a few dozen terms of order one. What depends on the layers alone is
    # evaluated in float64 whatever their dtype; the loss and its gradient are the run's own.
    in_dtype = {"loss", "gradient_norm", "alignment", "end_to_end"}
    for t, layers in enumerate(path(trajectory)):
        layers = [w.astype(np.float64) for w in layers]
        expected = reference.quantities(layers, loss, problem.ground_truth, problem.held_out)
        for name, value in expected.items():
            actual = trajectory.data[name].values[t]
            assert actual.shape == np.shape(value), name
            if name == "alignment" and min(widths) < min(widths[0], widths[-1]):
                continue  # modes of a null space are not unique
            single = dtype == np.float32 and name in in_dtype
            tolerance = 3e-5 if single else 1e-13
            # A quotient of noise: effective rank and the like are continuous, not smooth, at 0.
            slack = 50 if name in ("effective_rank", "alignment") else 1
            np.testing.assert_allclose(
                actual,
                value,
                rtol=10 * slack * tolerance,
                atol=10 * slack * tolerance,
                err_msg=f"{name} at step {steps_of(trajectory)[t]}",
            )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_quantity_alone_is_that_in_company(quantity, dtype):
    """Only the copies that a quantity looks at are made for it."""
    problem, _ = completion((4, 5))

    def recorded(quantities):
        weights = network((5, 3, 6, 4), 4, dtype=dtype)
        record = dln.Record(quantities, every=1)
        return dln.run(problem, weights, dln.GradientDescent(0.2), n_steps=3, record=record).data

    together = recorded(QUANTITIES)
    for name, values in recorded(quantity).items():
        assert_same_bits(values.values, together[name].values)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("widths", [(4, 3), (5, 2, 4), (1, 3, 1), (6, 7, 6)])
def test_singular_vectors_and_their_sign(widths, dtype):
    problem, _ = completion((widths[-1], widths[0]))
    trajectory = dln.run(
        problem,
        network(widths, 3, dtype=dtype),
        dln.GradientDescent(0.1),
        n_steps=3,
        record=dln.Record(["singular_values", "singular_vectors", "end_to_end"], every=1),
    )
    data = trajectory.data
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    eye = np.eye(min(widths[0], widths[-1]))
    for t in range(data.sizes["step"]):
        left, right = (
            data["left_singular_vector"].values[t],
            data["right_singular_vector"].values[t],
        )
        values, matrix = data["singular_value"].values[t], data["end_to_end"].values[t]
        np.testing.assert_allclose((left * values) @ right.T, matrix, atol=tolerance)
        np.testing.assert_allclose(left.T @ left, eye, atol=tolerance)
        np.testing.assert_allclose(right.T @ right, eye, atol=tolerance)
        largest = left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])]
        assert np.all(largest > 0)


def test_small_singular_values_are_right():
    """Through W^T W everything below 1e-8 of the largest would be noise."""
    values = np.array([1.0, 1e-6, 1e-11, 1e-14])
    matrix = np.linalg.qr(np.random.default_rng(4).standard_normal((4, 4)))[0] * values
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(4)),
        [matrix],
        dln.GradientDescent(0.0),
        n_steps=0,
        record=dln.Record("singular_values"),
    )
    np.testing.assert_allclose(trajectory.data["singular_value"].values[0], values, atol=2e-15)


SPECTRAL = ["singular_values", "effective_rank", "stable_rank", "nuclear_norm"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("widths", [(3, 3), (10, 4, 10), (7, 9, 1), (20, 20, 12), (40, 40)])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_singular_values_do_not_depend_on_company(widths, dtype, scale):
    """Small matrices are decomposed several at a time, whichever the records bring together."""
    problem, _ = completion((widths[-1], widths[0]))
    layers = [scale * network(widths, 5, dtype=dtype)[0], *network(widths, 5, dtype=dtype)[1:]]

    def data(quantities, **schedule):
        record = dln.Record(quantities, **schedule)
        run = dln.run(problem, layers, dln.GradientDescent(0.3), n_steps=40, record=record)
        return run.data

    together = data([*SPECTRAL, "layer_singular_values", "end_to_end"], every=1)
    others = [
        data(SPECTRAL, every=1),
        data(["layer_singular_values"], every=1),
        data([*SPECTRAL, "singular_vectors", "layer_singular_values"], every=1),
        data([*SPECTRAL, "layer_singular_values"], steps=[17]),
        data(["effective_rank"], every=3),
        data([*SPECTRAL, "layer_singular_values", {"mine": lambda weights: 0.0}], every=7),
    ]
    for other in others:
        for name in set(other.variables) & set(together.variables) - {"mine"}:
            if "step" in other[name].dims:
                assert_same_bits(other[name].values, together[name].sel(step=other.step).values)
    if dtype == np.float64:
        for t in (0, 17, 40):
            alone = dln.metrics.singular_values(together.end_to_end.values[t])
            assert_same_bits(together.singular_value.values[t], alone)


@pytest.mark.parametrize("quantity", ["reconstruction_error", "held_out_error"])
def test_quantities_that_the_problem_cannot_give(quantity):
    problem = dln.Regression(np.eye(3), np.ones((3, 2)))
    with pytest.raises(ValueError, match=quantity):
        dln.run(
            problem,
            network((3, 2)),
            dln.GradientDescent(0.1),
            n_steps=1,
            record=dln.Record(quantity),
        )


def test_target_knows_its_truth():
    target = np.arange(6.0).reshape(2, 3)
    data = dln.run(
        dln.TargetMatrix(target),
        [np.zeros((2, 3))],
        dln.GradientDescent(0.1),
        n_steps=1,
        record=dln.Record("reconstruction_error"),
    ).data
    assert data["reconstruction_error"].values[0] == pytest.approx(np.mean(target**2))


@pytest.mark.parametrize(
    ("name", "size"), [("effective_rank", 0), ("stable_rank", 0), ("nuclear_norm", 0)]
)
def test_zero_network(name, size):
    data = dln.run(
        dln.TargetMatrix(np.zeros((2, 3))),
        [np.zeros((2, 3))],
        dln.GradientDescent(0.1),
        n_steps=1,
        record=dln.Record(name),
    ).data
    np.testing.assert_array_equal(data[name].values, size)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_norms_of_extreme_layers(scale):
    """Their squares are out of range, the norms and the loss are not."""
    weights = [scale * np.eye(2), np.eye(2) / scale]
    data = dln.run(
        dln.TargetMatrix(np.zeros((2, 2))),
        weights,
        dln.GradientDescent(0.0),
        n_steps=0,
        record=dln.Record(["layer_norms", "layer_singular_values"]),
    ).data
    np.testing.assert_allclose(
        data["layer_norm"].values[0], np.sqrt(2) * np.array([scale, 1 / scale])
    )
    np.testing.assert_allclose(data["layer_singular_value"].values[0, 0], scale)
