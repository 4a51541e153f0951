"""The search for the best learning rate: exact counts, all runs kept, nothing half done."""

import json

import numpy as np
import pytest
import reference
from helpers import network

import pydlnet as dln

TARGET = np.array([[2.0, 0.3], [0.1, 1.0]])
RATES = [0.3, 0.02, 0.1, 3.0, 1e-4]
N_STEPS = 300


def start(seed=0):
    return network((2, 3, 2), seed=seed, scale=0.7)


def tune(starts=None, rates=RATES, loss=1e-6, method=None, n_steps=N_STEPS, **options):
    method = dln.GradientDescent(0.1) if method is None else method
    starts = start() if starts is None else starts
    return dln.tune(
        dln.TargetMatrix(TARGET), starts, method, rates, loss, n_steps=n_steps, **options
    )


def plain(weights, rate, goal):
    """Return steps to the goal, how the run ends, its last step and its last loss."""
    for step in range(N_STEPS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradient = reference.target_loss(reference.product(weights), TARGET)
        if loss <= goal:
            return step, "converged", step, loss
        if not np.isfinite(loss):
            return np.nan, "diverged", step, loss
        with np.errstate(over="ignore", invalid="ignore"):
            grads = reference.gradients(weights, gradient)
            weights = [w - rate * g for w, g in zip(weights, grads, strict=True)]
    return np.nan, "finished", N_STEPS, loss


def test_every_rate_is_what_a_plain_loop_finds():
    data = tune().data
    assert data["steps_to_target"].dims == ("learning_rate",)
    np.testing.assert_array_equal(data["learning_rate"], RATES)
    expected = [plain(start(), rate, 1e-6) for rate in RATES]
    steps, ends, last, losses = zip(*expected, strict=True)
    assert set(ends) == {"converged", "finished", "diverged"}
    np.testing.assert_array_equal(data["steps_to_target"], steps)
    assert data["status"].values.tolist() == list(ends)
    np.testing.assert_array_equal(data["last_step"], last)
    # 300 steps of a contraction leave some rounding errors in a loss that is a difference.
    finite = np.isfinite(losses)
    np.testing.assert_allclose(data["final_loss"][finite], np.array(losses)[finite], rtol=1e-9)
    assert not np.isfinite(data["final_loss"][~finite]).any()


def test_the_count_is_that_of_the_first_loss_that_meets_the_target():
    tuning = tune(rates=[0.1])
    losses = dln.run(
        dln.TargetMatrix(TARGET),
        start(),
        dln.GradientDescent(0.1),
        n_steps=N_STEPS,
        record=dln.Record(every=1),
    ).data["loss"]
    first = int(np.argmax(losses.values <= 1e-6))
    assert first > 0
    assert tuning.data["steps_to_target"].values.tolist() == [first]
    assert tuning.data["final_loss"].item() <= 1e-6 < losses.values[first - 1]


def test_the_best_rate_has_the_fewest_steps():
    tuning = tune()
    steps = tuning.data["steps_to_target"].values
    assert tuning.best_steps == np.nanmin(steps)
    assert tuning.best_learning_rate == RATES[np.nanargmin(steps)]
    assert repr(tuning) == (
        "<Tuning: 5 learning rates (3 converged, 1 diverged, 1 finished), "
        f"{tuning.best_steps:g} steps at learning rate {tuning.best_learning_rate:g}>"
    )


def test_a_start_at_the_target_takes_no_step_and_the_smallest_rate_is_best():
    tuning = tune(loss=100.0)
    np.testing.assert_array_equal(tuning.data["steps_to_target"], 0)
    assert (tuning.best_steps, tuning.best_learning_rate) == (0, 1e-4)


def test_without_a_rate_that_reaches_the_target_there_is_no_best():
    tuning = tune(rates=[1e-4, 3.0])
    assert np.isnan([tuning.best_steps, tuning.best_learning_rate]).all()
    assert repr(tuning).endswith("(1 finished, 1 diverged), no rate reaches the target>")


def test_several_starts_are_as_many_searches():
    starts = [start(seed) for seed in range(3)]
    together = tune(starts)
    assert together.data["status"].dims == ("start", "learning_rate")
    for k, weights in enumerate(starts):
        alone = tune(weights).data
        assert together.data.isel(start=k, drop=True).equals(alone)
        assert "start" not in alone.coords
    steps = np.nan_to_num(together.data["steps_to_target"].values, nan=np.inf)
    middle = np.sort(steps, axis=0)[1]
    assert together.best_steps == middle.min()
    assert together.best_learning_rate == RATES[int(np.argmin(middle))]


def test_the_median_counts_what_is_not_reached_as_infinite():
    """One of two starts is at its target; the other one needs all its steps and more."""
    away = [np.zeros((3, 2)), np.zeros((2, 3))]  # a saddle: nothing moves
    there = [np.eye(3, 2), TARGET @ np.eye(2, 3)]
    assert tune([there]).best_steps == 0
    assert np.isnan(tune([there, away]).best_steps)
    assert tune([there, away, there]).best_steps == 0


def test_the_answer_says_what_was_asked():
    method = dln.Momentum(0.5, 0.9, weight_decay=0.01)
    data = tune(method=method).data
    assert json.loads(data.attrs["method"]) == {
        "kind": "Momentum",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.01,
        "batch_size": None,
    }
    assert (data.attrs["target_loss"], data.attrs["n_steps"]) == (1e-6, N_STEPS)
    for variable in data.variables.values():
        assert set(variable.attrs) == {"long_name", "units", "reference"}


def test_any_method_keeps_its_other_fields():
    method = dln.Momentum(0.5, 0.9)
    data = tune(rates=[0.01, 0.03], method=method).data
    for rate in (0.01, 0.03):
        run = dln.run(
            dln.TargetMatrix(TARGET),
            start(),
            dln.Momentum(rate, 0.9),
            n_steps=N_STEPS,
            stop=dln.Stop(loss=1e-6),
        )
        assert run.status == "converged"
        assert data["steps_to_target"].sel(learning_rate=rate) == run.step
    assert method.learning_rate == 0.5


def test_threads_and_single_precision():
    assert tune(threads=2).data.equals(tune().data)
    single = tune([w.astype(np.float32) for w in start()])
    assert single.data.attrs["dtype"] == "float32"
    # A loss of 1e-6 is far above what float32 resolves of one that is 0 at its end.
    np.testing.assert_allclose(
        single.data["steps_to_target"], tune().data["steps_to_target"], atol=1
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rates": []}, ValueError, "learning_rates: expected at least one number"),
        ({"rates": 0.1}, ValueError, "learning_rates: expected a vector"),
        ({"rates": [0.1, 0.0]}, ValueError, r"learning_rates\[1\]: expected a number > 0, got 0"),
        ({"rates": [0.1, np.nan]}, ValueError, "learning_rates: expected finite"),
        ({"rates": [0.1, 0.2, 0.1]}, ValueError, r"different numbers, got 0\.1 2 times"),
        ({"loss": -1.0}, ValueError, "target_loss: expected a finite number >= 0, got -1"),
        ({"loss": None}, TypeError, "target_loss: expected a real number"),
        ({"n_steps": 0}, ValueError, "n_steps: expected an integer >= 1, got 0"),
        ({"threads": 0}, ValueError, "threads: expected an integer >= 1, got 0"),
        ({"progress": 1}, TypeError, "progress: expected a bool or None"),
        ({"starts": network((2, 3))}, ValueError, r"^start: expected an end-to-end matrix"),
        ({"starts": [network((2, 3))]}, ValueError, r"^start\[0\]: expected an end-to-end matrix"),
        ({"starts": [start(), network((2, 2))]}, ValueError, r"^start\[1\]: expected widths"),
        ({"starts": 3}, TypeError, "start: expected lists of matrices, got int"),
        ({"method": 0.1}, TypeError, "method: expected a Method, got float"),
        ({"method": dln.GradientDescent([0.1, 0.2])}, TypeError, "is a number, .* got ndarray"),
        ({"method": dln.GradientDescent(abs)}, TypeError, "method: .* got builtin_function"),
        ({"method": dln.Adam(batch_size=2)}, ValueError, "method: .* got batch_size=2"),
    ],
)
def test_bad_input_is_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        tune(**options)


def test_a_problem_is_expected():
    with pytest.raises(TypeError, match="problem: expected a Problem, got ndarray"):
        dln.tune(TARGET, start(), dln.GradientDescent(0.1), RATES, 1e-6, n_steps=10)


PREAMBLE = """
import os, signal, threading
import numpy as np
import pydlnet as dln

for name in dln.__all__:
    getattr(dln, name)  # loaded before Ctrl-C may come

weights = dln.init.gaussian((20, 20, 20), end_to_end_scale=0.1, rng=0)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

def search(problem=dln.TargetMatrix(np.eye(20))):
    return dln.tune(problem, weights, dln.GradientDescent(0.1), [1e-9, 1e-8], 0.0, n_steps=10**12)
"""


def test_ctrl_c_stops_altogether(isolated):
    code = f"""{PREAMBLE}
try:
    search()
except KeyboardInterrupt:
    print("stopped", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    result = isolated(code, timeout=30)
    assert result.stdout == "stopped True\n", result.stderr


def test_ctrl_c_stops_a_search_in_a_thread(isolated):
    code = f"""{PREAMBLE}
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    future = pool.submit(search)
    try:
        future.result()
    except KeyboardInterrupt:
        pass
print(type(future.exception()).__name__)
"""
    result = isolated(code, timeout=30)
    assert result.stdout == "KeyboardInterrupt\n", result.stderr


def test_ctrl_c_during_the_last_steps_is_not_lost(isolated):
    """All runs end by themselves in the slice that hears of it: the search still stops."""
    code = f"""{PREAMBLE}
import time
def loss(matrix):
    time.sleep(0.6)  # Ctrl-C comes meanwhile
    return 0.0, np.zeros((20, 20))
try:
    search(dln.EndToEndLoss(loss, (20, 20)))
except KeyboardInterrupt:
    print("stopped")
"""
    result = isolated(code, timeout=30)
    assert result.stdout == "stopped\n", result.stderr
