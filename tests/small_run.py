"""A run that is small enough for any test."""

import numpy as np
from helpers import network

import pydlnet as dln

WIDTHS = (4, 6, 3)
PROBLEM = dln.TargetMatrix(np.random.default_rng(1).standard_normal((3, 4)))
METHOD = dln.GradientDescent(0.05)


def run(n_steps=10, method=METHOD, weights=None, problem=PROBLEM, **kwargs):
    weights = network(WIDTHS, seed=2) if weights is None else weights
    # A seed of its own for each run would be the only difference between equal ones.
    return dln.run(problem, weights, method, n_steps=n_steps, **{"rng": 0, **kwargs})
