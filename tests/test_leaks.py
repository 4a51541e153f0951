"""Memory over many runs: what a run takes it gives back, also where it ends in an error.

A few hundred runs bring everything to its size; from there on memory must not grow. A leak of one
object a run would show: of the smallest network that is still more than the noise of the allocator.
"""

import pytest

CODE = """
import gc, sys
import numpy as np
import pydlnet as dln

problem = dln.TargetMatrix(np.diag([2.0, 1.0, 0.5]))
data = dln.Regression(np.eye(4, 3), np.ones((4, 3)))
weights = dln.init.balanced((3, 3, 3), scale=0.1, rng=0)
METHODS = [
    dln.GradientDescent(0.01), dln.Momentum(0.01, momentum=0.9), dln.Adam(0.01), dln.AdaGrad(0.01),
    dln.AdaDelta(1.0), dln.RMSprop(0.01), dln.GroupRMSprop(0.01), dln.EndToEndDescent(0.01, 2),
]
record = dln.Record(["loss", "singular_values", "weights", "imbalance"], every=2)

class Fails(Exception):
    pass

def raises(*_):
    raise Fails

def late(weights):
    late.calls += 1
    if late.calls % 3 == 0:
        raise Fails
    return 0.0

late.calls = 0

def expect(function):
    try:
        function()
    except Fails:
        return
    raise AssertionError("expected an error")

def methods(k):
    start, wanted = ([np.eye(3)], None) if k % 8 == 7 else (weights, record)
    trajectory = dln.run(problem, start, METHODS[k % 8], n_steps=4, record=wanted)
    dln.run(problem, trajectory, n_steps=2)

def batches(k):
    dln.run(data, weights, dln.GradientDescent(0.01, batch_size=2), n_steps=4, rng=k)

def threads(k):
    dln.run(problem, weights, METHODS[0], n_steps=4, threads=2)

def flows(k):
    dln.run(problem, weights, dln.GradientFlow(), until=0.01)

def ensembles(k):
    dln.run_ensemble(problem, weights, METHODS[:1] * 5, n_steps=4, record=record, threads=2)

def curvature(k):
    dln.run(problem, weights, METHODS[0], n_steps=2, record=dln.Record("sharpness", every=1))

def errors(k):
    fails = dln.EndToEndLoss(raises, (3, 3))
    observed = dln.Record(["loss", {"late": late}], every=1)
    expect(lambda: dln.run(fails, weights, METHODS[0], n_steps=4))
    expect(lambda: dln.run(problem, weights, METHODS[0], n_steps=4, record=observed))
    expect(lambda: dln.run(problem, weights, dln.GradientFlow(), until=1.0, stop=dln.Stop(
        condition=raises)))
    expect(lambda: dln.run_ensemble(fails, weights, METHODS[0], n_steps=4))
    expect(lambda: dln.run(problem, weights, dln.GradientDescent(raises), n_steps=4))

def size():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def growth(kind, first, last):
    for k in range(first):
        kind(k)
    before = size()
    for k in range(first, last):
        kind(k)
    return (size() - before) / (last - first)
"""

KINDS = ("methods", "batches", "threads", "flows", "ensembles", "curvature", "errors")


def bytes_a_run(isolated, kind, first, last):
    code = f"{CODE}\nprint(growth({kind}, {first}, {last}))"
    result = isolated(code, timeout=600)
    assert result.returncode == 0, result.stderr
    return float(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_runs_take_no_more_memory_than_some(isolated, kind):
    assert bytes_a_run(isolated, kind, 200, 800) < 400


@pytest.mark.slow
def test_a_leak_would_be_seen(isolated):
    code = f"{CODE}\nkept = []\nprint(growth(lambda k: kept.append(bytes(1000)), 200, 800))"
    assert float(isolated(code).stdout) > 400
