"""Memory over many runs: what a run takes it gives back, also where it ends in an error.

A few hundred runs bring everything to its size; from there on what is in use must not grow: bytes
that the C library has given out, and objects of Python's. Both are counts, not sizes of the
process, which grow by whole pages and when the allocator pleases.
"""

import ctypes

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc counts what is in use"
    ),
]

CODE = """
import ctypes, gc, sys
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

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]

counts_of = ctypes.CDLL(None).mallinfo2
counts_of.restype = Counts

def in_use():
    gc.collect()
    counts = counts_of()
    return np.array([counts.uordblks + counts.hblkhd, sys.getallocatedblocks()])

def growth(kind, first=500, n=100):
    found = []
    for k in range(first + 5 * n):
        if k >= first and k % n == 0:
            found.append(in_use())
        kind(k)
    # Now and then a table of Python's own doubles, which is in one of the pieces.
    print(*np.median(np.diff(found, axis=0), axis=0) / n)
"""

KINDS = ("methods", "batches", "threads", "flows", "ensembles", "curvature", "errors")


def growth(isolated, code):
    """Return bytes of the C library and objects of Python that are more after each run."""
    result = isolated(f"{CODE}\n{code}", timeout=600)
    assert result.returncode == 0, result.stderr
    return [float(text) for text in result.stdout.split()]


@pytest.mark.parametrize("kind", KINDS)
def test_many_runs_take_no_more_memory_than_some(isolated, kind):
    n_bytes, n_objects = growth(isolated, f"growth({kind})")
    # Less than the smallest array, or one object, in every run.
    assert n_bytes < 32
    assert n_objects < 0.5


@pytest.mark.parametrize(
    ("leak", "place"), [("kept.append(bytes(1000))", 0), ("kept.append(float(k))", 1)]
)
def test_a_leak_would_be_seen(isolated, leak, place):
    found = growth(isolated, f"kept = []\ngrowth(lambda k: {leak})")
    assert found[place] > [500, 0.9][place]
