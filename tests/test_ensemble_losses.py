"""Losses in ensembles: the user's own, those that raise, and what threads share of them."""

import threading
import time

import numpy as np
import pytest
from helpers import assert_same_bits, network

import pydlnet as dln
from pydlnet import _core


def starts(widths, n, dtype=np.float64):
    return [network(widths, seed=k, dtype=dtype) for k in range(n)]


def test_a_loss_of_the_users_is_called_from_one_thread():
    callers = set()

    def loss(w):
        callers.add(threading.get_ident())
        time.sleep(0.002)
        return 0.0, w

    problems = [dln.EndToEndLoss(loss, (2, 2)), dln.TargetMatrix(np.eye(2))] * 2
    dln.run_ensemble(problems, starts((2, 2), 4), dln.GradientDescent(0.5), n_steps=8, threads=4)
    assert callers == {threading.get_ident()}


def test_a_loss_that_raises():
    def loss(w):
        if w[0, 0] > 5:
            raise ArithmeticError("too large")
        return 0.0, -np.ones((2, 2))

    layers = [[np.full((2, 2), float(k))] for k in range(3)]
    with pytest.raises(ArithmeticError, match="too large") as caught:
        dln.run_ensemble(
            dln.EndToEndLoss(loss, (2, 2)), layers, dln.GradientDescent(0.5), n_steps=8, threads=2
        )
    assert "raised by the loss of run 2 at step 7" in caught.value.__notes__


@pytest.mark.parametrize("batch_size", [None, 500])
@pytest.mark.parametrize("users", [2, 3])
def test_threads_never_share_the_workspace_of_a_loss(users, batch_size):
    """More threads than members of one problem, fewer than members."""
    rng = np.random.default_rng(5)
    problems = []
    for _ in range(3):
        inputs = rng.standard_normal((600, 12))
        outputs = inputs @ rng.standard_normal((12, 9))
        problems += [dln.Regression(inputs, outputs, power=4)] * users
    layers = [network((12, 10, 9), seed=k) for k in range(3 * users)]
    method = dln.GradientDescent(1e-4, batch_size=batch_size)
    ensembles = [
        dln.run_ensemble(problems, layers, method, n_steps=60, rng=1, threads=threads)
        for threads in (1, 2, 6)
    ]
    for other in ensembles[1:]:
        assert_same_bits(other.data.loss.values, ensembles[0].data.loss.values)


def test_what_fails_beside_the_loss_is_not_blamed_on_it(monkeypatch):
    def fails(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(_core, "advance_ensemble", fails)
    monkeypatch.setattr(_core, "failed_member", lambda _: 0)
    with pytest.raises(MemoryError, match="no room") as caught:
        dln.run_ensemble(
            dln.TargetMatrix(np.eye(2)), starts((2, 2), 2), dln.GradientDescent(0.1), n_steps=3
        )
    assert not hasattr(caught.value, "__notes__")
