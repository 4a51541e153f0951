"""Runs with a store that last long enough to be killed, for processes of their own."""

import os
import resource
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import small_run
import xarray as xr

import pydlnet as dln
from pydlnet.storage import stores

WIDTHS = (12, 12, 12, 12)

# What is slow to load is loaded before processes are forked.
xr.Dataset({"warm": ("up", [1.0])})


@dataclass
class Victim:
    """Arguments of a run besides start, store and rng."""

    problem: Any
    method: Any
    record: dln.Record
    end: int


def _target():
    return dln.TargetMatrix(np.random.default_rng(0).standard_normal((12, 12)))


def _regression():
    rng = np.random.default_rng(1)
    return dln.Regression(rng.standard_normal((40, 12)), rng.standard_normal((40, 12)), power=4)


def _narrow():
    left, right = np.random.default_rng(2).standard_normal((2, 12, 2))
    return dln.TargetMatrix(left @ right.T)


def norms(weights):
    return np.array([np.sum(layer**2) for layer in weights])


LONG = 10**9  # steps, or times; far more than anybody waits for


def victims():
    """Return runs of all kinds, by name, and where a short one of each ends."""
    often = dln.Record(["loss", "singular_values", "imbalance"], every=10)
    watched = dln.Record(["loss", {"norms": norms}], every=50)
    plain = dln.Record(["loss", "singular_values"], every=2)
    times = dln.Record(["loss", "singular_values"], times=np.arange(1, 200_000) * 0.01)
    return {
        "descent": Victim(_target(), dln.GradientDescent(1e-4), often, 3000),
        "compressed": Victim(_narrow(), dln.Momentum(1e-4, 0.9), often, 3000),
        "own quantity": Victim(_target(), dln.GroupRMSprop(1e-4), watched, 3000),
        "batches": Victim(_regression(), dln.Adam(1e-5, batch_size=7), often, 3000),
        "rule": Victim(_target(), dln.EndToEndDescent(1e-4, 3), plain, 150),
        "flow": Victim(_target(), dln.GradientFlow(), times, 2),
    }


NAMES = list(victims())


def start(victim):
    widths = (12, 12) if isinstance(victim.method, dln.EndToEndDescent) else WIDTHS
    return dln.init.balanced(widths, 0.1, rng=5)


def run(name, store=None, end=None, **others):
    """Run a victim to a step, or a time of a flow; to where the short one ends without one."""
    victim = victims()[name]
    kind = "until" if name == "flow" else "n_steps"
    arguments = {kind: victim.end if end is None else end, "record": victim.record, "rng": 3}
    return dln.run(
        victim.problem, start(victim), victim.method, store=store, **{**arguments, **others}
    )


def place(trajectory):
    """Return where a trajectory ends, as `run` takes it."""
    is_flow = isinstance(trajectory.method, dln.GradientFlow)
    return trajectory.state.time[0] if is_flow else trajectory.step


def commit_always():
    """Commit after every slice of a run, and fill chunks soon."""
    stores.SECONDS_A_COMMIT = stores.SHARE_OF_COMMITS = 0.0
    stores.BYTES_A_CHUNK = 2**16


def run_in_child(name, store, end=LONG):
    """Run with frequent commits: what a process of its own calls."""
    commit_always()
    run(name, store, end)


def run_with_small_files(store):
    """See a run end because no file may grow: what a process of its own calls."""
    commit_always()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
    with pytest.raises(OSError, match="File too large") as caught:
        run("descent", store, LONG)
    assert any("keeps what was committed" in note for note in caught.value.__notes__)


def run_without_rights(store):
    """See a run refused because its folder may not be written: what a process of its own calls."""
    if os.getuid() == 0:
        # All modules are loaded while they may be read; to root every folder is open.
        warm = store.with_name("warm.zarr")
        small_run.run(20, store=warm)
        dln.open(warm, verify=True)
        shutil.rmtree(warm)
        for folder in [store.parent, *store.parent.parents][:3]:
            folder.chmod(folder.stat().st_mode | 0o055)
        os.setuid(65534)
    with pytest.raises(PermissionError):
        small_run.run(20, store=store)
    if store.exists():
        assert dln.open(store, verify=True).step == 10
