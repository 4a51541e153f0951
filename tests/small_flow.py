"""A flow that is small enough for any test, and the plain definition of one."""

import numpy as np
import reference
from helpers import network
from scipy.integrate import solve_ivp

import pydlnet as dln

TARGET = np.random.default_rng(1).standard_normal((3, 4))
PROBLEM = dln.TargetMatrix(TARGET)
START = network((4, 5, 3), seed=2)
FLOW = dln.GradientFlow()
EVERYTHING = ["loss", "gradient_norm", "singular_values", "imbalance", "weights", "end_to_end"]


def run(until, record=None, method=FLOW, problem=PROBLEM, weights=START, **keywords):
    return dln.run(problem, weights, method, until=until, record=record, **keywords)


def split(flat, shapes):
    ends = np.cumsum([rows * cols for rows, cols in shapes])[:-1]
    parts = np.split(flat, ends)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def plain_flow(loss, weights, times, weight_decay=0.0):
    """Return the layers at each of the times, from the definition by SciPy."""
    shapes = [layer.shape for layer in weights]

    def velocity(_, flat):
        layers = split(flat, shapes)
        _, gradient = loss(reference.product(layers))
        moves = reference.gradients(layers, gradient)
        pairs = zip(moves, layers, strict=True)
        return np.concatenate([-(move + weight_decay * w).ravel() for move, w in pairs])

    start = np.concatenate([layer.ravel() for layer in weights])
    span = (0.0, float(times[-1]))
    found = solve_ivp(velocity, span, start, method="DOP853", t_eval=times, rtol=1e-13, atol=1e-15)
    return [split(flat, shapes) for flat in found.y.T]
