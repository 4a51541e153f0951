"""Ensembles in files: the same data and layers, or an error."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pydlnet as dln

TARGET = pd.DataFrame([[3.0, 0.0], [0.0, 1.0]], columns=["age", "bmi"])
START = dln.init.balanced((2, 3, 2), scale=0.3, rng=0)
RECORD = dln.Record(["loss", "end_to_end", "weights"], every=7)


def ensemble(dtype="float64", **keywords):
    """Return runs of which one diverges and one ends off the schedule."""
    problems = [dln.TargetMatrix(TARGET), dln.TargetMatrix(2 * TARGET), dln.TargetMatrix(TARGET)]
    return dln.run_ensemble(
        problems,
        [layer.astype(dtype) for layer in START],
        [dln.GradientDescent(rate) for rate in (0.01, 0.1, 50.0)],
        n_steps=100,
        record=RECORD,
        stop=dln.Stop(loss=1e-3),
        **keywords,
    )


@pytest.fixture(params=["runs.nc", "runs.zarr"])
def path(tmp_path, request):
    return tmp_path / request.param


def test_all_of_an_ensemble_comes_back(path):
    before = ensemble()
    before.save(path)
    after = dln.open_ensemble(path)
    assert after.status == before.status == ("finished", "converged", "diverged")
    data = after.data.load()
    xr.testing.assert_identical(data, before.data)
    for name, variable in before.data.variables.items():
        assert data[name].dtype == variable.dtype
    assert data.attrs.keys() == before.data.attrs.keys()
    assert data.input.values.tolist() == ["age", "bmi"]
    for mine, theirs in zip(after.weights, before.weights, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert repr(after) == repr(before).replace(
        repr(before).partition("records of ")[2], repr(after).partition("records of ")[2]
    )


def test_single_precision_and_seeds_are_kept(path):
    problem = dln.Regression(np.eye(4, 2), np.ones((4, 2)))
    methods = [dln.GradientDescent(0.1, batch_size=2)] * 2
    start = [layer.astype(np.float32) for layer in START]
    before = dln.run_ensemble(problem, start, methods, n_steps=5, rng=0)
    before.save(path)
    after = dln.open_ensemble(path)
    assert after.weights[1][0].dtype == np.float32
    xr.testing.assert_identical(after.data.load(), before.data)
    assert after.data.seed.dtype == np.int64


def test_members_are_starts_again(path):
    before = ensemble()
    before.save(path)
    opened = dln.open_ensemble(path)
    problem = dln.TargetMatrix(TARGET)
    method = dln.GradientDescent(0.01)
    again = dln.run_ensemble(problem, opened.weights[:2], method, n_steps=5)
    alone = dln.run_ensemble(problem, before.weights[:2], method, n_steps=5)
    np.testing.assert_array_equal(again.data.loss, alone.data.loss)


def test_an_opened_ensemble_is_saved_again(path, tmp_path):
    ensemble().save(path)
    again = tmp_path / "again.nc"
    dln.open_ensemble(path).save(again)
    xr.testing.assert_identical(
        dln.open_ensemble(again).data.load(), dln.open_ensemble(path).data.load()
    )


def test_files_of_one_kind_are_not_taken_for_the_other(path):
    ensemble().save(path)
    with pytest.raises(ValueError, match="holds an ensemble; use open_ensemble"):
        dln.open(path)
    run = dln.run(dln.TargetMatrix(TARGET), START, dln.GradientDescent(0.1), n_steps=5)
    run.save(path)
    with pytest.raises(ValueError, match="holds a single run; use open"):
        dln.open_ensemble(path)


def test_a_flipped_bit_is_an_error(tmp_path):
    path = tmp_path / "runs.nc"
    ensemble().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        dln.open_ensemble(path)


def test_what_is_no_ensemble_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"runs\.nc"):
        dln.open_ensemble(tmp_path / "runs.nc")
    with pytest.raises(ValueError, match=r"expected a name ending in \.nc or \.zarr"):
        ensemble().save(tmp_path / "runs.csv")
    (tmp_path / "odd.nc").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"odd\.nc"):
        dln.open_ensemble(tmp_path / "odd.nc")


def test_a_report_of_a_file_is_one_of_the_ensemble(path, tmp_path):
    ensemble().save(path)
    page = dln.report(path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "3 runs" in page
