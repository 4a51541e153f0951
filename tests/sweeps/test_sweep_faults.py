"""Damaged files, killed processes, Ctrl-C, and two sweeps in one folder at once."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sweep_functions import slowly, square, train

import pydlnet as dln

GRID = {"depth": [1, 2], "learning_rate": [0.1, 0.3]}

LAUNCH = """
import sys, pydlnet as dln
from sweep_functions import {function}
print("begun", flush=True)
dln.sweep({function}, {{"x": list(range({size}))}}, store=sys.argv[1], n_jobs={n_jobs})
"""


def launch(store, function="slowly", size=30, n_jobs=2):
    """Begin a sweep in another process, which says so when its imports are done."""
    code = LAUNCH.format(function=function, size=size, n_jobs=n_jobs)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n", process.stderr.read()
    return process


def files(store, pattern):
    return sorted(store.glob(f"points/*/*/{pattern}"))


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "gone":
        path.unlink()
        return
    else:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
@pytest.mark.parametrize("pattern", ["point.json", "arrays-*"])
def test_a_damaged_point_is_named_and_computed_anew(store, calls, pattern, how):
    before = dln.sweep(train, GRID, store=store, rng=0).data.load().copy(deep=True)
    calls()
    path = files(store, pattern)[1]
    damage(path, how)
    if pattern == "arrays-*":
        with pytest.raises(OSError, match=rf"{path.name} is (damaged|missing).*computes the point"):
            dln.open_sweep(store).data.load()
    after = dln.sweep(train, GRID, store=store, rng=0).data
    assert sum(calls().values()) == 1
    assert after.equals(before)
    assert dln.sweep(train, GRID, store=store, rng=0).counts["done"] == 4
    assert calls() == {}


def test_every_flipped_bit_of_a_record_is_noticed(store, calls):
    dln.sweep(square, {"x": [1]}, store=store)
    (path,) = files(store, "point.json")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), 30, replace=False):
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        calls()
        assert dln.sweep(square, {"x": [1]}, store=store).data["square"].values == [1]
        assert calls() == {"1": 1}, place


def test_the_index_is_only_a_copy(store):
    dln.sweep(square, {"x": list(range(20))}, store=store)
    expected = [x**2 for x in range(20)]
    (index,) = (store / "index").iterdir()
    whole = index.read_bytes()
    for data in (whole[: len(whole) // 2], whole.replace(b"square", b"sqware"), b"\x00\xff\n", b""):
        index.write_bytes(data)
        assert dln.open_sweep(store).data["square"].values.tolist() == expected
    index.unlink()
    assert dln.open_sweep(store).data["square"].values.tolist() == expected


def test_a_damaged_definition_is_named(store):
    dln.sweep(square, {"x": [1]}, store=store)
    damage(store / "sweep.json", "flipped")
    for opened in (dln.open_sweep, lambda path: dln.sweep(square, {"x": [1]}, store=path)):
        with pytest.raises(ValueError, match=r"sweep.json is damaged, .*remove it and launch"):
            opened(store)


def test_killed_at_any_moment_it_goes_on_with_what_is_missing(store, calls, importable):
    lengths = random.Random(0)
    computed = {}
    for _ in range(3):
        with launch(store, size=40) as process:
            time.sleep(lengths.uniform(0.1, 0.6))
            process.kill()
        done = dln.open_sweep(store).counts["done"] if (store / "sweep.json").exists() else 0
        for point, count in calls().items():
            computed[point] = computed.get(point, 0) + count
        # Twice only what a killed process had begun: two points each time.
        assert sum(computed.values()) - done <= 2 * 3
    sweep = dln.sweep(slowly, {"x": list(range(40))}, store=store, n_jobs=2)
    assert sweep.data["square"].values.tolist() == [x**2 for x in range(40)]


def test_two_sweeps_in_one_folder_share_the_work(store, calls, importable):
    with launch(store, n_jobs=1) as one, launch(store, n_jobs=1) as other:
        errors = [process.communicate(timeout=60)[1] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], errors
    sweep = dln.open_sweep(store)
    assert sweep.data["square"].values.tolist() == [x**2 for x in range(30)]
    assert sum(calls().values()) <= 60
    assert not list(store.rglob(".draft-*"))
    dln.sweep(slowly, {"x": list(range(30))}, store=store)
    assert calls() == {}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_stops_and_no_cut_run_counts(store, importable, n_jobs):
    with launch(store, "endless", n_jobs=n_jobs) as process:
        try:
            deadline = time.monotonic() + 20
            while not files(store, "point.json") and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt")
    sweep = dln.open_sweep(store)
    assert sweep.counts["done"] == 1
    assert sweep.data["status"].values[0] == "done"


def test_a_folder_that_cannot_be_written_stops_the_sweep(store):
    dln.sweep(square, {"x": [1]}, store=store)
    for path in (store / "points").iterdir():
        path.rename(path.with_name("moved"))
    # Where a directory should be, there is a file.
    for first in range(256):
        (store / "points" / f"{first:02x}").write_text("")
    with pytest.raises(OSError, match="points"):
        dln.sweep(square, {"x": [1, 2]}, store=store)
