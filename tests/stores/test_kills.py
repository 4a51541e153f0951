"""A run whose process is killed, again and again, loses nothing of what it has committed."""

import random

import numpy as np
import pytest
import victims

import pydlnet as dln

# Kills for each of the six runs: 54 together.
N_KILLS = 9
SECONDS = 60.0


def assert_begins_like(part, whole):
    n = part.data.sizes["step"]
    assert list(part.data.variables) == list(whole.data.variables)
    for name, variable in part.data.variables.items():
        assert variable.dtype == whole.data[name].dtype
        np.testing.assert_array_equal(variable.values, whole.data[name].values[:n], str(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", victims.victims())
def test_killed_runs_go_on_bit_for_bit(name, processes, tmp_path):
    chance = random.Random(name)
    whole = victims.run(name)
    store = tmp_path / "run.zarr"
    n_kills = n_records = 0
    patience = 0.05
    while n_kills < N_KILLS:
        process = processes.Process(target=victims.run_in_child, args=(name, store))
        process.start()
        process.join(chance.uniform(0.0, patience))
        if not process.is_alive():
            assert process.exitcode == 0
            break
        process.kill()
        process.join()
        n_kills += 1
        try:
            found = dln.open(store, verify=True)
        except (FileNotFoundError, ValueError) as error:
            # Nothing is there yet, which later on would be a loss.
            assert n_records == 0
            assert "nothing" in str(error) or "not committed anything" in str(error)
            patience *= 1.5
            continue
        assert found.status in ("interrupted", "finished")
        assert found.data.sizes["step"] >= n_records
        n_records = found.data.sizes["step"]
        assert_begins_like(found, whole)
    assert n_kills
    last = processes.Process(target=victims.run_in_child, args=(name, store))
    last.start()
    last.join(SECONDS)
    assert last.exitcode == 0
    found = dln.open(store, verify=True)
    assert found.status == "finished"
    assert found.data.sizes == whole.data.sizes
    assert_begins_like(found, whole)
    for ours, theirs in zip(found.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
