"""The Runge-Kutta scheme of gradient flow: its coefficients, its order, its errors."""

import re
from pathlib import Path

import numpy as np
import pytest
import reference
from scipy.integrate._ivp import dop853_coefficients
from small_flow import plain_flow, run

import pydlnet as dln


def table(name):
    """Return the rows of a table in the header of the scheme."""
    text = (Path(__file__).parents[1] / "cpp/dlnet/dop853.hpp").read_text(encoding="utf-8")
    body = re.search(rf"double {name}(?:\[\w+(?: \+ 1)?\])+ =\s*(\{{.*?\}});", text, re.DOTALL)[1]
    rows = re.findall(r"\{([^{}]*)\}", body)
    return [[float(number) for number in row.split(",") if number.strip()] for row in rows]


def padded(rows, size):
    return np.array([row + [0.0] * (size - len(row)) for row in rows])


def test_the_coefficients_are_those_of_scipy():
    np.testing.assert_array_equal(padded(table("a"), 12), dop853_coefficients.A[:13, :12])
    np.testing.assert_array_equal(padded(table("error_5"), 13)[0], dop853_coefficients.E5)
    np.testing.assert_array_equal(padded(table("error_3"), 13)[0], dop853_coefficients.E3)


def trees(order):
    """Return all rooted trees with `order` nodes, as nested sorted tuples of subtrees."""
    found = {()}
    for _ in range(order - 1):
        found = {grown for tree in found for grown in with_a_leaf(tree)}
    return found


def with_a_leaf(tree):
    yield tuple(sorted((*tree, ())))
    for i, subtree in enumerate(tree):
        for grown in with_a_leaf(subtree):
            yield tuple(sorted((*tree[:i], grown, *tree[i + 1 :])))


def nodes(tree):
    return 1 + sum(nodes(subtree) for subtree in tree)


def density(tree):
    return nodes(tree) * np.prod([density(subtree) for subtree in tree])


def elementary_weight(tree, a):
    stages = np.ones(len(a))
    for subtree in tree:
        stages = stages * (a @ elementary_weight(subtree, a))
    return stages


@pytest.mark.parametrize("order", range(1, 9))
def test_the_scheme_has_order_eight(order):
    # Every condition is sum_i b_i Phi_i(tree) = 1 / gamma(tree), one for each rooted tree. The
    # coefficients are up to 43, so that products of eight of them cancel to a few 1e-13.
    a = padded(table("a"), 12)
    found = trees(order)
    assert len(found) == [1, 1, 2, 4, 9, 20, 48, 115][order - 1]
    for tree in found:
        total = a[12] @ elementary_weight(tree, a[:12])
        assert total == pytest.approx(1.0 / density(tree), abs=2e-12)


@pytest.mark.parametrize(("name", "order"), [("error_5", 5), ("error_3", 3)])
def test_an_estimate_vanishes_up_to_its_order(name, order):
    a, weights = padded(table("a"), 12)[:12], padded(table(name), 12)[0]
    for tree in (tree for n in range(1, order + 1) for tree in trees(n)):
        assert weights @ elementary_weight(tree, a) == pytest.approx(0.0, abs=1e-12)
    beyond = [weights @ elementary_weight(tree, a) for tree in trees(order + 1)]
    assert np.max(np.abs(beyond)) > 1e-6


def test_errors_follow_the_tolerance():
    # The error of a step is of order 8 in its length and is what the tolerance bounds, as
    # estimated in order 7: so a hundredth of the tolerance costs 100^(1/8) = 1.8 times the steps
    # and not 100^(1/5) = 2.5 times, and buys about two digits.
    target = np.array([[1.0]])
    exact = plain_flow(lambda w: reference.target_loss(w, target), [np.array([[5.0]])] * 2, [2.0])
    counts, errors = [], []
    for rtol in (1e-6, 1e-8, 1e-10, 1e-12):
        found = run(2.0, None, dln.GradientFlow(rtol, 0.0), dln.TargetMatrix(target), [[[5.0]]] * 2)
        counts.append(found.data.attrs["n_accepted"])
        errors.append(abs(found.weights[0] - exact[0][0]).item())
    assert counts[3] / counts[0] < 100.0 ** (3.0 / 6.0)
    assert all(
        error <= 20.0 * rtol * 5.0 for error, rtol in zip(errors, (1e-6, 1e-8), strict=False)
    )
    assert errors[3] < 1e-4 * errors[0]
