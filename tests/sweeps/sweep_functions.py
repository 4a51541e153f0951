"""Functions that are swept, in a module that worker processes can import.

Each call leaves a file in the folder that PYDLNET_TEST_CALLS names, so that calls are counted in
whatever process they are made.
"""

import os
import time
import uuid
from pathlib import Path

import numpy as np

import pydlnet as dln

PROBLEM = dln.TargetMatrix(np.diag([3.0, 1.0]))


def count_in(folder):
    os.environ["PYDLNET_TEST_CALLS"] = folder


def note(name):
    folder = os.environ.get("PYDLNET_TEST_CALLS")
    if folder:
        Path(folder, f"{name}-{uuid.uuid4().hex}").touch()


def square(x):
    note(x)
    return {"square": x**2}


def slowly(x):
    time.sleep(0.05)
    return square(x)


def noise(x, rng):
    return {"first": rng.standard_normal(), "vector": rng.standard_normal(3)}


def odd(x):
    note(x)
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return {"x": x}


def train(depth, learning_rate, rng):
    note(f"{depth}-{learning_rate}")
    start = dln.init.balanced([2] * (depth + 1), scale=0.1, rng=rng)
    return dln.run(
        PROBLEM,
        start,
        dln.GradientDescent(learning_rate),
        n_steps=1000,
        record=dln.Record(["loss", "singular_values", "layer_norms", "learning_rate"]),
        stop=dln.Stop(loss=1e-8),
    )


def fatal(x):
    if x == 3:
        os._exit(1)
    return {"x": x}


def endless(x):
    weights = dln.init.gaussian((20, 20, 20), end_to_end_scale=0.1, rng=0)
    n_steps = 10 if x == 0 else 10**12
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(20)), weights, dln.GradientDescent(1e-9), n_steps=n_steps
    )
    return {"loss": float(trajectory.data["loss"][-1])}
