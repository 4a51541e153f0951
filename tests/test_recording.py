"""What is recorded: every quantity against its definition; schedules; the user's own quantities."""

import functools

import numpy as np
import pytest
import reference
from cases import QUANTITIES
from helpers import assert_same_bits, network, path, steps_of
from hypothesis import example, given
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet.recording import record_from_dict


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


# -- Names --


@pytest.mark.parametrize(
    ("quantities", "names"),
    [
        ("loss", ("loss",)),
        (("singular_values", "loss"), ("loss", "singular_values")),
        (["loss", "loss"], ("loss",)),
        (QUANTITIES[::-1], tuple(QUANTITIES)),
    ],
)
def test_names_come_in_the_order_of_the_dataset(quantities, names):
    assert set(dln.Record(quantities).names) == set(names)
    assert dln.Record(quantities).names == dln.Record(names).names


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"singular_value.*singular_values"):
        dln.Record(["singular_value"])


def some_quantity(weights):
    return float(weights[0].sum())


@pytest.mark.parametrize(
    "quantities",
    [
        some_quantity,
        [some_quantity],
        ["loss", some_quantity],
        {"some_quantity": some_quantity},
        ["loss", {"some_quantity": lambda weights: 0.0}],
    ],
)
def test_callables_are_named(quantities):
    assert list(dln.Record(quantities).callables) == ["some_quantity"]


@pytest.mark.parametrize(
    ("quantities", "error", "message"),
    [
        ([lambda weights: 0.0], ValueError, r"\{\"name\": f\}"),
        ([functools.partial(some_quantity)], ValueError, r"\{\"name\": f\}"),
        ({"loss": some_quantity}, ValueError, "loss"),
        ({"step": some_quantity}, ValueError, "step"),
        ({"time": some_quantity}, ValueError, "time"),
        ({"W1": some_quantity}, ValueError, "W1"),
        ({"singular_value": some_quantity}, ValueError, "singular_value"),
        ({"input": some_quantity}, ValueError, "input"),
        ({"f": some_quantity, "f_0": some_quantity}, ValueError, "f_0"),
        ([some_quantity, some_quantity], ValueError, "some_quantity"),
        ([], ValueError, "quantities"),
        ([3], TypeError, "quantities"),
        (3, TypeError, "quantities"),
        ({"name": "loss"}, TypeError, "name"),
    ],
)
def test_wrong_quantities(quantities, error, message):
    with pytest.raises(error, match=message):
        dln.Record(quantities)


# -- Steps --


@pytest.mark.parametrize(("n", "until"), [(2, 2), (5, 10), (50, 10**3), (200, 10**6), (7, 10**9)])
def test_log_spaced_steps_are_the_rounded_geometric_ones(n, until):
    steps = dln.log_spaced(n, until).steps_between(0, until, 10**6)
    np.testing.assert_array_equal(steps, reference.log_spaced(n, until))


def test_log_spaced_steps_go_on_at_the_same_ratio():
    steps = dln.log_spaced(4, until=1000).steps_between(0, 10**8, 100)
    np.testing.assert_array_equal(steps, [0, *(10**k for k in range(9))])


schedules = st.one_of(
    st.builds(dln.log_spaced, st.integers(2, 60), st.integers(2, 10**7)),
    st.builds(lambda every: dln.Record(every=every).schedule, st.integers(1, 1000)),
    st.builds(
        lambda steps: dln.Record(steps=sorted(steps)).schedule,
        st.sets(st.integers(0, 5000), min_size=1, max_size=50),
    ),
)


@given(schedules, st.integers(0, 3000), st.integers(0, 3000))
@example(dln.log_spaced(200), 0, 3000)
def test_schedules_do_not_depend_on_the_window(schedule, first, length):
    whole = schedule.steps_between(0, 10_000, 10**6)
    last = first + length
    window = schedule.steps_between(first, last, 10**6)
    np.testing.assert_array_equal(window, whole[(whole >= first) & (whole <= last)])
    assert window.dtype == np.int64
    np.testing.assert_array_equal(schedule.steps_between(first, last, 3), window[:3])
    for step in (first, last, *window[:5].tolist()):
        assert (step in schedule) == (step in whole)


def test_schedules_are_cheap_far_away():
    for schedule in (dln.log_spaced(200), dln.Record(every=7).schedule):
        steps = schedule.steps_between(10**17, 10**18, 5)
        assert np.all(np.diff(steps) > 0)
        assert np.all((steps >= 10**17) & (steps <= 10**18))


def test_default_schedule_is_log_spaced():
    assert dln.Record().schedule == dln.log_spaced(200)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"steps": [1, 1]}, ValueError),
        ({"steps": [3, 2]}, ValueError),
        ({"steps": [-1, 2]}, ValueError),
        ({"steps": [0.5, 2.0]}, TypeError),
        ({"steps": [[1, 2]]}, ValueError),
        ({"steps": []}, (ValueError, TypeError)),
        ({"steps": "all"}, (ValueError, TypeError)),
        ({"every": 0}, ValueError),
        ({"every": -2}, ValueError),
        ({"every": 1.5}, TypeError),
        ({"every": True}, TypeError),
        ({"every": 2, "steps": [1]}, ValueError),
    ],
    ids=str,
)
def test_wrong_steps(arguments, error):
    with pytest.raises(error, match=r"steps|every"):
        dln.Record(**arguments)


@pytest.mark.parametrize("arguments", [(1,), (0,), (3, 1), (3, 0), (2.5,), (True,)], ids=str)
def test_wrong_log_spacing(arguments):
    with pytest.raises((ValueError, TypeError), match=r"\bn\b|until"):
        dln.log_spaced(*arguments)


@pytest.mark.parametrize(
    "record",
    [
        dln.Record(),
        dln.Record(QUANTITIES, every=3),
        dln.Record("loss", steps=[0, 5, 9]),
        dln.Record("loss", steps=dln.log_spaced(30, 1000)),
    ],
)
def test_records_survive_json(record):
    assert record_from_dict(record.to_dict()) == record


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": np.nan},
        {"gradient_norm": -1.0},
        {"gradient_norm": np.inf},
        {"seconds": -1.0},
        {"seconds": "1"},
        {"condition": 3},
        {"check_every": 0},
        {"check_every": 2.5},
    ],
    ids=str,
)
def test_wrong_stops(arguments):
    with pytest.raises((ValueError, TypeError), match=next(iter(arguments))):
        dln.Stop(**arguments)


# -- The user's own quantities --

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
