"""`sharpness` and `hessian_min` as recorded quantities: of runs, ensembles, saved and continued."""

import numpy as np
import pytest
from cases import curved_problem, problem_case
from helpers import assert_same_bits, assert_same_run, network

import pydlnet as dln
from pydlnet.metrics import hessian_extremes

BOTH = ("sharpness", "hessian_min")


@pytest.mark.parametrize("kind", ["target", "regression-2", "classification", "user"])
@pytest.mark.parametrize("method", [dln.GradientDescent(0.05), dln.Adam(0.01)])
def test_recorded_values_are_the_direct_ones(kind, method):
    widths = (5, 7, 6, 3)
    weights = network(widths, 0)
    problem = curved_problem(kind, widths)
    record = dln.Record([*BOTH, "weights", "loss"], every=4)
    trajectory = dln.run(
        problem, weights, method, n_steps=10, record=record, exact_compression=False
    )
    for row in range(4):
        data = trajectory.data.isel(step=row)
        layers = [data[f"W{j}"].values for j in range(1, 4)]
        found = hessian_extremes(layers, problem)
        assert float(data.sharpness) == found.largest
        assert float(data.hessian_min) == found.smallest
    assert trajectory.data.sharpness.dims == ("step",)
    assert "largest eigenvalue" in trajectory.data.sharpness.attrs["definition"]
    assert list(trajectory.data.data_vars)[-2:] == list(BOTH)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", [dln.GradientDescent(0.05), dln.Adam(0.01)])
def test_recording_curvature_changes_no_bit(method, dtype):
    widths = (40, 50, 8)
    weights = network(widths, 0, dtype=dtype)
    problem = curved_problem("regression-2", widths)
    plain, curved, one = (
        dln.run(problem, weights, method, n_steps=20, record=dln.Record(names, every=5))
        for names in (["loss"], ["loss", *BOTH], ["hessian_min"])
    )
    assert_same_bits(curved.data["loss"].values, plain.data["loss"].values)
    for a, b in zip(curved.weights, plain.weights, strict=True):
        assert_same_bits(a, b)
    assert curved.data.attrs["exact_algebra"] == plain.data.attrs["exact_algebra"]
    assert_same_bits(one.data["hessian_min"].values, curved.data["hessian_min"].values)


def test_compressed_runs_record_the_curvature_of_the_full_network():
    rng = np.random.default_rng(0)
    target = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 12)) / 3
    weights = network((12, 30, 4, 12), 0)
    runs = [
        dln.run(
            dln.TargetMatrix(target),
            weights,
            dln.GradientDescent(0.02),
            n_steps=30,
            record=dln.Record(BOTH, every=10),
            exact_compression=wish,
        )
        for wish in (True, False)
    ]
    assert runs[0].data.attrs["exact_algebra"] != runs[1].data.attrs["exact_algebra"]
    for name in BOTH:
        np.testing.assert_allclose(
            runs[0].data[name], runs[1].data[name], rtol=0, atol=1e-10 * runs[1].data.sharpness[0]
        )
        assert (np.abs(runs[1].data[name]) > 0.1).all()


def test_members_of_an_ensemble_record_what_runs_do():
    widths = (4, 6, 3)
    problems = [
        curved_problem("target", widths),
        curved_problem("user", widths),
        curved_problem("completion", widths),
    ]
    starts = [network(widths, seed) for seed in range(3)]
    record = dln.Record(["loss", *BOTH], every=3)
    method = dln.GradientDescent(0.05)
    ensemble = dln.run_ensemble(problems, starts, method, n_steps=10, record=record, threads=2)
    for k in range(3):
        alone = dln.run_ensemble(problems[k], [starts[k]], method, n_steps=10, record=record)
        single = dln.run(
            problems[k], starts[k], method, n_steps=10, record=record, exact_compression=False
        )
        for name in BOTH:
            assert ensemble.data[name].dims == ("run", "step")
            assert_same_bits(ensemble.data[name].values[k], alone.data[name].values[0])
            np.testing.assert_allclose(ensemble.data[name][k], single.data[name], rtol=1e-12)


def test_runs_go_on_and_are_saved(tmp_path):
    widths = (5, 9, 4)
    weights = network(widths, 0)
    problem = curved_problem("target", widths)
    record = dln.Record(["loss", *BOTH], every=4)
    method = dln.GradientDescent(0.05)
    whole = dln.run(problem, weights, method, n_steps=20, record=record)
    part = dln.run(problem, weights, method, n_steps=10, record=record)
    part.save(tmp_path / "part.nc")
    opened = dln.open(tmp_path / "part.nc")
    assert opened.record.names == ("loss", *BOTH)
    assert_same_run(dln.run(problem, part, n_steps=10), whole)
    assert_same_run(dln.run(problem, opened, n_steps=10), whole)


def test_diverged_steps_have_no_curvature():
    weights = network((4, 4, 4), 0)
    problem = curved_problem("target", (4, 4, 4))
    record = dln.Record(["loss", *BOTH], every=1)
    method = dln.GradientDescent(5.0)
    run = dln.run(problem, weights, method, n_steps=100, record=record)
    assert run.status == "diverged"
    ensemble = dln.run_ensemble(problem, [weights], method, n_steps=100, record=record)
    assert ensemble.status == ("diverged",)
    for name in BOTH:
        assert np.isnan(run.data[name][-1])
        assert np.isfinite(run.data[name][:3]).all()
        assert np.isnan(ensemble.data[name][0, -1])
    at_once = dln.run(problem, [1e200 * w for w in weights], method, n_steps=1, record=record)
    assert at_once.status == "diverged"
    assert np.isnan(at_once.data.sharpness).all()


def test_names_are_taken():
    with pytest.raises(ValueError, match="taken"):
        dln.Record({"sharpness": lambda weights: 0.0})


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", ["regression-1.5", "user"])
def test_losses_without_second_derivative_are_refused_before_the_run(name, kind):
    problem, weights = problem_case(kind, (3, 4)).problem, network((4, 3), 0)
    method, record = dln.GradientDescent(0.1), dln.Record(["loss", name])
    with pytest.raises(ValueError, match="for curvature"):
        dln.run(problem, weights, method, n_steps=1, record=record)
    with pytest.raises(ValueError, match="for curvature"):
        dln.run_ensemble(problem, [weights], method, n_steps=1, record=record)


def test_what_the_users_second_derivative_raises_names_the_step():
    calls = []

    def second(end_to_end, direction):
        calls.append(direction)
        if len(calls) > 30:  # four products and two residuals a step
            raise KeyError("mine")
        return direction

    problem = dln.EndToEndLoss(lambda w: (0.5 * np.sum(w**2), w), (2, 2), second)
    record = dln.Record("sharpness", every=1)
    with pytest.raises(KeyError, match="mine") as raised:
        dln.run(problem, [np.eye(2)], dln.GradientDescent(0.1), n_steps=20, record=record)
    assert any("'sharpness' at step 5" in note for note in raised.value.__notes__)
