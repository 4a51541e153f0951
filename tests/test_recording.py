"""What to record and when to stop: names, schedules, conditions."""

import functools

import numpy as np
import pytest
import reference
from cases import QUANTITIES
from hypothesis import example, given
from hypothesis import strategies as st

import pydlnet as dln
from pydlnet.recording import record_from_dict

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
