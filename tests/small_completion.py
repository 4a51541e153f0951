"""A run of matrix completion that is small enough for any test."""

from helpers import network

import pydlnet as dln

WIDTHS = (5, 4, 6, 3)


def completion_run(n_steps=12, method=None, **kwargs):
    problem = dln.MatrixCompletion.synthetic((3, 5), 1, n_observed=9, rng=1, held_out=4)
    method = method or dln.GradientDescent(0.1)
    keywords = {"rng": 0, **kwargs}
    return problem, dln.run(problem, network(WIDTHS), method, n_steps=n_steps, **keywords)
