"""The dataset of a run, and what survives a file."""

import json

import numpy as np
import pytest
import xarray as xr
from cases import METHODS, problem_case
from helpers import assert_same_bits, assert_same_run, network, steps_of
from small_completion import WIDTHS, completion_run

import pydlnet as dln

STEP = ("step",)

# Asked for as -> variables with their dimensions, from the table of the design.
LAYOUT = {
    "loss": {"loss": STEP},
    "reconstruction_error": {"reconstruction_error": STEP},
    "held_out_error": {"held_out_error": STEP},
    "gradient_norm": {"gradient_norm": STEP},
    "learning_rate": {"learning_rate": STEP},
    "singular_values": {"singular_value": ("step", "mode")},
    "singular_vectors": {
        "left_singular_vector": ("step", "output", "mode"),
        "right_singular_vector": ("step", "input", "mode"),
    },
    "effective_rank": {"effective_rank": STEP},
    "stable_rank": {"stable_rank": STEP},
    "nuclear_norm": {"nuclear_norm": STEP},
    "imbalance": {"imbalance": ("step", "pair")},
    "layer_norms": {"layer_norm": ("step", "layer")},
    "layer_singular_values": {"layer_singular_value": ("step", "layer", "layer_mode")},
    "end_to_end": {"end_to_end": ("step", "output", "input")},
    "weights": {
        "W1": ("step", "hidden_1", "input"),
        "W2": ("step", "hidden_2", "hidden_1"),
        "W3": ("step", "output", "hidden_2"),
    },
    "alignment": {"alignment": ("step", "mode")},
}
SIZES = {
    "mode": 3,
    "output": 3,
    "input": 5,
    "pair": 2,
    "layer": 3,
    "layer_mode": 4,
    "hidden_1": 4,
    "hidden_2": 6,
}


# -- Layout --


@pytest.mark.parametrize("quantity", LAYOUT)
def test_each_quantity_has_its_variables(quantity):
    _, trajectory = completion_run(record=dln.Record(quantity, every=5))
    data = trajectory.data
    assert isinstance(data, xr.Dataset)
    assert {name: data[name].dims for name in data.data_vars} == LAYOUT[quantity]
    for name, variable in data.data_vars.items():
        assert variable.shape == (4, *(SIZES[dim] for dim in variable.dims[1:])), name
        assert variable.attrs["long_name"]
        assert variable.attrs["units"] == "1"
        assert variable.attrs["reference"]


def test_a_long_name_is_a_name_and_a_formula_is_a_definition():
    _, trajectory = completion_run(record=dln.Record(list(LAYOUT), every=5))
    for name, variable in trajectory.data.data_vars.items():
        assert not set(variable.attrs["long_name"]) & set("|^_="), name
    imbalance = trajectory.data.imbalance.attrs
    assert imbalance["definition"] == "||W_{j+1}^T W_{j+1} - W_j W_j^T||_F"
    assert "definition" not in trajectory.data.W1.attrs


def test_coordinates():
    _, trajectory = completion_run(record=dln.Record(list(LAYOUT), every=5))
    data = trajectory.data
    assert data["step"].dtype == np.int64
    assert steps_of(trajectory) == [0, 5, 10, 12]
    assert data["time"].dims == STEP
    for name in ("step", "time"):
        assert data[name].attrs["long_name"]
        assert data[name].attrs["units"]


def test_depth_one_has_no_hidden_dimensions():
    data = dln.run(
        dln.TargetMatrix(np.ones((2, 3))),
        network((3, 2)),
        dln.GradientDescent(0.1),
        n_steps=2,
        record=dln.Record(["weights", "imbalance", "layer_norms"]),
    ).data
    assert data["W1"].dims == ("step", "output", "input")
    assert data.sizes["pair"] == 0
    assert data.sizes["layer"] == 1


def test_attributes():
    problem, trajectory = completion_run(method=dln.Momentum(0.1, 0.5), rng=3)
    attrs = trajectory.data.attrs
    assert json.loads(attrs["problem"]) == problem.describe()
    method = json.loads(attrs["method"])
    assert method["kind"] == "Momentum"
    assert method["momentum"] == 0.5
    assert list(attrs["widths"]) == list(WIDTHS)
    assert attrs["dtype"] == "float64"
    assert attrs["version"] == dln.__version__
    assert attrs["instruction_set"] == dln._core.ISA
    assert attrs["status"] == "finished"
    assert attrs["wall_seconds"] >= 0
    assert "exact_algebra" in attrs


def test_recorded_values_are_finite():
    _, trajectory = completion_run(record=dln.Record(list(LAYOUT), every=1))
    for name, variable in trajectory.data.data_vars.items():
        if name != "layer_singular_value":  # NaN beyond a layer's own
            assert np.isfinite(variable.values).all(), name


def test_a_trajectory_says_what_it_is():
    method, record = dln.Adam(0.02), dln.Record("loss", every=5)
    _, trajectory = completion_run(method=method, record=record)
    assert trajectory.method == method
    assert trajectory.record == record
    assert trajectory.step == 12
    assert "12" in repr(trajectory)


# -- Files --

SUFFIXES = [".nc", ".zarr"]


def saved_and_opened(trajectory, folder, suffix):
    path = folder / f"run{suffix}"
    trajectory.save(path)
    return dln.open(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_opening_gives_back_what_was_saved(tmp_path, suffix, dtype):
    problem = dln.TargetMatrix(np.ones((3, 5)))
    quantities = [q for q in LAYOUT if q != "held_out_error"]
    trajectory = dln.run(
        problem,
        network(WIDTHS, dtype=dtype),
        dln.GradientDescent(0.05),
        n_steps=12,
        record=dln.Record([*quantities, {"mine": lambda w: w[0][:, 0]}], every=5),
    )
    opened = saved_and_opened(trajectory, tmp_path, suffix)
    assert_same_run(opened, trajectory)
    assert opened.method == trajectory.method
    for name in trajectory.data.variables:
        assert opened.data[name].attrs == trajectory.data[name].attrs


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", METHODS, ids=lambda c: c.name)
def test_an_opened_run_continues_bit_for_bit(tmp_path, suffix, case):
    record = dln.Record(["loss", "weights"], every=5)
    problem, whole = completion_run(30, case.method, record=record)
    _, first = completion_run(12, case.method, record=record)
    opened = saved_and_opened(first, tmp_path, suffix)
    assert_same_run(dln.run(problem, opened, n_steps=18), whole)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_opened_run_with_mini_batches_continues_bit_for_bit(tmp_path, dtype):
    problem = problem_case("regression-2", (3, 5)).problem
    method = dln.Adam(0.01, batch_size=7)
    weights = network(WIDTHS, dtype=dtype)
    whole = dln.run(problem, weights, method, n_steps=30, rng=5)
    first = dln.run(problem, weights, method, n_steps=11, rng=5)
    opened = saved_and_opened(first, tmp_path, ".nc")
    assert_same_run(dln.run(problem, opened, n_steps=19), whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_opened_run_continues_in_another_process(tmp_path, suffix, isolated):
    """State that lives in the process and not in the file would be missed above."""
    whole = completion_run(30, dln.Momentum(0.1, 0.9))[1]
    path = tmp_path / f"run{suffix}"
    completion_run(12, dln.Momentum(0.1, 0.9))[1].save(path)
    code = f"""
import pydlnet as dln
problem = dln.MatrixCompletion.synthetic((3, 5), 1, n_observed=9, rng=1, held_out=4)
dln.run(problem, dln.open({str(path)!r}), n_steps=18).save({str(path) + "2" + suffix!r})
"""
    result = isolated(code, isa=dln._core.ISA)
    assert result.returncode == 0, result.stderr
    assert_same_run(dln.open(str(path) + "2" + suffix), whole)


def decreasing(step):
    return 0.1 / (1 + step)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_functions_are_not_saved_but_asked_for(tmp_path, suffix):
    method = dln.GradientDescent(decreasing)
    problem, whole = completion_run(30, method)
    opened = saved_and_opened(completion_run(12, method)[1], tmp_path, suffix)
    with pytest.raises(ValueError, match=r"method.*decreasing"):
        dln.run(problem, opened, n_steps=18)
    assert_same_run(dln.run(problem, opened, method, n_steps=18), whole)


def test_array_rates_are_saved(tmp_path):
    method = dln.GradientDescent(np.linspace(0.1, 0.01, 30))
    problem, whole = completion_run(30, method)
    opened = saved_and_opened(completion_run(12, method)[1], tmp_path, ".nc")
    assert opened.method == method
    assert_same_run(dln.run(problem, opened, n_steps=18), whole)


def mine(weights):
    return float(weights[0].sum())


def test_recorded_callables_are_asked_for_again(tmp_path):
    record = dln.Record(["loss", mine], every=4)
    problem, whole = completion_run(20, record=record)
    opened = saved_and_opened(completion_run(8, record=record)[1], tmp_path, ".nc")
    with pytest.raises(ValueError, match=r"record.*mine|mine.*record"):
        dln.run(problem, opened, n_steps=12)
    assert_same_run(dln.run(problem, opened, n_steps=12, record=record), whole)


@pytest.mark.parametrize("status", ["finished", "converged", "diverged"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_status_survives(tmp_path, status, suffix):
    rate = 1e4 if status == "diverged" else 0.1
    stop = dln.Stop(loss=1e9) if status == "converged" else None
    _, trajectory = completion_run(50, dln.GradientDescent(rate), stop=stop)
    assert trajectory.status == status
    assert_same_run(saved_and_opened(trajectory, tmp_path, suffix), trajectory)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saving_twice_keeps_the_last(tmp_path, suffix):
    problem, first = completion_run(12)
    first.save(tmp_path / f"run{suffix}")
    second = dln.run(problem, first, n_steps=8)
    second.save(tmp_path / f"run{suffix}")
    assert_same_run(dln.open(tmp_path / f"run{suffix}"), second)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_may_be_saved_onto_the_file_it_was_opened_from(tmp_path, suffix):
    """Opened data is lazy: writing must not destroy what is still to be read."""
    problem, first = completion_run(12, record=dln.Record(["loss", "weights"], every=3))
    opened = saved_and_opened(first, tmp_path, suffix)
    opened.save(tmp_path / f"run{suffix}")
    assert_same_run(dln.open(tmp_path / f"run{suffix}"), first)
    longer = dln.run(problem, dln.open(tmp_path / f"run{suffix}"), n_steps=3)
    longer.save(tmp_path / f"run{suffix}")
    assert_same_run(dln.open(tmp_path / f"run{suffix}"), longer)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_xarray_reads_the_file(tmp_path, suffix):
    _, trajectory = completion_run(12)
    path = tmp_path / f"run{suffix}"
    trajectory.save(path)
    options = {".nc": {"engine": "h5netcdf"}, ".zarr": {"engine": "zarr", "consolidated": False}}
    with xr.open_dataset(path, **options[suffix]) as data:
        assert_same_bits(data["loss"].values, trajectory.data["loss"].values)


def test_paths_may_be_strings(tmp_path):
    _, trajectory = completion_run(3)
    trajectory.save(str(tmp_path / "run.nc"))
    assert_same_run(dln.open(str(tmp_path / "run.nc")), trajectory)


@pytest.mark.parametrize("name", ["run.txt", "run", "run.npz", "run.pkl"])
def test_unknown_suffixes(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.nc.*\.zarr"):
        completion_run(1)[1].save(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_files(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match="nothing"):
        dln.open(tmp_path / f"nothing{suffix}")


def test_missing_folders(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        completion_run(1)[1].save(tmp_path / "nowhere" / "run.nc")


@pytest.mark.parametrize("content", [b"", b"no NetCDF file", bytes(4096)])
def test_files_of_another_kind(tmp_path, content):
    path = tmp_path / "wrong.nc"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.nc"):
        dln.open(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_datasets_of_somebody_else(tmp_path, suffix):
    path = tmp_path / f"other{suffix}"
    data = xr.Dataset({"loss": ("step", np.ones(3))})
    data.to_netcdf(path, engine="h5netcdf") if suffix == ".nc" else data.to_zarr(
        path, consolidated=False
    )
    with pytest.raises(ValueError, match="other"):
        dln.open(path)


def test_truncated_files(tmp_path):
    path = tmp_path / "cut.nc"
    completion_run(20, record=dln.Record("weights", every=1))[1].save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises((ValueError, OSError)):
        dln.run(completion_run(0)[0], dln.open(path), n_steps=1)


# -- Continuing what does not fit --


def test_continuing_with_another_problem():
    _, trajectory = completion_run(5)
    with pytest.raises(ValueError, match="TargetMatrix"):
        dln.run(dln.TargetMatrix(np.ones((4, 5))), trajectory, n_steps=1)


def test_a_fresh_run_needs_a_method():
    with pytest.raises((TypeError, ValueError), match="method"):
        dln.run(dln.TargetMatrix(np.ones((3, 5))), network(WIDTHS), n_steps=1)


def test_wrong_targets_are_refused_by_name(tmp_path):
    run = dln.run(dln.TargetMatrix(np.eye(3)), network((3, 3)), dln.GradientDescent(0.1), n_steps=5)
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(ValueError, match=r"path: expected a file"):
        run.save(tmp_path / "folder.nc")
    with pytest.raises(FileNotFoundError, match=r"path: expected an existing folder.*missing"):
        run.save(tmp_path / "missing" / "a.nc")


def test_a_trajectory_knows_what_the_last_run_minimised(tmp_path):
    problems = [dln.TargetMatrix(np.eye(2)), dln.TargetMatrix(2 * np.eye(2))]
    method = dln.GradientDescent(0.1)
    first = dln.run(problems[0], dln.init.identity((2, 2)), method, n_steps=3)
    assert first.problem is problems[0]
    assert dln.run(problems[1], first, n_steps=3).problem is problems[1]
    first.save(tmp_path / "run.nc")
    assert dln.open(tmp_path / "run.nc").problem is None
