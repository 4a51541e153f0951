"""A run whose process is killed, again and again, loses nothing of what it has committed."""

import os
import random
import time

import numpy as np
import pytest
import victims
from helpers import assert_same_run

import pydlnet as dln

# Of each of the six runs: 54 together.
N_KILLS = 9
SECONDS = 60.0


def number_of_commit(store):
    try:
        status = os.stat(store / "pydlnet" / "commit")
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def wait_for_commit(store, process):
    before, end = number_of_commit(store), time.monotonic() + SECONDS
    while number_of_commit(store) == before:
        assert process.is_alive()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", victims.NAMES)
def test_killed_runs_go_on_bit_for_bit(name, processes, tmp_path):
    chance = random.Random(name)
    store = tmp_path / "run.zarr"
    pieces = []
    for kill in range(N_KILLS):
        process = processes.Process(target=victims.run_in_child, args=(name, store))
        process.start()
        if kill % 3:  # and now and then while it begins
            wait_for_commit(store, process)
        time.sleep(chance.uniform(0.0, 0.1))
        process.kill()
        process.join()
        if number_of_commit(store) is None:
            continue
        found = dln.open(store, verify=True)
        assert found.status == "interrupted"
        pieces.append(found)
    places = [victims.place(piece) for piece in pieces]
    assert places == sorted(places)
    assert len(set(places)) > N_KILLS // 2
    end = 1.01 * places[-1] if name == "flow" else places[-1] + 77
    whole = victims.run(name, end=end)
    for piece in pieces:
        n = piece.data.sizes["step"]
        for key, variable in piece.data.variables.items():
            np.testing.assert_array_equal(variable.values, whole.data[key].values[:n], str(key))
    assert_same_run(victims.run(name, store, end), whole)
    assert_same_run(dln.open(store, verify=True), whole)
