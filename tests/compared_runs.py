"""Runs that tests set beside a prediction, and what a prediction says of itself."""

import json

import numpy as np

import pydlnet as dln

WIDTHS = (4, 5, 3)
PROBLEM = dln.TargetMatrix(np.random.default_rng(0).standard_normal((3, 4)))
RATE = 1e-3


def balanced_run(method=None, quantities=("loss", "end_to_end"), n_steps=500, **options):
    start = dln.init.balanced(WIDTHS, 0.5, 1)
    record = dln.Record(quantities, every=50)
    method = dln.GradientDescent(RATE) if method is None else method
    return dln.run(PROBLEM, start, method, n_steps=n_steps, record=record, **options)


def reasons(data):
    return json.loads(data.attrs["does_not_apply"])
