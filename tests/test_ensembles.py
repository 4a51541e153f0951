"""Ensembles: every member is its own run, on both paths, in any company and order."""

import functools
import json

import numpy as np
import pytest
from cases import METHODS, PROBLEM_KINDS, problem_case
from helpers import assert_same_bits, network

import pydlnet as dln
from pydlnet import _core

PATHS = ["singles", "lanes"]
EVERYTHING = dln.Record(
    [
        "loss",
        "gradient_norm",
        "learning_rate",
        "singular_values",
        "singular_vectors",
        "alignment",
        "effective_rank",
        "imbalance",
        "layer_norms",
        "layer_singular_values",
        "end_to_end",
        "reconstruction_error",
        "weights",
    ],
    every=3,
)


# Singular vectors of singular values that are zero, or equal, are not determined.
DETERMINED = dln.Record(
    [name for name in EVERYTHING.names if name not in ("singular_vectors", "alignment")], every=3
)


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Send all members that can be in lanes the one way or the other, whatever their widths."""
    opened = functools.partial(_core.open_ensemble, path=request.param)
    monkeypatch.setattr(_core, "open_ensemble", opened)
    return request.param


def targets(widths, n, seed=0):
    rng = np.random.default_rng(seed)
    return [dln.TargetMatrix(rng.standard_normal((widths[-1], widths[0]))) for _ in range(n)]


def starts(widths, n, dtype=np.float64):
    return [network(widths, seed=k, dtype=dtype) for k in range(n)]


def member(data, k):
    """Return the records of one run as its own dataset."""
    mine = data.sel(run=k)
    last = int(mine.last_step)
    recorded = (mine.step <= last) & (mine.loss.notnull() | (mine.step == last))
    return mine.sel(step=recorded)


def assert_like_single(ensemble, k, single, tolerance):
    mine = member(ensemble.data, k)
    assert ensemble.status[k] == single.status == str(mine.status.values)
    assert int(mine.last_step) == single.step
    np.testing.assert_array_equal(mine.step, single.data.step)
    for name, expected in single.data.data_vars.items():
        # Before it diverges a run amplifies rounding as much as everything else.
        values = expected.values[:-3] if single.status == "diverged" else expected.values
        scale = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
        np.testing.assert_allclose(
            mine[name].values[: len(values)], values, rtol=0, atol=tolerance * scale, err_msg=name
        )
    if "time" in single.data.coords:
        np.testing.assert_allclose(mine.time, single.data.time, rtol=tolerance)
    for actual, layer in zip(ensemble.weights[k], single.weights, strict=True):
        if single.status == "diverged":
            continue
        assert actual.dtype == layer.dtype
        np.testing.assert_allclose(actual, layer, rtol=0, atol=tolerance * np.abs(layer).max())


def same_layers(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(a, e)


def same_bits(first, k, second, m):
    a, b = member(first.data, k), member(second.data, m)
    assert str(a.status.values) == str(b.status.values)
    for name in a.data_vars:
        if name != "status":
            np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)
    same_layers(first.weights[k], second.weights[m])


# Twenty steps of rounding, ten times a unit in the last place each; the entry-wise methods divide
# by roots of small squares, and singular vectors by gaps: two digits for that.
TOLERANCE = {np.float64: 1e-11, np.float32: 1e-3}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)
def test_members_are_single_runs(path, case, dtype):
    widths = (4, 6, 3)
    problems, layers = targets(widths, 9), starts(widths, 9, dtype)
    ensemble = dln.run_ensemble(problems, layers, case.method, n_steps=20, record=EVERYTHING)
    for k in range(9):
        single = dln.run(problems[k], layers[k], case.method, n_steps=20, record=EVERYTHING)
        assert_like_single(ensemble, k, single, TOLERANCE[dtype])


@pytest.mark.parametrize("widths", [(3, 3), (1, 1), (7, 2, 5), (3, 1, 4, 2), (5, 5, 5, 5, 5)])
def test_widths_and_depths(path, widths):
    problems, layers = targets(widths, 5), starts(widths, 5)
    methods = [dln.GradientDescent(rate, weight_decay=rate) for rate in (0.01, 0.02, 0.03, 0, 0.04)]
    ensemble = dln.run_ensemble(problems, layers, methods, n_steps=30, record=DETERMINED, threads=2)
    for k in range(5):
        single = dln.run(problems[k], layers[k], methods[k], n_steps=30, record=DETERMINED)
        assert_like_single(ensemble, k, single, 1e-11)


@pytest.mark.parametrize("kind", PROBLEM_KINDS)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_every_problem(kind, n_threads):
    cases = [problem_case(kind, (3, 4), seed=seed) for seed in range(3)]
    layers = starts((4, 5, 3), 3)
    method = dln.GradientDescent(0.01)
    for problems in (cases[0].problem, [case.problem for case in cases]):
        ensemble = dln.run_ensemble(problems, layers, method, n_steps=40, threads=n_threads)
        for k in range(3):
            own = problems[k] if isinstance(problems, list) else problems
            assert_like_single(ensemble, k, dln.run(own, layers[k], method, n_steps=40), 1e-11)


def mixed():
    """Members that converge, diverge and finish at different steps."""
    problems = targets((3, 4, 3), 11)
    rates = [0.05, 5.0, 0.001, 0.04, 0.05, 3.0, 0.01, 0.03, 0.02, 4.0, 0.05]
    stops = [dln.Stop(loss=1e-3 * (k + 1), gradient_norm=1e-4, check_every=7) for k in range(11)]
    return problems, starts((3, 4, 3), 11), [dln.GradientDescent(rate) for rate in rates], stops


def test_members_end_on_their_own(path):
    problems, layers, methods, stops = mixed()
    record = dln.Record(["loss", "singular_values"], every=50)
    ensemble = dln.run_ensemble(problems, layers, methods, n_steps=400, record=record, stop=stops)
    assert set(ensemble.status) == {"converged", "diverged", "finished"}
    for k in range(11):
        single = dln.run(
            problems[k], layers[k], methods[k], n_steps=400, record=record, stop=stops[k]
        )
        assert_like_single(ensemble, k, single, 1e-10)
    ends = {int(step) for step in ensemble.data.last_step}
    np.testing.assert_array_equal(ensemble.data.step, sorted({*range(0, 401, 50), *ends}))
    # Nothing beyond a member's end, and nothing at the ends of others.
    steps, last = ensemble.data.step, ensemble.data.last_step
    recorded = ((steps % 50 == 0) & (steps <= last)) | (steps == last)
    finite = ensemble.data.singular_value.notnull().all("mode")
    diverged_end = (steps == last) & (ensemble.data.status == "diverged")
    expected = (recorded & ~diverged_end).transpose("run", "step")
    np.testing.assert_array_equal(finite, expected)


def test_company_changes_no_bit(path):
    problems, layers, methods, stops = mixed()
    record = dln.Record(["loss", "singular_values", "gradient_norm"], every=50)
    run = functools.partial(dln.run_ensemble, n_steps=300, record=record)
    together = run(problems, layers, methods, stop=stops)
    threaded = run(problems, layers, methods, stop=stops, threads=2)
    order = np.random.default_rng(3).permutation(11)
    permuted = run(*([values[k] for k in order] for values in (problems, layers, methods)),
                   stop=[stops[k] for k in order], threads=2)  # fmt: skip
    for k in range(11):
        alone = run(problems[k], layers[k], methods[k], stop=stops[k])
        same_bits(together, k, alone, 0)
        same_bits(together, k, threaded, k)
        same_bits(together, k, permuted, int(np.flatnonzero(order == k)[0]))


@pytest.mark.parametrize(
    "method", [dln.GroupRMSprop(0.01), dln.Adam(0.01), dln.Momentum(0.01, 0.9)]
)
def test_records_change_no_bit(path, method):
    problems, layers = targets((3, 4, 3), 5), starts((3, 4, 3), 5)
    few = dln.run_ensemble(problems, layers, method, n_steps=50, record=dln.Record(steps=[0]))
    many = dln.run_ensemble(problems, layers, method, n_steps=50, record=EVERYTHING)
    for k in range(5):
        same_layers(few.weights[k], many.weights[k])


def test_methods_with_different_flags_share_an_ensemble(path):
    methods = [dln.Momentum(0.01, 0.9, nesterov=k % 2 == 0) for k in range(6)]
    problems, layers = targets((3, 3, 3), 6), starts((3, 3, 3), 6)
    ensemble = dln.run_ensemble(problems, layers, methods, n_steps=30)
    for k in range(6):
        single = dln.run(problems[k], layers[k], methods[k], n_steps=30)
        assert_like_single(ensemble, k, single, 1e-11)


def test_rates_as_arrays_and_functions(path):
    rates = [0.01, np.linspace(0.02, 0.01, 6000), lambda step: 0.02 / (1 + step)]
    methods = [dln.GradientDescent(rate) for rate in rates]
    layers = starts((3, 3), 3)
    record = dln.Record(["loss", "learning_rate"], every=500)
    problem = targets((3, 3), 1)[0]
    ensemble = dln.run_ensemble(problem, layers, methods, n_steps=6000, record=record)
    for k in range(3):
        single = dln.run(problem, layers[k], methods[k], n_steps=6000, record=record)
        assert_like_single(ensemble, k, single, 1e-10)


def test_mini_batches_have_seeds_of_their_own():
    problem = problem_case("regression-4", (3, 4)).problem
    layers = starts((4, 5, 3), 4)
    method = dln.GradientDescent(0.01, batch_size=7)
    ensemble = dln.run_ensemble(problem, layers, method, n_steps=30, rng=5, threads=2)
    seeds = [int(seed) for seed in ensemble.data.seed]
    assert len(set(seeds)) == 4
    for k, seed in enumerate(seeds):
        single = dln.run(problem, layers[k], method, n_steps=30, rng=seed)
        assert_like_single(ensemble, k, single, 0.0)
    again = dln.run_ensemble(problem, layers, method, n_steps=30, rng=seeds)
    first_two = dln.run_ensemble(problem, layers[:2], method, n_steps=30, rng=5)
    assert [int(seed) for seed in first_two.data.seed] == seeds[:2]
    for k in range(4):
        same_bits(ensemble, k, again, k)


def test_functions_of_the_user(path):
    problems, layers = targets((3, 3, 3), 6), starts((3, 3, 3), 6)
    method = dln.GradientDescent(0.02)

    def count(weights):
        return int(weights[0].size)

    def corner(weights):
        assert not weights[0].flags.writeable
        return weights[-1][:2, 0] * 1.0

    record = dln.Record(["loss", count, corner], every=10)
    stops = [dln.Stop(condition=lambda w: np.abs(w[0]).max() > 1.0, check_every=4), dln.Stop()] * 3
    ensemble = dln.run_ensemble(
        problems, layers, method, n_steps=75, record=record, stop=stops, threads=2
    )
    assert "converged" in ensemble.status
    for k in range(6):
        single = dln.run(problems[k], layers[k], method, n_steps=75, record=record, stop=stops[k])
        assert_like_single(ensemble, k, single, 1e-11)


def test_what_a_function_raises_names_run_and_step(path):
    problems, layers = targets((2, 2), 3), starts((2, 2), 3)
    calls = []

    def fails(weights):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("no")
        return 0.0

    with pytest.raises(RuntimeError, match="no") as caught:
        dln.run_ensemble(
            problems, layers, dln.GradientDescent(0.1), n_steps=3, record=dln.Record(fails, every=1)
        )
    assert "at step 1" in " ".join(caught.value.__notes__)
    assert "run 1" in " ".join(caught.value.__notes__)


def test_time_limit_ends_those_that_have_one(path):
    stops = [dln.Stop(seconds=0.0), dln.Stop(loss=1e-2)]
    problem = dln.TargetMatrix(np.eye(3))
    ensemble = dln.run_ensemble(
        problem, starts((3, 3, 3), 2), dln.GradientDescent(0.05), n_steps=2**40, stop=stops
    )
    assert ensemble.status == ("time_limit", "converged")
    assert ensemble.data.loss.sel(run=0, step=ensemble.data.last_step.sel(run=0)).notnull()


@pytest.mark.parametrize("width", [4, 60])
def test_ctrl_c_ends_all_with_what_they_have(isolated, width):
    code = f"""
import os, signal, threading
import numpy as np
import pydlnet as dln

for name in dln.__all__:
    getattr(dln, name)  # loaded before Ctrl-C may come
starts = [dln.init.gaussian([{width}] * 3, end_to_end_scale=0.1, rng=k) for k in range(6)]
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
ensemble = dln.run_ensemble(
    dln.TargetMatrix(np.eye({width})), starts, dln.GradientDescent(1e-9), n_steps=2**40, threads=2
)
assert set(ensemble.status) == {{"interrupted"}}
assert (ensemble.data.last_step > 0).all()
assert ensemble.data.loss.sel(step=ensemble.data.last_step).notnull().all()
"""
    result = isolated(code, timeout=30)
    assert result.returncode == 0, result.stderr


def corner_entry(weights):
    return weights[0][0, 0]


def test_blocks_of_records(path, monkeypatch):
    problems, layers, methods, stops = mixed()
    record = dln.Record(["loss", "weights", corner_entry], every=9)
    run = functools.partial(
        dln.run_ensemble, problems, layers, methods, n_steps=200, record=record, stop=stops
    )
    large = run()
    monkeypatch.setattr("pydlnet.ensemble_records.MEBIBYTE", 2**10)  # three records a block
    small = run()
    assert small.data.step.equals(large.data.step)
    for k in range(11):
        same_bits(small, k, large, k)


def test_dataset(path):
    problems, layers = targets((3, 2, 4), 3), starts((3, 2, 4), 3)
    methods = [dln.GroupRMSprop(rate) for rate in (0.01, 0.02, 0.03)]
    ensemble = dln.run_ensemble(problems, layers, methods, n_steps=10, record=EVERYTHING)
    data = ensemble.data
    assert len(ensemble) == 3
    assert ensemble.widths == (3, 2, 4)
    assert data.W2.dims == ("run", "step", "output", "hidden_1")
    assert data.time.dims == ("run", "step")
    assert data.last_step.values.tolist() == [10, 10, 10]
    assert [json.loads(text)["learning_rate"] for text in data.method.values] == [0.01, 0.02, 0.03]
    assert len(set(data.problem.values)) == 3
    assert data.loss.attrs == dln.run(problems[0], layers[0], methods[0], n_steps=1).data.loss.attrs
    assert "3 finished" in repr(ensemble)


def test_no_steps_and_one_member(path):
    problem, layers = targets((3, 3), 1)[0], starts((3, 3), 1)[0]
    ensemble = dln.run_ensemble(problem, layers, dln.GradientDescent(0.1), n_steps=0)
    assert ensemble.status == ("finished",)
    assert ensemble.data.sizes["step"] == 1
    same_layers(ensemble.weights[0], layers)


def test_inputs_are_not_modified(path):
    layers = starts((3, 3, 3), 2)
    before = [[layer.copy() for layer in start] for start in layers]
    dln.run_ensemble(targets((3, 3), 2), layers, dln.GradientDescent(0.1), n_steps=5)
    for start, copies in zip(layers, before, strict=True):
        same_layers(start, copies)
