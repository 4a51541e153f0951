"""Runs with a store that last long enough to be killed, for processes of their own."""

from dataclasses import dataclass
from typing import Any

import numpy as np
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
    end: dict[str, float]
    record: dln.Record


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


def victims(length=1.0):
    """Return runs of all kinds; `length` scales how long they take."""
    often = dln.Record(["loss", "singular_values", "imbalance"], every=10)
    watched = dln.Record(["loss", {"norms": norms}], every=50)
    plain = dln.Record(["loss", "singular_values"], every=2)
    times = dln.Record(["loss", "singular_values"], times=np.linspace(0.01, 40.0, 4000))
    steps = {"n_steps": int(60_000 * length)}
    few = {"n_steps": int(3_000 * length)}
    return {
        "descent": Victim(_target(), dln.GradientDescent(1e-4), steps, often),
        "compressed": Victim(_narrow(), dln.Momentum(1e-4, 0.9), steps, often),
        "own quantity": Victim(_target(), dln.GroupRMSprop(1e-4), steps, watched),
        "batches": Victim(_regression(), dln.Adam(1e-5, batch_size=7), steps, often),
        "rule": Victim(_target(), dln.EndToEndDescent(1e-4, 3), few, plain),
        "flow": Victim(_target(), dln.GradientFlow(), {"until": 40.0 * length}, times),
    }


def start(victim):
    widths = (12, 12) if isinstance(victim.method, dln.EndToEndDescent) else WIDTHS
    return dln.init.balanced(widths, 0.1, rng=5)


def run(name, store=None, length=1.0, **others):
    victim = victims(length)[name]
    arguments = {**victim.end, "record": victim.record, "rng": 3, "store": store, **others}
    return dln.run(victim.problem, start(victim), victim.method, **arguments)


def commit_always():
    """Commit after every slice of a run, and fill chunks soon."""
    stores.SECONDS_A_COMMIT = stores.SHARE_OF_COMMITS = 0.0
    stores.BYTES_A_CHUNK = 2**14


def run_in_child(name, store, length=1.0):
    """Run with frequent commits: what a process of its own calls."""
    commit_always()
    run(name, store, length)
