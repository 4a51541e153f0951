"""Several threads on one network: the same bits for every number of them."""

import os

import numpy as np
import pytest

import pydlnet as dln
from pydlnet import _core

# Wide enough that products are shared, tall and wide layers, and an inner dimension in two blocks.
SHAPES = [(150, 150, 150), (300, 120, 110, 40), (40, 130, 300), (130, 530, 120)]


def trajectory(widths, dtype, method, threads):
    weights = dln.init.gaussian(widths, std=0.05, rng=1, dtype=dtype)
    target = np.random.default_rng(2).standard_normal((widths[-1], widths[0]))
    session_threads = pytest.MonkeyPatch()
    # As many as asked for, also where the machine has fewer processors.
    session_threads.setattr("pydlnet.simulate.as_threads", lambda n: n)
    try:
        return dln.run(
            dln.TargetMatrix(target), weights, method, n_steps=4, progress=False, threads=threads
        )
    finally:
        session_threads.undo()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("method", [dln.GradientDescent(1e-3), dln.Momentum(1e-3, momentum=0.9)])
def test_same_bits_for_every_number_of_threads(widths, dtype, method):
    alone = trajectory(widths, dtype, method, 1)
    for threads in (2, 3, 5):
        shared = trajectory(widths, dtype, method, threads)
        for one, other in zip(alone.weights, shared.weights, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(alone.data.loss, shared.data.loss)


def test_threads_are_gone_after_a_run():
    before = len(os.listdir("/proc/self/task"))
    trajectory((150, 150, 150), np.float64, dln.GradientDescent(1e-3), 3)
    assert len(os.listdir("/proc/self/task")) == before


def test_a_run_has_as_many_threads_as_asked_for():
    seen = []

    def count(_):
        seen.append(len(os.listdir("/proc/self/task")))
        return 0.0

    before = len(os.listdir("/proc/self/task"))
    for threads in (1, min(2, len(os.sched_getaffinity(0)))):
        dln.run(
            dln.TargetMatrix(np.eye(150)),
            dln.init.identity([150] * 3, scale=0.5),
            dln.GradientDescent(0.1),
            n_steps=1,
            record=dln.Record(["loss", count]),
            progress=False,
            threads=threads,
        )
        assert max(seen) == before + threads - 1


@pytest.mark.parametrize(
    ("threads", "kind"), [(0, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_bad_numbers_of_threads(threads, kind):
    with pytest.raises(kind, match="threads: expected an integer"):
        dln.run(
            dln.TargetMatrix(np.eye(2)),
            [np.eye(2)],
            dln.GradientDescent(0.1),
            n_steps=1,
            threads=threads,
        )


def test_more_threads_than_processors_are_not_started():
    trajectory = dln.run(
        dln.TargetMatrix(np.eye(2)),
        [np.eye(2)],
        dln.GradientDescent(0.1),
        n_steps=1,
        threads=10**6,
    )
    assert trajectory.status == "finished"
    assert _core.ISA == trajectory.data.attrs["instruction_set"]
