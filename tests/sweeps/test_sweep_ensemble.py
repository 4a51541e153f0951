"""Sweeps through the ensemble kernel: every member is its own run, whatever went with it."""

import numpy as np
import pytest
from sweep_functions import PROBLEM

import pydlnet as dln

STARTS = {
    f"{depth} from {seed}": dln.init.balanced([2] * (depth + 1), scale=0.3, rng=seed)
    for depth in (1, 3)
    for seed in (0, 1)
}
METHODS = [dln.GradientDescent(0.01), dln.GradientDescent(0.1), dln.Momentum(0.05, 0.9)]
RECORD = dln.Record(["loss", "singular_values"], every=30)
STOP = dln.Stop(loss=1e-3)


def sweep(store, starts=STARTS, methods=METHODS, problems=PROBLEM, **options):
    options = {"n_steps": 200, "record": RECORD, "stop": STOP, "store": store, **options}
    return dln.sweep_ensemble(problems, starts, methods, **options)


def test_members_are_single_runs_to_rounding(store):
    result = sweep(store)
    assert result.data["loss"].dims == ("starts", "methods", "step")
    for label, start in STARTS.items():
        for k, method in enumerate(METHODS):
            alone = dln.run(PROBLEM, start, method, n_steps=200, record=RECORD, stop=STOP)
            member = result.point(starts=label, methods=k)
            assert member["step"].values.tolist() == alone.data["step"].values.tolist()
            np.testing.assert_allclose(member["loss"], alone.data["loss"], rtol=1e-11)
            np.testing.assert_allclose(
                member["singular_value"], alone.data["singular_value"], rtol=1e-10
            )
            assert member["status"] == alone.status
            assert member["last_step"] == alone.step
            assert member.attrs["method"] == alone.data.attrs["method"]


def test_bits_do_not_depend_on_the_chunks(store, monkeypatch):
    together = sweep(store).data.load()
    monkeypatch.setattr("pydlnet.sweeps.ensemble_job._BYTES", 1)  # every member alone
    alone = sweep(f"{store}-alone").data.load()
    assert together.identical(alone)
    threads = sweep(f"{store}-threads", n_jobs=2).data.load()
    assert threads.identical(together)


def test_it_goes_on_where_it_was(store):
    first = sweep(store, methods=METHODS[:2], shard=(1, 2))
    assert first.counts == {"done": 4, "failed": 0, "missing": 4}
    records = {path: path.stat().st_mtime_ns for path in store.rglob("point.json")}
    whole = sweep(store)
    assert whole.counts == {"done": 12, "failed": 0, "missing": 0}
    assert all(path.stat().st_mtime_ns == time for path, time in records.items())
    assert whole.data.load().identical(sweep(f"{store}-at-once").data.load())


def test_numbers_in_which_methods_differ_are_coordinates(store):
    methods = [dln.GradientDescent(rate) for rate in (0.1, 0.3)]
    data = sweep(store, methods=methods, starts=STARTS["3 from 0"]).data
    assert data["loss"].dims == ("methods", "step")
    assert data["learning_rate"].values.tolist() == [0.1, 0.3]
    by_rate = data.swap_dims(methods="learning_rate")
    assert by_rate["last_step"].sel(learning_rate=0.3) == data["last_step"][1]


def test_mini_batches_have_seeds_of_their_own(store):
    rng = np.random.default_rng(0)
    problem = dln.Regression(rng.standard_normal((20, 2)), rng.standard_normal((20, 2)))
    start = STARTS["1 from 0"]
    methods = [dln.GradientDescent(rate, batch_size=4) for rate in (0.3, 0.300001)]
    options = {"problems": problem, "starts": start, "methods": methods, "stop": None}
    first = sweep(store, rng=5, **options).data.load()
    assert sweep(f"{store}-2", rng=5, **options).data.load().identical(first)
    assert not np.allclose(first["loss"][0], first["loss"][1], rtol=1e-4)
    assert not sweep(f"{store}-3", rng=6, **options).data["loss"].equals(first["loss"])


def broken(end_to_end):
    if end_to_end[0, 0] > 1.0:
        raise ZeroDivisionError("too large")
    return 0.5 * float(np.sum(end_to_end**2)), end_to_end


def test_a_member_that_fails_takes_nobody_along(store):
    problem = dln.EndToEndLoss(broken, (2, 2))
    starts = [[np.eye(2) * scale] for scale in (0.5, 2.0, 0.9)]
    with pytest.warns(UserWarning, match=r"1 of 3 points failed.*'starts': 1.*ZeroDivisionError"):
        result = sweep(store, problems=problem, starts=starts, methods=METHODS[0], stop=None)
    assert result.data["status"].values.tolist() == ["finished", "failed", "finished"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": []}, ValueError, "methods: expected at least one, got none"),
        ({"methods": [METHODS[0]] * 2}, ValueError, r"methods\[1\]: expected different ones, got"),
        ({"methods": [3]}, TypeError, r"methods\[0\]: expected a Method, got int 3"),
        (
            {"methods": 3},
            TypeError,
            "methods: expected a Method, or a sequence or mapping of these",
        ),
        (
            {"problems": {(1,): PROBLEM}},
            TypeError,
            "problems: expected strings or numbers as label",
        ),
        (
            {"starts": {"a": [np.eye(3)]}},
            ValueError,
            r"starts\['a'\]: expected an end-to-end matrix",
        ),
        ({"starts": 5}, TypeError, "starts: expected a list of matrices, or a sequence or mapping"),
        ({"stop": dln.Stop(seconds=1)}, ValueError, "stop: expected no seconds"),
        ({"stop": 1}, TypeError, "stop: expected a Stop, got int 1"),
        ({"record": 1}, TypeError, "record: expected a Record, got int 1"),
        ({"record": dln.Record("held_out_error")}, ValueError, "held_out="),
        ({"record": dln.Record({"f": lambda w: 1.0})}, TypeError, "record: f: expected a function"),
        ({"n_steps": -1}, ValueError, "n_steps: expected an integer >= 0, got -1"),
        ({"n_jobs": 0}, ValueError, "n_jobs: expected"),
    ],
)
def test_messages(options, error, message, store):
    with pytest.raises(error, match=message):
        sweep(store, **options)
    assert not store.exists()
